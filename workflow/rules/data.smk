# From a data set's address to token ids (sections 7.2 and 7.3).

# The key stands for the source: see `key_of`.
RAW = "resources/datasets/{dataset}{key}.{format}"
RAW_SPLIT = "resources/datasets/{dataset}/{split}{key}.{format}"


rule download_dataset:
    input:
        lambda wildcards: local_files(
            source_of_raw_file(wildcards.dataset, RAW.format(**wildcards))
        ),
    output:
        RAW,
    log:
        "results/logs/download_dataset/{dataset}{key}.{format}.log",
    retries: 0
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        key="datasets.{dataset}",
        source=lambda wildcards: source_params(
            source_of_raw_file(wildcards.dataset, RAW.format(**wildcards))
        ),
        code=code_digest("workflow/scripts/download_dataset.py"),
    script:
        "../scripts/download_dataset.py"


# The same for a data set of three files.
use rule download_dataset as download_split with:
    input:
        lambda wildcards: local_files(
            source_of_raw_file(wildcards.dataset, RAW_SPLIT.format(**wildcards))
        ),
    output:
        RAW_SPLIT,
    log:
        "results/logs/download_split/{dataset}/{split}{key}.{format}.log",
    params:
        key="datasets.{dataset}.files.{split}",
        source=lambda wildcards: source_params(
            source_of_raw_file(wildcards.dataset, RAW_SPLIT.format(**wildcards))
        ),


rule split:
    input:
        lambda wildcards: raw_files_of(wildcards.dataset).values(),
    output:
        train="results/data/{dataset}/train.json",
        val="results/data/{dataset}/val.json",
        test="results/data/{dataset}/test.json",
        origins="results/data/{dataset}/origins.json",
    log:
        "results/logs/split/{dataset}.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        key="datasets.{dataset}",
        parts=lambda wildcards: list(raw_files_of(wildcards.dataset)),
        selection=lambda wildcards: selection_of(wildcards.dataset),
        code=code_digest("workflow/scripts/split_dataset.py"),
    script:
        "../scripts/split_dataset.py"


# A rule beside `split`, so that a changed similarity limit retrains nothing.
rule quality:
    input:
        train="results/data/{dataset}/train.json",
        val="results/data/{dataset}/val.json",
        test="results/data/{dataset}/test.json",
        origins="results/data/{dataset}/origins.json",
    output:
        report(
            "results/data/{dataset}/quality.json",
            caption="../report/quality.rst",
            category="Data",
            labels={"data set": "{dataset}", "what": "doubtful entries"},
        ),
    log:
        "results/logs/quality/{dataset}.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        near=lambda wildcards: defined("dataset", wildcards.dataset).near,
        code=code_digest("workflow/scripts/measure_quality.py"),
    script:
        "../scripts/measure_quality.py"


rule download_tokenizer:
    input:
        local_tokenizer,
    output:
        "resources/tokenizers/{tokenizer}{key}/encoder.json",
        "resources/tokenizers/{tokenizer}{key}/vocab.bpe",
    log:
        "results/logs/download_tokenizer/{tokenizer}{key}.log",
    retries: 0
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        key="tokenizers.{tokenizer}",
        source=lambda wildcards: tokenizer_source_params(wildcards.tokenizer),
        names=lambda wildcards: list(vocabulary_of(wildcards.tokenizer).values()),
        code=code_digest("workflow/scripts/download_files.py"),
    script:
        "../scripts/download_files.py"


rule tokenize:
    input:
        entries="results/data/{dataset}/{split}.json",
        tokenizer=lambda wildcards: tokenizer_files(wildcards.tokenizer),
    output:
        "results/tokens/{tokenizer}/{dataset}/{prompt}/{split}.npz",
    log:
        "results/logs/tokenize/{tokenizer}/{dataset}/{prompt}/{split}.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        style=lambda wildcards: style_in(wildcards.prompt),
        code=code_digest("workflow/scripts/tokenize_split.py"),
    script:
        "../scripts/tokenize_split.py"
