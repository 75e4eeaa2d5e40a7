"""How much memory generating may take: kept to where it computes, and asked of a cluster before."""

CACHE_BYTES = 3 * 2**30  # the most that keys and values take on a CPU
PROMPT_TOKENS = 4096  # of prompts, read at a time
