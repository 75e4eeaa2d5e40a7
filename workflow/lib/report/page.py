"""report.html: the templates of workflow/report filled with the compared variants."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workflow.lib.report import format as texts
from workflow.lib.report.comparison import (
    Pair,
    by_score,
    by_test_set,
    compare_variants,
    score_kinds,
)
from workflow.lib.report.judges import Lengths, compare_judges, score_lengths
from workflow.lib.report.losses import loss_curves
from workflow.lib.report.pairs import write_pairs
from workflow.lib.report.people import compare_with_people
from workflow.lib.report.people_pairs import compare_pair_raters
from workflow.lib.report.plots.losses import draw_losses
from workflow.lib.report.plots.scores import (
    bin_counts,
    draw_histogram,
    draw_mean,
    draw_scale,
    draw_scatter,
)
from workflow.lib.report.plots.svg import draw_once
from workflow.lib.report.plots.validation import COLORS, draw_validation
from workflow.lib.report.published import published_beside_own
from workflow.lib.report.quality import doubts, read_quality
from workflow.lib.report.replicates import MARGIN
from workflow.lib.report.responses import (
    Response,
    disputes,
    galleries,
    given_responses,
    judged_response,
)
from workflow.lib.report.statistics import FEWEST_FOR_INTERVAL
from workflow.lib.report.summary import GOOD_SCORE
from workflow.lib.report.validation import unlike_losses, validation_curves
from workflow.lib.report.variants import MANY, Variant, read_variants
from workflow.lib.report.win_tables import range_of, win_tables
from workflow.lib.runtime.files import replacing
from workflow.lib.runtime.printable import visible
from workflow.lib.runtime.version import VERSION

TEMPLATES = Path(__file__).resolve().parents[2] / "report"
PAIRS = "pairs.csv"
MOST_CARDS = 4  # variants; above it the table alone gives the scores
FEW = 3  # names of variants that gave the same response; more are closed at first
EXAMPLES = 3  # the chapter prints the first three test entries
# A password before the host, or a query such as an access token.
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@|(?<=[^\s?])(?<=\S)\?\S+(?=\s)")


def write_report(
    folders: Sequence[Path],
    recipes: Mapping[str, Mapping[str, Any]],
    judges: Mapping[str, str],
    settings: Mapping[str, Any],
    qualities: Mapping[str, Path],
    summary: Path,
    output: Path,
    tokens: Sequence[Path] = (),
    pairwise: Mapping[str, str] | None = None,
    made: Mapping[str, Any] | None = None,
) -> None:
    """Write one self-contained page about a comparison (section 7.8 and figure 7.17).

    Beside it goes pairs.csv, since of many variants the page lists only some of the pairs.

    Args:
        folders: results/{model}/{run} of all runs, in the order to show.
        recipes: for each variant of a recipe `runs`, the names of its runs, `dataset`, the name of
            its data set, and `published`, its published figures or None.
        judges: label of each, by name, in the order to show; best and worst responses are those
            of the first.
        settings: the part of config.yaml that was run, as plain values, shown as a file that
            repeats the run.
        qualities: quality.json by data set.
        summary: summary.csv of the same comparison.
        output: HTML file to write; the same bytes from the same files and `made`.
        tokens: token files of the variants.
        pairwise: label of each judge that compares with a baseline, by name.
        made: when and by which command and code, as `made_by` of manifest.py says.
    """
    variants = read_variants(folders, recipes, [*judges], summary)
    runs = [run for variant in variants for run in variant.runs or [variant]]
    rated = {name for name, judge in settings["judges"].items() if "ratings" in judge}
    people = [judge for judge in judges if judge in rated]
    first_judge = next(iter(judges))
    measured = [
        read_quality(name, path, [v for v in variants if v.dataset == name], tokens)
        for name, path in qualities.items()
    ]
    comparisons = {judge: _comparisons(variants, judge) for judge in judges}
    write_pairs({judge: pairs for judge, (pairs, _) in comparisons.items()}, output.parent / PAIRS)
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # markup in a response or a reply is shown, not run
        finalize=lambda value: visible(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        points=texts.points, percent=texts.percent, duration=texts.duration, listed=texts.listed
    )
    page = environment.get_template("report.html.j2").render(
        title=_title(variants),
        lead=_lead(variants),
        start=texts.common_start([variant.name for variant in variants]),
        variants=variants,
        ranked=by_score(variants, first_judge),
        most_cards=MOST_CARDS,
        runs=runs,
        judges=judges,
        models=_models(variants),
        examples=_examples(variants, first_judge),
        published=published_beside_own(
            variants, recipes, settings["judges"], {each.dataset: each.entries for each in measured}
        ),
        comparisons=comparisons,
        pairs_file=PAIRS,
        win_tables=win_tables(variants, pairwise or {}, folders[0].parents[1]),
        pairwise=pairwise or {},
        range_of=range_of,
        draw_mean=draw_mean,
        draw_scale=draw_scale,
        kinds=[
            (group, judge, rows)
            for group in by_test_set(variants)
            for judge in judges
            if (rows := score_kinds(group, judge))
        ],
        agreements=compare_judges(runs, [*judges]),
        people=[
            *compare_with_people(runs, [*judges], people),
            *compare_pair_raters(
                runs,
                [*(pairwise or {})],
                [judge for judge in pairwise or {} if judge in rated],
                folders[0].parents[1],
            ),
        ],
        rated=rated,
        curves=_curves(runs),
        validation=(losses := validation_curves(variants)),
        validation_plot=draw_validation(losses) if losses else "",
        other_losses=texts.listed(unlike_losses(variants)),
        colored=COLORS,
        histograms={judge: _histograms(variants, judge) for judge in judges},
        lengths={
            judge: _lengths([variant.shown for variant in variants], judge) for judge in judges
        },
        galleries=galleries([v for v in variants if v.finetuned] or variants, first_judge),
        many=MANY,
        disputes=disputes(variants, [*judges], people),
        test_sets=(test_sets := by_test_set(variants)),
        heads={
            each.name: group[0].recipe
            for group in test_sets
            for variant in group
            for each in (variant, variant.shown)
        },
        few=FEW,
        given_responses=given_responses,
        places={
            each.name: place
            for place, variant in enumerate(variants)
            for each in (variant, variant.shown)
        },
        qualities=measured,
        doubts=doubts(measured),
        config=_CREDENTIALS.sub(
            "", yaml.safe_dump(dict(settings), sort_keys=False, width=100, allow_unicode=True)
        ),
        margin=MARGIN,
        fewest=FEWEST_FOR_INTERVAL,
        good=GOOD_SCORE,
        version=VERSION,
        made=made,
        ran_on=[*dict.fromkeys(_ran_on(run) for run in runs)],
    )
    with replacing(output) as unfinished:
        # Half a surrogate pair is valid in JSON but not in UTF-8.
        unfinished.write_bytes(draw_once(page).encode("utf-8", "replace"))


def _title(variants: Sequence[Variant]) -> str:
    tuned = [variant for variant in variants if variant.finetuned]
    models = texts.listed(list(dict.fromkeys(v.model for v in tuned or variants)))
    datasets = texts.listed(list(dict.fromkeys(v.dataset for v in tuned or variants)))
    return f"{models}, {'finetuned' if tuned else 'before finetuning, tested'} on {datasets}"


def _ran_on(run: Variant) -> str:
    versions = ", ".join(map(" ".join, run.training["versions"].items()))
    return f"{run.training['device']}, with {versions}"


def _lead(variants: Sequence[Variant]) -> str:
    sizes = texts.listed(list(dict.fromkeys(str(len(v.entries)) for v in variants)))
    subject = "One variant" if len(variants) == 1 else f"{len(variants)} variants, each"
    return (
        f"{subject} tested on {sizes} held-out instructions. "
        "Answers are scored from 0 to 100 against a reference."
    )


def _models(variants: Sequence[Variant]) -> list[tuple[str, Variant | None, list[Variant]]]:
    """Return every model with its variant before finetuning, if any, and those after."""
    found = []
    for group in by_test_set(variants):
        for model in dict.fromkeys(variant.model for variant in group):
            own = [variant for variant in group if variant.model == model]
            before = next((variant for variant in own if not variant.finetuned), None)
            found.append((model, before, [variant for variant in own if variant.finetuned]))
    return found


def _examples(
    variants: Sequence[Variant], judge: str
) -> tuple[Variant | None, Variant, list[tuple[Response | None, Response]]]:
    """Return the first responses of the best variant, and of its model before finetuning."""
    after = max(
        (variant for variant in variants if variant.finetuned),
        key=lambda variant: variant.judged[judge].number("mean") or 0,
        default=variants[0],
    )
    before = next(
        (
            variant
            for variant in variants
            if variant.model == after.model
            and variant.test_set == after.test_set
            and not variant.finetuned
            and after.finetuned
        ),
        None,
    )
    return (
        before,
        after,
        [
            (judged_response(before, n) if before else None, judged_response(after, n))
            for n in range(min(EXAMPLES, len(after.entries)))
        ],
    )


def _comparisons(variants: Sequence[Variant], judge: str) -> tuple[list[Pair], float]:
    """Return all pairs, and the end of their common scale to both sides."""
    pairs = compare_variants(variants, judge)
    ends = [10.0]
    for pair in pairs:
        interval = pair.result.interval
        ends += [pair.result.difference]
        ends += [-interval.low, interval.high] if interval else []
    return pairs, math.ceil(max(ends) / 10) * 10


def _curves(variants: Sequence[Variant]) -> list[tuple[Variant, Markup]]:
    """Draw figure 7.17 of every finetuned variant, all on one scale."""
    curves = [
        (variant, loss_curves(variant.losses, variant.training["training"]["epochs"]))
        for variant in variants
        if variant.losses
    ]
    highest = max((max(*c.losses["train"], *c.losses["val"]) for _, c in curves), default=0)
    return [(variant, draw_losses(found, highest)) for variant, found in curves]


def _histograms(variants: Sequence[Variant], judge: str) -> list[tuple[Variant, Markup]]:
    scores = [list(variant.judged[judge].scores.values()) for variant in variants]
    highest = max(max(bin_counts(values)) for values in scores)
    return [
        (variant, draw_histogram(values, highest or 1))
        for variant, values in zip(variants, scores, strict=True)
    ]


def _lengths(variants: Sequence[Variant], judge: str) -> list[tuple[Lengths, Markup]]:
    found = score_lengths(variants, judge)
    longest = max((length for row in found for length in row.lengths), default=1)
    return [(row, draw_scatter(row.lengths, row.scores, longest)) for row in found]
