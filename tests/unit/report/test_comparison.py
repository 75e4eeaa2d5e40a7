"""What the page says about variants, judges and responses, in numbers and in words."""

import re
from dataclasses import replace

import pytest

from workflow.lib.report.comparison import by_test_set, compare_variants, score_kinds
from workflow.lib.report.format import chance, common_start, duration, listed, points, thousands
from workflow.lib.report.judges import compare_judges, score_lengths
from workflow.lib.report.responses import disputes, galleries


def test_comparisons_are_made_by_entry_and_corrected_by_judge(variants):
    pairs = compare_variants(variants, "overlap")
    assert [(pair.first.name, pair.second.name) for pair in pairs] == [
        ("small / plain", "tiny / plain"),
        ("small / plain", "tiny / plain-untuned"),
        ("tiny / plain", "tiny / plain-untuned"),
    ]
    best = pairs[0].result
    # Where 10 points for trying are lost or 90 are gained, by the rank of the model.
    assert (best.entries, best.wins + best.ties + best.losses) == (30, 30)
    assert pairs[0].p_value >= best.p_value
    assert all(pair.clear for pair in pairs)
    assert [pair.spoken for pair in pairs] == [True, False, True]


def test_a_difference_that_many_comparisons_explain_is_not_called_clear(variants):
    pair = compare_variants(variants, "overlap")[0]
    pair = replace(pair, result=replace(pair.result, p_value=0.02), p_value=0.06)
    assert pair.odds.endswith(
        "in about 1 of 50 such tests: among 3 comparisons, that is no surprise."
    )
    pair = replace(pair, kinds=[("plurals", 20.0, 10), ("rare", 9.0, 2), ("opposites", -5.0, 10)])
    assert pair.by_kind == (
        "Furthest ahead on plurals (20.0 points, 10 entries), furthest behind on opposites "
        "(5.0 points, 10 entries)."
    )


def test_equal_variants_are_called_equal(variants):
    twin = replace(variants[1], name="twin", model="twin")
    [pair] = compare_variants([variants[1], twin], "overlap")
    assert pair.claim == "scores the same as"
    assert pair.odds == "Nothing here tells one from the other."
    assert pair.by_kind == ""


def test_variants_with_other_test_entries_are_not_compared(variants):
    other = replace(variants[1], name="other", entries=variants[1].entries[:20])
    assert compare_variants([variants[1], other], "overlap") == []
    assert [[variant.name for variant in group] for group in by_test_set([variants[1], other])] == [
        ["tiny / plain"],
        ["other"],
    ]


def test_kinds_of_instructions_are_shown_where_the_data_set_names_them(variants):
    rows = score_kinds(variants, "overlap")
    assert [(row.kind, row.entries) for row in rows] == [
        ("opposites", 10),
        ("plurals", 10),
        ("spelling", 10),
    ]
    means = {row.kind: [mean for mean, _, _ in row.cells] for row in rows}
    assert means["opposites"][1] == 100  # every third entry is answered exactly
    nameless = [{k: v for k, v in e.items() if k != "kind"} for e in variants[0].entries]
    assert score_kinds([replace(variants[0], entries=nameless)], "overlap") == []


def test_judges_are_compared_on_answers_that_both_scored(variants):
    [pair] = compare_judges(variants, ["overlap", "strict"])
    assert [label for label, _ in pair.rows] == [
        "all answers",
        "without exact matches",
        "tiny / plain-untuned",
        "tiny / plain",
        "small / plain",
    ]
    everything, not_exact = pair.rows[0][1], pair.rows[1][1]
    assert everything.entries == 3 * 29
    exact = sum(variant.exact(n) for variant in variants for n in range(30) if n != 5)
    assert not_exact.entries == everything.entries - exact
    assert re.search(r"(overlap|strict) gives \d+\.\d points more than", pair.words)
    assert "without exact matches" in pair.words


def test_lengths_are_those_of_scored_answers(variants):
    [row] = score_lengths([variants[1]], "strict")
    assert len(row.lengths) == len(row.scores) == 29
    assert row.correlation is not None
    flat = score_lengths([replace(variants[0], judged=variants[0].judged)], "overlap")[0]
    assert "No correlation" in flat.words or "rank correlation" in flat.words


def test_best_and_worst_answers_are_different_ones(variants):
    [gallery] = galleries([variants[1]], "overlap")
    best, worst = ([a.number for a in answers] for answers in (gallery.best, gallery.worst))
    assert len(best) == len(worst) == 3
    assert not set(best) & set(worst)
    assert all(answer.exact for answer in gallery.best)
    assert not any(answer.exact for answer in gallery.worst)


def test_disputes_are_between_judges_then_repeats_then_variants(variants):
    assert disputes(variants, ["overlap", "strict"])[0].why == "The judges are 14 points apart"

    def only(judge):
        return [replace(variant, judged={judge: variant.judged[judge]}) for variant in variants]

    assert disputes(only("strict"), ["strict"])[0].why == (
        "strict spreads 3 points over its repeats"
    )
    assert disputes(only("strict"), ["strict"], ["strict"])[0].why == (
        "The raters of strict are 3 points apart (standard deviation)"
    )
    [first, *_] = disputes(only("overlap"), ["overlap"])
    assert first.why == "Two variants are 100 points apart"
    assert len(first.responses) == 2
    assert disputes(only("overlap")[:2], ["overlap"]) == []


def test_a_judges_number_alone_is_not_quoted(variants):
    [gallery] = galleries([variants[1]], "strict")
    assert gallery.best[0].judgments[1].replies[0].startswith("It is <i>near</i>")
    assert galleries([variants[1]], "overlap")[0].best[0].judgments[0].replies == []


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (chance(0.0001), "in fewer than 1 of 1,000 such tests"),
        (chance(0.02), "in about 1 of 50 such tests"),
        (chance(0.31), "in about 31 of 100 such tests"),
        (duration(None), "–"),
        (duration(8.04), "8.0 s"),
        (duration(59.6), "1 min 0 s"),
        (duration(3725), "1 h 2 min"),
        (thousands(1_500_000), "1.5M"),
        (thousands(0), "0"),
        (points(-3.25), "−3.2"),
        (points(None), "–"),
        (listed(["a"]), "a"),
        (listed(["a", "b", "c"]), "a, b and c"),
    ],
)
def test_numbers_are_written_for_readers(written, expected):
    assert written == expected


@pytest.mark.parametrize(
    ("names", "start"),
    [
        (["nano / rates,lr=1,prompt=a", "nano / rates,lr=2,prompt=a"], "nano / rates,"),
        (["nano / book", "nano / book-untuned"], "nano / "),
        (["nano / book", "nano / book,lr=1"], "nano / "),  # nothing would be left of the first
        (["nano / book", "pico / book"], ""),
        (["nano", "nano / book"], ""),
        (["nano / book"], ""),
        (["a / b,c", "a / b,c"], ""),
    ],
)
def test_the_common_start_of_names_ends_with_a_whole_part(names, start):
    assert common_start(names) == start
