"""People rate in a real browser, and their files become scores: from the page to scores.csv."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import browser, needs_browser
from tests.support.project import Project, one_error

pytestmark = needs_browser

AFTER_JUDGES = {"summary", "report", "scores"}
JUDGED = {f"judge {model} quick people" for model in ("tiny-a", "tiny-b")}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def score_of(answer: str) -> int:
    return 10 + len(answer) % 80


def rate(
    page: Any, entries: int, score_of: Callable[[str], int] = score_of
) -> dict[tuple[str, str], int]:
    """Rate all answers by keyboard; returns the scores by instruction and answer as shown."""
    given = {}
    for _ in range(entries):
        boxes = page.locator(".answer")
        if all(field.input_value() for field in boxes.locator("input").all()):
            page.keyboard.press("Enter")
            continue
        for number in range(boxes.count()):
            box = boxes.nth(number)
            asked = page.locator("#instruction").text_content()
            shown = box.locator(".text").text_content()
            if not box.locator("input").input_value():
                assert box.locator("input:focus").count() == 1
                page.keyboard.type(str(score_of(shown)))
                page.keyboard.press("Enter")
            given[asked, shown] = score_of(shown)
    return given


def save(page: Any, folder: Path) -> Path:
    with page.expect_download() as download:
        page.keyboard.press("s")
    saved = folder / download.value.suggested_filename
    download.value.save_as(saved)
    return saved


def test_people_rate_on_the_page_and_their_files_are_a_judge(project: Project, chromium):
    project.change(
        compare__judges=["overlap", "people"],
        judges__people={"backend": "people", "page": {"entries": 3}},
    )
    said = one_error(project.run())
    assert "judges.people.ratings: names no file" in said
    made = project.run("results/rating.html")
    assert made.code == 0, made.tail
    assert made.jobs == {"rating"}

    # Half of the answers, a reload, and the rest.
    context = chromium.new_context()
    page = context.new_page()
    spoken: list[str] = []
    page.on("console", lambda message: spoken.append(message.text))
    page.on("pageerror", lambda error: spoken.append(str(error)))
    page.goto(project.path("results/rating.html").as_uri())
    total = page.locator("progress").get_attribute("max")
    given = rate(page, 1)
    page.reload()
    status = page.locator("#status").text_content()
    assert not status.startswith("0 of")
    assert status.endswith(f"of {total} answers rated")
    assert page.locator("#number").text_content() == "Entry 2 of 3"
    unfinished = save(page, project.folder)
    page.keyboard.press("p")
    given |= rate(page, 3)
    assert page.locator("#status").text_content() == f"{total} of {total} answers rated"
    assert page.locator("#done").is_visible()
    saved = save(page, project.folder)
    assert saved == unfinished  # of the same rater and page
    assert not spoken

    project.change(judges__people__ratings=[saved.name])
    judged = project.run()
    assert judged.code == 0, judged.tail
    assert judged.jobs == JUDGED | AFTER_JUDGES
    key = json.loads(project.path("results/rating-key.json").read_text("utf-8"))
    whose = {
        (variant, entry["entry"]): answer["response_sha256"]
        for entry in key["entries"]
        for answer in entry["answers"]
        for variant in answer["variants"]
    }
    for model in ("tiny-a", "tiny-b"):
        folder = project.path(f"results/{model}/quick")
        entries = json.loads((folder / "responses.json").read_text("utf-8"))
        rows = read_table(folder / "people/scores.csv")
        assert len(rows) == len(entries) == 8
        for row, entry in zip(rows, entries, strict=True):
            rated = (f"{model}/quick", int(row["entry"])) in whose
            assert row["status"] == ("scored" if rated else "unrated")
            if rated:
                assert whose[f"{model}/quick", int(row["entry"])] == row["response_sha256"]
                response = (
                    entry["model_response"] if entry["model_response"].strip() else "no answer"
                )
                assert int(row["score"]) == given[entry["instruction"], response]
    rows = read_table(project.path("results/summary.csv"))
    assert [(row["scored"], row["unrated"]) for row in rows if row["judge"] == "people"] == [
        ("3", "5")
    ] * 2
    assert "5 not rated" in project.path("results/report.html").read_text("utf-8")

    # Another rater, who leaves after one entry.
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#restart").click()
    assert page.locator("#status").text_content() == f"0 of {total} answers rated"
    page.locator("input").first.focus()
    rate(page, 1, lambda text: 100)
    other = save(page, project.folder)
    assert other != saved
    project.change(judges__people__ratings=[saved.name, other.name])
    judged = project.run()
    assert judged.code == 0, judged.tail
    assert judged.jobs == JUDGED | AFTER_JUDGES
    rows = read_table(project.path("results/tiny-a/quick/people/scores.csv"))
    assert [
        sum(row["repeat"] == n and row["status"] == "scored" for row in rows) for n in "01"
    ] == [3, 1]
    assert project.run().jobs == set()

    other.unlink()
    assert f"judges.people.ratings: {other.name}: there is no such file" in one_error(project.run())
    context.close()
