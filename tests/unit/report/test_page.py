"""results/report.html keeps its promises: everything in it, nothing loaded, nothing run."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import Environment, StrictUndefined

from tests.support.report_case import HOSTILE, KOREAN, write_run, write_scores, write_usage
from workflow.lib.judge.backends.overlap import LABEL
from workflow.lib.report.answers import disputes, galleries
from workflow.lib.report.charts import bin_counts, loss_curves, nice_ticks
from workflow.lib.report.findings import (
    compare_judges,
    compare_runs,
    same_test,
    score_kinds,
    score_lengths,
)
from workflow.lib.report.format import chance, duration, listed, points, thousands
from workflow.lib.report.page import TEMPLATES, write_report
from workflow.lib.report.runs import Run, read_runs
from workflow.lib.report.summary import summarise
from workflow.lib.settings.load import load_settings

DATASETS = {"plain": "words", "plain-untuned": "words"}


class Page(HTMLParser):
    """The elements of a page with their attributes, and its text without scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.source = path.read_text("utf-8")
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.inside = ""
        self.feed(self.source)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.words.append(data)

    def part(self, name: str) -> str:
        """Source of one section."""
        return self.source.split(f'<section id="{name}">')[1].split("</section>")[0]

    def said(self, name: str) -> str:
        """Text of one section, without markup."""
        return " ".join(re.sub(r"<[^>]+>", " ", self.part(name)).split())


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> dict:
    return write_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def page(case, tmp_path_factory) -> Page:
    output = tmp_path_factory.mktemp("page") / "report.html"
    write_report(**case, output=output)
    return Page(output)


@pytest.fixture(scope="module")
def runs(case) -> list[Run]:
    return read_runs(case["variants"], case["judges"], DATASETS, case["summary"])


def write_page(folder: Path, **changes) -> Page:
    """A page of its own run, with other arguments."""
    arguments = write_run(folder / "run") | changes
    write_report(**arguments, output=folder / "report.html")
    return Page(folder / "report.html")


def test_the_title_says_what_was_finetuned_on_what(page):
    title = "tiny and small, finetuned on words"
    assert f"<title>{title}</title>" in page.source
    assert f"<h1>{title}</h1>" in page.source


def test_the_page_loads_nothing(page):
    loading = {"src", "srcset", "data", "poster", "action", "formaction", "xlink:href"}
    for tag, attributes in page.elements:
        assert not loading & attributes.keys(), tag
        href = attributes.get("href") or "#"
        assert href.startswith("#") or href == "data:,"
    assert "@import" not in page.source
    assert "url(" not in page.source
    policy = next(a for t, a in page.elements if t == "meta" and "http-equiv" in a)
    assert policy["content"].startswith("default-src 'none'")


def test_a_response_with_markup_is_shown_not_run(page):
    assert page.text.count(HOSTILE) >= 1
    assert [tag for tag, _ in page.elements].count("script") == 1
    assert not [tag for tag, _ in page.elements if tag in ("img", "textarea", "i")]
    assert not [a for _, a in page.elements if any(name.startswith("on") for name in a)]
    assert "It is <i>near</i> the reference." in page.text


def test_every_response_stands_in_the_searchable_table(page, case):
    shown = page.said("responses")
    for variant in case["variants"]:
        answers = json.loads((variant.folder / "responses.json").read_text())
        assert len(answers) == 30
        for answer in answers:
            assert answer["instruction"] in shown
            if answer["model_response"] not in ("", HOSTILE):
                assert answer["model_response"] in shown
    rows = [a for t, a in page.elements if t == "div" and a.get("class") == "response"]
    assert len(rows) == 3 * 30
    assert sum("unscored" in row["data-status"].split() for row in rows) == 3
    assert shown.count("empty response") == 1
    assert KOREAN in shown


def test_a_score_by_words_is_never_called_a_judgement(page):
    for section in ("result", "comparison"):
        assert f"<small>{LABEL}" in page.part(section).replace("&#39;", "'")
    assert "the judgement of llama3, a language model" in page.text


def test_a_mean_comes_with_its_interval_and_counts(page):
    result = page.said("result")
    mean = r"\d+\.\d\d \d+\.\d to \d+\.\d"
    dot = r"\d+\.\d, 95% interval \d+\.\d to \d+\.\d"
    assert re.search(rf"{mean} {dot} 29 of 30 scored, 1 empty \(0\), 1 unparsed", result)
    assert "before → after finetuning, of 100" in result
    assert page.part("result").count('class="dot hollow"') == 2


