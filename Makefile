# make run    everything on this machine: web, worker, beat, mail catcher (PORT=8001 CATCHER_PORT=1026 to move them)
# make bench  Outtray side by side with its peers; ARGS=--full for everything, ARGS=--help for the rest
# make test   every check, and the suite; DATABASE_URL and CELERY_BROKER_URL name the real services to test with
# make quick  the unit and integration tests on SQLite, each with its first case
# make drills the slow tests and the cases that the suite leaves out
# make soak   thousands of examples for each property test, and large numbers of rows
#             (ARGS=... is passed on to pytest, as in make test ARGS=--durations=25)
# make chaos  kill the worker KILLS=200 times while it delivers and count what is lost, sent twice or untrue, on
#             STACK=services, embedded or both (default: what is there); SEED=n plays a run again
# make audit  look up known vulnerabilities of everything that is pinned; says loudly what could not be looked up
# make sbom   the software bill of materials of an installation, as CycloneDX: outtray.cdx.json
# make digests pin the container images to the digests that their registry gives now

# The first of these that is a Python Outtray runs on; make PYTHON=... names another one.
PYTHON := python3 python3.13 python3.12 python3.11
IS_SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
VENV := .venv
BIN := $(VENV)/bin
BENCH_VENV := .venv-bench
AUDIT_VENV := .venv-audit
OPERATOR ?= admin
KILLS ?= 200
ENGINE_TESTS := tests/integration/test_batches.py tests/integration/faults \
	tests/integration/test_states.py tests/integration/test_limits.py \
	$(addprefix tests/integration/delivery/,test_lane.py test_interleavings.py test_pauses.py)
PIP_COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links

PYTEST := $(BIN)/python -m pytest
ON_SQLITE := env -u DATABASE_URL -u CELERY_BROKER_URL -u REQUIRE_SERVICES
SERVICES := $(and $(DATABASE_URL),$(CELERY_BROKER_URL))

