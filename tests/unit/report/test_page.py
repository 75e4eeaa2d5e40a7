"""results/report.html keeps its promises: everything in it, nothing loaded, nothing run."""

import csv
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from jinja2 import Environment, StrictUndefined

from tests.support.report_case import (
    HOSTILE,
    JUDGES,
    KOREAN,
    write_quality,
    write_run,
    write_scores,
    write_usage,
)
from workflow.lib.report.page import TEMPLATES, write_report
from workflow.lib.report.summary import summarize
from workflow.lib.runtime.version import VERSION
from workflow.lib.settings.load import load_settings


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
def page(case, tmp_path_factory) -> Page:
    output = tmp_path_factory.mktemp("page") / "report.html"
    write_report(**case, output=output)
    return Page(output)


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
    for folder in case["folders"]:
        answers = json.loads((folder / "responses.json").read_text())
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


def test_a_score_by_words_is_never_called_a_judgment(page):
    for section in ("result", "comparison"):
        assert f"<small>{JUDGES['overlap']}" in page.part(section).replace("&#39;", "'")
    assert "the judgment of llama3, a language model" in page.text


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
    page = write_page(tmp_path, judges={"overlap": JUDGES["overlap"]})
    assert "average score by strict" not in page.text
    assert "training loss before finetuning" in page.said("published")


def test_without_published_figures_there_is_no_such_section(tmp_path):
    case = write_run(tmp_path / "run", models=("tiny",))
    case["settings"]["recipes"]["plain"]["published"]["model"] = "another"
    write_report(**case, output=tmp_path / "report.html")
    assert "Published figures" not in Page(tmp_path / "report.html").text


