"""What planning costs does not grow with what is the same for all runs."""

import json
import subprocess
import sys

import yaml

from tests.support.paths import ROOT

COUNTED = """
import ast, inspect, json, sys
import smart_open
from snakemake.cli import main

COUNTS = {}

def count(module, name):
    function = getattr(module, name)
    def counted(*args, **kwargs):
        COUNTS[name] = COUNTS.get(name, 0) + 1
        return function(*args, **kwargs)
    setattr(module, name, counted)

count(ast, "dump"), count(inspect, "signature"), count(smart_open, "parse_uri")
try:
    main()
finally:
    print("", json.dumps(COUNTS), sep="\\n", file=sys.stderr)
"""


def test_more_runs_do_not_repeat_what_was_computed_for_the_first(tmp_path):
    """That is what counts of the code, which parameters functions have, and where scripts are."""

    def counts(runs: int) -> dict[str, int]:
        swept = {"extends": "small-world", "seeds": [*range(runs)]}
        compare = {"models": ["nano-1M"], "recipes": ["swept"], "judges": ["overlap"]}
        config = tmp_path / "runs.yaml"
        config.write_text(yaml.safe_dump({"compare": compare, "recipes": {"swept": swept}}))
        command = [sys.executable, "-c", COUNTED, "-n", "-s", ROOT / "Snakefile"]
        command += ["--directory", tmp_path, "--configfile", config, "--", "results/scores.csv"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stderr.splitlines()[-1])

    first, again, more = counts(1), counts(1), counts(9)
    assert first["dump"] > 50
    assert "dump" not in again  # what counts of the code was kept
    assert more == again
