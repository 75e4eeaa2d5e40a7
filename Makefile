# `make scores` and `make test` set up .venv themselves and need only Python 3.11 or newer.
PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check -c envs/lock.txt

.PHONY: scores test

# The default run, offline: results/scores.csv and results/report.html.
scores: .venv/ready
	.venv/bin/snakemake --cores all results/scores.csv

# All tests; REAL_DATA=folder adds those of tests/real.
test: .venv/ready-dev
	.venv/bin/python -m pytest $(if $(REAL_DATA),--real-data=$(REAL_DATA))

.venv/ready: envs/requirements.txt envs/lock.txt
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('Python 3.11 or newer is needed: make PYTHON=python3.11')"
	@echo "Setting up .venv, a few minutes the first time"
	$(PYTHON) -m venv .venv
	$(PIP) -r envs/requirements.txt
	touch $@

.venv/ready-dev: .venv/ready envs/requirements-dev.txt
	$(PIP) -r envs/requirements-dev.txt
	touch $@
