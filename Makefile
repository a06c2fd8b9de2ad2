# Two commands: `make reproduce` and `make test`. Both set everything up, can be interrupted and run again.
SHELL    := /bin/bash
PYTHON   ?= $(shell command -v python3.11 || command -v python3)
BIN      := .venv/bin
PROFILE  ?= smoke
TARGETS  ?= all
JOBS     ?= 2
export OMP_NUM_THREADS ?= 1
export PYTHONWARNINGS ?= ignore

.PHONY: help reproduce test quick shown results faces site lab export clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

reproduce: .venv/.ready ## faces -> forgeries -> trained detectors -> tables -> report (PROFILE=smoke|small|paper TARGETS=all|ldfnet/table-3,...)
	@echo "==> $(PROFILE): corpus -> faces -> runs -> pages -> report, $(JOBS) jobs at a time"
	@$(BIN)/ffd_reproduce --profile $(PROFILE) --targets $(TARGETS) --jobs $(JOBS)

test: .venv/.ready ## the whole gate; ends with `N passed, N failed` (STEP=package|notebooks|pages|programs|results for a part)
	@$(BIN)/python tests/gate.py $(STEP)

quick: .venv/.ready ## the package, and the notebooks and programs that rest on what has changed since the last push
	@$(BIN)/python tests/gate.py quick

shown: .venv/.ready ## run the tour and the checks of nbs/99_checks, and keep their outputs: the gate compares them
	@for nb in nbs/index.ipynb nbs/99_checks/*.ipynb; do echo "==> $$nb"; $(BIN)/python tests/gate.py --keep $$nb || exit 1; done
	@$(BIN)/nbdev_clean

results: ## the results at the small size, on two cores (hours; with TARGETS=ldfnet about one)
	@$(MAKE) --no-print-directory reproduce PROFILE=small TARGETS=$(TARGETS)

faces: .venv/.ready ## the papers' own face detectors (dlib, MTCNN), an extra
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[faces]'

site: .venv/.site ## every page, number, claim and definition as a website that needs no network: build/site/html/index.html
	@$(BIN)/ffd_site

lab: .venv/.ready ## read and run the notebooks
	@$(BIN)/jupyter lab nbs/index.ipynb

export: .venv/.ready ## notebooks -> package, as the gate expects them
	@$(BIN)/nbdev_export && $(BIN)/nbdev_clean

clean: ## remove what can be made again (stand-ins, faces, checkpoints, smoke results, the site)
	@rm -rf .ffd .snakemake build/site

.venv/.site: .venv/.ready
	@echo "==> Sphinx and what the site needs, an extra"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt -e '.[site]'
	@touch $@

.venv/.ready: settings.ini constraints.txt setup.py
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
	  { echo "Python 3.11 is needed and was not found. Install it, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@echo "==> making the environment in .venv (one to three minutes, about 2.3 GB)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools wheel
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c constraints.txt -e '.[dev]'
	@touch $@
