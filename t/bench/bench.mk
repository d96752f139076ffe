# Figures: `make bench` measures the parts (bench_*), then the gateway beside a
# Baileys client on the same sandbox.  BENCH_ACCOUNTS, BENCH_TEXTS and
# BENCH_BAILEYS size it (t/bench/figures.mjs); BENCH="texts memory" picks sections.

BENCH_BIN = $(patsubst t/bench/%.c,$(BUILD)/bench/%,$(wildcard t/bench/bench_*.c))

.PHONY: bench bench-parts bench-gateway bench-media

bench: bench-parts bench-gateway bench-media

bench-parts: deps $(BENCH_BIN)
	@for b in $(BENCH_BIN); do echo "== $${b##*/}"; $$b || exit 1; done

bench-gateway: default $(TEST_NGINX) $(BUILD)/bench/load
	@WAGW_BENCH_LOAD=$(abspath $(BUILD)/bench/load) t/bench/run $(BENCH)

# 100 MiB (WAGW_MEDIA_MIB) both ways: time, and memory of owner and workers
bench-media: default $(TEST_NGINX)
	@echo "== media"
	@t/interop/run ./media-memory.test.mjs | sed -n 's/^# \(.* MiB.*\|.* ms\)$$/\1/p; /^not ok/p; /^# fail [1-9]/{p;q1}'

$(BUILD)/bench/%: t/bench/%.c $(CORE_LIB)
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -It/unit -MMD -MP -o $@ $< $(CORE_LIB) $(LIBS)

-include $(BENCH_BIN:=.d) $(BUILD)/bench/load.d
