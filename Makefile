# make study: the main job, on data that scikit-learn carries.   make test: the tests.   Both build .venv first.
PYTHON ?= python3
# The CPU build by name, so that pip never falls back on the CUDA build and its gigabytes.
TORCH ?= $(if $(filter Linux,$(shell uname)),torch==2.13.0+cpu,torch==2.13.0)
BIN := .venv/bin
# Two processes, a file of tests each at a time; with more threads than cores OpenMP would wait in circles.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile
# What `make bench` compares with, in an environment of its own; the tables say which of them could not be installed.
PEERS := .venv-peers/bin
PEER_PACKAGES := sparseprop==0.1.14 sparselab==0.2.2 mkl==2026.2.0 networkx==3.6.1 igraph==1.0.0

.PHONY: study test test-all check format peers bench gallery install clean
install: .venv/installed

.venv/torch:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet "$(TORCH)" "setuptools>=77" || { echo "Linux needs the CPU build of torch: see README.md, Install" >&2; exit 1; }
	touch $@

.venv/installed: .venv/torch pyproject.toml setup.py $(wildcard csrc/*)
	$(BIN)/pip install --quiet --no-build-isolation --editable ".[dev]"
	touch $@

study: install
	$(BIN)/prewired study --data digits --hidden 512 512 --family biregular --family constant_fan_in --family erdos_renyi \
	  --family rotating --family fibonacci --family grouped --density 0.05 0.1 0.2 --graph-seeds 3 --epochs 10 -o digits-study

test: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYTEST)

test-all: install
	$(PYTEST) -m ""

# SparseProp compiles for this very processor, so pip must not keep its wheel; its setup.py finds pip and python3 in PATH.
.venv-peers/installed: pyproject.toml setup.py $(wildcard csrc/*)
	$(PYTHON) -m venv .venv-peers
	$(PEERS)/pip install --quiet "$(TORCH)" "setuptools>=77" "pybind11<3" threadpoolctl
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

check: install
	$(BIN)/pyright --pythonpath $(BIN)/python

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-peers build src/*.egg-info src/prewired/*.so digits-study
