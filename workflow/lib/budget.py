"""How much memory generating may take: kept to where it computes, and asked of a cluster before."""

CACHE_BYTES = 2**30  # of keys and values, on a CPU
PROMPT_TOKENS = 4096  # of prompts, read at a time
