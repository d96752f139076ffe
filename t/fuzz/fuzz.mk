# libFuzzer targets: every t/fuzz/fuzz_NAME.c, linked with the whole of core/
# built by clang.  `make fuzz` runs each for FUZZ_SECONDS, `make fuzz-NAME` one.
# A target that needs more than core/ sets FUZZ_SRC_NAME and FUZZ_LIBS_NAME,
# and FUZZ_NEED_NAME to what must be there before it is compiled.
# What was found is kept in build/fuzz/corpus/NAME, a crash in build/fuzz.

FUZZ_SECONDS ?= 30
FUZZ_BUILD   := build/fuzz
FUZZ_FLAGS   := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
FUZZ_NAMES   := $(patsubst t/fuzz/fuzz_%.c,%,$(wildcard t/fuzz/fuzz_*.c))
FUZZ_OBJ      = $(CORE_SRC:%.c=$(FUZZ_BUILD)/%.o) $(FUZZ_BUILD)/wa.pb-c.o
FUZZ_CC       = clang -std=gnu11 $(FUZZ_FLAGS) -D_GNU_SOURCE -I$(BUILD)/gen $(shell pkg-config --cflags $(PKGS) 2>/dev/null)

# engines in memory, as the unit tests have them
FUZZ_SRC_client  := $(wildcard t/unit/client_*.c) t/unit/vectors.c
FUZZ_LIBS_client := -It/unit -lcmocka

# nginx's headers, none of its code: what a target needs of it, it brings
FUZZ_NGX            = $(addprefix -I$(NGX_TREE)/,src/core src/event src/event/modules src/os/unix src/http src/http/modules \
    src/http/v2 objs) -Wno-unused-parameter
FUZZ_NEED_frame    := $(NGX_TREE)/objs/Makefile
FUZZ_LIBS_frame     = $(FUZZ_NGX)
FUZZ_NEED_outbound := $(NGX_TREE)/objs/Makefile
FUZZ_LIBS_outbound  = $(FUZZ_NGX) -lcurl

.PHONY: fuzz fuzz-deps $(FUZZ_NAMES:%=fuzz-%)

fuzz: $(FUZZ_NAMES:%=fuzz-%)

fuzz-deps: deps
	@printf 'int LLVMFuzzerTestOneInput(const char *p, long n) { return p && n < 0; }\n' | \
	    clang -x c -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null && exit 0; \
	run=; [ "$$(id -u)" -eq 0 ] || run=sudo; \
	$$run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends clang libclang-rt-14-dev >/dev/null

$(FUZZ_BUILD)/core/%.o: core/%.c | $(GEN) fuzz-deps
	@mkdir -p $(@D)
	$(FUZZ_CC) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

$(FUZZ_BUILD)/wa.pb-c.o: $(BUILD)/gen/wa.pb-c.c | fuzz-deps
	@mkdir -p $(@D)
	$(FUZZ_CC) -fsanitize=fuzzer-no-link -c $< -o $@

$(FUZZ_BUILD)/libwagw-core.a: $(FUZZ_OBJ)
	@rm -f $@
	ar rcs $@ $(FUZZ_OBJ)

# $(1): NAME; its own source goes last, for the compiler writes one list of headers
define FUZZ_RULE
$(FUZZ_BUILD)/fuzz_$(1): $(FUZZ_SRC_$(1)) t/fuzz/fuzz_$(1).c $(FUZZ_BUILD)/libwagw-core.a | $(FUZZ_NEED_$(1))
	$$(FUZZ_CC) -fsanitize=fuzzer -MMD -MP -MF $$@.d -o $$@ $(FUZZ_SRC_$(1)) t/fuzz/fuzz_$(1).c $(FUZZ_BUILD)/libwagw-core.a $$(LIBS) $$(FUZZ_LIBS_$(1))
endef
$(foreach n,$(FUZZ_NAMES),$(eval $(call FUZZ_RULE,$(n))))

$(FUZZ_NAMES:%=fuzz-%): fuzz-%: $(FUZZ_BUILD)/fuzz_%
	@rm -rf $(FUZZ_BUILD)/seeds/$*
	@mkdir -p $(FUZZ_BUILD)/seeds/$* $(FUZZ_BUILD)/corpus/$*
	@perl t/fuzz/seeds.pl $* $(FUZZ_BUILD)/seeds/$*
	@if [ -d t/fuzz/seeds/$* ]; then cp t/fuzz/seeds/$*/* $(FUZZ_BUILD)/seeds/$*/; fi
	@if $(FUZZ_BUILD)/fuzz_$* -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=20 -rss_limit_mb=2560 \
	    -print_final_stats=1 -artifact_prefix=$(FUZZ_BUILD)/$*- \
	    $(FUZZ_BUILD)/corpus/$* $(FUZZ_BUILD)/seeds/$* >$(FUZZ_BUILD)/$*.log 2>&1; then \
	    echo "fuzz $*: $$(sed -n 's/^stat::number_of_executed_units: *//p' $(FUZZ_BUILD)/$*.log) runs, nothing found"; \
	else \
	    tail -n 60 $(FUZZ_BUILD)/$*.log; echo "fuzz $*: FAILED, see $(FUZZ_BUILD)/$*.log"; exit 1; \
	fi

# ---- the seeds without a fuzzer, in make test --------------------------------

REPLAY     := $(BUILD)/replay
REPLAY_BIN  = $(FUZZ_NAMES:%=$(REPLAY)/%)

# $(1): NAME; its own source goes last, for the compiler writes one list of headers
define REPLAY_RULE
$(REPLAY)/$(1): t/fuzz/replay.c $(FUZZ_SRC_$(1)) t/fuzz/fuzz_$(1).c $(CORE_LIB) | $(GEN) $(FUZZ_NEED_$(1))
	@mkdir -p $$(@D)
	$$(CC) $$(ALLFLAGS) -MMD -MP -MF $$@.d -o $$@ t/fuzz/replay.c $(FUZZ_SRC_$(1)) t/fuzz/fuzz_$(1).c $$(CORE_LIB) $$(LIBS) $$(FUZZ_LIBS_$(1))
endef
$(foreach n,$(FUZZ_NAMES),$(eval $(call REPLAY_RULE,$(n))))

# TAP of one line for each target
REPLAY_RUN = echo 1..$(words $(FUZZ_NAMES)); n=0; for t in $(FUZZ_NAMES); do n=$$((n+1)); \
    mkdir -p $(REPLAY)/seeds/$$t; $(PERL) t/fuzz/seeds.pl $$t $(REPLAY)/seeds/$$t; \
    if $(REPLAY)/$$t $(REPLAY)/seeds/$$t t/fuzz/seeds/$$t; then echo ok $$n - $$t; else echo not ok $$n - $$t; fi; done

.PHONY: replay
replay: deps $(REPLAY_BIN)
	@$(REPLAY_RUN)

-include $(REPLAY_BIN:%=%.d)
-include $(FUZZ_OBJ:.o=.d) $(FUZZ_NAMES:%=$(FUZZ_BUILD)/fuzz_%.d)