def test_losses_time_and_samples_are_shown(page):
    assert "3.83 → 0.38" in page.said("result")
    assert "1 min 15 s" in page.said("result")
    training = page.part("training")
    assert training.count('class="curve train"') == training.count('class="curve val"') == 2
    assert "tokens seen" in training
    assert "Before hello hello Epoch 1 HELLO? Epoch 2 HELLO" in page.said("training")


def test_published_figures_stand_beside_those_of_the_same_model(page):
    published = page.said("published")
    assert "Printed in: A printed book" in published
    assert "small / plain" in published
    assert "tiny" not in published
    assert "training loss before finetuning 3.800 3.826 +0.026" in published
    assert "validation loss after step 0 2.700 4.000 +1.300" in published
    assert "step 7" not in published  # the run has no such step
    assert re.search(r"average score by strict 50.32 \(49 to 52 in other runs\) \d", published)


def test_published_scores_of_a_judge_that_did_not_judge_are_left_out(tmp_path):
    page = write_page(tmp_path, judges=["overlap"])
    assert "average score by strict" not in page.text
    assert "training loss before finetuning" in page.said("published")


def test_without_published_figures_there_is_no_such_section(tmp_path):
    case = write_run(tmp_path / "run", models=("tiny",))
    case["settings"]["recipes"]["plain"]["published"]["model"] = "another"
    write_report(**case, output=tmp_path / "report.html")
    assert "Published figures" not in Page(tmp_path / "report.html").text


def test_data_quality_is_shown_with_its_effect(page):
    data = page.said("data")
    assert "100 to train on, 10 to validate, 30 to test" in data
    assert "Duplicates: none" in data
    assert "Test entries that are also in the training split: 1" in data
    assert "7 = 102" in data
    assert "Near duplicates: 1" in data
    assert "41 ≈ 40 (97%)" in data
    assert "Empty answers: 2" in data
    assert "Left out for broken: 2" in data
    assert "140, 141" in data
    assert "Cut short in tiny / plain: 2 Entries longer than the 64 tokens that it keeps." in data
    assert "train: 5, 8" in data
    assert "instruction, words median 3, longest 3" in data
    assert "tiny / plain overlap 36.67 34.48" in data  # 11 of 30 exact, one of them seen


def test_the_settings_shown_can_be_run_again(page, case):
    shown = page.part("repeat").split("<summary>Settings</summary>")[1]
    shown = re.search(r"<code>(.*?)</code>", shown, re.DOTALL)[1]
    config = yaml.safe_load(shown.replace("&#39;", "'").replace("&amp;", "&"))
    assert load_settings(config).compare.models == ["tiny", "small"]
    assert config["recipes"] == case["settings"]["recipes"]
    repeat = page.said("repeat")
    assert "results/tiny/plain/strict/scores.csv --configfile again.yaml" in repeat
    for fact in ("ab" * 32, "cd" * 32, "torch 2.13.0", "cpu, 2 threads", "1 min 5 s"):
        assert fact in repeat


def test_a_password_in_an_address_is_not_shown(page):
    assert "https://example.org/files" in page.text
    assert "secret" not in page.source


