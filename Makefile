# Each target installs what it needs (Debian 12; as root or with sudo) and says so. Nothing is installed twice.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

SOURCES = git ls-files '*.cc' '*.h'
# The programs of folders that have benchmarks.
BENCHES = $(patsubst src/%/CMakeLists.txt,%_bench,$(shell grep -l '^ *BENCHES ' src/*/CMakeLists.txt))

.PHONY: help build demo test mutations bench format lint clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-9s %s\n", $$1, $$2}'

build: ## the optimised binaries, build/release/bin/mesclun and mesclun-app
	@tools/install.sh build
	@tools/build.sh release mesclun mesclun-app

demo: ## build, start a cloud of six unequal machines, run an OCR service on it, kill one machine under load
	@tools/install.sh build demo
	@tools/build.sh release mesclun mesclun-app
	@python3 demo/run.py $(ARGS)

test: ## build with sanitizers and run all tests; ONLY=pattern for a part
	@tools/install.sh build demo test
	@tools/test.sh '$(ONLY)'

mutations: ## build deliberate bugs into the simulator and see that each is found (ARGS="NAME..." for some)
	@tools/install.sh build
	@python3 tools/mutations.py $(ARGS)

bench: ## the benchmarks, each beside its peers; JSON lines in build/bench.jsonl
	@tools/install.sh build bench
	@tools/build.sh release mesclun mesclun-app $(BENCHES)
	@python3 tools/bench.py $(ARGS)

format: ## format the C++ sources in place
	@tools/install.sh format
	@$(SOURCES) | xargs -r clang-format-19 -i

lint: ## format and source checks, then clang-tidy on the files that differ from main (FILES="..." for others)
	@tools/install.sh build format lint
	@tools/lint.sh $(FILES)

clean: ## remove everything built, installed packages excepted
	@rm -rf build
