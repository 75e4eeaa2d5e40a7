"""What the tests of judges share."""

import logging

import pytest


@pytest.fixture(autouse=True)
def log_lines(caplog):
    caplog.set_level(logging.INFO, "pipeline")
    return caplog
