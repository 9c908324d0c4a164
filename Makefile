# What a developer types. Each target brings what it needs and the machine lacks, and looks for room before it starts.

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
PYTHON := target/django-venv/bin/python

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Show on a throw-away PostgreSQL server what session-reaper does
	tests/install server
	@echo "Building; the first time takes minutes."
	ON_DISK=1 tests/with 300 cargo run --locked --release -- demo
	@test ! -d target/programs || echo "The server's programs stay in target/programs; nothing was installed."

.PHONY: test
test: ## Test the daemon against a real PostgreSQL server, then a real Django site and other real apps
	tests/install all
	cargo build --locked --all-targets
	tests/with 3000 tests/suites

.PHONY: soak
soak: ## Check the promises for SECONDS=600 under faults and failovers, from a SEED, and as long without us
	tests/install soak
	SOAK_SECONDS=$(or $(SECONDS),600) SOAK_SEED=$(SEED) tests/with 3000 \
		cargo test --locked --test history -- --ignored --nocapture --exact soak::soak_for_long

.PHONY: saves
saves: ## Save sessions for SECONDS=600 while they are revoked and purged, from a SEED
	tests/install server
	SAVES_SECONDS=$(or $(SECONDS),600) SAVES_SEED=$(SEED) tests/with 3000 \
		cargo test --locked --test history -- --ignored --nocapture --exact saves::saves_for_long

# What operators install is measured, which takes minutes to build.
BENCH := SESSION_REAPER_BIN=$(TARGET)/shipped/session-reaper ON_DISK=1 tests/with 4000

.PHONY: bench
bench: ## Measure what ending and linking cost, beside the alternatives, with the aims; under a quarter of an hour
	tests/install all
	tests/install bench
	cargo build --locked --profile shipped --bin session-reaper
	$(BENCH) $(PYTHON) tests/bench/bench.py $(if $(JSON),--json $(JSON))

.PHONY: bench-full
bench-full: ## The same with larger sizes, curves of growth, and every kind of save; hours
	tests/install all
	tests/install bench
	cargo build --locked --profile shipped --bin session-reaper
	$(BENCH) $(PYTHON) tests/bench/bench.py --full $(if $(JSON),--json $(JSON))

.PHONY: bench-short
bench-short: ## Look in a minute whether something has become much slower; what CI runs
	tests/install all
	cargo build --locked
	SESSION_REAPER_BIN=$(TARGET)/debug/session-reaper tests/with 1000 $(PYTHON) tests/bench/short.py

.PHONY: plots
plots: ## Draw the plots of docs/measurements.md from JSON=FILE, which `make bench JSON=FILE` has written
	bash -c 'source tests/bring.sh; make_venv target/plots-venv tests/bench/plots.txt matplotlib'
	target/plots-venv/bin/python tests/bench/plots.py $(JSON) docs/plots

.PHONY: test-matrix
test-matrix: ## Run the daemon's tests against PostgreSQL 14 to 18, or against VERSIONS="14 18"
	tests/install all
	tests/install matrix
	tests/with 3000 tests/matrix $(VERSIONS)

.PHONY: test-apps
test-apps: ## Test with every real app that can be had, or with APPS="laravel flask"; minutes to bring, then kept
	tests/install all
	tests/apps/install
	cargo build --locked
	SESSION_REAPER_BIN=$(TARGET)/debug/session-reaper APPS="$(or $(APPS),all)" tests/with 3000 tests/apps/run

# The Django app in django/, and the wheel of the daemon that it brings along.

.PHONY: test-django
test-django: ## Test the Django app in django/ on a real site, in real browsers
	tests/install all
	cargo build --locked
	SESSION_REAPER_BIN=$(TARGET)/debug/session-reaper tests/with 3000 $(PYTHON) -m pytest --quiet django/tests

.PHONY: package
package: ## Build the package for Debian, a static program, and the wheels, into target/dist
	tests/install all
	packaging/build
	rm -f target/dist/*.whl
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir target/dist ./django
	@# Otherwise it would be called a wheel for this machine alone, which PyPI does not take.
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir target/dist --config-settings build-args="--compatibility pypi" ./wheel
	cd target/dist && sha256sum -- *.whl >>SHA256SUMS
	@ls target/dist/*

.PHONY: test-systemd
test-systemd: ## Install the package on a Debian machine that systemd boots, as docs/installing.md says, and try it there
	tests/install all
	-tests/install systemd
	packaging/build
	ON_DISK=1 tests/with 2000 timeout 1800 $(PYTHON) -m pytest --quiet -p no:cacheprovider tests/systemd
