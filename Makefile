# make study: the main job, on data that scikit-learn carries.   make test: lint and tests.   Both build .venv first.
PYTHON ?= python3
BIN := .venv/bin
# On Linux the CPU build of torch is asked for by name, so that pip can never fall back on the CUDA build and its gigabytes.
LINUX := $(filter Linux,$(shell uname))
TORCH ?= $(if $(LINUX),torch==2.13.0+cpu,torch==2.13.0)
# Where PyTorch publishes CPU builds; asked only if the places that pip is configured for have none.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
# Two processes, a file of tests each at a time, in the order of the folders: the many short files of src come last, so
# that both processes end together. With more threads than cores OpenMP would wait in circles.
# Some sixty processes import the same files in the tests, so the compiled ones are kept, whatever the caller's setting.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder
# What `make bench` compares with, in an environment of its own; the tables say which of them could not be installed.
PEERS := .venv-peers/bin
PEER_PACKAGES := sparseprop==0.1.14 sparselab==0.2.2 mkl==2026.2.0 networkx==3.6.1 igraph==1.0.0

define NO_TORCH
make: expected to install $(TORCH), but pip found it neither in the places it is configured for nor at
make:   $(TORCH_INDEX). What pip said is in the file $(1)/torch.log. Do one of these, then run make again:
make:   - check the connection to the internet, or allow this machine to reach that address;
make:   - name a folder that has the wheel of the CPU build:  export PIP_FIND_LINKS=/path/to/folder
make:   - name a package index that has it:                   export PIP_EXTRA_INDEX_URL=https://...
make:   - take the CUDA build all the same (gigabytes):       make TORCH=torch==2.13.0
endef
export NO_TORCH_MAIN = $(call NO_TORCH,.venv)
export NO_TORCH_PEERS = $(call NO_TORCH,.venv-peers)

# $(call install_torch,environment,message): pip's own places first, then PyTorch's index of CPU builds, then stop.
install_torch = \
  echo "make: installing $(TORCH) where pip is configured to look (200 MB; 1 to 3 minutes)"; \
  $(1)/bin/pip install --quiet "$(TORCH)" > $(1)/torch.log 2>&1 || { \
    echo "make: not found there; installing $(TORCH) from $(TORCH_INDEX)"; \
    $(1)/bin/pip install --quiet --extra-index-url "$(TORCH_INDEX)" "$(TORCH)" >> $(1)/torch.log 2>&1; \
  } || { echo "$$$(2)" >&2; exit 1; }

.PHONY: study test test-all fuzz sanitize check format peers bench gallery install clean
install: .venv/installed

.venv/torch:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: expected Python 3.11 or newer as $(PYTHON); name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "make: making the environment .venv (10 seconds)"
	@$(PYTHON) -m venv .venv
	@$(call install_torch,.venv,NO_TORCH_MAIN)
	@touch $@

.venv/installed: .venv/torch pyproject.toml setup.py $(wildcard csrc/*)
	@echo "make: compiling the kernels and installing prewired with what its tests and studies use (2 to 5 minutes)"
	@$(BIN)/pip install --quiet "setuptools>=77"
	@$(BIN)/pip install --quiet --no-build-isolation --editable ".[dev]"
	@touch $@

study: install
	$(BIN)/prewired study --data digits --hidden 512 512 --family biregular --family constant_fan_in --family erdos_renyi \
	  --family rotating --family fibonacci --family grouped --density 0.05 0.1 0.2 --graph-seeds 3 --epochs 10 -o digits-study

# Lint and the fast tests.
test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST)

# Lint, types and every test, those marked slow included.
test-all: install check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST) -m ""

# Mutated files for every reader: make fuzz COUNT=20000 SEED=7 READERS="npz mtx".
COUNT ?= 1500
SEED ?= 0
fuzz: install
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz/run.py $(READERS) --count $(COUNT) --seed $(SEED)

# The kernels under AddressSanitizer and UBSan: the battery and the hostile calls on each instruction set (15 minutes).
sanitize: install
	tests/sanitize.sh

# SparseProp compiles for this very processor, so pip must not keep its wheel; its setup.py finds pip and python3 in PATH.
.venv-peers/installed: pyproject.toml setup.py $(wildcard csrc/*)
	@echo "make: making the environment .venv-peers and compiling there (5 to 10 minutes)"
	@$(PYTHON) -m venv .venv-peers
	@$(call install_torch,.venv-peers,NO_TORCH_PEERS)
	$(PEERS)/pip install --quiet "setuptools>=77" "pybind11<3" threadpoolctl
	$(PEERS)/pip install --quiet --no-build-isolation --editable ".[study,export]"
	for peer in $(PEER_PACKAGES); do \
	  PATH="$(CURDIR)/$(PEERS):$$PATH" $(PEERS)/pip install --quiet --no-build-isolation --no-cache-dir $$peer \
	  || echo "$$peer: not installed" >&2; \
	done
	touch $@

peers: .venv-peers/installed

bench: peers
	$(PEERS)/python -m benchmarks

# docs/gallery.md: every family drawn and measured on one example.
gallery: install
	$(BIN)/python docs/gallery.py

# Types.
check: install
	$(BIN)/pyright --pythonpath $(BIN)/python

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-peers build src/*.egg-info digits-study
	find src -name '*.so' -delete
