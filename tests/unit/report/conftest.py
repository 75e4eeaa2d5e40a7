"""A finished comparison for the tests of the report."""

import pytest

from tests.support.report_case import write_run
from workflow.lib.report.variants import Variant, read_variants


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> dict:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def variants(case) -> list[Variant]:
    return read_variants(case["folders"], case["recipes"], case["judges"], case["summary"])
