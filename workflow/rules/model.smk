# From OpenAI's checkpoint to weights that the other rules read (section 7.5).


rule download_gpt2:
    input:
        lambda wildcards: local_files(defined("model", wildcards.model), CHECKPOINT_FILES),
    output:
        expand("resources/gpt2/{{model}}/{file}", file=CHECKPOINT_FILES),
    log:
        "results/logs/download_gpt2/{model}.log",
    retries: 0
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        key="models.{model}",
        source=lambda wildcards: source_params(defined("model", wildcards.model)),
        code=code_digest("workflow/scripts/download_files.py"),
    script:
        "../scripts/download_files.py"


rule convert_gpt2:
    input:
        rules.download_gpt2.output,
    output:
        "resources/gpt2/{model}/model.safetensors",
    log:
        "results/logs/convert_gpt2/{model}.log",
    conda:
        "../../envs/convert.yaml"
    resources:
        mem_mb=convert_memory,
    params:
        code=code_digest("workflow/scripts/convert_gpt2.py"),
    script:
        "../scripts/convert_gpt2.py"
