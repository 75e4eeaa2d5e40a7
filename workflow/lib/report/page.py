"""Puts everything into the templates of workflow/report and writes the page."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from workflow.lib.report import charts
from workflow.lib.report import format as texts
from workflow.lib.report.answers import answer, disputes, galleries
from workflow.lib.report.findings import (
    Pair,
    compare_judges,
    compare_runs,
    same_test,
    score_kinds,
    score_lengths,
)
from workflow.lib.report.published import published_beside_own
from workflow.lib.report.quality import read_quality
from workflow.lib.report.runs import Run, Variant, read_runs
from workflow.lib.report.statistics import FEWEST_FOR_INTERVAL, MARGIN, Comparison, Interval
from workflow.lib.report.summary import GOOD_SCORE
from workflow.lib.runtime.files import replacing

TEMPLATES = Path(__file__).resolve().parents[2] / "report"
EXAMPLES = 3  # the chapter prints the first three test entries
# A password before the host, or a query such as an access token.
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@|(?<=[^\s?])(?<=\S)\?\S+(?=\s)")


def write_report(
    variants: Sequence[Variant],
    judges: Mapping[str, str],
    settings: Mapping[str, Any],
    qualities: Mapping[str, Path],
    summary: Path,
    output: Path,
    tokens: Sequence[Path] = (),
) -> None:
    """Write one self-contained page about a run (section 7.8 and figure 7.17).

    Args:
        variants: in the order to show.
        judges: what each is, by name, in the order to show; best and worst answers are those of
            the first.
        settings: the part of config.yaml that was run, as plain values; shown as a file that runs
            it again. Recipes with `published` figures have them shown beside their own.
        qualities: quality.json of every data set.
        summary: summary.csv of the run.
        output: HTML file to write; the same bytes from the same files.
        tokens: files of the token ids that the variants read.
    """
    recipes = settings["recipes"]
    datasets = {variant.recipe: recipes[variant.recipe]["dataset"] for variant in variants}
    runs = read_runs(variants, [*judges], datasets, summary)
    first_judge = next(iter(judges))
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # whatever a model or a judge wrote is shown, not run
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        points=texts.points, percent=texts.percent, duration=texts.duration, listed=texts.listed
    )
    page = environment.get_template("report.html.j2").render(
        title=_title(runs),
        lead=_lead(runs),
        runs=runs,
        judges=judges,
        models=_models(runs),
        examples=_examples(runs, first_judge),
        draw_score=_draw_score,
        published=published_beside_own(runs, recipes),
        comparisons={judge: _comparisons(runs, judge) for judge in judges},
        draw_difference=_draw_difference,
        draw_scale=charts.scale,
        kinds=[
            (group, judge, rows)
            for group in same_test(runs)
            for judge in judges
            if (rows := score_kinds(group, judge))
        ],
        agreements=compare_judges(runs, [*judges]),
        curves=_curves(runs),
        histograms={judge: _histograms(runs, judge) for judge in judges},
        lengths={judge: _lengths(runs, judge) for judge in judges},
        galleries=galleries([run for run in runs if run.tuned] or runs, first_judge),
        disputes=disputes(runs, [*judges]),
        tests=same_test(runs),
        answer=answer,
        qualities=[
            read_quality(name, path, [run for run in runs if run.dataset == name], tokens)
            for name, path in qualities.items()
        ],
        config=_CREDENTIALS.sub(
            "", yaml.safe_dump(dict(settings), sort_keys=False, width=100, allow_unicode=True)
        ),
        margin=MARGIN,
        fewest=FEWEST_FOR_INTERVAL,
        good=GOOD_SCORE,
    )
    with replacing(output) as unfinished:
        # Half a surrogate pair is text to JSON but not to UTF-8.
        unfinished.write_bytes(page.encode("utf-8", "replace"))


def _title(runs: Sequence[Run]) -> str:
    """What was finetuned on what."""
    tuned = [run for run in runs if run.tuned]
    models = texts.listed(list(dict.fromkeys(run.model for run in tuned or runs)))
    datasets = texts.listed(list(dict.fromkeys(run.dataset for run in tuned or runs)))
    return f"{models}, {'finetuned' if tuned else 'before finetuning, tested'} on {datasets}"


def _lead(runs: Sequence[Run]) -> str:
    """How the scores came about, in a sentence or two."""
    sizes = texts.listed(list(dict.fromkeys(str(len(run.entries)) for run in runs)))
    variants = "One variant" if len(runs) == 1 else f"{len(runs)} variants, each"
    return (
        f"{variants} tested on {sizes} held-out instructions. "
        "An answer scores from 0 to 100 beside a reference."
    )


def _models(runs: Sequence[Run]) -> list[tuple[str, Run | None, list[Run]]]:
    """Every model with its variant before finetuning, if there is one, and those after."""
    found = []
    for group in same_test(runs):
        for model in dict.fromkeys(run.model for run in group):
            own = [run for run in group if run.model == model]
            before = next((run for run in own if not run.tuned), None)
            found.append((model, before, [run for run in own if run.tuned]))
    return found


def _examples(runs: Sequence[Run], judge: str) -> tuple[Run | None, Run, list[Any]]:
    """The first test entries, answered by the best variant, and by its model before."""
    after = max(
        (run for run in runs if run.tuned),
        key=lambda run: run.judged[judge].number("mean") or 0,
        default=runs[0],
    )
    before = next(
        (
            run
            for run in runs
            if run.model == after.model and run.test == after.test and not run.tuned and after.tuned
        ),
        None,
    )
    numbers = range(min(EXAMPLES, len(after.entries)))
    return before, after, [(before and answer(before, n), answer(after, n)) for n in numbers]


def _draw_score(run: Run, judge: str) -> str:
    scored = run.judged[judge]
    low, high = scored.number("low"), scored.number("high")
    interval = Interval(low, high) if low is not None and high is not None else None
    return charts.dot_whisker(scored.number("mean"), interval, 0, 100, hollow=not run.tuned)


def _comparisons(runs: Sequence[Run], judge: str) -> tuple[list[Pair], float]:
    """All pairs, and how far their common scale goes to both sides."""
    pairs = compare_runs(runs, judge)
    ends = [10.0]
    for pair in pairs:
        interval = pair.result.interval
        ends += [pair.result.difference]
        ends += [-interval.low, interval.high] if interval else []
    return pairs, math.ceil(max(ends) / 10) * 10


def _draw_difference(result: Comparison, limit: float) -> str:
    return charts.dot_whisker(result.difference, result.interval, -limit, limit)


def _curves(runs: Sequence[Run]) -> list[tuple[Run, str]]:
    """Figure 7.17 of every finetuned variant, all on one scale."""
    tuned = [run for run in runs if run.losses]
    losses = [row[key] for run in tuned for row in run.losses for key in ("train_loss", "val_loss")]
    return [
        (run, charts.loss_curves(run.losses, run.training["training"]["epochs"], max(losses)))
        for run in tuned
    ]


def _histograms(runs: Sequence[Run], judge: str) -> list[tuple[Run, str]]:
    scores = [list(run.judged[judge].scores.values()) for run in runs]
    highest = max(max(charts.bin_counts(values)) for values in scores)
    return [
        (run, charts.histogram(values, highest or 1))
        for run, values in zip(runs, scores, strict=True)
    ]


def _lengths(runs: Sequence[Run], judge: str) -> list[tuple[Any, str]]:
    found = score_lengths(runs, judge)
    longest = max((length for row in found for length in row.lengths), default=1)
    return [(row, charts.scatter(row.lengths, row.scores, longest)) for row in found]
