"""Agreement of the overlap judge and of an LLM with GPT-4 on published scores.

python -m benchmarks.judge_agreement FOLDER

FOLDER holds, as published with the chapter's code (ch07/03_model-evaluation):
    eval-example-data.json             entries with "model 1 response", "model 2 response", ...
    gpt4-model-1-response.json         GPT-4's scores of "model 1 response", in entry order
    llama3-8b-model-1-response.json    those of Llama 3 8B, or of any other judge
Every response that GPT-4 has scored is used; every other file of scores is a judge.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import pearsonr, spearmanr

from workflow.lib.judge.backends.overlap import Overlap, overlap_score
from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json

REFERENCE = "gpt4"


@dataclass(frozen=True)
class Agreement:
    """Agreement of two judges on the same responses.

    Args:
        judge: the one compared with GPT-4.
        responses: number of responses that both have scored.
        pearson, spearman: correlations; nan if all scores of a judge are equal.
        mean_absolute_error: in points of 100.
    """

    judge: str
    responses: int
    pearson: float
    spearman: float
    mean_absolute_error: float


def measure(folder: Path, *, exact: bool = True) -> list[Agreement]:
    """Compare every judge in a folder, and the overlap judge, with GPT-4.

    Args:
        folder: laid out as the module says.
        exact: whether to include responses equal to the reference, which every judge recognizes.

    Returns:
        the overlap judge first, then the others by name.

    Raises:
        UserError: a file is missing, or scores and entries differ in number.
    """
    entries = read_json(folder / "eval-example-data.json")
    given: dict[str, list[float]] = {}
    reference: dict[str, list[float]] = {}
    overlap: list[float] = []
    for number, gpt4 in _scored_by_gpt4(folder, entries):
        key = f"model {number} response"
        used = [
            position
            for position, entry in enumerate(entries)
            if exact or entry[key].strip() != entry["output"].strip()
        ]
        overlap += [overlap_score(entries[n], entries[n][key]) for n in used]
        reference.setdefault("overlap", []).extend(gpt4[n] for n in used)
        for path in sorted(folder.glob(f"*-model-{number}-response.json")):
            judge = path.name.removesuffix(f"-model-{number}-response.json")
            if judge != REFERENCE:
                scores = _read_scores(path, entries)
                given.setdefault(judge, []).extend(scores[n] for n in used)
                reference.setdefault(judge, []).extend(gpt4[n] for n in used)
    given = {"overlap": overlap, **given}
    return [_compare(judge, scores, reference[judge]) for judge, scores in given.items()]


def _scored_by_gpt4(
    folder: Path, entries: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, list[float]]]:
    """Yield each model with a response in the entries, and GPT-4's scores of it."""
    paths = sorted(folder.glob(f"{REFERENCE}-model-*-response.json"))
    if not paths:
        raise UserError(f"{folder}: no {REFERENCE}-model-*-response.json to compare with")
    for path in paths:
        yield path.name.split("-")[2], _read_scores(path, entries)


def _read_scores(path: Path, entries: Sequence[Mapping[str, Any]]) -> list[float]:
    scores = read_json(path)
    if len(scores) != len(entries):
        raise UserError(f"{path}: {len(scores)} scores for {len(entries)} entries")
    return scores


def _compare(judge: str, scores: Sequence[float], reference: Sequence[float]) -> Agreement:
    return Agreement(
        judge=judge,
        responses=len(scores),
        pearson=float(pearsonr(scores, reference).statistic),
        spearman=float(spearmanr(scores, reference).statistic),
        mean_absolute_error=float(np.abs(np.subtract(scores, reference)).mean()),
    )


def _main() -> None:
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = Path(sys.argv[1])
    print(f"overlap: {Overlap(backend='overlap').label}\n")
    print(
        f"{'against GPT-4':24}  {'n':>3}  {'Pearson':>7}  {'Spearman':>8}  {'mean abs. error':>15}"
    )
    try:
        for label, exact in (("", True), (", without exact", False)):
            for row in measure(folder, exact=exact):
                print(
                    f"{row.judge + label:24}  {row.responses:3}  {row.pearson:7.3f}  "
                    f"{row.spearman:8.3f}  {row.mean_absolute_error:15.1f}"
                )
    except (UserError, OSError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    _main()
