# Shared by the rules about pairwise judges: what each of them compares a run with.

from workflow.lib.settings.baselines import baseline_run, wrong_data_set
from workflow.lib.settings.places import Mistake

PAIRWISE = regex_of(name for name, judge in SETTINGS.judges.items() if judge.pairwise)


def baseline_of(wildcards):
    """Return the name of what a pairwise judge compares a run with, as in wins.csv."""
    defined("judge", wildcards.judge), defined("model", wildcards.model), recipe_of(wildcards)
    if problem := wrong_data_set(SETTINGS, wildcards.judge, wildcards.recipe):
        or_exit(refuse, [Mistake(("judges", wildcards.judge, "baseline"), problem)], LAYERS)
    run = baseline_run(SETTINGS, wildcards.judge, wildcards.model, wildcards.recipe)
    return Path(*run).as_posix() if run else "reference"


def baseline_responses(wildcards):
    """Return the responses to compare a run with; none where that is the reference."""
    name = baseline_of(wildcards)
    return [] if name == "reference" else f"results/{name}/responses.json"


def pair_check_of(wildcards):
    """Return what `check_of` does; none for the baseline itself, about which nothing is asked."""
    own = f"{wildcards.model}/{wildcards.recipe}"
    return [] if baseline_of(wildcards) == own else check_of(wildcards)


def labels_of_judges(pairwise):
    """Return what each compared judge is in words, of those that score or of the pairwise ones."""
    judges = {name: SETTINGS.judges[name] for name in SETTINGS.compare.judges}
    return {name: judge.label for name, judge in judges.items() if judge.pairwise == pairwise}
