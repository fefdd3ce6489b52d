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

setup: $(VENV)/.ok
$(VENV)/.ok: constraints.txt requirements-dev.txt $(foreach p,$(PACKAGES),packages/$(p)/pyproject.toml)
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check uv
	$(VENV)/bin/uv pip install --quiet --python $(PY) -c constraints.txt $(foreach p,$(PACKAGES),-e packages/$(p)) -r requirements-dev.txt
	touch $@
.PHONY: setup
