# People as judges (docs/judging.md): what their page shows, and the files that it saved.

import sys

from workflow.lib.settings.judges import RatedJudge, RatingPage


@cache
def rating_page():
    """Return the settings of the page: those of the only judge of people, or the only compared one.

    Without any, they are the defaults, so that people can rate before there is a judge.
    """
    people = [name for name, judge in SETTINGS.judges.items() if isinstance(judge, RatedJudge)]
    chosen = [name for name in people if name in SETTINGS.compare.judges] or people
    if len(chosen) > 1:
        sys.exit(
            f"error: {COMPARISON}/rating.html is the page of one judge, but {', '.join(chosen)} all have "
            "raters; name one of them in compare.judges"
        )
    return SETTINGS.judges[chosen[0]].page if chosen else RatingPage()


def ratings_of(wildcards):
    """Return the files in which people saved a judge's scores; none of other judges."""
    judge = defined("judge", wildcards.judge)
    files = judge.ratings if isinstance(judge, RatedJudge) else []
    return [str(local_path(file)) for file in files]
