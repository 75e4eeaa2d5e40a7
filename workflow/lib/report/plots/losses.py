"""Figure 7.17, the loss curves of one finetuning: loss.png, and the same as SVG for the page."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from workflow.lib.model.record import read_training
from workflow.lib.report.format import thousands
from workflow.lib.report.losses import LossCurves, loss_curves, read_losses
from workflow.lib.report.plots.svg import LARGE, TOP, Frame, axes, nice_ticks, text
from workflow.lib.runtime.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Blue and vermilion of Okabe and Ito: distinct in every kind of color vision, and in gray.
_COLORS = {"train": "#0072B2", "val": "#D55E00"}
_GRAY = "#666666"


def draw_losses(curves: LossCurves, highest: float) -> Markup:
    """Draw the curves for the page.

    Args:
        curves: of one variant.
        highest: end of the loss axis, the same for all variants.
    """
    epochs, (first, last) = curves.epochs, curves.tokens
    frame = Frame(LARGE, (0, epochs), (0, highest))
    parts = [
        *frame.y_axis(nice_ticks(highest, 4), "loss"),
        *frame.x_axis(range(epochs + 1) if epochs <= 10 else nice_ticks(epochs, 5), "epochs"),
    ]
    above = [text(frame.right, 10, "tokens seen", "end")]
    for tick in nice_ticks(last, 4):
        if first <= tick <= last:
            place = frame.x((tick - first) / max(last - first, 1) * epochs)
            above.append(text(place, TOP - 6, thousands(tick), "middle"))
    parts.append(axes(above))
    for split, losses in curves.losses.items():
        places = [
            (frame.x(epoch), frame.y(loss))
            for epoch, loss in zip(curves.positions, losses, strict=True)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="curve {split}" points="{path}"/>')
        if curves.single:
            x, y = places[0]
            parts.append(f'<circle class="{split}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>')
    title = (
        f"Loss over {epochs} epochs; at the end training {curves.losses['train'][-1]:.3f}, "
        f"validation {curves.losses['val'][-1]:.3f}"
    )
    return frame.chart(title, parts)


def plot_losses(losses: Path, training: Path, output: Path) -> None:
    """Write loss.png, for the chapter's reader and for Snakemake's report.

    Args:
        losses: losses.csv; only a header if nothing was trained.
        training: training.json of the same finetuning.
        output: PNG file to write; the same bytes from the same files.

    Raises:
        UserError: losses.csv does not fit training.json.
    """
    # Jupyter and Colab set a backend that matplotlib may not find, and then it cannot be imported.
    os.environ["MPLBACKEND"] = "agg"
    import matplotlib
    from matplotlib.figure import Figure

    record = read_training(training, "training.epochs", "initial_losses")
    rows, epochs = read_losses(losses, record), record["training"]["epochs"]
    style: dict[Any, Any] = {
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same picture everywhere
        "font.size": 11,
        "axes.spines.right": False,
        "axes.edgecolor": _GRAY,
        "xtick.color": _GRAY,
        "ytick.color": _GRAY,
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever a matplotlibrc of the user's says
        matplotlib.rcParams.update(style)
        figure = Figure(figsize=(7, 4.2), layout="constrained")
        axes = figure.subplots()
        if rows:
            _plot_curves(axes, loss_curves(rows, epochs))
        else:
            _plot_nothing_trained(axes, record["initial_losses"])
        with replacing(output) as unfinished:
            # Without this, matplotlib writes its version into the file.
            figure.savefig(unfinished, format="png", dpi=150, metadata={"Software": None})


def _plot_curves(axes: "Axes", curves: LossCurves) -> None:
    from matplotlib.ticker import EngFormatter, MaxNLocator

    for split, label, line in (("train", "Training loss", "-"), ("val", "Validation loss", "--")):
        axes.plot(
            curves.positions,
            curves.losses[split],
            line,
            color=_COLORS[split],
            label=label,
            linewidth=1.8,
            marker="o" if curves.single else "",
        )
    axes.set_xlabel("Epochs")
    axes.set_ylabel("Loss")
    axes.set_xlim(0, curves.epochs)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", color="#E5E5E5", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False)

    above = axes.twiny()
    above.set_xlim(*curves.tokens)
    above.set_xlabel("Tokens seen")
    above.xaxis.set_major_formatter(EngFormatter(sep=""))


def _plot_nothing_trained(axes: "Axes", initial: dict[str, float]) -> None:
    axes.axis("off")
    axes.text(0.5, 0.62, "Before finetuning: no epochs, no curve", ha="center", fontsize=14)
    axes.text(
        0.5,
        0.42,
        f"Initial losses: training {initial['train']:.3f}, validation {initial['val']:.3f}",
        ha="center",
        color=_GRAY,
    )
