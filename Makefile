# The front door. Everything runs as root on a fresh Debian 12 with Rust; set-up is part of each command.
# Build output lies outside the checkout, so that a fresh clone on the same machine starts from what is already built.
export CARGO_TARGET_DIR ?= $(HOME)/.cache/holdfast/target

.PHONY: setup build demo demo-stop test test-slow lint bench fuzz compare

setup:                   ## install what building and testing need
	@scripts/setup

build: setup             ## the release binary, $(CARGO_TARGET_DIR)/release/holdfast
	@cargo build --release --locked --package daemon

demo: build              ## a real secret through a real HSM into a locked-down server and back
	@scripts/demo start "$(CARGO_TARGET_DIR)/release/holdfast"

demo-stop:               ## end what `make demo` left running
	@scripts/demo stop

test: setup              ## every test, with a short run of the long loops
	@scripts/setup test
	@cargo build --locked --workspace --bins --tests
	@HOLDFAST_BIN="$(CARGO_TARGET_DIR)/debug/holdfast" cargo test --locked --workspace

test-slow: setup         ## the long loops: 200 kills, 200 power cuts
	@scripts/setup test
	@cargo build --locked --workspace --bins --tests
	@HOLDFAST_LONG=1 HOLDFAST_BIN="$(CARGO_TARGET_DIR)/debug/holdfast" cargo test --locked --workspace

lint:                    ## format, clippy, licences, bans
	@cargo fmt --all --check
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	@scripts/deny

fuzz:                    ## each fuzz target for FUZZ_SECONDS (60); needs g++ and installs cargo-fuzz
	@scripts/fuzz

compare: setup            ## the paths that OpenBao has and this server has not, with the reasons
	@cargo build --locked --package daemon --bin holdfast
	@HOLDFAST_BIN="$(CARGO_TARGET_DIR)/debug/holdfast" cargo test --locked --package softhsm-tests --test paths -- --nocapture

bench: build             ## side by side with OpenBao, where the harness is (BENCH names its folder)
	@scripts/bench "$(CARGO_TARGET_DIR)/release/holdfast"
