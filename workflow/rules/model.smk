# From published or trained weights to those that the other rules read (section 7.5).

# Models that this run trains first, and others that are no TensorFlow checkpoints.
TRAINED = regex_of(name for name in SETTINGS.models if SETTINGS.trained_first(name))
IMPORTED = regex_of(n for n in SETTINGS.models if source_of_model(n).format != "tensorflow")


rule download_gpt2:
    input:
        lambda wildcards: local_model_files(wildcards, CHECKPOINT_FILES),
    output:
        expand("resources/gpt2/{{model}}{{key}}/{file}", file=CHECKPOINT_FILES),
    log:
        "results/logs/download_gpt2/{model}{key}.log",
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
        "resources/gpt2/{model}{key}/model.safetensors",
    log:
        "results/logs/convert_gpt2/{model}{key}.log",
    wildcard_constraints:
        model=f"(?!({IMPORTED})(-[0-9a-f]{{8}})?/)[^/]+?",
    conda:
        "../../envs/convert.yaml"
    resources:
        mem_mb=convert_asks_for("mem_mb"),
        runtime=convert_asks_for("runtime"),
        gpu_model=None,  # of the profile, with which Slurm's executor would request a GPU
    params:
        code=code_digest("workflow/scripts/convert_gpt2.py"),
    script:
        "../scripts/convert_gpt2.py"


# A file of a base model from elsewhere.
rule download_weights:
    input:
        lambda wildcards: local_model_files(wildcards, [wildcards.file]),
    output:
        "resources/gpt2/{model}{key}/source/{file}",
    log:
        "results/logs/download_weights/{model}{key}/{file}.log",
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
        lambda wildcards: expand(
            "resources/gpt2/{model}{key}/source/{file}",
            file=source_of_model(wildcards.model).files,
            **wildcards,
        ),
    output:
        "resources/gpt2/{model}{key}/model.safetensors",
    log:
        "results/logs/import_weights/{model}{key}.log",
    wildcard_constraints:
        model=f"(?!({TRAINED})(-[0-9a-f]{{8}})?/)({IMPORTED})",
    conda:
        PIPELINE_ENV
    resources:
        mem_mb=convert_asks_for("mem_mb"),
        runtime=convert_asks_for("runtime"),
        gpu_model=None,  # of the profile, with which Slurm's executor would request a GPU
    params:
        format=lambda wildcards: source_of_model(wildcards.model).format,
        n_heads=lambda wildcards: defined("model", wildcards.model).n_heads,
        code=code_digest("workflow/scripts/import_weights.py"),
    script:
        "../scripts/import_weights.py"


# The weights of a variant that this run trains are read in place, and belong to its results.
use rule import_weights as import_trained with:
    input:
        lambda wildcards: [
            str(Path(source_of_model(wildcards.model).folder, file))
            for file in source_of_model(wildcards.model).files
        ],
    output:
        "results/{model}/base.safetensors",
    log:
        "results/logs/import_trained/{model}.log",
    wildcard_constraints:
        model=TRAINED,
