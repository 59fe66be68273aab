# Everything a developer types. `make help` lists it.

PYTHON ?= python3
URL ?= http://127.0.0.1:8080

.DEFAULT_GOAL := help
.PHONY: help run test check bench clients contract guards fmt clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Serve on http://127.0.0.1:8080 with a demo; data under .local/; Ctrl-C stops it all
	@$(PYTHON) dev/stack.py run

test: ## All tests on throw-away servers, then the smoke test of `make run`
	@$(PYTHON) dev/stack.py test

check: ## Format, lints, documentation, layering, dependencies: all without a server
	cargo fmt --all --check
	cargo fmt --manifest-path dev/clients/rust/Cargo.toml --check
	cargo clippy --workspace --all-targets --features tests/bench -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps
	cargo test -p tests --test layering
	@$(PYTHON) dev/stack.py deny
	@$(PYTHON) dev/stack.py guards --check
	$(PYTHON) -m compileall -q dev

bench: ## Benchmarks on throw-away servers; ARGS="…" goes to the benchmark
	cargo build --release -p cli
	@$(PYTHON) dev/stack.py exec -- cargo run --release -p tests --no-default-features --features bench --bin bench -- $(ARGS)

clients: ## One conversation with three Socket.IO clients (Python, JavaScript, Rust); URL=… names the server
	@$(PYTHON) dev/stack.py clients --url $(URL)

contract: ## The API held against its own descriptions, on throw-away servers; ARGS="…" goes to schemathesis
	@$(PYTHON) dev/stack.py contract -- $(ARGS)

guards: ## Takes every security guard out, one at a time, and sees its test fail; ARGS="…" chooses by words
	@$(PYTHON) dev/stack.py guards $(ARGS)

fmt: ## Format the Rust code
	cargo fmt --all
	cargo fmt --manifest-path dev/clients/rust/Cargo.toml

clean: ## Delete the build, the local data and everything installed inside the clone
	@$(PYTHON) dev/stack.py clean
	cargo clean
	rm -rf dev/clients/node_modules dev/clients/rust/target
