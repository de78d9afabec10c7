# Two commands for a fresh machine with Python 3.11: `make demo` and `make test`.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# Most modules of what is installed are never imported; those that are, Python compiles and keeps.
INSTALL := $(BIN)/pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt
unexport PYTHONDONTWRITEBYTECODE
BACKENDS := tensorflow jax torch
SEEDS ?= 1
# What libraries tell of themselves when they start would stand between the lines of the demo.
QUIET := JAX_PLATFORMS=cpu TF_CPP_MIN_LOG_LEVEL=3
# One small model is enough: all models run by the same kernels, which Numba keeps once compiled.
COMPILE := import keras, keras_dynamicgate as kdg; \
	kdg.InferenceEngine(keras.Sequential([keras.Input((8,)), kdg.DynamicGateDense(8)]))
# Its tokenizers need tensorflow-text, the models that the tests build do not.
KERAS_HUB := keras-hub kagglehub kagglesdk regex tokenizers

.PHONY: demo test venv lint kernels docs notebooks dist clean $(addprefix test-,$(BACKENDS))

## Train full, narrow and gated networks on real digits, print a table, what it means and what to see.
demo: $(VENV)/demo
	@$(QUIET) KERAS_BACKEND=jax $(BIN)/python examples/demo.py --seeds $(SEEDS)

## Run linters, type checks and the whole test suite on each of the three backends.
test: $(VENV)/test
	$(MAKE) --jobs=2 lint kernels
	$(MAKE) $(addprefix test-,$(BACKENDS))

# Tests run side by side, each on one thread; the libraries' threads would wait for each other.
# Files with few tests are often the slow ones, so they do not come last.
$(addprefix test-,$(BACKENDS)): test-%: $(VENV)/test
	KERAS_BACKEND=$* OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 \
		--dist=loadfile --no-loadscope-reorder

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

kernels: $(VENV)/test
	@$(QUIET) KERAS_BACKEND=torch $(BIN)/python -c "$(COMPILE)"

## Only the set-up that `make test` needs.
venv: $(VENV)/test

## Build the documentation into site/.
docs: $(VENV)/docs
	$(BIN)/mkdocs build --strict

## Write the Colab notebooks from the example scripts and run those without their outputs, with
## data from the folder DATA or, without it, from the network.
notebooks: $(VENV)/test
	$(BIN)/python examples/notebooks/generate.py --execute $(if $(DATA),--data-dir $(DATA))

## Build what is released into dist/ and check it.
dist: $(VENV)/test
	rm -rf dist
	$(BIN)/python -m build
	$(BIN)/python -m twine check --strict dist/*

$(VENV)/python:
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo: $(VENV)/python pyproject.toml constraints.txt
	@echo "Installing what the demo needs into $(VENV), the first time only ..."
	@$(INSTALL) --editable ".[jax,demo]"
	@echo "Compiling the kernels of the engine, the first time only ..."
	@$(QUIET) KERAS_BACKEND=jax $(BIN)/python -c "$(COMPILE)"
	@touch $@

# torch comes first and alone: what needs it later would otherwise choose a build of its own.
$(VENV)/test: $(VENV)/python pyproject.toml constraints.txt
	$(INSTALL) "torch==2.13.0"
	$(INSTALL) --editable ".[tensorflow,jax,torch,examples,dev,docs]"
	$(INSTALL) --no-deps $(KERAS_HUB)
	touch $@

$(VENV)/docs: $(VENV)/python pyproject.toml constraints.txt
	$(INSTALL) --editable ".[docs]"
	touch $@

clean:
	rm -rf $(VENV) build dist site runs