def test_the_same_files_make_the_same_bytes(page, case, tmp_path):
    write_report(**case, output=tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text("utf-8") == page.source


def test_half_a_surrogate_pair_does_not_stop_the_report(case, tmp_path):
    shutil.copytree(case["summary"].parent, tmp_path / "run")
    folder = tmp_path / "run" / "tiny" / "plain"
    answers = json.loads((folder / "responses.json").read_text())
    answers[0]["model_response"] = "half \ud83d"
    (folder / "responses.json").write_text(json.dumps(answers))
    moved = [replace(v, folder=tmp_path / "run" / v.model / v.recipe) for v in case["variants"]]
    write_report(**case | {"variants": moved}, output=tmp_path / "report.html")
    assert "half ?" in Page(tmp_path / "report.html").text


def test_ten_variants_of_110_entries_stay_below_5_megabytes(tmp_path):
    case = write_run(tmp_path / "run", tuple(f"model-{n}" for n in range(9)), entries=110)
    assert len(case["variants"]) == 10
    for variant in case["variants"]:  # responses as long as the chapter's longest
        answers = json.loads((variant.folder / "responses.json").read_text())
        for answer in answers:
            answer["model_response"] += " and so on" * 80
        (variant.folder / "responses.json").write_text(json.dumps(answers))
    write_report(**case, output=tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


def test_one_untuned_variant_makes_a_page_too(tmp_path):
    case = write_run(tmp_path / "run", models=("tiny",), entries=5)
    case["variants"] = case["variants"][:1]
    write_report(**case, output=tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert "tiny, before finetuning, tested on words" in page.text
    assert "There is only one variant" in page.text
    assert "No variant was finetuned" in page.text
    assert 'class="whisker"' not in page.source  # five entries have no interval


def test_a_data_set_that_names_no_kinds_makes_a_page_too(tmp_path):
    case = write_run(tmp_path / "run")
    for variant in case["variants"]:
        answers = json.loads((variant.folder / "responses.json").read_text())
        for answer in answers:
            del answer["kind"]
        (variant.folder / "responses.json").write_text(json.dumps(answers))
    write_report(**case, output=tmp_path / "report.html")
    assert "By kind of instruction" not in Page(tmp_path / "report.html").text


def test_variants_without_any_score_make_a_page_too(tmp_path):
    case = write_run(tmp_path / "run", models=("tiny",), entries=3)
    for variant in case["variants"]:
        rows = [{"entry": n, "score": "", "status": "failed"} for n in range(3)]
        rows = [{**row, "recipe": variant.recipe} for row in rows]
        write_scores(variant.folder / "overlap" / "scores.csv", rows)
    tables = [v.folder / "overlap" / "scores.csv" for v in case["variants"]]
    usages = [write_usage(table.parent / "usage.json") for table in tables]
    trainings = [v.folder / "training.json" for v in case["variants"]]
    summarise(tables, trainings, usages, case["summary"])
    write_report(**case | {"judges": ["overlap"]}, output=tmp_path / "report.html")
    assert "0 of 3 scored, 3 failed" in Page(tmp_path / "report.html").text


def test_comparisons_are_made_by_entry_and_corrected_by_judge(runs):
    pairs = compare_runs(runs, "overlap")
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


def test_comparisons_read_as_sentences(page):
    comparison = page.said("comparison")
    assert re.search(
        r"small / plain scores \d+\.\d points more than tiny / plain Better on \d+ of 30 entries, "
        r"worse on \d+, within 5 points on \d+\. If both were equally good, so wide a gap would "
        r"turn up in (fewer than 1|about 1) of [\d,]+ such tests: this is more than luck\. "
        r"Furthest ahead on \w+ \(",
        comparison,
    )
    assert "All 3 comparisons as a table" in comparison


def test_a_difference_that_many_comparisons_explain_is_not_called_clear(runs):
    pair = compare_runs(runs, "overlap")[0]
    pair = replace(pair, result=replace(pair.result, p_value=0.02), p_value=0.06)
    assert pair.odds.endswith(
        "in about 1 of 50 such tests: among 3 comparisons, that is no surprise."
    )
    pair = replace(pair, kinds=[("plurals", 20.0, 10), ("rare", 9.0, 2), ("opposites", -5.0, 10)])
    assert pair.by_kind == (
        "Furthest ahead on plurals (20.0 points, 10 entries), furthest behind on opposites "
        "(5.0 points, 10 entries)."
    )


def test_equal_variants_are_called_equal(runs):
    twin = replace(runs[1], name="twin", model="twin")
    [pair] = compare_runs([runs[1], twin], "overlap")
    assert pair.claim == "scores the same as"
    assert pair.odds == "Nothing here tells one from the other."
    assert pair.by_kind == ""


def test_variants_with_other_test_entries_are_not_compared(runs):
    other = replace(runs[1], name="other", entries=runs[1].entries[:20])
    assert compare_runs([runs[1], other], "overlap") == []
    assert [[run.name for run in group] for group in same_test([runs[1], other])] == [
        ["tiny / plain"],
        ["other"],
    ]


def test_kinds_of_instructions_are_shown_where_the_data_set_names_them(runs):
    rows = score_kinds(runs, "overlap")
    assert [(row.kind, row.entries) for row in rows] == [
        ("opposites", 10),
        ("plurals", 10),
        ("spelling", 10),
    ]
    means = {row.kind: [mean for mean, _, _ in row.cells] for row in rows}
    assert means["opposites"][1] == 100  # every third entry is answered exactly
    nameless = [{k: v for k, v in e.items() if k != "kind"} for e in runs[0].entries]
    assert score_kinds([replace(runs[0], entries=nameless)], "overlap") == []


def test_judges_are_compared_on_answers_that_both_scored(runs):
    [pair] = compare_judges(runs, ["overlap", "strict"])
    assert [label for label, _ in pair.rows] == [
        "all answers",
        "without exact matches",
        "tiny / plain-untuned",
        "tiny / plain",
        "small / plain",
    ]
    everything, not_exact = pair.rows[0][1], pair.rows[1][1]
    assert everything.entries == 3 * 29
    exact = sum(run.exact(n) for run in runs for n in range(30) if n != 5)
    assert not_exact.entries == everything.entries - exact
    assert re.search(r"(overlap|strict) gives \d+\.\d points more than", pair.words)
    assert "without exact matches" in pair.words


def test_lengths_are_those_of_scored_answers(runs):
    [row] = score_lengths([runs[1]], "strict")
    assert len(row.lengths) == len(row.scores) == 29
    assert row.correlation is not None
    flat = score_lengths([replace(runs[0], judged=runs[0].judged)], "overlap")[0]
    assert "No relation" in flat.words or "rank correlation" in flat.words


def test_best_and_worst_answers_are_different_ones(runs):
    [gallery] = galleries([runs[1]], "overlap")
    best, worst = ([a.number for a in answers] for answers in (gallery.best, gallery.worst))
    assert len(best) == len(worst) == 3
    assert not set(best) & set(worst)
    assert all(answer.exact for answer in gallery.best)
    assert not any(answer.exact for answer in gallery.worst)


def test_disputes_are_between_judges_then_repeats_then_variants(runs):
    assert disputes(runs, ["overlap", "strict"])[0].why == "The judges are 14 points apart"

    def only(judge):
        return [replace(run, judged={judge: run.judged[judge]}) for run in runs]

    assert disputes(only("strict"), ["strict"])[0].why == (
        "strict spreads 3 points over its repeats"
    )
    [first, *_] = disputes(only("overlap"), ["overlap"])
    assert first.why == "Two variants are 100 points apart"
    assert len(first.answers) == 2
    assert disputes(only("overlap")[:2], ["overlap"]) == []


def test_a_judges_number_alone_is_not_quoted(runs):
    [gallery] = galleries([runs[1]], "strict")
    assert gallery.best[0].judgements[1].replies[0].startswith("It is <i>near</i>")
    assert galleries([runs[1]], "overlap")[0].best[0].judgements[0].replies == []


@pytest.mark.parametrize("caption", sorted(TEMPLATES.glob("*.rst")), ids=lambda path: path.name)
def test_the_captions_of_snakemakes_own_report_can_be_filled_in(caption):
    names = SimpleNamespace(model="tiny", recipe="plain", judge="strict", dataset="words")
    template = Environment(undefined=StrictUndefined).from_string(caption.read_text())
    assert "{" not in template.render(snakemake=SimpleNamespace(wildcards=names))


@given(st.floats(1e-3, 1e9), st.integers(2, 6))
def test_ticks_are_round_and_on_the_axis(highest, about):
    ticks = nice_ticks(highest, about)
    assert ticks[0] == 0
    assert ticks[-1] <= highest * (1 + 1e-6)
    assert about / 3 <= len(ticks) <= about + 2
    assert nice_ticks(0, about) == [0]


@given(st.lists(st.floats(0, 100), max_size=50))
def test_every_score_lies_in_one_bar(scores):
    assert sum(bin_counts(scores)) == len(scores)


def test_one_evaluation_and_many_epochs_can_be_drawn():
    row = {"tokens_seen": 50.0, "train_loss": 1.0, "val_loss": 2.0}
    assert '<circle class="val"' in loss_curves([row], 1, 2.0)
    assert ">20<" in loss_curves([row, {**row, "tokens_seen": 99.0}], 20, 2.0)


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
