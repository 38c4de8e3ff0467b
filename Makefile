# Two targets do everything on a fresh machine: `make admit` runs the main job, `make test` passes the tests.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
STAMP  := $(VENV)/.installed

.PHONY: admit test check lint types contracts docs bench lock clean help

help:
	@echo "make admit   set up and run the demonstration: admit, refuse, tamper, test behaviour"
	@echo "make test    set up and run every check and test, as CI does"
	@echo "make bench   print every figure the README quotes (minutes)"
	@echo "make lock    write requirements.lock again; make clean removes .venv and .demo"

# torch comes last: its own dependencies are then in place at their locked versions, and which build of the pinned
# version a machine takes (CPU, CUDA, from disk or an index) is the machine's own business.
$(STAMP): requirements.lock requirements-torch.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet -r requirements-torch.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

admit: $(STAMP)
	$(BIN)/python -m examples.demo

# One hash seed: all workers must collect the same tests under the same names. A file stays on one worker, so that
# no server and no killed admission is set up twice.
test: $(STAMP) check
	PYTHONHASHSEED=0 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

check: lint types contracts docs

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(STAMP)
	$(BIN)/mypy

contracts: $(STAMP)
	$(BIN)/lint-imports

docs: $(STAMP)
	$(BIN)/interrogate --quiet registry_gate

bench: $(STAMP)
	$(BIN)/python -m benchmarks

lock:
	scripts/lock.sh

clean:
	rm -rf $(VENV) .demo
