# People as judges (docs/judging.md): what their page shows, and the files that it saved.

import sys

from workflow.lib.settings.judges import RatedJudge, RatingPage


@cache
def judge_of_page():
    """Return the name of the judge whose page is made; None without any.

    That is the only judge of people, or the only compared one.
    """
    people = [name for name, judge in SETTINGS.judges.items() if isinstance(judge, RatedJudge)]
    chosen = [name for name in people if name in SETTINGS.compare.judges] or people
    if len(chosen) > 1:
        sys.exit(
            f"error: {COMPARISON}/rating.html is the page of one judge, but {', '.join(chosen)} all have "
            "raters; name one of them in compare.judges"
        )
    return chosen[0] if chosen else None


def rating_page():
    """Return the settings of the page.

    Without a judge of people, they are the defaults, so that people can rate before there is one.
    """
    return SETTINGS.judges[judge_of_page()].page if judge_of_page() else RatingPage()


def rating_baselines():
    """Return what each run is compared with on the page; None if the page asks for scores.

    Returns:
        responses.json of the baseline of each run, in the order of the runs; None for the reference.
    """
    name = judge_of_page()
    if name is None or not SETTINGS.judges[name].pairwise:
        return None
    runs = [
        SimpleNamespace(model=model, recipe=run, judge=name)
        for model in SETTINGS.compare.models
        for run in RUNS
    ]
    return [baseline_responses(run) or None for run in runs]


def ratings_of(wildcards):
    """Return the files in which people saved a judge's scores; none of other judges."""
    judge = defined("judge", wildcards.judge)
    files = judge.ratings if isinstance(judge, RatedJudge) else []
    return [str(local_path(file)) for file in files]
