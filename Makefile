# Every target sets up what it needs in .venv: a machine with python3 (3.11 or newer), make and a C library is enough.

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
# Versions that were tested together; no hosts in it, so that any package index serves.
CONSTRAINTS := constraints.txt

.PHONY: demo test slow bench lint docs wheel constraints clean

demo: $(VENV)/.demo
	$(RUN)/vpar demo --overwrite

test: $(VENV)/.test
	$(RUN)/python -m pytest -n 2

slow: $(VENV)/.dev
	$(RUN)/python -m pytest -n 2 --dist loadfile -m slow

# Every figure of speed and memory; run nothing else meanwhile.
bench: $(VENV)/.test
	$(RUN)/python benchmarks/run_all.py

lint: $(VENV)/.dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy

# All pages as a site that opens from disk: site/index.html.
docs: $(VENV)/.docs
	$(RUN)/python docs/site/build.py

# The source distribution, and the wheel from it.
wheel: $(VENV)/.dev
	rm -rf dist build
	$(RUN)/python -m build --installer uv

$(RUN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "error: $$($(PYTHON) --version) is too old, vpar-cache needs 3.11; use make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
		|| { echo "error: this Python cannot make a virtual environment; install the venv module (Debian: python3-venv)" >&2; exit 2; }
	$(RUN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS) uv

# One stamp a set of extras, so that `make demo` does not install the test tools.
$(VENV)/.demo: EXTRAS := [video]
$(VENV)/.test: EXTRAS := [test]
$(VENV)/.dev: EXTRAS := [dev]
$(VENV)/.docs: EXTRAS := [docs]
$(VENV)/.demo $(VENV)/.test $(VENV)/.dev $(VENV)/.docs: $(RUN)/uv pyproject.toml $(CONSTRAINTS) overrides.txt
	$(RUN)/uv pip install --quiet --python $(RUN)/python -c $(CONSTRAINTS) --override overrides.txt \
		-e '.$(EXTRAS)' opencv-python-headless
	@touch $@

# Write the versions of this environment as the tested ones.
constraints: $(VENV)/.dev
	$(RUN)/uv pip freeze --quiet --python $(RUN)/python --exclude-editable > $(CONSTRAINTS)

clean:
	rm -rf $(VENV) build dist demo site *.egg-info
