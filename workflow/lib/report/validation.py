"""The validation losses of all variants, beside each other, and whether they are comparable."""

from collections.abc import Sequence
from statistics import fmean

from workflow.lib.report.losses import loss_curves
from workflow.lib.report.plots.validation import ValidationCurve
from workflow.lib.report.variants import Variant

# Settings that decide of which tokens the validation loss is.
_DECISIVE = ("dataset", "prompt", "training.mask_prompt", "evaluation.batches")


def validation_curves(variants: Sequence[Variant]) -> list[ValidationCurve]:
    """Return the validation loss of every finetuned variant, those that end lowest first."""
    curves = [_curve(variant) for variant in variants if variant.losses]
    return sorted(curves, key=lambda curve: curve.losses[-1])


def unlike_losses(variants: Sequence[Variant]) -> list[str]:
    """Return the settings in which variants differ so that their losses are not comparable."""
    trained = [variant for variant in variants if variant.losses]
    rows = [next(iter(variant.judged.values())).summary for variant in trained]
    found = [key for key in _DECISIVE if len({row.get(key) for row in rows}) > 1]
    tokenizers = {variant.training.get("tokenizer") for variant in trained}
    return [key.rpartition(".")[2] for key in found] + ["tokenizer"] * (len(tokenizers) > 1)


def _curve(variant: Variant) -> ValidationCurve:
    epochs = variant.training["training"]["epochs"]
    runs = [loss_curves(run.losses, epochs) for run in variant.runs or [variant]]
    steps = [*zip(*(run.losses["val"] for run in runs), strict=True)]
    return ValidationCurve(
        variant.short,
        variant.name,
        runs[0].positions,
        [fmean(losses) for losses in steps],
        [(min(losses), max(losses)) for losses in steps] if len(runs) > 1 else [],
    )
