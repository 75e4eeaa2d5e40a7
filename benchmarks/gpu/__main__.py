"""The command: python -m benchmarks.gpu [STAGE ...]; benchmarks/README.md says in which order."""

import tempfile
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

import benchmarks.gpu
from benchmarks.gpu.bench import Bench
from benchmarks.gpu.fast import fast
from benchmarks.gpu.needs import needs
from benchmarks.gpu.right import reference, right
from benchmarks.gpu.table import print_table
from benchmarks.gpu.works import works

STAGES = {"works": works, "reference": reference, "right": right, "fast": fast, "needs": needs}
MINUTES = {"works": 5.0, "reference": 4.0, "right": 3.0, "fast": 6.0, "needs": 3.0}


def main() -> None:
    parser = ArgumentParser(
        description=benchmarks.gpu.__doc__, formatter_class=RawDescriptionHelpFormatter
    )
    parser.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(STAGES)}, table")
    parser.add_argument("--data", type=Path, help="folder with instruction-data.json and "
                        "gpt2-tokenizer/; the small world if not given")  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path(tempfile.gettempdir()) / "benchmarks-gpu",
        help="folder of the results, a JSON file for each stage",
    )  # fmt: skip
    parser.add_argument("--minutes", type=float, help="of each stage; what does not fit is skipped")
    parser.add_argument(
        "--quick", action="store_true", help="the most important parts, two minutes"
    )
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to test the benchmark")
    options = parser.parse_args()
    if odd := {*options.stages} - {*STAGES, "table"}:
        parser.error(
            f"unknown stage {', '.join(sorted(odd))}; there are {', '.join(STAGES)}, table"
        )
    given = options.minutes
    for stage in options.stages or STAGES:
        if stage in STAGES:
            options.minutes = given or MINUTES[stage]
            STAGES[stage](Bench(stage, Namespace(**vars(options))))
    if options.stages != ["reference"]:  # it runs beside another
        print_table(options.out)


if __name__ == "__main__":
    main()
