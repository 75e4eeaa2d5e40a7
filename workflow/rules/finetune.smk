# From weights and tokens to a model that follows instructions (section 7.6).


# A killed run resumes from checkpoint.pt beside its outputs (workflow/lib/training/checkpoint.py). It
# is no declared output, because Snakemake deletes those when a job fails.
rule finetune:
    input:
        unpack(finetune_inputs),
    output:
        model="results/{model}/{recipe}/model.pth",
        losses="results/{model}/{recipe}/losses.csv",
        samples="results/{model}/{recipe}/samples.json",
        training="results/{model}/{recipe}/training.json",
    log:
        "results/logs/finetune/{model}/{recipe}.log",
    wildcard_constraints:
        recipe=f"(?!({LORA_RECIPES})/)[^/]+",
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
        sharding=of_recipe(lambda recipe: recipe.sharding),
        mem_mb=finetune_asks_for("mem_mb"),
        runtime=finetune_asks_for("runtime"),
    params:
        style=lambda wildcards: style_of(recipe_of(wildcards).prompt),
        training=lambda wildcards: recipe_of(wildcards).training.model_dump(),
        precision=SETTINGS.precision,
        evaluation=lambda wildcards: recipe_of(wildcards).evaluation.model_dump(),
        code=code_digest("workflow/scripts/finetune.py"),
    script:
        "../scripts/finetune.py"


# The same with the adapters in a separate file; model.pth has them merged into the weights.
use rule finetune as finetune_lora with:
    output:
        **rules.finetune.output,
        adapter="results/{model}/{recipe}/adapter.safetensors",
    wildcard_constraints:
        recipe=LORA_RECIPES,


rule plot_losses:
    input:
        losses="results/{model}/{recipe}/losses.csv",
        training="results/{model}/{recipe}/training.json",
    output:
        report(
            "results/{model}/{recipe}/loss.png",
            caption="../report/loss.rst",
            category="Variants",
            subcategory="{model}",
            labels={"recipe": "{recipe}", "what": "losses"},
        ),
    log:
        "results/logs/plot_losses/{model}/{recipe}.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        code=code_digest("workflow/scripts/plot_losses.py"),
    script:
        "../scripts/plot_losses.py"
