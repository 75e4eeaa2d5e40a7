# From published or trained weights to those that the other rules read (section 7.5).

# A regular expression for models that are no TensorFlow checkpoints; it matches nothing if there are
# none.
IMPORTED = (
    "|".join(re.escape(n) for n in SETTINGS.models if source_of_model(n).format != "tensorflow")
    or "(?!)"
)


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
        names=CHECKPOINT_FILES,
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
    wildcard_constraints:
        model=f"(?!({IMPORTED})/)[^/]+",
    conda:
        "../../envs/convert.yaml"
    resources:
        mem_mb=convert_memory,
    params:
        code=code_digest("workflow/scripts/convert_gpt2.py"),
    script:
        "../scripts/convert_gpt2.py"


# A file of a base model from elsewhere. Weights of a variant that this run trains are read in place.
rule download_weights:
    input:
        lambda wildcards: local_model_file(wildcards.model, wildcards.file),
    output:
        "resources/gpt2/{model}/source/{file}",
    log:
        "results/logs/download_weights/{model}/{file}.log",
    wildcard_constraints:
        file=r"[^/]+",
    retries: 0
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        key="models.{model}",
        source=lambda wildcards: model_source_params(wildcards.model),
        names=lambda wildcards: [wildcards.file],
        code=code_digest("workflow/scripts/download_files.py"),
    script:
        "../scripts/download_files.py"


rule import_weights:
    input:
        lambda wildcards: weights_to_import(wildcards.model),
    output:
        "resources/gpt2/{model}/model.safetensors",
    log:
        "results/logs/import_weights/{model}.log",
    wildcard_constraints:
        model=IMPORTED,
    conda:
        PIPELINE_ENV
    resources:
        mem_mb=convert_memory,
    params:
        format=lambda wildcards: source_of_model(wildcards.model).format,
        n_heads=lambda wildcards: defined("model", wildcards.model).n_heads,
        code=code_digest("workflow/scripts/import_weights.py"),
    script:
        "../scripts/import_weights.py"
