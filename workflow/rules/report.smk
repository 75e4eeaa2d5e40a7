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
            f"{COMPARISON}/summary.csv",
            caption="../report/summary.rst",
            category="Comparison",
            labels={"what": "summary"},
        ),
        parquet=f"{COMPARISON}/summary.parquet",
    log:
        comparison_log("summary"),
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
        summary=f"{COMPARISON}/summary.csv",
    output:
        report(
            f"{COMPARISON}/report.html",
            caption="../report/report.rst",
            category="Comparison",
            labels={"what": "report"},
        ),
        pairs=f"{COMPARISON}/pairs.csv",
    log:
        comparison_log("report"),
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


# Made last, so that asking for the scores makes the report too. The manifest has the digests of all
# that the comparison was made from, so all of that is input.
rule scores:
    input:
        rules.report.input,
        tables=of_judged("scores.csv"),
        trainings=of_variants("training.json"),
        report=f"{COMPARISON}/report.html",
        pairs=f"{COMPARISON}/pairs.csv",
    output:
        report(
            f"{COMPARISON}/scores.csv",
            caption="../report/scores.rst",
            category="Comparison",
            labels={"what": "all scores"},
        ),
        parquet=f"{COMPARISON}/scores.parquet",
        config=f"{COMPARISON}/config.yaml",
        manifest=f"{COMPARISON}/manifest.json",
    log:
        comparison_log("scores"),
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        settings=COMPARED,
        code=code_digest("workflow/scripts/collect_scores.py"),
    script:
        "../scripts/collect_scores.py"


# Files that another config makes; without these rules Snakemake would only say that no rule does.
rule other_comparison:
    input:
        refuse_elsewhere,
    output:
        "results/comparisons/{comparison}/{file}",
    wildcard_constraints:
        comparison=rf"(?!{re.escape(SETTINGS.name or '')}/)[^/]+",
        file="|".join(map(re.escape, COMPARISON_FILES)),


if SETTINGS.name:

    use rule other_comparison as comparison_without_name with:
        output:
            "results/{file}",
