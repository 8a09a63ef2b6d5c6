# make demo · make test · make fuzz · make check · make bench · make bench-windows · make bench-online · make bench-check · make wheel

# Where cargo builds: its own default, unless the environment or cargo's settings name another folder.
CARGO_TARGET_DIR ?= $(shell cargo metadata --no-deps --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
export CARGO_TARGET_DIR
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
FEAST := $(CURDIR)/.venv-feast
SCRIPTS := python/lodestore.data/scripts
SUDO := $(shell [ $$(id -u) = 0 ] || echo sudo)
apt = { $(SUDO) apt-get update -q && $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -y -q $(1); }

.PHONY: demo fuzz test test-rust test-python services check bench bench-windows bench-online bench-check fmt wheel install clean

## Runs the main job on real data: define, apply, train, materialise, ask online, predict.
demo: install
	$(BIN)/python examples/flights/demo.py

## Runs every test.
test: test-rust test-python

test-rust:
	cargo test --workspace

test-python: install services $(FEAST)/ready
	cp $(CARGO_TARGET_DIR)/debug/lib_lodestore.so python/python/lodestore/_lodestore.abi3.so
	cd python && PYTHONPATH=python $(BIN)/python -m pytest -q

## Runs the random cases for longer, CASES of each family.
CASES ?= 50000
fuzz:
	LODESTORE_TEST_CASES=$(CASES) cargo test --workspace --test engine --test online -- property
	LODESTORE_TEST_CASES=$(CASES) cargo test --workspace --test aggregation --test predicate

## Installs the servers that tests start, where they are missing.
services:
	ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	  $(call apt,postgresql)

## Measures the point-in-time join beside its peers; see benches/README.md.
bench: wheel
	$(PYTHON) benches/pit/run.py --markdown

## Measures aggregates over windows of events beside DuckDB and Polars; see benches/README.md.
bench-windows: wheel
	$(PYTHON) benches/windows/run.py
	. $${TMPDIR:-/tmp}/lodestore-benches/environments/peers/bin/activate && python benches/windows/push.py

## Measures reading and writing online beside Feast; see benches/README.md. Not the soak, which takes half an hour.
bench-online: wheel
	for program in redis-server wrk nginx; do command -v $$program >/dev/null || missing=1; done; \
	  [ -z "$$missing" ] || $(call apt,redis-server wrk nginx-light)
	for bench in in_process over_http mixed materialize; do \
	  $(PYTHON) benches/online/$$bench.py --markdown || exit 1; \
	done

## Counts the instructions of a fixed small join and compares the count with the stored one.
bench-check:
	command -v valgrind >/dev/null || $(call apt,valgrind)
	$(PYTHON) benches/check.py

## Checks formatting, lints, types, licences and the direction of dependencies.
check: $(VENV)/ready
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	cargo test -p lodestore-testkit --test direction
	$(BIN)/ruff check python examples benches
	$(BIN)/ruff format --check python examples benches
	cd python && $(BIN)/mypy
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check bans licenses sources

fmt: $(VENV)/ready
	cargo fmt --all
	$(BIN)/ruff format python examples benches

## Builds dist/lodestore-*.whl: the package and, as its script, the native command line.
wheel: $(VENV)/ready
	cargo build --workspace
	mkdir -p $(SCRIPTS)
	cp $(CARGO_TARGET_DIR)/debug/lodestore $(SCRIPTS)/lodestore
	strip $(SCRIPTS)/lodestore
	rm -f dist/*.whl
	$(BIN)/maturin build --quiet --manifest-path python/Cargo.toml --profile dev --out dist

install: wheel
	$(BIN)/pip install --quiet --force-reinstall --no-deps dist/*.whl

$(VENV)/ready: python/requirements-dev.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement python/requirements-dev.txt
	touch $@

$(FEAST)/ready: python/requirements-feast.txt
	$(PYTHON) -m venv $(FEAST)
	$(FEAST)/bin/pip install --quiet --requirement python/requirements-feast.txt
	touch $@

clean:
	rm -rf dist $(VENV) $(FEAST) $(SCRIPTS)
