"""quality.json names what weakens a data set, and nothing else."""

import json
import random

import pytest
from rapidfuzz import fuzz

from tests.support.entries import DOUBTFUL, entry, write
from workflow.lib.data.quality.lengths import bins, histogram
from workflow.lib.data.quality.measure import count, find_doubtful, measure_quality
from workflow.lib.data.quality.near_duplicates import NearDuplicates
from workflow.lib.data.quality.record import read_quality, repeated_in_test, seen_in_training
from workflow.lib.data.quality.wording import findings
from workflow.lib.data.split import split_dataset
from workflow.lib.settings.sources import Selection


def numbered(*parts):
    """Entries as the three splits, numbered through."""
    names, found, number = ("train", "test", "val"), {}, 0
    for name, part in zip(names, parts, strict=True):
        found[name] = dict(enumerate(part, number))
        number += len(part)
    return found


def asking(instruction, output, text=""):
    return {"instruction": instruction, "input": text, "output": output}


def test_doubtful_entries_are_found_by_number():
    parts = numbered(
        [entry(0), entry(1), entry(1), entry(3, output="other"), entry(3), entry(5)],
        [entry(0, output="new"), entry(7)],
        [entry(5), entry(7), entry(8, output="<|endoftext|>"), entry(9, output=" ")],
    )
    found, _ = find_doubtful(parts, near=100)
    assert found == {
        "duplicates": [[1, 2], [5, 8], [7, 9]],
        "conflicting_answers": [[0, 6], [3, 4]],
        "test_also_in_train": [[0, 6]],
        "test_also_in_val": [[7, 9]],
        "val_also_in_train": [[5, 8]],
        "near_duplicates": [],
        "test_near_train": [],
        "empty_outputs": [[11]],
        "end_of_text": [[10]],
    }


def test_entries_of_the_named_split_are_counted_not_groups():
    near = asking("Name the capital of the kingdom of Norway.", "Oslo")
    learned = near | {"instruction": "Name the capital of the kingdom of Norway!"}
    parts = numbered(
        [entry(0), entry(0), entry(1), learned],
        [entry(0), entry(0), entry(0, output="new"), entry(1), near, near],
        [entry(1), entry(1), entry(2, output="")],
    )
    found, _ = find_doubtful(parts, near=90)
    assert len(found["test_also_in_train"]) == 2
    assert count(found, parts) == {
        "duplicates": 3,  # groups
        "conflicting_answers": 1,  # group
        "test_also_in_train": 4,
        "test_also_in_val": 1,
        "val_also_in_train": 2,
        "near_duplicates": 2,
        "test_near_train": 2,
        "empty_outputs": 1,
        "end_of_text": 0,
    }


def test_alike_entries_are_found_across_case_spaces_and_small_edits():
    parts = numbered(
        [
            asking("Name the capital of the kingdom of Norway.", "Oslo"),
            asking("Convert 5 kilometers to meters, please.", "5 kilometers are 5,000 meters."),
            asking("Write a long poem about the autumn rain in Bergen.", "Drip, drop."),
        ],
        [
            asking("name  the capital of the kingdom of norway", "Oslo"),
            asking("Convert 6 kilometers to meters, please.", "That makes 6,000."),
        ],
        [asking("Write a long poem about the autumn rains in Bergen", "drip, drop.")],
    )
    found, _ = find_doubtful(parts, near=95)
    assert [(a, b) for a, b, _ in found["near_duplicates"]] == [(3, 0), (5, 2)]
    assert [(a, b) for a, b, _ in found["test_near_train"]] == [(3, 0)]
    assert all(95 <= ratio <= 100 for *_, ratio in found["near_duplicates"])


def test_a_test_entry_is_held_against_training_entries_even_if_another_is_nearer():
    parts = numbered(
        [asking("Name the capital of the kingdom of Norway?", "Oslo")],
        [
            asking("Name the capital of the kingdom of Norway!!", "Oslo"),
            asking("Name the capital of the kingdom of Norway!", "Oslo"),
        ],
        [asking("Something else", "x")],
    )
    found, _ = find_doubtful(parts, near=90)
    assert [(a, b) for a, b, _ in found["test_near_train"]] == [(1, 0), (2, 0)]


def test_texts_in_scripts_without_spaces_are_compared():
    parts = numbered(
        [asking("次の文を受動態に書き換えてください。", "はい。")],
        [asking("次の文を受動態に書き換えて下さい。", "はい。")],
        [asking("もっと", "は")],
    )
    assert len(find_doubtful(parts, near=80)[0]["near_duplicates"]) == 1


