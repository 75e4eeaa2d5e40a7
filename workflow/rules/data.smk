# From an address to token ids (sections 7.2 and 7.3).


rule download_dataset:
    input:
        lambda wildcards: local_files(defined("dataset", wildcards.dataset)),
    output:
        "resources/datasets/{dataset}.json",
    log:
        "results/logs/download_dataset/{dataset}.log",
    retries: 0
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        key="datasets.{dataset}",
        source=lambda wildcards: source_of("dataset", wildcards.dataset),
        code=code_digest("workflow/scripts/download_dataset.py"),
    script:
        "../scripts/download_dataset.py"


rule split:
    input:
        dataset="resources/datasets/{dataset}.json",
    output:
        train="results/data/{dataset}/train.json",
        val="results/data/{dataset}/val.json",
        test="results/data/{dataset}/test.json",
        quality=report(
            "results/data/{dataset}/quality.json",
            caption="../report/quality.rst",
            category="Data",
            labels={"data set": "{dataset}", "what": "doubtful entries"},
        ),
    log:
        "results/logs/split/{dataset}.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        split=lambda wildcards: defined("dataset", wildcards.dataset).split.model_dump(),
        code=code_digest("workflow/scripts/split_dataset.py"),
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
    log:
        "results/logs/download_tokenizer/{tokenizer}.log",
    retries: 0
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        key="tokenizers.{tokenizer}",
        source=lambda wildcards: source_of("tokenizer", wildcards.tokenizer),
        code=code_digest("workflow/scripts/download_files.py"),
    script:
        "../scripts/download_files.py"


rule tokenize:
    input:
        entries="results/data/{dataset}/{split}.json",
        tokenizer=rules.download_tokenizer.output,
    output:
        "results/tokens/{tokenizer}/{dataset}/{prompt}/{split}.npz",
    log:
        "results/logs/tokenize/{tokenizer}/{dataset}/{prompt}/{split}.log",
    localrule: True
    conda:
        PIPELINE_ENV
    params:
        style=lambda wildcards: style_of(wildcards.prompt),
        code=code_digest("workflow/scripts/tokenize_split.py"),
    script:
        "../scripts/tokenize_split.py"
