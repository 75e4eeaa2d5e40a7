"""The report of many variants: its size, and that what the page leaves out is found elsewhere."""

import csv
import re
from collections import Counter
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.many_variants import write_sweep
from workflow.lib.report.page import write_report
from workflow.lib.report.plots.svg import axes, draw_once
from workflow.lib.report.responses import given_responses
from workflow.lib.report.variants import MANY, Variant, read_variants

FEW, SOME = MANY + 1, 2 * MANY
MOST_BYTES = 18_000  # of a further variant with 30 entries; 200 variants stay below 4 MB


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> dict[int, dict[str, Any]]:
    return {
        count: write_sweep(tmp_path_factory.mktemp(f"sweep-{count}"), count)
        for count in (MANY, FEW, SOME)
    }


@pytest.fixture(scope="module")
def pages(cases, tmp_path_factory) -> dict[int, Path]:
    """The pages of these numbers of variants."""
    found = {}
    for count, case in cases.items():
        found[count] = tmp_path_factory.mktemp("page") / "report.html"
        write_report(**case, output=found[count])
    return found


@pytest.fixture(scope="module")
def variants(cases) -> list[Variant]:
    case = cases[SOME]
    return read_variants(case["folders"], case["recipes"], case["judges"], case["summary"])


def pairs_of(page: Path) -> list[dict[str, str]]:
    with page.with_name("pairs.csv").open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]


def listed(page: Path) -> set[tuple[str, str]]:
    """The pairs of the table, by the short names of the variants."""
    table = page.read_text("utf-8").partition("comparisons as a table")[2].partition("</table>")[0]
    names = re.findall(r'<td class="named"[^>]*>(.*?)</td>', table)
    return {*zip(names[::2], names[1::2], strict=True)}


def test_a_further_variant_adds_a_bounded_number_of_bytes(pages):
    fewer, more = (pages[count].stat().st_size for count in (FEW, SOME))
    assert (more - fewer) / (SOME - FEW) < MOST_BYTES
    assert fewer < 1_000_000


def test_every_pair_is_in_a_file_beside_the_page(pages, cases):
    rows = pairs_of(pages[SOME])
    found = {frozenset((row["better_recipe"], row["other_recipe"])) for row in rows}
    assert found == {*map(frozenset, combinations(cases[SOME]["recipes"], 2))}
    assert len(rows) == len(found)
    assert {row["judge"] for row in rows} == {"overlap"}
    assert all(float(row["difference"]) >= 0 for row in rows)
    assert all(row["entries"] == "30" for row in rows)
    tested = [row for row in rows if row["p_value"]]
    assert all(
        float(row["low"]) <= float(row["difference"]) <= float(row["high"]) for row in tested
    )
    assert all(float(row["p_corrected"]) >= float(row["p_value"]) for row in tested)


def test_up_to_24_variants_have_all_their_pairs_on_the_page(pages):
    assert len(listed(pages[MANY])) == MANY * (MANY - 1) / 2
    assert f"All {MANY * (MANY - 1) // 2} comparisons" in pages[MANY].read_text("utf-8")


def test_of_more_the_page_has_those_with_the_best_the_model_before_and_the_next(pages, variants):
    ranked = sorted(variants, key=lambda v: -v.judged["overlap"].number("mean"))
    names = [variant.short for variant in ranked]
    [before] = [variant.short for variant in variants if not variant.finetuned]
    expected = {frozenset((names[0], name)) for name in names[1:]}
    expected |= {frozenset((before, name)) for name in names if name != before}
    expected |= {*map(frozenset, pairwise(names))}
    assert {*map(frozenset, listed(pages[SOME]))} == expected
    count = SOME * (SOME - 1) // 2
    page = pages[SOME].read_text("utf-8")
    assert f"{len(expected)} of {count:,} comparisons as a table" in page
    assert "All comparisons are in <code>pairs.csv</code>" in page
    sentences = re.findall(r'<p class="claim"><b[^>]*>(.*?)</b>.*?<b[^>]*>(.*?)</b>', page)
    assert {name for pair in sentences for name in pair} == {*names[:MANY], before}


def test_each_response_of_each_variant_is_on_the_page_once(pages, variants):
    """Equal responses to an entry with equal scores are one, with the names of their variants."""
    page = pages[SOME].read_text("utf-8")
    responses = page.partition('<section id="responses">')[2].partition("</section>")[0]
    rows = responses.split('<tr class="entry"')[1:]
    for number, row in enumerate(rows):
        given = re.findall(r'<div class="response" data-variant="(.*?)"', row)
        assert len(given) < SOME
        places = [int(place) for places in given for place in places.split()]
        assert sorted(places) == [*range(SOME)]
        grouped = given_responses(variants, number)
        assert [len(givers) for _, givers in grouped] == [len(each.split()) for each in given]
        for response, givers in grouped:
            for variant in givers:
                own = variant.entries[number]["model_response"]
                assert own == response.entry["model_response"]
                score = variant.judged["overlap"].scores[number]
                assert f"{score:.0f}" == response.judgments[0].score
                assert variant.short in row


def test_a_few_variants_keep_equal_responses_apart(variants):
    few = variants[:MANY]
    assert all(
        [givers for _, givers in given_responses(few, number)] == [[variant] for variant in few]
        for number in range(30)
    )


def test_the_best_and_worst_responses_of_the_others_are_links_to_entries(pages, variants):
    page = pages[SOME].read_text("utf-8")
    answers = page.partition('<section id="answers">')[2].partition("</section>")[0]
    more = answers.partition("more variants, by overlap")[2].partition("</table>")[0]
    names = [variant.short for variant in variants if variant.finetuned]
    assert len(re.findall("<tr data-variant", more)) == len(names) - MANY
    links = re.findall(r'href="#(entry-[^"]*)"', more)
    assert len(links) == 6 * (len(names) - MANY)
    assert {*links} <= {*re.findall(r'id="(entry-[^"]*)"', page)}
    assert all(name in answers for name in names)


@pytest.mark.parametrize("count", [MANY, SOME])
def test_axes_that_charts_have_in_common_are_drawn_once(pages, count):
    page = pages[count].read_text("utf-8")
    drawn = re.findall(r'<g class="axes" id="(axes-\d+)">(.*?)</g>', page)
    assert page.count('<g class="axes"') == len(drawn)
    assert max(Counter(markup for _, markup in drawn).values()) == 1
    known = {name for name, _ in drawn}
    assert len(known) == len(drawn)
    used = re.findall(r'<use href="#(.*?)"/>', page)
    assert len(used) > 8 * (count - 1)
    assert {*used} <= known


def test_a_chart_that_takes_its_axes_from_another_says_the_same():
    one, other = axes(["<line/>"]), axes(["<path/>"])
    assert draw_once(f"{one}a{other}b{one}") == (
        '<g class="axes" id="axes-0"><line/></g>a<g class="axes" id="axes-1"><path/></g>b'
        '<use href="#axes-0"/>'
    )
