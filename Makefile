# Every target sets up what it needs in $(VENV) first; a second run finds it there.
VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
PACKAGES := contracts curation trainer distill

# A site's own wheels (a CPU build of torch, say) are found through pip's settings; uv reads its own, so hand them over.
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_EXTRA_INDEX_URL
export UV_INDEX ?= $(PIP_EXTRA_INDEX_URL)
endif
# Idle OpenMP threads sleep instead of spinning: on a few cores, spinning costs several times the work itself.
export OMP_WAIT_POLICY ?= PASSIVE

# `make demo` and `make test` are all that a newcomer needs.
.DEFAULT_GOAL := setup
setup: $(VENV)/.ok
$(VENV)/.ok: constraints.txt requirements-dev.txt $(foreach p,$(PACKAGES),packages/$(p)/pyproject.toml)
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip install --quiet --python $(PY) -c constraints.txt $(foreach p,$(PACKAGES),-e packages/$(p)) -r requirements-dev.txt
	touch $@
.PHONY: setup

# The main job on a small built-in image set: curate, pretrain, distil, report. Ends with a table.
demo: $(VENV)/.ok
	$(PY) -m pipelines.run pipelines/demo.yaml --out demo
.PHONY: demo

# OMP_NUM_THREADS=1 keeps sums in one order and lets two test workers share two cores.
test: $(VENV)/.ok
	OMP_NUM_THREADS=1 $(PY) -m pytest
test-all: $(VENV)/.ok
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not gpu" --timeout 1800
test-gpu: $(VENV)/.ok
	$(PY) -m pytest -m gpu --timeout 1800
.PHONY: test test-all test-gpu

# The documentation as a site in site/; a dead link is an error.
docs: $(VENV)/.ok
	$(PY) docs/write_configuration.py
	$(PY) docs/write_cli.py
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict
.PHONY: docs

CODE := packages tests pipelines benchmarks docs
lint: $(VENV)/.ok
	$(VENV)/bin/ruff check $(CODE)
	$(VENV)/bin/ruff format --check $(CODE)
	$(VENV)/bin/mypy $(foreach p,$(PACKAGES),packages/$(p)/src) pipelines
format: $(VENV)/.ok
	$(VENV)/bin/ruff check --fix $(CODE)
	$(VENV)/bin/ruff format $(CODE)
.PHONY: lint format

# Side-by-side benchmarks on this machine; each prints ratios and writes JSON to benchmarks/results/.
BENCHMARKS := data_path training_step prototype_losses distillation_step
bench: $(VENV)/.ok
	mkdir -p benchmarks/results
	for name in $(BENCHMARKS); do echo "== $$name"; $(PY) benchmarks/$$name.py --out benchmarks/results/$$name.json || exit 1; done
.PHONY: bench

# Training steps on a GPU; PyTorch alone is enough, so without $(VENV) the machine's own Python is taken.
bench-gpu:
	PYTHONPATH=packages/contracts/src:packages/trainer/src:packages/distill/src \
	    $(if $(wildcard $(PY)),$(PY),$(PYTHON)) benchmarks/gpu.py $(ARGS)
.PHONY: bench-gpu

clean:
	rm -rf $(VENV) demo site .mypy_cache .ruff_cache .pytest_cache
.PHONY: clean
