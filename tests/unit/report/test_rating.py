"""rating.html: what is on the page, what is not, and the key beside it."""

import json
import re
from pathlib import Path

import pytest

from tests.support.report_case import HOSTILE
from workflow.lib.judge.ratings import answer_of
from workflow.lib.judge.scores import text_sha256
from workflow.lib.report.rating import write_pairs_page, write_rating_page
from workflow.lib.runtime.errors import UserError

VARIANTS = ("secret-model/secret-recipe", "secret-model/unadorned", "other-secret/unadorned")


def write(folder: Path, variant: str, answers, questions=None) -> Path:
    entries = [
        {
            "instruction": f"Question {question}?",
            "input": "",
            "output": "Yes.",
            "model_response": answer,
        }
        for question, answer in zip(questions or range(len(answers)), answers, strict=True)
    ]
    path = folder / variant / "responses.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(entries))
    return path


@pytest.fixture
def responses(tmp_path) -> list[Path]:
    return [
        write(tmp_path, variant, [f"{rank} {n}" if n % 3 else "the same" for n in range(20)])
        for rank, variant in enumerate(VARIANTS)
    ]


def made(responses, folder, entries=None, seed=123):
    page, key = folder / "rating.html", folder / "rating-key.json"
    write_rating_page(responses, entries, seed, page, key)
    text = page.read_text("utf-8")
    content = json.loads(re.search(r'id="content">(.*?)</script>', text, re.DOTALL)[1])
    return text, content, json.loads(key.read_text("utf-8"))


def test_the_page_names_no_variant_and_the_key_names_all(responses, tmp_path):
    text, content, key = made(responses, tmp_path)
    assert not re.search("secret|unadorned|responses.json", text)
    assert content["page"] == key["page"]
    for shown, whose in zip(content["entries"], key["entries"], strict=True):
        digests = [answer["sha256"] for answer in shown["answers"]]
        assert digests == [answer["response_sha256"] for answer in whose["answers"]]
        for answer, named in zip(shown["answers"], whose["answers"], strict=True):
            for variant in named["variants"]:
                [path] = [p for p in responses if variant in str(p)]
                entry = json.loads(path.read_text())[shown["entry"]]
                assert answer_of(entry) == (shown["entry_sha256"], answer["sha256"])
                assert answer["text"] == entry["model_response"]


def test_the_same_response_of_several_variants_is_shown_once(responses, tmp_path):
    _, content, key = made(responses, tmp_path)
    for shown, whose in zip(content["entries"], key["entries"], strict=True):
        assert len(shown["answers"]) == (3 if shown["entry"] % 3 else 1)
        assert sorted(v for a in whose["answers"] for v in a["variants"]) == sorted(VARIANTS)


def test_the_seed_decides_the_order_of_the_answers(responses, tmp_path):
    def order(seed):
        _, _, key = made(responses, tmp_path, seed=seed)
        return {e["entry"]: [a["variants"] for a in e["answers"]] for e in key["entries"]}

    assert order(1) == order(1) != order(2)
    firsts = [answers[0][0] for answers in order(1).values() if len(answers) == 3]
    assert set(firsts) == set(VARIANTS)


def test_entries_are_drawn_at_random_and_the_same_whatever_is_compared(responses, tmp_path):
    def drawn(paths, entries, seed=123):
        return [entry["entry"] for entry in made(paths, tmp_path, entries, seed)[1]["entries"]]

    some = drawn(responses, 8)
    assert len(set(some)) == 8
    assert some != sorted(some)
    assert drawn(responses[:1], 8) == some != drawn(responses, 8, seed=1)
    assert sorted(drawn(responses, 100)) == sorted(drawn(responses, None)) == [*range(20)]


def test_each_test_set_has_its_entries(tmp_path):
    paths = [
        write(tmp_path, "m/one", ["a"] * 20, questions=range(20)),
        write(tmp_path, "m/two", ["b"] * 6, questions=range(18, 24)),
    ]
    _, content, _ = made(paths, tmp_path, entries=5)
    asked = {int(re.search(r"\d+", e["instruction"])[0]) for e in content["entries"]}
    assert len(asked & {*range(20)}) >= 5
    assert len(asked & {*range(18, 24)}) >= 5


