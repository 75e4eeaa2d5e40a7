"""A real browser: headless Chromium, which reaches no address."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
needs_browser = pytest.mark.skipif(
    not CHROMIUM, reason="needs a browser: apt-get install chromium, or the like"
)


@contextmanager
def browser() -> Iterator[Any]:
    """Start it; yields playwright's Browser."""
    from playwright.sync_api import sync_playwright  # only where there is a browser

    with sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=CHROMIUM,
            # As root, Chromium refuses to start with its sandbox.
            chromium_sandbox=hasattr(os, "geteuid") and os.geteuid() != 0,
            args=["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-dev-shm-usage"],
        )
        yield started
        started.close()
