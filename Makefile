# Two commands: `make demo` and `make test`. Each sets up .venv with what it needs.
PYTHON ?= python3
BIN := .venv/bin
SITE := docs/_build docs/api docs/section3 docs/tutorials

.PHONY: demo test test-gpu mutants figures benchmarks docs clean

demo: .venv/demo
	$(BIN)/python -m stn_ref demo

test: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

# on a machine with an NVIDIA GPU, with what PYTHON has if numba-cuda is there: nothing is downloaded
test-gpu:
	@if $(PYTHON) -c 'import numba_cuda' 2>/dev/null; then $(PYTHON) -m tests.gpu $(PARTS); else \
	$(MAKE) .venv/test && $(BIN)/python -m pip install --quiet --editable '.[cuda]' && \
	$(BIN)/python -m tests.gpu $(PARTS); fi

mutants: .venv/test
	$(BIN)/python -m tests.mutants

# with FORMAT=svg (or pdf) each also in that format, for slides
figures: .venv/demo
	for script in tutorials/[0-9]*.py; do STN_REF_FORMAT=$(FORMAT) $(BIN)/python $$script figures || exit 1; done

# the numbers that are committed, beside the peers that are installed; on a machine that is idle
benchmarks: .venv/demo
	$(BIN)/python -m stn_ref bench --out benchmarks/cpu.json
	$(BIN)/python -m stn_ref bench --networks --out benchmarks/networks.json

# docs/_build/html/index.html; with QUICK=1 no tutorial runs, pictures come from figures/
docs: .venv/docs
	rm -rf $(SITE)
	OPENBLAS_NUM_THREADS=1 $(BIN)/sphinx-build -W --keep-going --quiet $(if $(QUICK),-t quick) docs docs/_build/html

.venv/demo: setup.cfg pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/test: .venv/demo
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

.venv/docs: .venv/demo
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	touch $@

clean:
	rm -rf .venv build *.egg-info $(SITE)
