# From scores to what a person reads.

VARIANTS = [(m, r) for m in SETTINGS.compare.models for r in SETTINGS.compare.recipes]
TABLES = [f"results/{m}/{r}/{j}/scores.csv" for m, r in VARIANTS for j in SETTINGS.compare.judges]
USAGES = [table.replace("scores.csv", "usage.json") for table in TABLES]


def of_variants(file):
    return [f"results/{model}/{recipe}/{file}" for model, recipe in VARIANTS]


def compared_settings():
    """What was compared and all it refers to, without what changes no result."""
    settings = SETTINGS.model_dump(mode="json", exclude={"device", "threads"})
    recipes = [SETTINGS.recipes[name] for name in SETTINGS.compare.recipes]
    models = [SETTINGS.models[name] for name in SETTINGS.compare.models]
    used = {
        "models": SETTINGS.compare.models,
        "recipes": SETTINGS.compare.recipes,
        "judges": SETTINGS.compare.judges,
        "datasets": [recipe.dataset for recipe in recipes],
        "tokenizers": [model.tokenizer for model in models],
    }
    for section, names in used.items():
        settings[section] = {name: settings[section][name] for name in dict.fromkeys(names)}
    for judge in settings["judges"].values():
        judge.pop("transport", None)
    return settings


rule summary:
    input:
        tables=TABLES,
        usages=USAGES,
        trainings=of_variants("training.json"),
    output:
        "results/summary.csv",
    params:
        code=code_digest("workflow/scripts/summarise.py"),
    log:
        "results/logs/summary.log",
    conda:
        PIPELINE_ENV
    localrule: True
    script:
        "../scripts/summarise.py"


rule report:
    input:
        tables=TABLES,
        usages=USAGES,
        responses=of_variants("responses.json"),
        losses=of_variants("losses.csv"),
        samples=of_variants("samples.json"),
        trainings=of_variants("training.json"),
        plots=of_variants("loss.png"),
        qualities=[
            f"results/data/{dataset}/quality.json" for dataset in compared_settings()["datasets"]
        ],
        summary="results/summary.csv",
        template=sorted(map(str, Path("workflow/report").glob("*.j2"))),
    output:
        "results/report.html",
    params:
        settings=compared_settings(),
        code=code_digest("workflow/scripts/write_report.py"),
    log:
        "results/logs/report.log",
    conda:
        PIPELINE_ENV
    localrule: True
    script:
        "../scripts/write_report.py"


# Made last, so that asking for the scores alone brings the report too.
rule scores:
    input:
        tables=TABLES,
        report="results/report.html",
    output:
        "results/scores.csv",
    params:
        code=code_digest("workflow/scripts/collect_scores.py"),
    log:
        "results/logs/scores.log",
    conda:
        PIPELINE_ENV
    localrule: True
    script:
        "../scripts/collect_scores.py"
