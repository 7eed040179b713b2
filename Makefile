# Everything a contributor runs. `make` alone lists it; docs are in CONTRIBUTING.md.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
STAMP := .venv/.installed
ARGS ?=

# The suite runs under a random hash seed, so that no result depends on the order of a set.
# `make test PYTHONHASHSEED=1234` repeats a run; the seed stands in pytest's header.
PYTHONHASHSEED ?= $(shell od -An -N2 -tu2 /dev/urandom | tr -d ' ')
PYTEST := PYTHONHASHSEED=$(PYTHONHASHSEED) $(BIN)/pytest

.PHONY: help .venv demo check test test-system bench bench-quick bench-failover golden protos policy docs lock

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z.-]+:.*## / { printf "  \033[1m%-15s\033[0m %s\n", $$1, $$2 }' Makefile

.venv: $(STAMP) ## Build the environment from the locked requirements

$(STAMP): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "mesh-reconciler needs Python 3.11 or newer, and none was found on PATH; install it or set PYTHON=/path/to/python3" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: .venv ## The whole system on loopback, live; ARGS=--once for the scripted tour
	$(BIN)/reconciler demo $(ARGS)

check: .venv ## Format, lint, types, architecture, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/codespell
	@if [ -n "$$CI" ] && git rev-parse --git-dir >/dev/null 2>&1; then \
		git status --porcelain; test -z "$$(git status --porcelain)" || { echo "the checks left the tree changed" >&2; exit 1; }; fi

test: .venv ## Unit, golden, property, protocol, simulation and real Envoys; no root
	@mkdir -p build
	$(PYTEST) -m "not system" -n 2 --dist worksteal --junitxml=build/junit-test.xml $(ARGS)

test-system: .venv ## What needs root, Debian packages, a browser or long time
	@mkdir -p build
	@( for p in openssl ip nft iptables-legacy setpriv dig musl-gcc capsh curl sysctl; do command -v $$p || exit; done ) >/dev/null || { apt-get update -qq && apt-get install -qqy openssl iproute2 nftables iptables util-linux bind9-dnsutils musl-tools libcap2-bin curl procps; }
	$(PYTEST) -m system --junitxml=build/junit-system.xml --timeout=900 $(ARGS)

bench: .venv ## Measure, each figure beside its floor; writes build/bench.json and bench.svg
	$(BIN)/python -m tests.bench $(ARGS)

bench-quick: .venv ## Few runs and small fleets; fails on counters and ratios to the floor
	$(BIN)/python -m tests.bench --quick --check $(ARGS)

bench-failover: .venv ## What callers see when a part is lost: failed requests, longest gap, return
	$(BIN)/python -m tests.bench.failover $(ARGS)

golden: .venv ## Rewrite the expected files of the golden tests; look at the diff
	$(PYTEST) $(wildcard tests/policies tests/kds tests/bootstrap) --golden $(ARGS)

protos: .venv ## Make the message classes anew from schemas/proto
	$(BIN)/python -m grpc_tools.protoc -Ischemas/proto --python_out=xds/proto --pyi_out=xds/proto discovery.proto health.proto
	$(BIN)/python -m grpc_tools.protoc -Ischemas/proto --python_out=reconciler/kds/proto --pyi_out=reconciler/kds/proto kuma_system.proto kuma_mesh.proto kds.proto

policy: .venv ## Scaffold a policy in its five places: make policy NAME=MeshFoo
	@test -n "$(NAME)" || { echo "which policy? make policy NAME=MeshFoo" >&2; exit 2; }
	$(BIN)/python -m tests.support.scaffold $(NAME)

docs: .venv ## Check that the pages' links, commands and lists are right
	$(PYTEST) tests/contract/test_docs.py tests/contract/test_commands.py $(ARGS)

lock: ## Pin every version and hash anew
	$(BIN)/uv pip compile pyproject.toml --extra envoy --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -o requirements/dev.txt
	$(BIN)/uv pip compile pyproject.toml --extra envoy --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q -c requirements/dev.txt -o requirements/run.txt
