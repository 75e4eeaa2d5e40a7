# The small world: how the data set, the tokenizer and the base models in
# workflow/resources/small-world/ were made. Not part of a normal run; make them again with
#
#     snakemake --cores 2 small_world
#     cp results/small-world/instruction-data.json workflow/resources/small-world/
#     cp -r results/small-world/pico-650K results/small-world/nano-1M workflow/resources/small-world/
#
# which takes 10 to 20 minutes on two cores, nearly all of it pretraining.

SMALL_WORLD = {
    "dataset_seed": 123,
    "corpus": {"documents": 60_000, "seed": 1},
    "vocab_size": 3_000,
    "models": {
        "pico-650K": {
            "shape": {"context_length": 256, "emb_dim": 96, "n_heads": 4, "n_layers": 3},
            "pretraining": {
                "tokens": 4_000_000,
                "batch_size": 16,
                "matrix_learning_rate": 4.5e-3,
                "other_learning_rate": 4.5e-3,
                "seed": 1,
            },
        },
        "nano-1M": {
            "shape": {"context_length": 256, "emb_dim": 128, "n_heads": 4, "n_layers": 4},
            "pretraining": {
                "tokens": 4_000_000,
                "batch_size": 16,
                "matrix_learning_rate": 4e-3,
                "other_learning_rate": 4e-3,
                "seed": 1,
            },
        },
    },
}


# What the facts and the wordings are made from.
WORDS = ["workflow/lib/small_world/words.yaml", "workflow/lib/small_world/kinds.yaml"]


rule small_world:
    input:
        "results/small-world/instruction-data.json",
        expand("results/small-world/{model}/model.ckpt.index", model=SMALL_WORLD["models"]),


rule small_world_dataset:
    input:
        WORDS,
    output:
        "results/small-world/instruction-data.json",
    log:
        "results/logs/small_world_dataset.log",
    conda:
        PIPELINE_ENV
    params:
        seed=SMALL_WORLD["dataset_seed"],
        code=code_digest("workflow/scripts/small_world_dataset.py"),
    script:
        "../scripts/small_world_dataset.py"


rule small_world_corpus:
    input:
        rules.small_world_dataset.output[0],
    output:
        "results/small-world/corpus.txt",
    log:
        "results/logs/small_world_corpus.log",
    conda:
        PIPELINE_ENV
    params:
        corpus=SMALL_WORLD["corpus"],
        code=code_digest("workflow/scripts/small_world_corpus.py"),
    script:
        "../scripts/small_world_corpus.py"


rule small_world_tokenizer:
    input:
        corpus=rules.small_world_corpus.output[0],
        dataset=rules.small_world_dataset.output[0],
    output:
        "results/small-world/tokenizer/encoder.json",
        "results/small-world/tokenizer/vocab.bpe",
    log:
        "results/logs/small_world_tokenizer.log",
    conda:
        PIPELINE_ENV
    params:
        vocab_size=SMALL_WORLD["vocab_size"],
        code=code_digest("workflow/scripts/small_world_tokenizer.py"),
    script:
        "../scripts/small_world_tokenizer.py"


rule small_world_pretrain:
    input:
        rules.small_world_tokenizer.output,
        corpus=rules.small_world_corpus.output[0],
    output:
        weights="results/small-world/pretrained/{model}.pth",
        probes="results/small-world/pretrained/{model}.json",
    log:
        "results/logs/small_world_pretrain/{model}.log",
    conda:
        PIPELINE_ENV
    threads: 2
    params:
        settings=lambda wildcards: SMALL_WORLD["models"][wildcards.model],
        code=code_digest("workflow/scripts/small_world_pretrain.py"),
    script:
        "../scripts/small_world_pretrain.py"


rule small_world_checkpoint:
    input:
        rules.small_world_tokenizer.output,
        weights="results/small-world/pretrained/{model}.pth",
    output:
        expand("results/small-world/{{model}}/{file}", file=CHECKPOINT_FILES),
    log:
        "results/logs/small_world_checkpoint/{model}.log",
    conda:
        "../../envs/convert.yaml"
    params:
        shape=lambda wildcards: SMALL_WORLD["models"][wildcards.model]["shape"],
        code=code_digest("workflow/scripts/small_world_checkpoint.py"),
    script:
        "../scripts/small_world_checkpoint.py"
