# The commands of a local installation (docs/operate.md). Each is one line into a script or module.
.PHONY: up down status logs clean redeploy deploy test test-fast simulate bench lint format bootstrap \
	test-unit test-property test-simulation test-contract test-worker test-edge test-engine test-e2e
# What is compiled is kept, but not beside the sources: all processes of a node, and Ansible's many, start from it.
PYTHON := PYTHONPATH=worker:. PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/.wrangler/pycache .venv/bin/python
LOCAL := $(PYTHON) -m edge_node.local

up: bootstrap
	@$(LOCAL) up
down status logs clean redeploy:
	@if [ -x .venv/bin/python ]; then $(LOCAL) $@; else echo "Nothing is installed here yet: run make up."; fi
deploy: bootstrap
	@$(LOCAL) deploy $(if $(DRY),--dry-run)
test: bootstrap
	@$(PYTHON) -m tests.run
test-fast: bootstrap
	@$(PYTHON) -m pytest tests/unit tests/property tests/contract
test-unit test-property test-simulation test-contract test-worker test-edge test-engine test-e2e: test-%: bootstrap
	@$(PYTHON) -m tests.run $*
simulate: bootstrap
	@TANDEM_EVENTS=$(or $(EVENTS),1000000) $(PYTHON) -m pytest -s tests/simulation -k books
bench: bootstrap
	@$(PYTHON) -m bench && $(PYTHON) -m bench.edge
lint: bootstrap
	@.venv/bin/ruff format --check --quiet . && .venv/bin/ruff check --quiet . && .venv/bin/mypy && PYTHONPATH=worker:. .venv/bin/lint-imports
format: bootstrap
	@.venv/bin/ruff format . && .venv/bin/ruff check --fix .
bootstrap:
	@edge_node/local/bootstrap.sh
