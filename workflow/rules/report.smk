# From scores to the summary and the report.


rule summary:
    input:
        tables=of_judged("scores.csv"),
        usages=of_judged("usage.json"),
        wins=of_judged("wins.csv", pairwise=True),
        wins_usages=of_judged("usage.json", pairwise=True),
        trainings=of_variants("training.json"),
        losses=of_variants("losses.csv"),
        qualities=[f"results/data/{name}/quality.json" for name in COMPARED["datasets"]],
    output:
        report(
            "results/summary.csv",
            caption="../report/summary.rst",
            category="Comparison",
            labels={"what": "summary"},
        ),
        parquet="results/summary.parquet",
    log:
        "results/logs/summary.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        recipes=SETTINGS.recipes_compared(),
        code=code_digest("workflow/scripts/summarize.py"),
    script:
        "../scripts/summarize.py"


rule report:
    input:
        tables=of_judged("scores.csv"),
        usages=of_judged("usage.json"),
        wins=of_judged("wins.csv", pairwise=True),
        wins_usages=of_judged("usage.json", pairwise=True),
        responses=of_variants("responses.json"),
        losses=of_variants("losses.csv"),
        samples=of_variants("samples.json"),
        trainings=of_variants("training.json"),
        plots=of_variants("loss.png"),
        qualities=[f"results/data/{name}/quality.json" for name in COMPARED["datasets"]],
        tokens=of_tokens(),
        summary="results/summary.csv",
    output:
        report(
            "results/report.html",
            caption="../report/report.rst",
            category="Comparison",
            labels={"what": "report"},
        ),
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        settings=COMPARED,
        recipes=SETTINGS.recipes_compared(),
        judges=labels_of_judges(pairwise=False),
        pairwise=labels_of_judges(pairwise=True),
        templates={path.name: sha256_of(path) for path in (HOME / "workflow/report").glob("*.j2")},
        code=code_digest("workflow/scripts/write_report.py"),
    script:
        "../scripts/write_report.py"


# Made last, so that asking for the scores makes the report too.
rule scores:
    input:
        tables=of_judged("scores.csv"),
        report="results/report.html",
    output:
        report(
            "results/scores.csv",
            caption="../report/scores.rst",
            category="Comparison",
            labels={"what": "all scores"},
        ),
        parquet="results/scores.parquet",
    log:
        "results/logs/scores.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        code=code_digest("workflow/scripts/collect_scores.py"),
    script:
        "../scripts/collect_scores.py"