def test_hostile_texts_stay_texts(tmp_path):
    hostile = HOSTILE + "\u2028\x1b[2J"
    path = write(tmp_path, "m/r", [hostile], questions=[hostile])
    text, content, _ = made([path], tmp_path)
    assert "<img" not in text
    assert text.count("</script>") == 2
    [entry] = content["entries"]
    assert entry["answers"][0]["text"].startswith(HOSTILE)
    assert "\x1b" not in text


def test_the_page_needs_nothing_from_elsewhere(responses, tmp_path):
    text, *_ = made(responses, tmp_path)
    assert not re.search(r"""https?:|src=|<link|@import|url\(|fetch\(|XMLHttp|import\(""", text)
    assert "default-src 'none'" in text


def pairs_made(baselines, folder, entries=None, seed=123):
    page, key = folder / "rating.html", folder / "rating-key.json"
    write_pairs_page(baselines, entries, seed, page, key)
    text = page.read_text("utf-8")
    content = json.loads(re.search(r'id="content">(.*?)</script>', text, re.DOTALL)[1])
    return text, content, json.loads(key.read_text("utf-8"))


def against_last(responses):
    return dict.fromkeys(responses, responses[-1])


def test_each_variant_is_shown_beside_the_baseline_and_neither_is_named(responses, tmp_path):
    text, content, key = pairs_made(against_last(responses), tmp_path)
    assert not re.search("secret|unadorned|responses.json", text)
    assert (content["kind"], content["columns"][-1]) == ("pairwise", "better")
    found = []
    for shown, whose in zip(content["entries"], key["entries"], strict=True):
        digests = [answer["sha256"] for answer in shown["answers"]]
        assert digests == [text_sha256(answer["text"]) for answer in shown["answers"]]
        assert digests == [answer["response_sha256"] for answer in whose["answers"]]
        assert shown["same"] == (shown["entry"] % 3 == 0)
        if not shown["same"]:
            [one], [other] = (answer["variants"] for answer in whose["answers"])
            assert VARIANTS[2] in (one, other)
            found.append((shown["entry"], ({one, other} - {VARIANTS[2]}).pop()))
    rated = [number for number in range(20) if number % 3]
    assert sorted(found) == sorted((n, v) for n in rated for v in VARIANTS[:2])
    assert len(content["entries"]) == len(found) + 7  # the same text of all variants stands once
    assert found != sorted(found)


def test_the_seed_decides_which_answer_stands_first(responses, tmp_path):
    def firsts(seed):
        _, content, key = pairs_made(against_last(responses), tmp_path, seed=seed)
        return [
            whose["answers"][0]["variants"] == [VARIANTS[2]]
            for shown, whose in zip(content["entries"], key["entries"], strict=True)
            if not shown["same"]
        ]

    assert firsts(1) == firsts(1) != firsts(2)
    counts = [sum(firsts(seed)) for seed in range(20)]  # of 26 each
    assert 0.4 < sum(counts) / (20 * 26) < 0.6


def test_both_pages_draw_the_same_entries(responses, tmp_path):
    scored = {entry["entry"] for entry in made(responses, tmp_path, 8)[1]["entries"]}
    _, content, _ = pairs_made(against_last(responses), tmp_path, 8)
    assert {entry["entry"] for entry in content["entries"]} == scored


def test_beside_the_reference_the_page_does_not_show_which_it_is(responses, tmp_path):
    text, content, key = pairs_made(dict.fromkeys(responses[:1]), tmp_path)
    hint = '<span data-label="keyReference">'
    assert hint not in text
    assert hint in pairs_made(against_last(responses), tmp_path)[0]
    assert not any("output" in entry for entry in content["entries"])
    for entry in key["entries"]:
        assert sorted(a["variants"] for a in entry["answers"]) == [["reference"], [VARIANTS[0]]]


def test_without_two_different_answers_there_is_no_page(tmp_path):
    one, other = (write(tmp_path, f"m/{name}", ["a", "b"]) for name in "xy")
    with pytest.raises(UserError, match="nothing to compare"):
        pairs_made({one: other, other: other}, tmp_path)
    assert not (tmp_path / "rating.html").exists()
