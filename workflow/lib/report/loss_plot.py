"""The loss curves of one finetuning, as the chapter draws them (figure 7.17)."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from workflow.lib.runtime.errors import UserError
from workflow.lib.runtime.files import read_json, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blue and vermillion of Okabe and Ito: told apart by every kind of colour vision, and in grey.
_TRAIN, _VAL = "#0072B2", "#D55E00"
_GREY = "#666666"


def plot_losses(losses: Path, training: Path, output: Path) -> None:
    """Draw figure 7.17: training loss solid, validation loss dashed, over epochs and tokens.

    Args:
        losses: losses.csv; only a header if nothing was trained.
        training: training.json of the same run.
        output: PNG file to write; the same bytes from the same files.

    Raises:
        UserError: losses.csv does not fit training.json.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    record = read_json(training)
    with losses.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    epochs = record["training"]["epochs"]
    if bool(rows) != bool(epochs):
        raise UserError(
            f"{losses}: {len(rows)} rows after {epochs} epochs; delete it and run again"
        )
    style = {
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
        "font.size": 11,
        "axes.spines.right": False,
        "axes.edgecolor": _GREY,
        "xtick.color": _GREY,
        "ytick.color": _GREY,
    }
    with pyplot.rc_context(style):
        figure, axes = pyplot.subplots(figsize=(7, 4.2), layout="constrained")
        if rows:
            _draw_curves(axes, rows, epochs)
        else:
            _draw_nothing_trained(axes, record["initial_losses"])
        with replacing(output) as unfinished:
            # Matplotlib would write its version into the file.
            figure.savefig(unfinished, format="png", dpi=150, metadata={"Software": None})
        pyplot.close(figure)


def _draw_curves(axes: "Axes", rows: list[dict[str, str]], epochs: int) -> None:
    """Both losses over epochs; the tokens seen stand on a second axis above."""
    from matplotlib.ticker import EngFormatter, MaxNLocator
    from numpy import linspace

    where = linspace(0, epochs, len(rows))  # as the chapter spreads its evaluations
    marker = "o" if len(rows) == 1 else ""  # a single point draws no line
    for column, label, colour, line in (
        ("train_loss", "Training loss", _TRAIN, "-"),
        ("val_loss", "Validation loss", _VAL, "--"),
    ):
        values = [float(row[column]) for row in rows]
        axes.plot(where, values, line, color=colour, label=label, linewidth=1.8, marker=marker)
    axes.set_xlabel("Epochs")
    axes.set_ylabel("Loss")
    axes.set_xlim(0, epochs)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)

    tokens = axes.twiny()
    last = int(rows[-1]["tokens_seen"])
    tokens.set_xlim(int(rows[0]["tokens_seen"]) if len(rows) > 1 else 0, last)
    tokens.set_xlabel("Tokens seen")
    tokens.xaxis.set_major_formatter(EngFormatter(sep=""))


def _draw_nothing_trained(axes: "Axes", initial: dict[str, float]) -> None:
    """A picture that says why there are no curves."""
    axes.axis("off")
    axes.text(0.5, 0.62, "Before finetuning: no epochs, no curve", ha="center", fontsize=14)
    axes.text(
        0.5,
        0.42,
        f"Initial losses: training {initial['train']:.3f}, validation {initial['val']:.3f}",
        ha="center",
        color=_GREY,
    )
