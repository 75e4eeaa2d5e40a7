"""A busy server's Retry-After header is read in both of its forms."""

import time
from email.utils import formatdate

import pytest

from workflow.lib.runtime.retry_after import seconds_of


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 0.0),
        ("", 0.0),
        ("120", 120.0),
        ("1.5", 1.5),
        ("-3", 0.0),
        ("soon", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("nan", 0.0),
        ("1e999", float("inf")),
        ("\u00e9", 0.0),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 0.0),
        (f"Mon, 01 Jan {'9' * 99} 00:00:00 GMT", 0.0),
        (f"Mon, 01 Jan 2030 00:00:00 +{'9' * 30}", 0.0),
    ],
)
def test_a_number_of_seconds_is_taken_and_what_says_nothing_is_no_wait(header, seconds):
    assert seconds_of(header) == seconds


def test_a_date_is_counted_from_now():
    assert 50 < seconds_of(formatdate(time.time() + 60, usegmt=True)) <= 60
