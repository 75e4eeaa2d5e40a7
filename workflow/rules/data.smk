# From an address to token ids (sections 7.2 and 7.3).


rule download_dataset:
    input:
        lambda wildcards: local_files(defined("dataset", wildcards.dataset)),
    output:
        "resources/datasets/{dataset}.json",
    params:
        key="datasets.{dataset}",
        source=lambda wildcards: source_of("dataset", wildcards.dataset),
        code=code_digest("workflow/scripts/download_dataset.py"),
    log:
        "results/logs/download_dataset/{dataset}.log",
    conda:
        PIPELINE_ENV
    localrule: True
    script:
        "../scripts/download_dataset.py"


rule split:
    input:
        dataset="resources/datasets/{dataset}.json",
    output:
        train="results/data/{dataset}/train.json",
        val="results/data/{dataset}/val.json",
        test="results/data/{dataset}/test.json",
        quality="results/data/{dataset}/quality.json",
    params:
        split=lambda wildcards: defined("dataset", wildcards.dataset).split.model_dump(),
        code=code_digest("workflow/scripts/split_dataset.py"),
    log:
        "results/logs/split/{dataset}.log",
    conda:
        PIPELINE_ENV
    localrule: True
    script:
        "../scripts/split_dataset.py"


rule download_tokenizer:
    input:
        lambda wildcards: local_files(
            defined("tokenizer", wildcards.tokenizer), ("encoder.json", "vocab.bpe")
        ),
    output:
        "resources/tokenizers/{tokenizer}/encoder.json",
        "resources/tokenizers/{tokenizer}/vocab.bpe",
    params:
        key="tokenizers.{tokenizer}",
        source=lambda wildcards: source_of("tokenizer", wildcards.tokenizer),
        code=code_digest("workflow/scripts/download_files.py"),
    log:
        "results/logs/download_tokenizer/{tokenizer}.log",
    conda:
        PIPELINE_ENV
    localrule: True
    script:
        "../scripts/download_files.py"


rule tokenize:
    input:
        entries="results/data/{dataset}/{split}.json",
        tokenizer=rules.download_tokenizer.output,
    output:
        "results/tokens/{tokenizer}/{dataset}/{prompt}/{split}.npz",
    params:
        style=lambda wildcards: style_of(wildcards.prompt),
        code=code_digest("workflow/scripts/tokenize_split.py"),
    log:
        "results/logs/tokenize/{tokenizer}/{dataset}/{prompt}/{split}.log",
    conda:
        PIPELINE_ENV
    localrule: True
    script:
        "../scripts/tokenize_split.py"
