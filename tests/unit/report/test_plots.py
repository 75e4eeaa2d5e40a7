"""The plots: figure 7.17 as PNG and SVG, and the axes of the others."""

import json
import re
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.image import imread

from workflow.lib.report.losses import loss_curves, read_losses
from workflow.lib.report.plots.losses import draw_losses, plot_losses
from workflow.lib.report.plots.scores import bin_counts
from workflow.lib.report.plots.svg import nice_ticks
from workflow.lib.report.plots.validation import (
    COLORS,
    ValidationCurve,
    draw_validation,
    log_ticks,
)
from workflow.lib.runtime.errors import UserError

HEADER = "step,epoch,tokens_seen,train_loss,val_loss\n"


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """The figures as they are saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def keep(figure, *arguments, **options):
        figures.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", keep)
    return figures


def write_run(folder: Path, rows: int, epochs: int) -> tuple[Path, Path, Path]:
    lines = [f"{5 * n},1,{1000 * (n + 1)},{3 / (n + 1)},{4 / (n + 1)}\n" for n in range(rows)]
    (folder / "losses.csv").write_text(HEADER + "".join(lines))
    record = {"training": {"epochs": epochs}, "initial_losses": {"train": 3.826, "val": 3.762}}
    (folder / "training.json").write_text(json.dumps(record))
    return folder / "losses.csv", folder / "training.json", folder / "loss.png"


def test_the_losses_are_drawn_as_in_figure_7_17(tmp_path, drawn):
    plot_losses(*write_run(tmp_path, rows=9, epochs=2))
    axes, above = drawn[0].axes
    train, val = axes.get_lines()
    assert (train.get_linestyle(), val.get_linestyle()) == ("-", "--")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "Training loss",
        "Validation loss",
    ]
    assert list(train.get_xdata()) == pytest.approx([n / 4 for n in range(9)])
    assert list(val.get_ydata()) == pytest.approx([4 / (n + 1) for n in range(9)])
    assert (axes.get_xlabel(), above.get_xlabel()) == ("Epochs", "Tokens seen")
    assert all(tick == int(tick) for tick in axes.get_xticks())
    assert above.get_xlim() == (1000, 9000)


def test_the_page_draws_the_same_curves(tmp_path, drawn):
    losses, training, output = write_run(tmp_path, rows=9, epochs=2)
    plot_losses(losses, training, output)
    [page] = re.findall(
        r'"curve val" points="(.*?)"', draw_losses(loss_curves(read_losses(losses), 2), 4.0)
    )
    places = [tuple(map(float, place.split(","))) for place in page.split()]
    _, val = drawn[0].axes[0].get_lines()
    (left, bottom), (right, _) = (places[0][0], 216.0), places[-1]
    assert [(x - left) / (right - left) * 2 for x, _ in places] == pytest.approx(
        list(val.get_xdata()), abs=0.01
    )
    scale = (bottom - places[0][1]) / val.get_ydata()[0]
    assert [(bottom - y) / scale for _, y in places] == pytest.approx(
        list(val.get_ydata()), abs=0.01
    )


def test_the_picture_has_the_same_bytes_again(tmp_path):
    files = write_run(tmp_path, rows=9, epochs=2)
    plot_losses(*files)
    first = files[2].read_bytes()
    plot_losses(*files)
    assert files[2].read_bytes() == first
    assert b"Software" not in first
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "loss.png",
        "losses.csv",
        "training.json",
    ]


def test_a_single_evaluation_can_be_seen(tmp_path, drawn):
    plot_losses(*write_run(tmp_path, rows=1, epochs=1))
    assert drawn[0].axes[0].get_lines()[0].get_marker() == "o"


def test_before_finetuning_the_picture_says_so(tmp_path, drawn):
    files = write_run(tmp_path, rows=0, epochs=0)
    plot_losses(*files)
    said = " ".join(text.get_text() for text in drawn[0].axes[0].texts)
    assert "Before finetuning" in said
    assert "training 3.826, validation 3.762" in said
    assert imread(files[2]).shape[:2] == (630, 1050)


def test_losses_that_do_not_fit_the_record_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"losses.csv: 0 rows after 2 epochs; .*run again"):
        plot_losses(*write_run(tmp_path, rows=0, epochs=2))


@given(st.floats(1e-3, 1e9), st.integers(2, 6))
def test_ticks_are_round_and_on_the_axis(highest, about):
    ticks = nice_ticks(highest, about)
    assert ticks[0] == 0
    assert ticks[-1] <= highest * (1 + 1e-6)
    assert about / 3 <= len(ticks) <= about + 2
    assert nice_ticks(0, about) == [0]


@given(st.lists(st.floats(0, 100), max_size=50))
def test_every_score_lies_in_one_bar(scores):
    assert sum(bin_counts(scores)) == len(scores)


def test_one_evaluation_and_many_epochs_can_be_drawn():
    row = {"tokens_seen": 50.0, "train_loss": 1.0, "val_loss": 2.0}
    two = [row, {**row, "tokens_seen": 99.0}]
    assert '<circle class="val"' in draw_losses(loss_curves([row], 1), 2.0)
    assert ">20<" in draw_losses(loss_curves(two, 20), 2.0)


def curve(name: str, *losses: float, band=()) -> ValidationCurve:
    return ValidationCurve(name, name, range(len(losses)), losses, band)


def test_validation_losses_are_drawn_on_a_logarithmic_scale():
    """Halving is the same distance everywhere, and a band lies around its mean."""
    plot = draw_validation([curve("a", 4, 2, 1, band=[(3, 5), (2, 2), (0.5, 1.5)])])
    [points] = re.findall(r'"curve c0" points="(.*?)"', plot)
    first, second, third = (float(place.split(",")[1]) for place in points.split())
    assert second - first == pytest.approx(third - second, abs=0.2)
    [band] = re.findall(r'"band c0" points="(.*?)"', plot)
    heights = [float(place.split(",")[1]) for place in band.split()]
    assert heights[0] < first < heights[-1]
    assert heights[1] == heights[4] == second
    assert re.findall(r">([\d.]+)</text>", plot)[-1] == "1.000"


@pytest.mark.parametrize("count", [1, 2, 6, 24, 200])
def test_labels_of_validation_losses_never_overlap(count):
    """The best few have labels; the others are there without."""
    plot = draw_validation([curve(f"v{n}", 3, 0.6 + n / 10_000) for n in range(count)])
    assert plot.count("<polyline") == count
    labels = re.findall(r'y="([\d.]+)" text-anchor="start">\d\.\d{3}<', plot)
    assert len(labels) == min(count, COLORS)
    heights = sorted(map(float, labels))
    assert all(b - a >= 11.9 for a, b in pairwise(heights))
    assert heights[0] > 20
    assert heights[-1] < 230


def test_a_loss_of_zero_and_a_single_evaluation_can_be_drawn():
    assert "nan" not in draw_validation([curve("a", 1.5, 0.0), curve("b", 0.0)])
    assert "<circle" in draw_validation([curve("b", 0.5)])


@given(st.floats(1e-4, 1e3), st.floats(1.1, 1e4))
def test_logarithmic_axes_have_ticks(low, factor):
    ticks = log_ticks(low, low * factor)
    assert len(ticks) >= 2
    assert all(low <= tick <= low * factor * (1 + 1e-9) for tick in ticks)
    assert len(ticks) <= 30
