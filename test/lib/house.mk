# The house: tests, lint, demo and benchmarks.  Included by the Makefile when
# one of these targets is asked for; builds the extension by calling it back.
# Everything made here goes to build/, nothing outside the checkout changes
# except that `deps` may apt-get install what is missing.

SHELL := /bin/bash
CC    ?= cc
FUZZ_CC ?= clang
T     ?= 60
export PG_CONFIG CC FUZZ_CC T

PURE      := $(shell sed -n '/^. Postgres C/q; s/^\([a-z]*\):.*/\1/p' src/LAYERS)
PURE_SRCS := $(sort $(wildcard $(PURE:%=src/%/*.c)))
PURE_LIBS := -lzstd -lsnappy -llz4 -lz -ljansson -lm
PURE_CFLAGS := -std=gnu11 -Wall -Wextra -Isrc -g -DLH_VERSION='"test"'
SANITIZE  := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
UNIT_SRCS := $(sort $(wildcard test/unit/*.c))
ARM_CC    ?= aarch64-linux-gnu-gcc
ARM_SRCS  := test/unit/main.c $(sort $(wildcard test/unit/kern_*.c src/base/*.c src/kernels/*.c))
FUZZERS   := $(patsubst test/fuzz/%.c,%,$(sort $(wildcard test/fuzz/fuzz_*.c)))
TOOLS     := $(patsubst test/tools/%.c,build/tools/%,$(sort $(wildcard test/tools/*.c)))

.PHONY: $(HOUSE) arm-deps all install uninstall clean distclean
.DEFAULT_GOAL := check

# Plain build goals named beside ours, as in "make all check".
all install uninstall clean distclean:
	+$(MAKE) $@

deps:
	test/lib/deps.sh

# The extension as it would be installed, below build/stage.
stage:
	test/lib/stage.sh

lint:
	test/lint/lint

lint-selftest:
	test/lint/selftest

demo: deps
	test/demo/demo.sh

check: deps
	test/lib/check.sh

installcheck: stage
	test/lib/regress.sh

tapcheck: stage
	test/lib/tap.sh

interop: stage tools
	test/interop/run

interop-jvm: stage
	test/interop/run --jvm

clients: stage
	test/clients/run

suite-pgvector: stage
	test/suites/pgvector/run

# Suites that others wrote, on heap and on lakehouse side by side (longer).
coreregress: deps
	test/suites/core regress

coreisolation: deps
	test/suites/core isolation

suite-contrib: deps
	test/suites/core contrib

sqlsmith: deps
	test/suites/core sqlsmith

installcheck-assert installcheck-discard: installcheck-%: deps
	test/suites/installcheck $*

suite-django suite-sqlalchemy suite-dbt: suite-%: stage
	test/suites/apps $*

suite-dlt suite-loaders: suite-%: stage
	test/suites/loaders/run $*

suite-partman suite-cron suite-postgis: suite-%: stage
	test/suites/extensions $*

bench: deps stage
	test/bench/run

bench-vector: export COPT = -O2
bench-vector: deps stage
	test/bench/run_vector

# ---- pure C, without Postgres ----

build/pure/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC $@"
	@$(CC) $(PURE_CFLAGS) -O2 -MMD -MP -c $< -o $@

build/unit/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC $@"
	@$(CC) $(PURE_CFLAGS) -O1 $(SANITIZE) -MMD -MP -c $< -o $@

build/arm/%.o: %.c | arm-deps
	@mkdir -p $(@D)
	@echo "CC $@"
	@$(ARM_CC) $(PURE_CFLAGS) -O2 -MMD -MP -c $< -o $@

build/fuzz/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC $@"
	@$(FUZZ_CC) $(PURE_CFLAGS) -O1 $(SANITIZE) -fsanitize=fuzzer-no-link -MMD -MP -c $< -o $@

build/coverage/%.o: %.c
	@mkdir -p $(@D)
	@echo "CC $@"
	@$(CC) $(PURE_CFLAGS) -O0 --coverage -MMD -MP -c $< -o $@

build/unit/unit: $(UNIT_SRCS:%.c=build/unit/%.o) $(PURE_SRCS:%.c=build/unit/%.o)
	@echo "link $@"
	@$(CC) $(SANITIZE) $^ $(PURE_LIBS) -o $@

build/arm/unit: $(ARM_SRCS:%.c=build/arm/%.o)
	@echo "link $@"
	@$(ARM_CC) -static $^ -lm -o $@

build/coverage/unit: $(UNIT_SRCS:%.c=build/coverage/%.o) $(PURE_SRCS:%.c=build/coverage/%.o)
	@echo "link $@"
	@$(CC) --coverage $^ $(PURE_LIBS) -o $@

build/tools/%: build/pure/test/tools/%.o $(PURE_SRCS:%.c=build/pure/%.o)
	@mkdir -p $(@D)
	@echo "link $@"
	@$(CC) $^ $(PURE_LIBS) -o $@

build/fuzz/fuzz_%: build/fuzz/test/fuzz/fuzz_%.o $(PURE_SRCS:%.c=build/fuzz/%.o)
	@echo "link $@"
	@$(FUZZ_CC) $(SANITIZE) -fsanitize=fuzzer $^ $(PURE_LIBS) -o $@

.SECONDARY:
-include $(shell find build/pure build/unit build/arm build/fuzz build/coverage -name '*.d' 2>/dev/null)

tools: $(TOOLS)

unit: build/unit/unit
	test/lib/unit.sh $<

# What is different on ARM, under an emulator.
arm-deps:
	LH_WITH_ARM=1 test/lib/deps.sh

unit-arm: build/arm/unit
	test/lib/unit.sh qemu-aarch64 build/arm/unit

fuzz: $(FUZZERS:%=build/fuzz/%)
	test/lib/fuzz.sh $(FUZZERS)

coverage: build/coverage/unit
	test/lib/coverage.sh $<
