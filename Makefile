# What a developer types. Each target installs what it needs and the machine lacks.

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
PYTHON := target/django-venv/bin/python
APPS_PYTHON := target/apps-venv/bin/python

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Show on a throw-away PostgreSQL server what session-reaper does
	tests/install server
	@echo "Building; the first time takes minutes."
	cargo run --locked --release -- demo

.PHONY: test
test: ## Test the daemon against a real PostgreSQL server, then a real Django site and other real apps
	tests/install all
	cargo build --locked
	cargo test --locked
	SESSION_REAPER_BIN=$(TARGET)/debug/session-reaper $(PYTHON) -m pytest --quiet tests/django/end_to_end
	cargo build --locked --manifest-path tests/apps/axum/Cargo.toml --target-dir target/apps-axum
	SESSION_REAPER_BIN=$(TARGET)/debug/session-reaper $(APPS_PYTHON) -m pytest --quiet tests/apps

.PHONY: soak
soak: ## Check the promises for SECONDS=600 under faults and failovers, from a SEED
	tests/install soak
	SOAK_SECONDS=$(or $(SECONDS),600) SOAK_SEED=$(SEED) \
		cargo test --locked --test history -- --ignored --nocapture --exact soak_for_long

.PHONY: saves
saves: ## Save sessions for SECONDS=600 while they are revoked and purged, from a SEED
	tests/install server
	SAVES_SECONDS=$(or $(SECONDS),600) SAVES_SEED=$(SEED) \
		cargo test --locked --test history -- --ignored --nocapture --exact saves::saves_for_long

.PHONY: bench
bench: ## Measure what linking costs, beside the alternatives; under a quarter of an hour
	tests/install all
	cargo build --locked --release
	SESSION_REAPER_BIN=$(TARGET)/release/session-reaper timeout 900 $(PYTHON) tests/bench/bench.py

.PHONY: test-matrix
test-matrix: ## Run the daemon's tests against PostgreSQL 14 to 18, or against VERSIONS="14 18"
	tests/install all
	tests/install matrix
	tests/matrix $(VERSIONS)
