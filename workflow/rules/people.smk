# People as judges (docs/judging.md): the page on which they rate. The files that it saves come back as
# `ratings` of a judge, through the rule `judge`.

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
            f"error: results/rating.html is the page of one judge, but {', '.join(chosen)} all have "
            "raters; name one of them in compare.judges"
        )
    return SETTINGS.judges[chosen[0]].page if chosen else RatingPage()


rule rating:
    input:
        of_variants("responses.json"),
    output:
        page="results/rating.html",
        key="results/rating-key.json",
    log:
        "results/logs/rating.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        entries=lambda wildcards: rating_page().entries,
        seed=lambda wildcards: rating_page().seed,
        templates={
            path.name: sha256_of(path)
            for path in (HOME / "workflow/report/rating").glob("*.j2")
        },
        code=code_digest("workflow/scripts/write_rating_page.py"),
    script:
        "../scripts/write_rating_page.py"
