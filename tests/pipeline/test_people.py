"""People rate in a real browser, and their files become scores: from the page to scores.csv."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import browser, needs_browser
from tests.support.project import Project, one_error
from workflow.lib.report.rating import write_pairs_page

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


def test_people_say_which_of_two_answers_is_better(project: Project, chromium):
    project.change(
        compare__judges=["overlap", "people"],
        judges__people={
            "backend": "people",
            "kind": "pairwise",
            "baseline": "tiny-a/quick",
            "page": {"entries": None},
        },
    )
    made = project.run("results/rating.html")
    assert made.code == 0, made.tail
    assert made.jobs == {"rating"}
    key = json.loads(project.path("results/rating-key.json").read_text("utf-8"))

    context = chromium.new_context()
    page = context.new_page()
    spoken: list[str] = []
    page.on("console", lambda message: spoken.append(message.text))
    page.on("pageerror", lambda error: spoken.append(str(error)))
    page.goto(project.path("results/rating.html").as_uri())
    total = int(page.locator("progress").get_attribute("max"))
    assert total >= 4
    keys = {"1": "first", "2": "second", "0": "tie"}
    given: dict[tuple[str, ...], str] = {}

    def press(pressed: str) -> None:
        shown = [page.locator(".answer .text").nth(n).text_content() for n in (0, 1)]
        given[page.locator("#instruction").text_content(), *shown] = keys[pressed]
        page.keyboard.press(pressed)

    for pressed in "12":
        press(pressed)
    assert page.locator("#number").text_content() == f"Pair 3 of {total}"
    page.reload()
    assert page.locator("#status").text_content() == f"2 of {total} pairs rated"
    page.keyboard.press("p")
    assert page.locator("button[aria-pressed=true]").text_content() == "Answer 2 is better"
    press("0")  # another opinion
    for number in range(2, total - 1):
        press("120"[number % 3])
    assert page.locator("#status").text_content() == f"{total - 1} of {total} pairs rated"
    saved = save(page, project.folder)
    assert not spoken
    context.close()

    project.change(judges__people__ratings=[saved.name])
    judged = project.run()
    assert judged.code == 0, judged.tail
    folders = {model: project.path(f"results/{model}/quick") for model in ("tiny-a", "tiny-b")}
    own, other = (
        json.loads((folders[model] / "responses.json").read_text("utf-8"))
        for model in ("tiny-b", "tiny-a")
    )
    rows = read_table(folders["tiny-b"] / "people/wins.csv")
    statuses = [row["status"] for row in rows]
    assert (len(rows), statuses.count("judged"), statuses.count("unrated")) == (8, total - 1, 1)
    first = {entry["entry"]: entry["answers"][0]["variants"] for entry in key["entries"]}
    for row, entry, baseline in zip(rows, own, other, strict=True):
        if row["status"] != "judged":
            continue
        texts = [e["model_response"].strip() or "no answer" for e in (entry, baseline)]
        stood_first = first[int(row["entry"])] == ["tiny-b/quick"]
        shown = texts if stood_first else texts[::-1]
        [said] = [
            said
            for (asked, *both), said in given.items()
            if asked == entry["instruction"] and [text.strip() for text in both] == shown
        ]
        expected = {"tie": "0.5", "first": "1", "second": "0"}[said]
        if not stood_first:
            expected = {"1": "0", "0": "1"}.get(expected, expected)
        assert row["outcome"] == expected
        assert bool(row["verdict_first"]) == stood_first
    assert {r["status"] for r in read_table(folders["tiny-a"] / "people/wins.csv")} == {"same"}
    report = project.path("results/report.html").read_text("utf-8")
    assert "Win rates by people" in report
    assert f"1 rater compared {total - 1} different pairs of answers" in report
    assert project.run().jobs == set()


def test_who_stops_early_has_no_ties_of_pairs_after_that(tmp_path: Path, chromium):
    """Else the same text twice would weigh more the fewer pairs somebody rates."""
    paths = []
    for variant in ("one", "other"):
        paths.append(tmp_path / "m" / variant / "responses.json")
        paths[-1].parent.mkdir(parents=True)
        entries = [
            {
                "instruction": f"Question {n}?",
                "input": "",
                "output": "Yes.",
                "model_response": "same" if n % 2 else f"of {variant}",
            }
            for n in range(40)
        ]
        paths[-1].write_text(json.dumps(entries))
    write_pairs_page(
        {paths[0]: paths[1], paths[1]: paths[1]}, None, 1, tmp_path / "p.html", tmp_path / "k.json"
    )
    context = chromium.new_context()
    page = context.new_page()
    page.goto((tmp_path / "p.html").as_uri())
    assert page.locator("progress").get_attribute("max") == "20"
    for _ in range(5):
        page.keyboard.press("1")
    rows = read_table(save(page, tmp_path))
    context.close()
    same = [row["first_sha256"] == row["second_sha256"] for row in rows]
    assert (len(rows), sum(same)) == (40, 20)
    shown = [number for number, of in enumerate(same) if not of]
    for number, row in enumerate(rows):
        rated = "tie" if same[number] else "first"
        assert row["better"] == (rated if number < shown[5] else "")
