# From scores to what a person reads.


rule summary:
    input:
        tables=of_judged("scores.csv"),
        usages=of_judged("usage.json"),
        trainings=of_variants("training.json"),
    output:
        "results/summary.csv",
    log:
        "results/logs/summary.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        code=code_digest("workflow/scripts/summarise.py"),
    script:
        "../scripts/summarise.py"


rule report:
    input:
        tables=of_judged("scores.csv"),
        usages=of_judged("usage.json"),
        responses=of_variants("responses.json"),
        losses=of_variants("losses.csv"),
        samples=of_variants("samples.json"),
        trainings=of_variants("training.json"),
        plots=of_variants("loss.png"),
        qualities=[f"results/data/{name}/quality.json" for name in COMPARED["datasets"]],
        summary="results/summary.csv",
        template=sorted(map(str, Path("workflow/report").glob("*.j2"))),
    output:
        "results/report.html",
    log:
        "results/logs/report.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        settings=COMPARED,
        code=code_digest("workflow/scripts/write_report.py"),
    script:
        "../scripts/write_report.py"


# Made last, so that asking for the scores alone brings the report too.
rule scores:
    input:
        tables=of_judged("scores.csv"),
        report="results/report.html",
    output:
        "results/scores.csv",
    log:
        "results/logs/scores.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        code=code_digest("workflow/scripts/collect_scores.py"),
    script:
        "../scripts/collect_scores.py"