# Where its Python has gone, as after an upgrade of the system, an environment is made again.
$(shell for venv in $(VENV) $(BENCH_VENV) $(AUDIT_VENV); do \
	[ -x $$venv/bin/python ] || rm -f $$venv/bin/python* $$venv/*.stamp; done)

# .pre-commit-config.yaml runs the same ones, those that a commit may have broken.
CHECKS := check-style check-templates check-types check-imports check-migrations check-deploy check-workflow

.PHONY: run test states migrations quick drills soak suite first-start engine chaos bench check $(CHECKS) browser audit sbom digests password requirements clean python-venv

run: $(VENV)/run.stamp
	@$(BIN)/python config/local_env.py
	@exec $(BIN)/python manage.py runlocal

password: $(VENV)/run.stamp
	@$(BIN)/python manage.py createoperator $(OPERATOR) --new-password --generate

# One after the other: the checks and the first start would be slowed down by the suite, and it by them.
test: browser
	@$(MAKE) --no-print-directory --jobs=2 check
	@$(MAKE) --no-print-directory first-start
	@exec $(MAKE) --no-print-directory --jobs=2 suite engine

first-start: $(VENV)/test.stamp
	@exec $(PYTEST) -q -m alone tests/system

# Tests wait for servers and processes much of their time, so four processes on two cores.
suite: $(VENV)/test.stamp
	@exec $(PYTEST) -q -n 4 --dist loadfile -m "not alone" $(ARGS)

ifneq ($(SERVICES),)
engine: $(VENV)/test.stamp
	@echo "The engine on SQLite, each test once; everything on $$DATABASE_URL" | sed 's#//[^/@]*@#//#'
	@exec $(ON_SQLITE) TESTS=quick $(PYTEST) -q $(ENGINE_TESTS)
else
engine:
	@echo "************************************************************************"
	@echo "* The tests on real PostgreSQL and Redis are SKIPPED. To run them, set *"
	@echo "* DATABASE_URL=postgres://... and CELERY_BROKER_URL=redis://...        *"
	@echo "************************************************************************"
endif

quick: $(VENV)/test.stamp
	@$(BIN)/ruff check --quiet .
	@exec $(ON_SQLITE) TESTS=quick $(PYTEST) -q -n 2 --dist loadfile tests/unit tests/integration $(ARGS)

drills: browser
	@TESTS=drills $(PYTEST) -q -n 4 --dist loadfile $(ARGS)
ifneq ($(SERVICES),)
	@exec $(ON_SQLITE) $(PYTEST) -q -n 3 --dist loadfile $(ENGINE_TESTS) $(ARGS)
endif

soak: $(VENV)/test.stamp
	@exec env TESTS=soak $(PYTEST) -q -n 2 --timeout=7200 $(ARGS)

chaos: $(VENV)/test.stamp
	@exec $(BIN)/python -m tests.system.chaos --kills $(KILLS) $(if $(STACK),--stack $(STACK)) $(if $(SEED),--seed $(SEED))

states: $(VENV)/test.stamp
	@env DJANGO_SETTINGS_MODULE=tests.settings $(BIN)/python -m tests.picture

# New migrations join the list of those that are not changed any more; RELEASE=0.2.0 marks them as a part of that version.
migrations: $(VENV)/test.stamp
	@$(BIN)/python -m tests.migrations $(if $(RELEASE),--release $(RELEASE))

check: $(CHECKS)

check-style: $(VENV)/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .

check-templates: $(VENV)/test.stamp
	$(BIN)/djlint --quiet --lint templates

check-types: $(VENV)/test.stamp
	$(BIN)/mypy messaging config

check-imports: $(VENV)/test.stamp
	$(BIN)/lint-imports --no-cache

check-migrations: $(VENV)/test.stamp
	@echo "manage.py makemigrations --check"
	@ENV_FILE=/dev/null DEBUG=1 DATABASE_URL=sqlite://:memory: $(BIN)/python manage.py makemigrations --check --dry-run

check-deploy: $(VENV)/test.stamp
	@echo "manage.py check --deploy"
	@ENV_FILE=/dev/null DEBUG=0 HTTPS=1 DATABASE_URL=sqlite://:memory: \
		SECRET_KEY="$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(50))')" \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

check-workflow: $(VENV)/test.stamp
	$(BIN)/zizmor --quiet --offline .github/workflows

# Chromium without a window needs half the time of one that only hides it: Debian's, or one that is there, or Playwright's.
browser: $(VENV)/test.stamp
	@if command -v chromium-headless-shell; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get; then \
		apt-get update -q && apt-get install -qy --no-install-recommends chromium-headless-shell; \
	elif command -v chromium || command -v google-chrome; then :; \
	else $(BIN)/playwright install chromium; fi

bench: $(BENCH_VENV)/bench.stamp
	@exec $(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

audit: $(AUDIT_VENV)/audit.stamp
	@exec $(AUDIT_VENV)/bin/python .ci/audit.py $(ARGS)

sbom: $(AUDIT_VENV)/audit.stamp $(VENV)/run.stamp
	@exec $(AUDIT_VENV)/bin/python .ci/sbom.py $(BIN)/python outtray.cdx.json

digests: $(VENV)/run.stamp
	@exec $(BIN)/python .ci/digests.py $(ARGS)

# On the oldest Python, because some packages are needed only there.
requirements: $(VENV)/test.stamp
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "Pins are made on Python 3.11: make clean, then make requirements PYTHON=python3.11"; exit 1; }
	$(PIP_COMPILE) --output-file requirements.txt requirements.in
	$(PIP_COMPILE) --output-file requirements-dev.txt requirements-dev.in
	$(PIP_COMPILE) --output-file benchmarks/requirements.txt benchmarks/requirements.in
	$(PIP_COMPILE) --output-file .ci/requirements.txt .ci/requirements.in

clean:
	rm -rf $(VENV) $(BENCH_VENV) $(AUDIT_VENV) var/staticfiles .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache test-results

# --- The virtual environment; rebuilt when the pinned requirements change -----------------------------

$(VENV)/bin/python:
	@for python in $(PYTHON); do "$$python" -c '$(IS_SUPPORTED)' 2>/dev/null && break; done || \
		{ echo "Outtray needs Python 3.11, 3.12 or 3.13, and finds none of them: make PYTHON=... names one." \
			"$(firstword $(PYTHON)) says: $$($(firstword $(PYTHON)) --version 2>&1)"; exit 1; }; \
	{ "$$python" -c 'import ensurepip' 2>/dev/null || $(MAKE) --no-print-directory python-venv; } && \
	"$$python" -m venv $(VENV)

# The benchmark's peers are no part of Outtray, so they get an environment of their own.
$(BENCH_VENV)/bench.stamp: requirements.txt benchmarks/requirements.txt | $(VENV)/bin/python
	@echo "Installing Outtray and the peers it is compared with into $(BENCH_VENV) ..."
	@$(BIN)/python -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes \
		-r requirements.txt -r benchmarks/requirements.txt
	@touch $@

$(AUDIT_VENV)/audit.stamp: .ci/requirements.txt | $(VENV)/bin/python
	@echo "Installing what looks for vulnerabilities into $(AUDIT_VENV) ..."
	@$(BIN)/python -m venv $(AUDIT_VENV)
	@$(AUDIT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/requirements.txt
	@touch $@

# Debian keeps a part of Python's venv module in a package of its own.
python-venv:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Debian's python3-venv ..."; \
		apt-get update -qq && apt-get install -qqy --no-install-recommends python3-venv >/dev/null; \
	else echo "Python's venv module is not complete. On Debian: sudo apt install python3-venv"; exit 1; fi

$(VENV)/run.stamp: requirements.txt | $(VENV)/bin/python
	@echo "Installing what Outtray needs into $(VENV); this takes a minute, once ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@touch $@

$(VENV)/test.stamp: requirements-dev.txt $(VENV)/run.stamp
	@echo "Installing what the tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