@pytest.mark.parametrize(
    ("settings", "recipe", "words"),
    [
        (None, None, "With which settings is not known; published.settings of the recipe"),
        ({"dataset": "words"}, None, "All settings that are known of it are those of this run."),
        ({"training.epochs": 3}, None,
         "Settings that are not the published ones: epochs 2 (published: 3)."),
        ({"training.epochs": 3}, "book",
         "small / plain , a change of book: epochs 2 (published: 3) Printed in: A printed book."),
    ],
)  # fmt: skip
def test_published_figures_say_which_settings_differ(tmp_path, settings, recipe, words):
    case = write_run(tmp_path / "run")
    case["recipes"]["plain"]["published"] |= {"settings": settings, "recipe": recipe}
    write_report(**case, output=tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert words in page.said("published")
    assert page.part("published").count("<details>") == (recipe is not None)


def test_data_quality_is_shown_with_its_effect(page):
    data = page.said("data")
    assert "100 to train on, 10 to validate, 30 to test" in data
    assert "Duplicates none Groups" in data
    assert "Test entries that are also in the training split 1 " in data
    assert "7 = 102" in data
    worst = ("also in the training split 1", "Conflicting answers 1", "Empty answers 2",
             "Near duplicates 1", "Truncated in", "Left out for", "Duplicates none")  # fmt: skip
    assert sorted(worst, key=data.index) == [*worst]
    assert "Near duplicates 1 Entries" in data
    assert "41 ≈ 40 (97%)" in data
    assert "Empty answers 2 " in data
    assert "Left out for broken 2 Not used" in data
    assert "140, 141" in data
    assert "Truncated in tiny / plain 2 Entries longer than the 64 tokens that it keeps." in data
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
    assert "--configfile again.yaml --cores 1 results/tiny/plain/strict/scores.csv" in repeat
    for fact in ("ab" * 32, "cd" * 32, "torch 2.13.0", "cpu, 2 threads", "1 min 5 s"):
        assert fact in repeat


def test_the_footer_says_which_version_made_the_page(page):
    footer = page.source.split("<footer")[1].split("</footer>")[0]
    assert f"version {VERSION} of the pipeline" in footer


def test_a_password_in_an_address_is_not_shown(page):
    assert "https://example.org/files" in page.text
    assert "secret" not in page.source


def test_the_same_files_make_the_same_bytes(page, case, tmp_path):
    write_report(**case, output=tmp_path / "again.html")
    assert (tmp_path / "again.html").read_text("utf-8") == page.source


def page_with_response(case: dict, folder: Path, response: str) -> Page:
    """The page of the same run, in which one response is another."""
    shutil.copytree(case["summary"].parent, folder / "run")
    responses = folder / "run" / "tiny" / "plain" / "responses.json"
    answers = json.loads(responses.read_text())
    answers[0]["model_response"] = response
    responses.write_text(json.dumps(answers))
    moved = [folder / "run" / old.parent.name / old.name for old in case["folders"]]
    write_report(**case | {"folders": moved}, output=folder / "report.html")
    return Page(folder / "report.html")


def test_half_a_surrogate_pair_does_not_stop_the_report(case, tmp_path):
    assert "half ?" in page_with_response(case, tmp_path, "half \ud83d").text


def test_control_characters_of_a_response_are_shown(case, tmp_path):
    page = page_with_response(case, tmp_path, "red \x1b[31m\u202e\nnext")
    assert "red \\x1b[31m\\u202e\nnext" in page.source


def test_a_response_that_looks_like_part_of_a_chart_is_shown(case, tmp_path):
    response = '<g class="axes">no chart</g>'
    page = page_with_response(case, tmp_path, response)
    assert response in page.text
    assert "<use" not in page.part("responses")


def test_ten_variants_of_110_entries_stay_below_5_megabytes(tmp_path):
    case = write_run(tmp_path / "run", tuple(f"model-{n}" for n in range(9)), entries=110)
    assert len(case["folders"]) == 10
    for folder in case["folders"]:  # responses as long as the chapter's longest
        answers = json.loads((folder / "responses.json").read_text())
        for answer in answers:
            answer["model_response"] += " and so on" * 80
        (folder / "responses.json").write_text(json.dumps(answers))
    write_report(**case, output=tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


def test_one_untuned_variant_makes_a_page_too(tmp_path):
    case = write_run(tmp_path / "run", models=("tiny",), entries=5)
    case["folders"] = case["folders"][:1]
    write_report(**case, output=tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert "tiny, before finetuning, tested on words" in page.text
    assert "There is only one variant" in page.text
    assert "No variant was finetuned" in page.text
    assert 'class="whisker"' not in page.source  # five entries have no interval


def test_a_data_set_that_names_no_kinds_makes_a_page_too(tmp_path):
    case = write_run(tmp_path / "run")
    for folder in case["folders"]:
        answers = json.loads((folder / "responses.json").read_text())
        for answer in answers:
            del answer["kind"]
        (folder / "responses.json").write_text(json.dumps(answers))
    write_report(**case, output=tmp_path / "report.html")
    assert "By kind of instruction" not in Page(tmp_path / "report.html").text


def test_variants_without_any_score_make_a_page_too(tmp_path):
    case = write_run(tmp_path / "run", models=("tiny",), entries=3)
    for folder in case["folders"]:
        rows = [{"entry": n, "score": "", "status": "failed"} for n in range(3)]
        rows = [{**row, "recipe": folder.name} for row in rows]
        write_scores(folder / "overlap" / "scores.csv", rows)
    tables = [folder / "overlap" / "scores.csv" for folder in case["folders"]]
    for table in tables:
        write_usage(table.parent / "usage.json")
    summarize(tables, case["recipes"], case["qualities"], case["summary"])
    write_report(
        **case | {"judges": {"overlap": JUDGES["overlap"]}}, output=tmp_path / "report.html"
    )
    assert "0 of 3 scored, 3 failed" in Page(tmp_path / "report.html").text


@pytest.fixture(scope="module")
def seeds_page(tmp_path_factory) -> Page:
    """The page of a recipe with two seeds beside the model before finetuning."""
    folder = tmp_path_factory.mktemp("seeds")
    case = write_run(folder / "run", models=("tiny",))
    untuned, first = case["folders"]
    runs = [first.with_name(f"plain,seed={seed}") for seed in (1, 2)]
    for run, seed in zip(runs, (1, 2), strict=True):
        shutil.copytree(first, run)
        training = json.loads((run / "training.json").read_text())
        training["training"]["seed"] = seed
        (run / "training.json").write_text(json.dumps(training))
        for judge in case["judges"]:
            table = run / judge / "scores.csv"
            rows = [*csv.DictReader(table.open())]
            for row in rows:
                row["recipe"] = run.name
                if row["score"] and seed == 2:
                    row["score"] = max(0, int(row["score"]) - 6)
            write_scores(table, rows)
    folders = [untuned, *runs]
    recipes = {name: dict(of) for name, of in case["recipes"].items()}
    recipes["plain"]["runs"] = [run.name for run in runs]
    summarize(
        [folder / judge / "scores.csv" for folder in folders for judge in case["judges"]],
        recipes,
        case["qualities"],
        case["summary"],
    )
    output = folder / "report.html"
    write_report(**case | {"folders": folders, "recipes": recipes}, output=output)
    return Page(output)


def test_a_recipe_with_seeds_is_one_row_with_its_runs_below(seeds_page):
    result = seeds_page.said("result")
    assert result.index("plain, mean of 2 seeds") < result.index("seed 1") < result.index("seed 2")
    assert "60 of 60 scored; between seeds ± " in result
    assert result.count("between seeds ±") == 2  # once for each judge, in the row of the variant


def test_a_verdict_over_seeds_says_that_it_covers_them(seeds_page):
    comparison = seeds_page.said("comparison")
    assert "such tests: this is more than luck." in comparison
    assert "one seed, so luck" not in comparison


def test_every_run_of_a_recipe_with_seeds_can_be_repeated_and_seen(seeds_page):
    repeat = seeds_page.said("repeat")
    for seed in (1, 2):
        assert f"results/tiny/plain,seed={seed}/overlap/scores.csv" in repeat
        assert f"plain,seed={seed}" in seeds_page.said("training")
    assert "plain,seed=2" not in seeds_page.said("responses")


def test_comparisons_read_as_sentences(page):
    comparison = page.said("comparison")
    assert re.search(
        r"small / plain scores \d+\.\d points more than tiny / plain Better on \d+ of 30 entries, "
        r"worse on \d+, within 5 points on \d+\. If both were equally good, so wide a gap would "
        r"turn up in (fewer than 1|about 1) of [\d,]+ such tests: this is more than luck in the "
        r"choice of entries\. Each was run with one seed, so luck in training may explain it as "
        r"well\. "
        r"Furthest ahead on \w+ \(",
        comparison,
    )
    assert "All 3 comparisons as a table" in comparison


@pytest.mark.parametrize("caption", sorted(TEMPLATES.glob("*.rst")), ids=lambda path: path.name)
def test_the_captions_of_snakemakes_own_report_can_be_filled_in(caption):
    names = SimpleNamespace(model="tiny", recipe="plain", judge="strict", dataset="words")
    template = Environment(undefined=StrictUndefined).from_string(caption.read_text())
    assert "{" not in template.render(snakemake=SimpleNamespace(wildcards=names))


def test_contamination_stands_where_the_score_stands(page, seeds_page):
    """On the card and in the table, of the test set once, whatever the number of seeds."""
    line = r"1 of 30 test entries \(3%\) also stand in training; without them "
    for one in (page, seeds_page):
        result = one.said("result")
        cards, table = result.split("Training loss", 1)
        assert re.search(line, cards)
        assert re.search(line, table)


def test_the_first_entries_come_with_the_judges_words(page):
    first = page.said("result").split("The first 3 test entries", 1)[1]
    assert first.count("strict: It is") >= 3


def test_a_response_that_was_cut_off_is_marked_and_counted(page, case):
    """Beside the score, and wherever the response stands."""
    assert "2 of 30 responses (7%) cut off" in page.said("result").split("Training loss", 1)[1]
    marked = [
        (a["data-variant"], "cut" in a["data-status"].split())
        for t, a in page.elements
        if t == "div" and a.get("class") == "response"
    ]
    assert [variant for variant, cut in marked if cut] == ["0", "0"]
    assert page.part("responses").count('class="chip cut"') == 2
    assert "not recorded" not in page.text


def test_results_without_a_record_of_it_say_so(tmp_path):
    case = write_run(tmp_path / "run")
    for folder in case["folders"][1:]:
        (folder / "generation.json").unlink()
    write_report(**case, output=tmp_path / "report.html")
    result = Page(tmp_path / "report.html").said("result")
    assert (
        "cut off at max_new_tokens is not recorded in results of earlier versions: "
        "tiny / plain and small / plain."
    ) in result


def test_questions_that_a_test_set_repeats_are_counted_beside_the_score(tmp_path):
    case = write_run(tmp_path / "run")
    write_quality(case["qualities"]["words"], 30, [[0, 2], [1]], repeated=[[3, 4, 5], [7, 8]])
    tables = [folder / judge / "scores.csv" for folder in case["folders"] for judge in JUDGES]
    summarize(tables, case["recipes"], case["qualities"], case["summary"])
    write_report(**case, output=tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert (
        "5 of 30 test entries (17%) ask only 2 different questions, and each counts in the score. "
        "The 3 test entries that also stand in training ask 2 different questions."
    ) in page.said("result").split("Variant", 1)[0]
    data = page.said("data")
    assert "3 entries, 10% of the test split, in 2 groups." in data
    assert "Test entries that ask the same question 5 " in data
    assert "5 entries, 17% of the test split, in 2 groups." in data
    assert "2 entries, 1% of the data set." in data  # empty answers


def test_replies_asked_again_are_counted_beside_the_score(tmp_path):
    case = write_run(tmp_path / "run", models=("tiny",))
    tables = [folder / judge / "scores.csv" for folder in case["folders"] for judge in JUDGES]
    for table in tables:
        rows = [*csv.DictReader(table.open())]
        for row in rows[:7]:
            row["asked_again"] = int(table.parent.name == "strict")
        write_scores(table, rows)
    summarize(tables, case["recipes"], case["qualities"], case["summary"])
    write_report(**case, output=tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert "1 unparsed, 7 asked again" in page.said("result")
    assert page.said("result").count("asked again") == 2
    assert "ollama 58 7 5700" in page.said("repeat")


def test_what_all_names_begin_with_is_left_out_and_said_once(seeds_page, page):
    """The whole name stays as a tooltip, in the links to its files and in the note."""
    assert "All variants' names begin with tiny , which is left out" in seeds_page.said("result")
    for part in ("comparison", "training", "scores", "responses"):
        assert "tiny / plain" not in seeds_page.said(part)
        assert 'title="tiny / plain' in seeds_page.part(part)
    assert "names begin with" not in page.text
    assert "small / plain" in page.said("training")


def test_the_validation_losses_of_all_variants_stand_in_one_plot(page, seeds_page):
    """With their last values; of seeds as a band, lowest to highest."""
    plot, _, rest = page.part("training").partition("Training and validation loss of each run")
    assert plot.count('<polyline class="curve c') == 2
    assert plot.count("band") == 0
    assert re.findall(r">(\d\.\d{3})</text>", plot) == ["0.500", "0.500"]
    assert rest.count("<svg") == 2  # each has its own figure below
    said = " ".join(re.sub(r"<[^>]+>", " ", plot).split())
    assert "0.500 tiny / plain 0.500 small / plain" in said
    seeds = seeds_page.part("training").partition("Training and validation loss of each run")[0]
    assert seeds.count('<polygon class="band c0"') == 1
    assert "seeds 0.500 to 0.500" in seeds


def test_losses_of_other_tokens_are_not_called_comparable(tmp_path):
    case = write_run(tmp_path / "run")
    note = "compare only those that agree there"
    write_report(**case, output=tmp_path / "same.html")
    assert note not in Page(tmp_path / "same.html").text
    path = case["folders"][1] / "training.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"tokenizer": "other"}))
    write_report(**case, output=tmp_path / "report.html")
    assert f"variants differ in tokenizer: {note}" in Page(tmp_path / "report.html").text


def test_the_page_says_when_and_by_what_it_was_made(case, tmp_path):
    """As far as it is known; the same facts make the same bytes."""
    made = {"written": "2026-11-27T04:30:00+00:00", "version": "0.2.0", "commit": "c0ffee" * 6}
    made |= {"command": "snakemake --configfile <mine>.yaml", "uncommitted_changes": True}
    for name in ("one", "two"):
        write_report(**case, made=made, output=tmp_path / f"{name}.html")
    page = Page(tmp_path / "one.html")
    assert page.source == (tmp_path / "two.html").read_text("utf-8")
    assert (
        "Written on 2026-11-27 by version 0.2.0, commit c0ffeec0ff with uncommitted changes. "
        "Finetuned on cpu, 2 threads, with python 3.11.2, torch 2.13.0."
    ) in page.text
    assert "This page was made by snakemake --configfile &lt;mine&gt;.yaml" in page.said("repeat")
    assert f"git checkout {'c0ffee' * 6}" in page.said("repeat")
    made |= {"command": None, "commit": None, "uncommitted_changes": None}
    write_report(**case, made=made, output=tmp_path / "unknown.html")
    page = Page(tmp_path / "unknown.html")
    assert "Written on 2026-11-27 by version 0.2.0. Finetuned" in page.text
    assert "commit" not in page.text
    assert "This page was made by" not in page.text
