"""The report in a real browser: headless Chromium, with every address but the file blocked."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.report_case import write_run
from workflow.lib.report.page import write_report

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not CHROMIUM, reason="needs a browser: apt-get install chromium, or the like"
    ),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("browser")
    write_report(**write_run(folder / "run"), output=folder / "report.html")
    return folder / "report.html"


def browse(report: Path, *options: str, fragment: str = "") -> subprocess.CompletedProcess[str]:
    """Open the page, let its scripts run and end."""
    command = [
        CHROMIUM,
        "--headless",
        "--disable-gpu",
        "--no-first-run",
        "--disable-dev-shm-usage",
        f"--user-data-dir={report.parent / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        "--virtual-time-budget=2000",
        *options,
        f"{report.as_uri()}{fragment}",
    ]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.insert(1, "--no-sandbox")  # as root, Chromium refuses to start with it
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)


def shown_after(report: Path, fragment: str) -> tuple[str, list[str]]:
    """What the search says it found, and the entries that are left."""
    dom = browse(report, "--dump-dom", fragment=fragment).stdout
    found = re.search(r"<output[^>]*>(.*?)</output>", dom)[1]
    rows = re.findall(r'<tr class="entry" id="entry-(\d+)-[^"]*"( hidden="")?>', dom)
    return found, [number for number, hidden in rows if not hidden]


def test_the_page_opens_without_a_word_on_the_console_and_runs_no_answer(report):
    opened = browse(report, "--dump-dom")
    assert "CONSOLE" not in opened.stderr
    assert "<title>tiny and small, finetuned on words</title>" in opened.stdout
    assert re.search(r"<output[^>]*>90 responses</output>", opened.stdout)
    assert '<form class="search" role="search">' in opened.stdout  # no longer hidden


def test_a_search_finds_words_of_questions_answers_and_judges(report):
    assert shown_after(report, "#q=number+17%3F") == ("3 responses", ["17"])
    assert shown_after(report, "#q=rather%20not%20say") == ("3 responses", ["5"])
    found, entries = shown_after(report, "#q=OTHER")
    assert found == "27 responses"
    assert "0" not in entries
    assert shown_after(report, "#q=nowhere-to-be-found") == ("0 responses", [])


def test_an_entry_in_the_address_is_shown_though_the_table_begins_with_twenty(report):
    assert len(shown_after(report, "")[1]) == 20
    found, entries = shown_after(report, "#entry-29-plain-untuned")
    assert found == "90 responses"
    assert "29" in entries


def test_the_page_can_be_drawn_dark_light_and_on_a_phone(report):
    pictures = []
    for name, options in {
        "light": ["--window-size=1200,900"],
        "dark": ["--window-size=1200,900", "--blink-settings=preferredColorScheme=0"],
        "narrow": ["--window-size=500,900"],
    }.items():
        picture = report.parent / f"{name}.png"
        browse(report, f"--screenshot={picture}", *options)
        pictures.append(picture.read_bytes())
    assert len(set(pictures)) == 3


def test_the_page_is_not_wider_than_a_phone(report):
    frame = report.parent / "phone.html"
    frame.write_text(
        f'<iframe width="375" height="700" src="{report.name}"></iframe>'
        "<script>onload = () => { const page = frames[0].document.documentElement;"
        "document.title = `${page.scrollWidth - page.clientWidth} too wide`; }</script>"
    )
    opened = browse(frame, "--dump-dom", "--allow-file-access-from-files")
    assert "<title>0 too wide</title>" in opened.stdout
