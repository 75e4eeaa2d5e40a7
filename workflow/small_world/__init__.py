"""The generator of the embedded small world: data set, tokenizer and base models.

In: words.yaml and kinds.yaml. Out: the files of workflow/resources/small-world.
Open `Snakefile` first; `facts.py` says what the world consists of.
"""
