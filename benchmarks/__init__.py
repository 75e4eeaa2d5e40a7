"""Benchmarks, each a command; their processes wait as the pipeline's do."""

from workflow.lib.runtime.environment import prepare_environment

prepare_environment()
