# make demo · make test · make check · make wheel

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR
PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
SCRIPTS := python/lodestore.data/scripts

.PHONY: demo test test-rust test-python check fmt wheel install clean

## Runs the main job on real data: define, apply, train, materialise, ask online, predict.
demo: install
	$(BIN)/python examples/flights/demo.py

## Runs every test.
test: test-rust test-python

test-rust:
	cargo test --workspace

test-python: install
	cp $(CARGO_TARGET_DIR)/debug/lib_lodestore.so python/python/lodestore/_lodestore.abi3.so
	cd python && PYTHONPATH=python $(BIN)/python -m pytest -q

## Checks formatting, lints, types, licences and the direction of dependencies.
check: $(VENV)/ready
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	cargo test -p lodestore-testkit --test direction
	$(BIN)/ruff check python examples
	$(BIN)/ruff format --check python examples
	cd python && $(BIN)/mypy
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny check bans licenses sources

fmt: $(VENV)/ready
	cargo fmt --all
	$(BIN)/ruff format python examples

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

clean:
	rm -rf dist $(VENV) $(SCRIPTS)
