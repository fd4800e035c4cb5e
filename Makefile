# Copyright (c) 2026 apsaradb.backup maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
#
# All generated files are in .cache, except what ansible-test keeps in the user's own cache directory.

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
# Each of the many processes would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
TREE := .cache/collections/ansible_collections/apsaradb/backup
STEP = python3 tests/ci/steps.py run $@
in = PATH="$$PWD/.cache/venv-$(1)/bin:$$PATH"
in_tree = ANSIBLE_COLLECTIONS_PATH="$$PWD/.cache/collections" $(call in,newest)

LINT := lint-ruff lint-format lint-types lint-ansible lint-docs lint-changelog lint-plugins lint-layers
# Those that need servers run in this order when there are some: the longest first, so that the last two end at about the same time.
TESTS := sanity-oldest sanity-newest tests-newest tests-oldest tests-target tests-campaign molecule artifact

# Two steps at a time, all of them even if some fail, then the sum.
define all
@rm -rf .cache/results
@status=0; $(MAKE) --jobs=2 --keep-going $(1) || status=$$?; \
	python3 tests/ci/steps.py summary $(1) && exit $$status
endef

##@ Targets

.PHONY: demo
demo: .cache/venv-demo/.ready $(TREE) ## query the stand-in of the service, and restore backups into real databases
	@PYTHONPATH=tests $(call in,demo) python -m databases fetch mariadb postgresql
	@$(call in,demo) bash tests/ci/demo.sh

.PHONY: service
service: ## run the stand-in of the service until Ctrl-C, at PORT=8000
	@PYTHONPATH=tests exec "$$(python3 tests/ci/pythons.py 3.11-)" -m stand_in --port $(PORT)

.PHONY: test
test: ## everything that CI runs: lint, unit and integration tests, sanity, the artifact
	$(call all,$(TESTS) $(LINT))

.PHONY: test-fast
test-fast: .cache/venv-newest/.ready $(TREE) ## most unit tests, on one Python, in a minute
	@$(call in,newest) $(PYTEST) -m 'not process and not slow and not campaign' tests/unit

.PHONY: lint
lint: ## ruff, mypy, ansible-lint, and the linters of documentation and changelog
	$(call all,$(LINT))

.PHONY: map
map: ## say what each file of the code is for
	@python3 tests/ci/layers.py map

.PHONY: campaign
campaign: servers .cache/venv-newest/.ready $(TREE) ## over a hundred kills of restores into each kind of server
	@$(call in,newest) $(PYTEST) -m campaign tests/unit/restore

.PHONY: sanity
sanity: ## ansible-test sanity: the archive on the oldest ansible-core, the checkout on the newest
	$(call all,sanity-oldest sanity-newest)

.PHONY: bench
bench: .cache/venv-newest/.ready $(TREE) ## the benchmarks
	@$(call in,newest) python tests/bench/run.py

.PHONY: clean
clean: ## remove everything that the other targets made
	@rm -rf .cache .ansible dist tests/output "$${XDG_CACHE_HOME:-$$HOME/.cache}/apsaradb.backup"
	@find . -name __pycache__ -prune -exec rm -rf {} +

.PHONY: help
help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

##@ Steps

.PHONY: $(LINT) $(TESTS)
$(LINT) tests-newest tests-campaign tests-target molecule artifact: .cache/venv-newest/.ready $(TREE)
tests-oldest: .cache/venv-oldest/.ready $(TREE)
tests-newest tests-campaign tests-oldest tests-target: servers

lint-ruff:
	@$(call in,newest) $(STEP) ruff check .

lint-format:
	@$(call in,newest) $(STEP) ruff format --check .

lint-types:
	@$(call in,newest) $(STEP) bash -c 'mypy && mypy --python-version 3.11 --package stand_in --package exports --package databases'

lint-ansible:
	@$(in_tree) $(STEP) ansible-lint --offline --profile production --strict

lint-docs:
	@HOME="$$PWD/.cache" $(in_tree) $(STEP) antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs self --check-extra-docs-refs .

lint-changelog:
	@$(in_tree) $(STEP) antsibull-changelog lint

lint-plugins:
	@$(in_tree) $(STEP) python tests/ci/plugins.py

lint-layers:
	@$(call in,newest) $(STEP) python tests/ci/layers.py

# Tests wait more than they compute. One that takes longer than the limit hangs, also on a machine that is busy: it fails
# with all stacks, and the others run.
# Tests that share a database server are one group, which one worker runs.
PYTEST := python -m pytest --numprocesses=4 --dist=loadgroup --timeout=900
# The README is the same for all, and long.
README := tests/integration/test_readme.py
# What Ansible has no part in is the same for all versions of it. Any other file is tested with each.
WITHOUT_ANSIBLE := stand_in exports transport/test_client.py transport/test_credentials.py dbs/test_download_tasks.py transport/test_endpoints.py archive/test_extraction.py \
	transport/test_signing.py dbs/test_task.py dbs/test_waiting.py download/test_transfer.py download/test_bytes.py download/test_segments.py \
	archive/test_mongodb.py base/test_text.py \
	$(filter-out %/test_refusals.py,$(patsubst tests/unit/%,%,$(wildcard tests/unit/restore/test_*.py)))

# All but the campaigns, and what tests-target runs. The longest first, or the others would wait for it in the end.
tests-newest:
	@$(call in,newest) $(STEP) $(PYTEST) -m 'not campaign' $(README) tests/unit

tests-campaign:
	@$(call in,newest) $(STEP) $(PYTEST) -m 'campaign and not full' tests/unit

tests-oldest:
	@$(call in,oldest) $(STEP) $(PYTEST) -m 'not campaign and not slow and not once' --ignore $(README) $(WITHOUT_ANSIBLE:%=--ignore tests/unit/%)

# The newest ansible-core, and modules that run by the oldest Python for them, or by its own where there is no such.
tests-target:
	@if python3 tests/ci/pythons.py $(PYTHONS_target) >/dev/null 2>&1; then \
		$(MAKE) .cache/venv-target/.ready; \
		export TEST_TARGET_PYTHON=.cache/venv-target/bin/python; \
	fi; \
	$(call in,newest) $(STEP) $(PYTEST) tests/integration --ignore $(README)

sanity-newest: .cache/venv-newest/.ready
	@$(call in,newest) $(STEP) python tests/ci/sanity.py checkout

# As a certification runs it. What the archive lacks, tests and tools, is looked at by sanity-newest.
sanity-oldest: .cache/venv-oldest/.ready
	@$(call in,oldest) $(STEP) python tests/ci/sanity.py artifact

molecule:
	@$(in_tree) $(STEP) bash -c 'molecule reset --all >/dev/null && molecule test --all --report'

artifact:
	@$(call in,newest) $(STEP) bash tests/ci/artifact.sh

.cache/venv-%/.ready: tests/ci/venv.sh tests/unit/requirements.txt $(wildcard tests/ci/requirements-*.txt)
	@mkdir -p .cache
	@tests/ci/venv.sh $* $(PYTHONS_$*)

# Real database servers, in the user's cache.
.PHONY: servers
servers: .cache/venv-newest/.ready
	@PYTHONPATH=tests $(call in,newest) $(STEP) python -m databases fetch

$(TREE):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@
