"""How often two equally good variants are called different: 200 simulated comparisons per row.

python -m benchmarks.error_rates
"""

from tests.support.simulated_runs import COMPARISONS, compared


def _main() -> None:
    print(f"{COMPARISONS} comparisons of equal variants, 110 entries\n")
    print("seeds each  called different  largest difference called so  covers seeds")
    for runs in (1, 2, 3, 5, 10):
        results = list(compared(runs))
        false = [r for r in results if r.p_value is not None and r.p_value < 0.05]
        largest = max((abs(r.difference) for r in false), default=0.0)
        covers = "yes" if all(r.covers_seeds for r in results) else "no"
        print(
            f"{runs:10}  {len(false):4} ({100 * len(false) / COMPARISONS:4.1f}%)"
            f"{largest:24.1f} points  {covers:>12}"
        )


if __name__ == "__main__":
    _main()