def test_choosing_candidates_loses_none_of_the_pairs():
    """Held against comparing everything with everything, on texts with every kind of small edit."""
    draw = random.Random(3)
    words = ["".join(draw.choices("abcdefghij", k=draw.randint(2, 9))) for _ in range(400)]

    def edited(text):
        place = draw.randrange(len(text))
        return draw.choice([text[:place] + text[place + 1 :], text.upper(), text + "?",
                            text[:place] + "z" + text[place:]])  # fmt: skip

    entries = [
        asking(" ".join(draw.choices(words, k=draw.randint(3, 12))), "x") for _ in range(300)
    ]
    entries += [asking(edited(e["instruction"]), "x") for e in draw.sample(entries, 150)]
    by_number = dict(enumerate(entries))
    found = {n for n, _, _ in NearDuplicates(by_number, 90).among(by_number)}
    texts = [" ".join(e["instruction"].casefold().split()) for e in entries]
    expected = {
        n
        for n, text in enumerate(texts)
        if any(
            fuzz.ratio(text, other) >= 90 and entries[n] != entries[m]
            for m, other in enumerate(texts[:n])
        )
    }
    assert len(expected) >= 120
    assert found == expected


def test_lengths_are_counted_in_doubling_bins():
    found = histogram([0, 1, 2, 3, 4, 7, 8])
    assert found == {
        "starts": [0, 1, 2, 4, 8],
        "counts": [1, 1, 2, 2, 1],
        "median": 3,
        "longest": 8,
    }
    assert bins(histogram([5, 6, 8, 11])) == [("4 to 7", 2), ("8 to 11", 2)]
    assert bins(histogram([0])) == [("0", 1)]


@pytest.fixture
def measured(split, tmp_path):
    split(DOUBTFUL, "jsonl", checks={"duplicates": "drop"})
    files = {n: tmp_path / f"made/{n}.json" for n in ("train", "val", "test", "origins")}
    measure_quality(files, 95, tmp_path / "made/quality.json")
    return json.loads((tmp_path / "made/quality.json").read_text("utf-8"))


def test_every_number_that_is_named_can_be_looked_up(measured, tmp_path):
    assert measured["entries"] == {"train": 16, "val": 2, "test": 1}
    assert measured["left_out"] == {"duplicates": [2]}
    assert measured["end_of_text"] == [[6]]
    assert measured["counts"]["end_of_text"] == 1
    place = measured["where"]["6"]
    assert (place["split"], place["index"], place["entry"], place["line"]) == ("train", 5, 6, 7)
    assert json.loads((tmp_path / "made/train.json").read_text())[5] == DOUBTFUL[6]
    assert measured["where"]["2"]["split"] is None  # left out
    assert measured["lengths"]["instruction"]["words"]["longest"] == 2


def alike(count, words):
    """Entries whose long questions and answers differ in one word."""
    long = " ".join(f"word{number}" for number in range(words))
    return [asking(f"{long} item{n} {n}", f"{long} {n}") for n in range(count)]


@pytest.mark.parametrize(
    ("limit", "value"), [("PAIRS", 100), ("SIGNS", 5_000_000)], ids=["pairs", "characters"]
)
def test_what_is_left_out_of_a_search_that_would_take_too_long_is_told(
    tmp_path, monkeypatch, limit, value
):
    entries = alike(20, 40)
    assert find_doubtful(numbered(entries[:15], entries[15:], []), 95)[1] == 0
    monkeypatch.setattr(f"workflow.lib.data.quality.near_duplicates.{limit}", value)
    source = write(tmp_path / "mine.json", [*entries, *alike(1, 3)])
    files = {name: tmp_path / f"{name}.json" for name in ("train", "val", "test", "origins")}
    split_dataset({"": source}, Selection(), "datasets.mine", **files)
    measure_quality(files, 95, tmp_path / "quality.json")
    quality = read_quality(tmp_path / "quality.json")
    assert quality["not_compared"] > 0
    near = next(f for f in findings(quality) if f.name == "Near duplicates")
    assert f"up to {quality['not_compared']:,} pairs were not compared" in near.meaning


def test_long_alike_texts_use_up_what_may_be_compared(monkeypatch):
    """The work is what the limit allows, not what the texts ask for."""
    monkeypatch.setattr("workflow.lib.data.quality.near_duplicates.SIGNS", 10**9)
    entries = dict(enumerate(alike(100, 400)))
    compared = 0

    def counted(one, other, **options):
        nonlocal compared
        compared += len(one) * len(other)
        return ratio(one, other, **options)

    ratio = fuzz.ratio
    monkeypatch.setattr(fuzz, "ratio", counted)
    similar = NearDuplicates(entries, 95)
    assert len(list(similar.among(entries))) > 50
    assert similar.not_compared > 0
    assert 0 < compared <= 2 * 10**9


def test_no_entries_have_no_near_duplicates():
    assert list(NearDuplicates({}, 95).among([])) == []


def test_a_question_that_the_test_split_asks_once_is_not_repeated_in_it():
    """Its twin in training is a leak; equal answers among different ones count once."""
    splits = ["train", "test", "test", "test", "test", "test"]
    quality = {
        "where": {str(n): {"split": split, "index": n} for n, split in enumerate(splits)},
        "duplicates": [[0, 1], [2, 3]],
        "conflicting_answers": [[2, 3, 4]],
        "test_also_in_train": [[0, 1]],
    }
    assert repeated_in_test(quality) == [{2, 3, 4}]
    assert seen_in_training(quality) == [{1}]
