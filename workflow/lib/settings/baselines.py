"""The baselines of pairwise judges: what each names, and which run of it a run is compared with."""

from collections.abc import Iterator

from workflow.lib.runtime.names import shown, suggest
from workflow.lib.settings.judges import REFERENCE
from workflow.lib.settings.places import Mistake
from workflow.lib.settings.root import Settings


def baseline_run(settings: Settings, judge: str, model: str, run: str) -> tuple[str, str] | None:
    """Return model and run that a run is compared with by a pairwise judge; None: the reference.

    A baseline with several seeds is paired by seed: each run with that of its own seed, or with
    the first if there is none.
    """
    named = settings.judges[judge].baseline
    if named in (None, REFERENCE):
        return None
    of, _, variant = str(named).rpartition("/")
    runs = settings.all_variants.get(variant, [variant])
    seed = settings.recipes[run].training.seed
    same = [each for each in runs if settings.recipes[each].training.seed == seed]
    return of or model, (same or [*runs])[0]


def runs_of(settings: Settings) -> set[tuple[str, str]]:
    """Return model and run of all that a comparison needs.

    They are the compared runs, what pairwise judges compare them with, and what their models start
    from.
    """
    compare = settings.compare
    runs = {(m, r) for m in compare.models for of in settings.variants.values() for r in of}
    against = {
        baseline_run(settings, judge, *run)
        for judge in compare.judges
        if settings.judges[judge].pairwise
        for run in runs
    }
    runs |= {run for run in against if run}
    return runs.union(*(settings.started_from(model) for model, _ in runs))


def wrong_data_set(settings: Settings, judge: str, run: str) -> str | None:
    """Return why a run cannot be compared with the baseline of a judge: other test entries."""
    baseline = baseline_run(settings, judge, "", run)
    if not baseline:
        return None
    own, other = (settings.recipes[name].dataset for name in (run, baseline[1]))
    if own == other:
        return None
    return (
        f"{settings.judges[judge].baseline} is tested on the data set {other}, and {run} on {own}; "
        "compare recipes of one data set"
    )


def baseline_mistakes(settings: Settings) -> Iterator[Mistake]:
    """Yield what is wrong with the baselines of pairwise judges.

    Args:
        settings: expanded, so that they hold the runs of all recipes.
    """
    compared = settings.compare.judges
    for name, judge in settings.judges.items():
        keys = ("judges", name, "baseline")
        if judge.baseline is None:
            continue
        if judge.baseline == REFERENCE:
            if REFERENCE in settings.recipes:
                problem = "is both the data set's own answers and a recipe; rename the recipe"
                yield Mistake(keys, f"{REFERENCE} {problem}")
            continue
        model, _, variant = judge.baseline.rpartition("/")
        if "/" in judge.baseline and model not in settings.models:
            known = suggest(model, settings.models)
            yield Mistake(keys, f"models has no {shown(model)}{known}")
        elif variant not in settings.recipes and variant not in settings.all_variants:
            known = suggest(variant, settings.recipes)
            yield Mistake(keys, f"recipes has no {shown(variant)}{known}")
        elif variant in settings.recipes and settings.recipes[variant].sweep:
            own = [each for each in settings.all_variants if each.startswith(f"{variant},")]
            yield Mistake(keys, f"{variant} has a sweep; name one variant of it, such as {own[0]}")
        elif name in compared:
            runs = (run for of in settings.variants.values() for run in of)
            problems = [wrong_data_set(settings, name, run) for run in runs]
            yield from [Mistake(keys, problem) for problem in problems if problem][:1]
    if all(settings.judges[name].pairwise for name in compared):
        problem = "names pairwise judges alone; add one that scores, such as overlap"
        yield Mistake(("compare", "judges"), problem)
