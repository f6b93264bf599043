# make demo      the shop: change events, two modules, an embedded index, a dashboard at http://127.0.0.1:8080
# make test      everything, on the real servers
# make test-fast without servers, browser and other languages than Rust          make test-stack   only what needs real servers
# make sim       more seeds of the simulation than `make test` runs: make sim SEEDS=0..20000
# make build     the binary and the modules           make lint         formatting and clippy
# make stack     real servers by hand: make stack NAMES="postgres kafka connect opensearch-2", make stack-down
# make bench     the figures of BENCHMARKS.md      make bench-windows   those of windows, beside Kafka Streams
#
# Each of them installs what is missing first (tests/stack/setup says what and why).

SHELL := /bin/bash

# One folder for all builds of this machine, and a compiler that remembers: RocksDB's C++ takes a quarter of an hour.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/rowmill/target
export CC  := ccache gcc
export CXX := ccache g++

ROWMILL := $(CARGO_TARGET_DIR)/debug/rowmill
NAMES   ?= postgres kafka connect opensearch-2
SEEDS   ?= 0..20000
SETUP   := tests/stack/setup

.PHONY: demo build test test-fast test-stack test-guests languages sim lint bench bench-windows stack stack-down setup

demo: build
	@$(ROWMILL) demo

build: setup
	@$(MAKE) --no-print-directory -C transforms modules
	@cargo build --quiet --locked

# One transform in every language, with the languages' own tools.
languages:
	@$(SETUP) --guests
	@$(MAKE) --no-print-directory -C transforms languages

setup:
	@$(SETUP)

test:
	@$(SETUP) --stack --browser --guests
	@tests/stack/stack fetch postgres kafka connect opensearch-2 opensearch-3 elasticsearch-8 elasticsearch-9 elasticsearch-8-tls
	@$(MAKE) --no-print-directory build languages lint test-guests
	@tests/stack/with-servers cargo test --locked

test-fast: build test-guests
	@cargo test --locked -- --skip stack:: --skip browser:: --skip toolchains::

test-stack: build
	@$(SETUP) --stack
	@tests/stack/with-servers cargo test --locked --test it -- stack::

test-guests: setup
	@$(MAKE) --no-print-directory -C transforms test

sim: setup
	@ROWMILL_SIM_SEEDS=$(SEEDS) cargo test --quiet --locked --lib simulation -- --nocapture

lint: setup
	@cargo fmt --check
	@cargo clippy --quiet --locked --all-targets -- -D warnings
	@$(MAKE) --no-print-directory -C transforms lint

# Nothing else should run.
bench: setup
	@$(SETUP) --stack
	@$(MAKE) --no-print-directory -C transforms modules
	@cargo build --quiet --locked --release
	@STACK_JVM= STACK_KAFKA_PARTITIONS=4 STACK_HEAP_KAFKA=512m STACK_HEAP_SEARCH=2g tests/stack/with-servers tests/stack/bench $(CARGO_TARGET_DIR)/release/rowmill $(SECTIONS)

# An engine with its broker on two cores: nothing else should run.
bench-windows: setup
	@$(SETUP) --stack
	@cargo build --quiet --locked --release
	@STACK_JVM= STACK_KAFKA_PARTITIONS=4 STACK_HEAP_KAFKA=512m tests/stack/with-servers tests/stack/bench-windows $(CARGO_TARGET_DIR)/release/rowmill

stack:
	@$(SETUP) --stack
	@tests/stack/stack up $(NAMES)

stack-down:
	@tests/stack/stack down $(NAMES)
