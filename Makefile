# wagw: one Makefile, no configure.  `make run` and `make test` do all set-up.

SANITIZE ?= 0
CC       ?= gcc
ifeq ($(SANITIZE),1)
BUILD    := build/asan
SANFLAGS := -fsanitize=address,undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined
else
BUILD    := build
SANFLAGS :=
endif

CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Werror
PKGS     := libssl libcrypto libprotobuf-c libcjson sqlite3 zlib
ALLFLAGS  = -std=gnu11 $(CFLAGS) $(SANFLAGS) $(WARN) -D_GNU_SOURCE -I$(BUILD)/gen $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
LIBS      = -lsignal-protocol-c -lprotobuf-c -lcjson -lsqlite3 -lssl -lcrypto -lz -lm -lpthread

CORE_SRC := $(wildcard core/*/*.c)
CORE_OBJ  = $(CORE_SRC:%.c=$(BUILD)/%.o) $(BUILD)/gen/wa.pb-c.o
CORE_LIB  = $(BUILD)/libwagw-core.a
GEN       = $(BUILD)/gen/wa.pb-c.h $(BUILD)/gen/tokens.h $(BUILD)/gen/sql_sqlite.h

UNIT_SRC := $(wildcard t/unit/test_*.c)
UNIT_BIN  = $(UNIT_SRC:t/unit/%.c=$(BUILD)/unit/%)
UNIT_AUX := $(filter-out $(UNIT_SRC),$(wildcard t/unit/*.c))
UNIT_OBJ  = $(UNIT_AUX:t/unit/%.c=$(BUILD)/unit-aux/%.o)
UNIT_LIB  = $(BUILD)/unit-aux/libunit.a

SANDBOX_SRC := $(wildcard t/sandbox/*.c)
SANDBOX_OBJ  = $(SANDBOX_SRC:%.c=$(BUILD)/%.o)
SANDBOX_BIN  = $(BUILD)/wagw-sandbox

# as many jobs as the machine has cores, unless told otherwise
ifeq ($(filter -j% --jobserver%,$(MAKEFLAGS)),)
MAKEFLAGS += -j$(shell nproc)
endif

.DEFAULT_GOAL := default
.PHONY: default deps core unit clean
.SECONDARY:

default: deps core $(SANDBOX_BIN) module

deps: build/.deps
build/.deps: .ci/deps
	@bash .ci/deps
	@mkdir -p build && touch $@

core: $(CORE_LIB)

$(GEN): | build/.deps

$(BUILD)/gen/wa.pb-c.h: core/proto/wa.proto
	@mkdir -p $(BUILD)/gen
	protoc-c --proto_path=core/proto --c_out=$(BUILD)/gen core/proto/wa.proto
$(BUILD)/gen/wa.pb-c.c: $(BUILD)/gen/wa.pb-c.h
$(BUILD)/gen/wa.pb-c.o: $(BUILD)/gen/wa.pb-c.c
	$(CC) -std=gnu11 -O1 -g $(SANFLAGS) -I$(BUILD)/gen -c $< -o $@

$(BUILD)/gen/tokens.h: core/binary/tokens.txt core/binary/tokens.awk
	@mkdir -p $(BUILD)/gen
	awk -f core/binary/tokens.awk core/binary/tokens.txt > $@.tmp && mv $@.tmp $@

# the migrations as C strings, so that the module needs no files beside it
$(BUILD)/gen/sql_sqlite.h: $(wildcard sql/sqlite/*.sql) core/store/embed.awk
	@mkdir -p $(BUILD)/gen
	awk -f core/store/embed.awk sql/sqlite/*.sql > $@.tmp && mv $@.tmp $@

$(BUILD)/core/%.o: core/%.c | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -MMD -MP -c $< -o $@

$(CORE_LIB): $(CORE_OBJ)
	@rm -f $@
	ar rcs $@ $(CORE_OBJ)

$(BUILD)/unit-aux/%.o: t/unit/%.c | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -It/unit -MMD -MP -c $< -o $@

$(UNIT_LIB): $(UNIT_OBJ)
	@rm -f $@
	@ar rcs $@ $(UNIT_OBJ)

$(BUILD)/unit/%: t/unit/%.c $(UNIT_LIB) $(CORE_LIB)
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -It/unit -MMD -MP -o $@ $< $(UNIT_LIB) $(CORE_LIB) -lcmocka $(LIBS)

unit: deps $(UNIT_BIN)
	@for t in $(UNIT_BIN); do $$t || exit 1; done

$(BUILD)/t/sandbox/%.o: t/sandbox/%.c | $(GEN)
	@mkdir -p $(@D)
	$(CC) $(ALLFLAGS) -MMD -MP -c $< -o $@

$(SANDBOX_BIN): $(SANDBOX_OBJ) $(CORE_LIB)
	$(CC) $(SANFLAGS) -o $@ $(SANDBOX_OBJ) $(CORE_LIB) -levent -levent_openssl $(LIBS)

include ngx_wagw/module.mk
include t/test.mk

clean:
	rm -rf build

-include $(CORE_OBJ:.o=.d) $(SANDBOX_OBJ:.o=.d) $(UNIT_OBJ:.o=.d) $(UNIT_BIN:=.d)
