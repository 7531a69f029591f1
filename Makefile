# recocomp: everything a developer does. `make` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

# --- what can be set: make run LISTEN=0.0.0.0:8080
LISTEN ?= 127.0.0.1:8080
DATA ?= ./var
# Jobs of cargo and of the compilers of the runtime; empty: one a processor.
JOBS ?=
CARGO ?= cargo
# The developer's key licenses a daemon for its own device. A release is built without it.
FEATURES ?= development-key

# How long generations and journals are fuzzed: `make fuzz`, and `make soak`, which keeps the inputs that it found in the cache.
FUZZ_SECONDS ?= 60
SOAK_SECONDS ?= 600

export JOBS
ifneq ($(JOBS),)
export CARGO_BUILD_JOBS := $(JOBS)
endif

arch := $(shell uname -m)
triple := $(arch)-unknown-linux-gnu
binary := $(or $(CARGO_TARGET_DIR),target)/$(triple)/release/recocomp
export RECOCOMP_CACHE := $(shell cross/lib/places.sh cache)
cache := $(RECOCOMP_CACHE)
# Of its own where cargo cannot write into the usual one.
cargo_home := $(shell cross/lib/places.sh cargo-home)
ifneq ($(cargo_home),)
export CARGO_HOME := $(cargo_home)
endif
# One profile and one set of features everywhere, so that build and test share what they compile. The release profile also in
# tests: an unoptimised scan of a gallery takes minutes.
flags := --release --features=$(FEATURES)
deny_version := 0.20.2

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1|\2/p' Makefile | awk -F '|' '{ printf "%-18s %s\n", $$1, $$2 }'
	@echo
	@echo 'Variables: LISTEN=$(LISTEN) DATA=$(DATA) JOBS=$(or $(JOBS),$(shell nproc)) FEATURES=$(FEATURES)'

.PHONY: setup
setup: ## install the tools, build the TensorFlow Lite runtime (once)
	@cross/setup.sh
	@cross/runtime.sh $(arch)

.PHONY: build
build: setup ## build the daemon, optimised
	@$(CARGO) build $(flags)
	@echo '$(binary)'

.PHONY: build-arm
build-arm: ## build the daemon for 64-bit ARM, fully static
	@cross/setup.sh aarch64
	@cross/runtime.sh aarch64
	@RUSTC="$$(cross/rust.sh aarch64)" $(CARGO) build $(flags) --target aarch64-unknown-linux-gnu
	@echo '$(or $(CARGO_TARGET_DIR),target)/aarch64-unknown-linux-gnu/release/recocomp'

# --- releases: FEATURES has no say here. RECOCOMP_VENDOR_KEYS and SOURCE_DATE_EPOCH of the environment go to cross/dist.sh as they are; set
# here, even empty, they would have every other build compiled anew.
dist_archs := aarch64 x86_64
# Of the package that dist-trial makes; sorts before the release of that version.
trial := $(shell sed -nE 's/^version *= *"([^"]+)".*/\1/p' Cargo.toml | head -n 1)~trial

