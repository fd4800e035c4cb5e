# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Everything that is generated lies under .cache, save what ansible-test keeps in the user's own cache directory.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory --no-builtin-rules
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The Pythons for each virtual environment; pip picks the newest ansible-core for the one that is found.
PYTHONS_demo := 3.11-
PYTHONS_newest := 3.11-
PYTHONS_oldest := 3.10-3.12
PYTHONS_target := 3.9

PORT := 8000

export NO_COLOR := 1
export ANSIBLE_HOME := $(CURDIR)/.cache/ansible
TREE := .cache/collections/ansible_collections/apsaradb/backup
STEP = python3 tests/ci/steps.py run $@
in = PATH="$$PWD/.cache/venv-$(1)/bin:$$PATH"
in_tree = ANSIBLE_COLLECTIONS_PATH="$$PWD/.cache/collections" $(call in,newest)

LINT := lint-ruff lint-format lint-types lint-ansible lint-docs lint-changelog lint-plugins
TESTS := sanity-oldest sanity-newest tests-newest tests-oldest tests-target molecule artifact

# Two steps at a time, all of them even if some fail, then the sum.
define all
@rm -rf .cache/results
@status=0; $(MAKE) --jobs=2 --keep-going --output-sync=target $(1) || status=$$?; \
	python3 tests/ci/steps.py summary $(1) && exit $$status
endef

##@ Targets

.PHONY: demo
demo: .cache/venv-demo/.ready $(TREE) ## query the embedded stand-in of the service, in a minute
	@$(call in,demo) bash tests/ci/demo.sh

.PHONY: service
service: ## run the stand-in of the service until Ctrl-C, at PORT=8000
	@PYTHONPATH=tests exec "$$(python3 tests/ci/pythons.py 3.11-)" -m stand_in --port $(PORT)

.PHONY: test
test: ## all that CI runs: lint, unit and integration tests, sanity, the artifact
	$(call all,$(TESTS) $(LINT))

.PHONY: test-fast
test-fast: .cache/venv-newest/.ready $(TREE) ## the unit tests, on one Python
	@$(call in,newest) python -m pytest -m 'not campaign' tests/unit

.PHONY: lint
lint: ## ruff, mypy, ansible-lint, and the linters of documentation and changelog
	$(call all,$(LINT))

.PHONY: sanity
sanity: ## ansible-test sanity on the oldest and the newest ansible-core
	$(call all,sanity-oldest sanity-newest)

.PHONY: bench
bench: .cache/venv-newest/.ready $(TREE) ## the benchmarks
	@$(call in,newest) python tests/bench/run.py

.PHONY: clean
clean: ## remove everything that the other targets made
	@rm -rf .cache .ansible dist tests/output "$${XDG_CACHE_HOME:-$$HOME/.cache}/apsaradb.backup"

.PHONY: help
help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

##@ Steps

.PHONY: $(LINT) $(TESTS)
$(LINT) tests-newest tests-target molecule artifact: .cache/venv-newest/.ready $(TREE)
tests-oldest: .cache/venv-oldest/.ready $(TREE)

lint-ruff:
	@$(call in,newest) $(STEP) ruff check .

lint-format:
	@$(call in,newest) $(STEP) ruff format --check .

lint-types:
	@$(call in,newest) $(STEP) bash -c 'mypy && mypy --python-version 3.11 --package stand_in'

lint-ansible:
	@$(in_tree) $(STEP) ansible-lint --offline --profile production --strict

lint-docs:
	@HOME="$$PWD/.cache" $(in_tree) $(STEP) antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self --check-extra-docs-refs .

lint-changelog:
	@$(in_tree) $(STEP) antsibull-changelog lint

lint-plugins:
	@$(in_tree) $(STEP) python tests/ci/plugins.py

# The README is the same for all, and long.
README := tests/integration/test_readme.py

tests-newest:
	@$(call in,newest) $(STEP) python -m pytest

tests-oldest:
	@$(call in,oldest) $(STEP) python -m pytest --ignore $(README)

tests-target:
	@if python3 tests/ci/pythons.py $(PYTHONS_target) >/dev/null 2>&1; then \
		$(MAKE) .cache/venv-target/.ready; \
		TEST_TARGET_PYTHON=.cache/venv-target/bin/python $(call in,newest) $(STEP) python -m pytest tests/integration --ignore $(README); \
	else \
		python3 tests/ci/steps.py skip $@ "no Python $(PYTHONS_target) for a managed host was found"; \
	fi

sanity-newest sanity-oldest: sanity-%: .cache/venv-%/.ready
	@$(call in,$*) $(STEP) python tests/ci/sanity.py

molecule:
	@$(in_tree) $(STEP) bash -c 'molecule reset --all >/dev/null && molecule test --all --report'

artifact:
	@$(call in,newest) $(STEP) bash tests/ci/artifact.sh

.cache/venv-%/.ready: tests/ci/venv.sh tests/unit/requirements.txt $(wildcard tests/ci/requirements-*.txt)
	@mkdir -p .cache
	@tests/ci/venv.sh $* $(PYTHONS_$*)

$(TREE):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@
