# Everything that starts, tests and measures.  `make test` ends with the total
# of what the test programs printed themselves.

PERL       ?= perl
WAGW_NGINX ?= /usr/sbin/nginx
VECTORS    ?= t/vectors

# one name of an nginx for tests: with the sanitizers the module needs their
# runtime loaded first, and what they find is kept in files
TEST_NGINX    = $(abspath $(BUILD))/nginx-for-tests
REPORTS       = $(abspath $(BUILD))/reports
VECTOR_BIN    = $(patsubst t/unit/%.c,$(BUILD)/unit/%,$(shell grep -l vec_load t/unit/test_*.c))
VECTOR_NAMES  = $(shell grep -ho 'vec_load..[a-z-]*' t/unit/test_*.c | cut -c11- | sort -u)
TESTS_NGINX  := $(sort $(wildcard t/*.t))
TESTS_LIFE   := $(sort $(wildcard t/life/*.test.mjs))
TESTS_INTEROP := $(sort $(wildcard t/interop/*.test.mjs))
C_FILES       = $(wildcard core/*/*.[ch] ngx_wagw/*.[ch] ngx_wagw/*/*.[ch] t/*/*.[ch])

# a port of our own: another checkout may be under test at the same time
FREE_PORT = $(shell $(PERL) -MIO::Socket::INET -e 'print IO::Socket::INET->new(LocalAddr => "127.0.0.1", Listen => 1)->sockport')

export TEST_NGINX_PORT ?= $(FREE_PORT)
export TEST_NGINX_BINARY = $(TEST_NGINX)
export TEST_NGINX_LOAD_MODULES = $(abspath $(MODULE))
export WAGW_SANDBOX = $(abspath $(SANDBOX_BIN))
export WAGW_REPORTS = $(REPORTS)

include t/fuzz/fuzz.mk

.PHONY: run stop test test-full test-programs vectors lint

# under the sanitizers too, so that a person can try a suspicion
run: default $(TEST_NGINX)
	@WAGW_NGINX=$(TEST_NGINX) WAGW_MODULE=$(abspath $(MODULE)) examples/run

stop:
	@examples/run stop

# ---- tests -----------------------------------------------------------------

# upstream's Test::Nginx goes before ours, where there is one
PROVE_LIB = $(shell $(PERL) -MTest::Nginx::Socket -e1 2>/dev/null || echo -It/lib)

SUITE = $(foreach b,$(sort $(UNIT_BIN)),'unit/$(notdir $(b)):$(b)') \
    't/form:$(PERL) t/form/form.t' 'docs/rest.md:echo 1..1; cmp $(BUILD)/rest.md docs/rest.md && echo ok 1 || echo not ok 1' \
    'fuzz/seeds:$(REPLAY_RUN)' \
    $(foreach t,$(TESTS_NGINX),'$(t):$(PERL) $(PROVE_LIB) $(t)') \
    $(foreach t,$(TESTS_LIFE),'$(t):node --test --test-reporter=tap $(t)') \
    $(foreach t,$(TESTS_INTEROP),'$(t):t/interop/run ./$(notdir $(t))')

test: test-programs
	@rm -rf $(REPORTS) && mkdir -p -m 0777 $(REPORTS) && chmod 0777 $(REPORTS)
	@$(PERL) t/suite.pl $(SUITE)

test-programs: default $(UNIT_BIN) $(REPLAY_BIN) $(TEST_NGINX) $(BUILD)/rest.md

$(BUILD)/rest.md: $(BUILD)/rest-doc
	@$< > $@

# longer crash loops, and some minutes of every fuzz target
test-full: export WAGW_LIFE_LONG = 1
test-full: test-programs
	@rm -rf $(REPORTS) && mkdir -p -m 0777 $(REPORTS) && chmod 0777 $(REPORTS)
	@$(PERL) t/suite.pl $(SUITE) $(foreach n,$(FUZZ_NAMES),'fuzz/$(n):echo 1..1; $(MAKE) -s fuzz-$(n) && echo ok 1 || echo not ok 1')

$(TEST_NGINX): t/test.mk
	@mkdir -p $(@D)
ifeq ($(SANITIZE),1)
	@printf '#!/bin/sh\nexport LD_PRELOAD="%s %s"\nexport ASAN_OPTIONS="detect_leaks=0:log_path=%s/nginx"\nexport UBSAN_OPTIONS="print_stacktrace=1:log_path=%s/nginx"\nexec %s "$$@"\n' \
	    "$$($(CC) -print-file-name=libasan.so)" "$$($(CC) -print-file-name=libubsan.so)" $(REPORTS) $(REPORTS) $(WAGW_NGINX) > $@
else
	@printf '#!/bin/sh\nexec %s "$$@"\n' $(WAGW_NGINX) > $@
endif
	@chmod 755 $@

vectors: deps $(VECTOR_BIN)
	@WAGW_VECTORS_KNOWN='$(VECTOR_NAMES)' $(PERL) t/vectors.pl $(VECTORS) $(VECTOR_BIN)

# ---- form ------------------------------------------------------------------

lint: deps
	@clang-format --dry-run -Werror $(C_FILES)
	@cppcheck --quiet -j$(shell nproc) --error-exitcode=1 --std=c11 --enable=warning --inline-suppr \
	    --suppressions-list=t/cppcheck.txt -D_GNU_SOURCE $(filter %.c,$(C_FILES))
	@echo 'lint: clean'

include t/bench/bench.mk