.PHONY: dist
dist: ## release for 64-bit ARM and amd64 in dist/: program, bill of materials, Debian package; needs RECOCOMP_VENDOR_KEYS
	@for arch in $(dist_archs); do \
	  rm -f dist/$$arch/*.deb; \
	  cross/dist.sh $$arch dist/$$arch; \
	  cross/deb.sh $$arch dist/$$arch; \
	done
	@cd dist && sha256sum $(foreach arch,$(dist_archs),$(arch)/recocomp $(arch)/recocomp.cdx.json $(arch)/*.deb) | tee SHA256SUMS

.PHONY: dist-trial
dist-trial: ## the same in dist/trial/ with a throw-away vendor key, to try the packages with
	@key=$$(cross/trial_key.sh dist/trial/vendor.key); export RECOCOMP_VENDOR_KEYS=$$key; \
	for arch in $(dist_archs); do \
	  rm -f dist/trial/$$arch/*.deb; \
	  cross/dist.sh $$arch dist/trial/$$arch; \
	  cross/deb.sh $$arch dist/trial/$$arch '$(trial)'; \
	done

.PHONY: dist-check
dist-check: ## build what dist or dist-trial built once more, cold and at another place, and compare the bytes; DIST_ARCHS=aarch64
	@cross/dist_check.sh $(or $(DIST_ARCHS),$(dist_archs))

.PHONY: run
run: setup ## build, then serve on LISTEN with data in DATA
	@$(CARGO) build $(flags)
	@mkdir -p '$(DATA)'
	@exec '$(binary)' serve --development --data '$(DATA)' --listen '$(LISTEN)'

.PHONY: test
test: ## everything that must be green: lint, tests, black-box tests, documentation
	@cross/lib/in_steps.sh \
	  'tools and runtime' '$(MAKE) setup' \
	  'format' '$(MAKE) check-format' \
	  'clippy' '$(MAKE) check-clippy' \
	  'documentation' '$(MAKE) doc' \
	  'build' '$(MAKE) build' \
	  'Rust tests' '$(MAKE) test-rust' \
	  'documentation tests' '$(MAKE) test-doc' \
	  'black-box tests' '$(MAKE) test-api' \
	  'unsafe code under a sanitizer' '$(MAKE) test-unsafe' \
	  'fuzzing, one minute' '$(MAKE) fuzz'

.PHONY: test-rust
test-rust: setup ## unit and integration tests in Rust
	@if command -v cargo-nextest >/dev/null; then $(CARGO) nextest run $(flags); \
	else $(CARGO) test $(flags) --lib --bins --tests; fi

.PHONY: test-doc
test-doc: setup ## the examples in the documentation
	@$(CARGO) test $(flags) --doc

.PHONY: test-api
test-api: build ## black-box tests of the built daemon; PYTEST="-k search" picks some
	@# Minutes, once, and no test may take so long; where it cannot be built, the one test that needs it says why.
	@cross/v1.sh >/dev/null || true
	@python=$$(cross/venv.sh tests/requirements.txt); \
	RECOCOMP_BIN="$${RECOCOMP_BIN:-$$(realpath '$(binary)')}" "$$python" -m pytest tests $(PYTEST)

.PHONY: golden
golden: build ## freeze anew what x86-64 sees in the test pictures: after a change of the networks only
	@python=$$(cross/venv.sh tests/requirements.txt); \
	RECOCOMP_BIN="$$(realpath '$(binary)')" "$$python" tests/golden.py

.PHONY: test-arm
test-arm: build-arm ## black-box tests of the ARM build under qemu-user, golden answers beside those of x86-64
	@tests/arm/run.sh '$(or $(CARGO_TARGET_DIR),target)/aarch64-unknown-linux-gnu/release/recocomp'

.PHONY: test-package
test-package: ## the arm64 package in a Debian under qemu-user: install, upgrade, remove, purge (after dist or dist-trial)
	@tests/package/run.sh

.PHONY: test-release
test-release: build ## what only a release build can be asked, beside a development build (after dist or dist-trial)
	@release=$$(cross/newest_dist.sh x86_64); python=$$(cross/venv.sh tests/requirements.txt); \
	RECOCOMP_BIN="$$(realpath '$(binary)')" RECOCOMP_RELEASE_BIN="$$release" "$$python" -m pytest tests/release

.PHONY: test-dist
test-dist: ## releases and packages with a throw-away vendor key, and everything that can be asked of them (half an hour)
	@cross/lib/in_steps.sh \
	  'releases and packages' '$(MAKE) dist-trial' \
	  'what only a release can be asked' '$(MAKE) test-release' \
	  'the life of the package' '$(MAKE) test-package' \
	  'the same bytes once more' '$(MAKE) dist-check'

.PHONY: test-encrypted-data
test-encrypted-data: build ## the encrypted data partition of the guide in a virtual machine (amd64; minutes; not part of test)
	@RECOCOMP_BIN="$$(realpath '$(binary)')" tests/encrypted_data/run.sh

.PHONY: test-fresh
test-fresh: ## set-up, make run and make test in minimal Debians in a chroot (hours; root); FRESH="bookworm trixie" DECOYS="0 1" FRESH_GOALS="run test"
	@tests/fresh/run.sh

.PHONY: test-unsafe
test-unsafe: ## the gallery's unit tests under AddressSanitizer
	@fuzz/test.sh

.PHONY: fuzz
fuzz: ## arbitrary files for the gallery and arbitrary JPEGs, under AddressSanitizer; FUZZ_SECONDS=60
	@fuzz/run.sh '$(FUZZ_SECONDS)'

.PHONY: soak
soak: build ## hours of the same chance: 3,000 kills, 200 at a door, long crash tests, 10 minutes of fuzzing each kind
	@cross/lib/in_steps.sh \
	  'long crash tests' "RECOCOMP_TEST_SEEDS=$${RECOCOMP_TEST_SEEDS:-2000} $(CARGO) test $(flags) --lib -- --ignored a_long_search" \
	  '3,000 kills' "RECOCOMP_KILLS=$${RECOCOMP_KILLS:-3000} $(MAKE) test-api PYTEST='-s -k kills_one_after_the_other'" \
	  '200 kills at a door' "RECOCOMP_OPENING_KILLS=$${RECOCOMP_OPENING_KILLS:-200} $(MAKE) test-api PYTEST='-s -k no_opening_is_missing'" \
	  'fuzzing' "FUZZ_CORPUS='$(cache)/fuzz-corpus' fuzz/run.sh $(SOAK_SECONDS)"

.PHONY: lint
lint: setup check-format check-clippy ## format and clippy, without changing anything

.PHONY: check-format
check-format:
	@$(CARGO) fmt --check || { echo 'make fmt puts it right' >&2; exit 1; }

.PHONY: check-clippy
check-clippy: setup
	@$(CARGO) clippy $(flags) --all-targets -- --deny warnings

.PHONY: fmt
fmt: ## format the Rust code
	@$(CARGO) fmt

.PHONY: doc
doc: setup ## the Rust documentation, warnings are errors
	@RUSTDOCFLAGS='--deny warnings' $(CARGO) doc $(flags) --no-deps

.PHONY: audit
audit: ## licences and origin of every crate (the first time this compiles cargo-deny: minutes)
	@deny=$$(cross/tool.sh cargo-deny $(deny_version)); \
	"$$deny" --features=$(FEATURES) check licenses bans sources

.PHONY: bench-peers
bench-peers: build ## search speed beside faiss and usearch, on the same vectors (minutes)
	@RECOCOMP_BIN='$(binary)' benches/peers.sh

.PHONY: models
models: ## make the networks in models/ again from their sources
	@models/build/build.sh

.PHONY: clean
clean: ## remove what cargo built
	@$(CARGO) clean
	@rm -rf fuzz/target dist
	@rm -rf tests/.pytest_cache tests/__pycache__

.PHONY: distclean
distclean: clean ## also remove the runtime, its sources, the Python environments and the tools from the cache
	@for path in .runtime '$(cache)'/{tflite,rust,tools,venv,cargo,setup-*,encrypted-data,debian-arm64,debian-fresh,fuzz-corpus,models-{out,packages,venv}}; do \
	  if [[ -e $$path ]]; then echo "removing $$path"; rm -rf "$$path"; fi; \
	done
	@if [[ -e '$(DATA)' ]]; then echo 'left alone: $(DATA), the data of `make run`'; fi
