# Two commands do all the set-up on a machine that has only Python 3.11 and pip:
#   make demo   the main job on two small datasets that the demo itself draws
#   make test   the test suite; TESTS="-m slow" for the slowest tests, which run every night
# PYTHON= names another interpreter, VENV= another place, EXTRA=cpu|gpu the faiss to install,
# TESTS= further arguments of pytest.

VENV ?= .venv
PYTHON ?= $(shell for p in python3.11 python3 python3.12 python3.13 python3.14 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$p; break; }; done)
IN = $(VENV)/bin
PIP = $(IN)/python -m pip --disable-pip-version-check
# Errors only: pip's warnings are about the machine (its index, its other packages), not about leakscan.
INSTALL = $(PIP) install -qq
comma = ,

# faiss-cpu and faiss-gpu install the same module, so the one that is there stays; otherwise the GPU
# build is taken where a driver answers and a wheel exists (Linux, x86-64).
define FIND_EXTRA
extra="$(EXTRA)"; \
if [ -z "$$extra" ]; then extra=`$(IN)/python -c 'from importlib.metadata import distributions as d; \
n = sorted({(x.metadata["Name"] or "").lower() for x in d()}); \
print(next((e for p, e in (("faiss-gpu", "gpu"), ("faiss-cpu", "cpu")) if any(m.startswith(p) for m in n)), ""))'`; fi; \
if [ -z "$$extra" ]; then extra=cpu; \
	if [ "`uname -sm`" = "Linux x86_64" ] && { [ -d /proc/driver/nvidia ] || nvidia-smi >/dev/null 2>&1; }; \
	then extra=gpu; fi; fi
endef

# Says what it installs (faiss and the further extras of $(1)) and how long that took.
define INSTALL_EXTRAS
set -e; $(FIND_EXTRA); echo "Installing leakscan [$$extra$(1)] into $(VENV) (minutes, once) ..."; \
began=`date +%s`; $(INSTALL) -e ".[$$extra$(1)]"; echo "Installed in $$((`date +%s` - began)) s."
endef

.PHONY: help demo test portable lint docs format clean

help:
	@echo "make demo    draw two small datasets with planted leaks and compare them"
	@echo "make test    run the test suite, without the slowest tests"
	@echo "make portable  the same without what only Linux has (LEAKSCAN_PORTABLE=1)"
	@echo "make lint    ruff check, ruff format --check, mypy --strict, the order of imports"
	@echo "make docs    build the documentation into site/"
	@echo "make format  let ruff mend what it can"
	@echo "make clean   remove $(VENV), the demo and what builds left behind"

demo: $(VENV)/.installed
	$(IN)/leakscan demo

test: $(VENV)/.installed-dev
	$(IN)/python -m pytest -n 3 --dist loadfile $(TESTS)

portable: $(VENV)/.installed-dev
	LEAKSCAN_PORTABLE=1 $(IN)/python -m pytest -n 3 --dist loadfile $(TESTS)

lint: $(VENV)/.installed-dev
	$(IN)/ruff check .
	$(IN)/ruff format --check .
	$(IN)/mypy --strict leakscan
	$(IN)/lint-imports

docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(IN)/mkdocs build --strict --quiet

format: $(VENV)/.installed-dev
	$(IN)/ruff check --fix .
	$(IN)/ruff format .

clean:
	rm -rf $(VENV) .demo build dist site *.egg-info .coverage .import_linter_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./.git -prune -o -name __pycache__ -type d -exec rm -rf {} +

# A venv that has no pip is half made (or made by Debian's python3 without python3-venv): pip can
# then install into it from outside.
$(VENV)/.made:
	@if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
		echo "leakscan needs Python 3.11 or newer; found: $(or $(PYTHON),none)."; \
		echo "Name one that is installed, for example: make test PYTHON=/usr/bin/python3.11"; exit 2; fi
	@$(PIP) --version >/dev/null 2>&1 || "$(PYTHON)" -m venv $(VENV) || { \
		"$(PYTHON)" -m venv --clear --without-pip $(VENV) && \
		"$(PYTHON)" -m pip --python $(IN)/python install -qq pip; } || { \
		echo "$(PYTHON) could make no virtual environment with pip in $(VENV)."; exit 2; }
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.made
	@$(call INSTALL_EXTRAS,)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.made
	@$(call INSTALL_EXTRAS,$(comma)dev)
	@touch $(VENV)/.installed $@
