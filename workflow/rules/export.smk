# From a finished variant to files for other programs, on request:
#
#     snakemake --cores 1 results/gpt2-medium-355M/book/hf/model.safetensors
#     snakemake --cores 1 results/gpt2-medium-355M/book/gpt2-medium355M-sft.pth

HF_FILES = (
    "model.safetensors",
    "config.json",
    "generation_config.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "README.md",
)


rule export:
    input:
        model="results/{model}/{recipe}/model.pth",
        training="results/{model}/{recipe}/training.json",
        losses="results/{model}/{recipe}/losses.csv",
        tokenizer=tokenizer_of,
    output:
        expand("results/{{model}}/{{recipe}}/hf/{file}", file=HF_FILES),
    log:
        "results/logs/export/{model}/{recipe}.log",
    conda:
        PIPELINE_ENV
    resources:
        mem_mb=export_asks_for("mem_mb"),
        runtime=export_asks_for("runtime"),
        gpu_model=None,  # of the profile, with which Slurm's executor would request a GPU
    params:
        style=lambda wildcards: style_of(recipe_of(wildcards).prompt),
        generation=lambda wildcards: recipe_of(wildcards).generation.model_dump(),
        names=lambda wildcards: {
            "model": wildcards.model,
            "recipe": wildcards.recipe,
            "dataset": recipe_of(wildcards).dataset,
            "prompt": recipe_of(wildcards).prompt,
        },
        scores=partial(tables_so_far, "scores.csv"),
        wins=partial(tables_so_far, "wins.csv"),
        code=code_digest("workflow/scripts/export_model.py"),
    script:
        "../scripts/export_model.py"


rule chapter_file:
    input:
        model_for_chapter,
    output:
        "results/{model}/{recipe}/{chapter}-sft.pth",
    log:
        "results/logs/chapter_file/{model}/{recipe}/{chapter}.log",
    wildcard_constraints:
        chapter=r"[^/]+",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        code=code_digest("workflow/scripts/chapter_file.py"),
    script:
        "../scripts/chapter_file.py"
