# From a model to scores (sections 7.7 and 7.8), and to win rates.

PASSED_CHECKS = ".snakemake/passed_checks.jsonl"  # of judges in this run


rule generate:
    input:
        model="results/{model}/{recipe}/model.pth",
        training="results/{model}/{recipe}/training.json",
        entries=lambda wildcards: f"results/data/{recipe_of(wildcards).dataset}/test.json",
        tokenizer=tokenizer_of,
    output:
        report(
            "results/{model}/{recipe}/responses.json",
            caption="../report/responses.rst",
            category="Variants",
            subcategory="{model}",
            labels={"recipe": "{recipe}", "what": "responses"},
        ),
        # No input of a job: results of earlier versions lack it, and are read all the same.
        record="results/{model}/{recipe}/generation.json",
    log:
        "results/logs/generate/{model}/{recipe}.log",
    conda:
        PIPELINE_ENV
    threads: cores_of
    resources:
        gpu=of_recipe(all_gpus),
        processes=of_recipe(lambda recipe: recipe.gpus),
        nodes=of_recipe(lambda recipe: recipe.nodes),
        gres=GRES,
        mpi=MPI,
        tasks=TASKS,
        tasks_per_gpu=TASKS_PER_GPU,
        mem_mb=generate_asks_for("mem_mb"),
        runtime=generate_asks_for("runtime"),
    params:
        style=lambda wildcards: style_of(recipe_of(wildcards).prompt),
        precision=SETTINGS.precision,
        generation=lambda wildcards: recipe_of(wildcards).generation.model_dump(),
        code=code_digest("workflow/scripts/generate_responses.py"),
    script:
        "../scripts/generate_responses.py"


# The page on which people rate. The files that it saves come back as `ratings` of a judge.
rule rating:
    input:
        responses=of_variants("responses.json"),
        baselines=lambda wildcards: [path for path in rating_baselines() or () if path],
    output:
        page=f"{COMPARISON}/rating.html",
        key=f"{COMPARISON}/rating-key.json",
    log:
        comparison_log("rating"),
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        entries=lambda wildcards: rating_page().entries,
        seed=lambda wildcards: rating_page().seed,
        baselines=lambda wildcards: rating_baselines(),
        templates={
            path.name: sha256_of(path) for path in (HOME / "workflow/report/rating").glob("*.j2")
        },
        code=code_digest("workflow/scripts/write_rating_page.py"),
    script:
        "../scripts/write_rating_page.py"


# Runs before all other jobs, so that no hour of training ends at a missing judge server. Its output is
# temporary, so that the next judging checks again. In one run a judge of many variants is asked once.
rule check_judge:
    output:
        temp("results/{model}/{recipe}/{judge}/ready.json"),
    log:
        "results/logs/check_judge/{model}/{recipe}/{judge}.log",
    priority: 100
    retries: 0
    localrule: True
    conda:
        PIPELINE_ENV
    resources:
        judge_slots=judge_slots_of,
    params:
        judge=lambda wildcards: identity_of(wildcards.judge),
        passed=PASSED_CHECKS,
        code=lambda wildcards: judge_code("workflow/scripts/check_judge.py", wildcards),
    script:
        "../scripts/check_judge.py"


rule judge:
    input:
        responses="results/{model}/{recipe}/responses.json",
        check=check_of,
        ratings=ratings_of,
    output:
        scores=report(
            "results/{model}/{recipe}/{judge}/scores.csv",
            caption="../report/variant-scores.rst",
            category="Variants",
            subcategory="{model}",
            labels={"recipe": "{recipe}", "what": "scores by {judge}"},
        ),
        usage="results/{model}/{recipe}/{judge}/usage.json",
    log:
        "results/logs/judge/{model}/{recipe}/{judge}.log",
    wildcard_constraints:
        judge=f"(?!({PAIRWISE})/)[^/]+",
    retries: 0
    localrule: True
    conda:
        PIPELINE_ENV
    resources:
        judge_slots=judge_slots_of,
    params:
        judge=lambda wildcards: identity_of(wildcards.judge),
        code=lambda wildcards: judge_code("workflow/scripts/judge_responses.py", wildcards),
    script:
        "../scripts/judge_responses.py"


rule judge_pairs:
    input:
        responses="results/{model}/{recipe}/responses.json",
        baseline=baseline_responses,
        check=pair_check_of,
        ratings=ratings_of,
    output:
        wins=report(
            "results/{model}/{recipe}/{judge}/wins.csv",
            caption="../report/variant-wins.rst",
            category="Variants",
            subcategory="{model}",
            labels={"recipe": "{recipe}", "what": "wins by {judge}"},
        ),
        usage="results/{model}/{recipe}/{judge}/usage.json",
    log:
        "results/logs/judge_pairs/{model}/{recipe}/{judge}.log",
    wildcard_constraints:
        judge=PAIRWISE,
    retries: 0
    localrule: True
    conda:
        PIPELINE_ENV
    resources:
        judge_slots=judge_slots_of,
    params:
        judge=lambda wildcards: identity_of(wildcards.judge),
        baseline=baseline_of,
        code=lambda wildcards: judge_code("workflow/scripts/judge_pairs.py", wildcards),
    script:
        "../scripts/judge_pairs.py"
