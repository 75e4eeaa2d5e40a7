"""The model card of a variant: settings, losses, scores and win rates."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from workflow.lib.data.entries import Entry
from workflow.lib.export.chat_template import content_with_input
from workflow.lib.judge.rows import by_entry
from workflow.lib.judge.scores import entry_scores, read_scores
from workflow.lib.judge.wins import read_wins
from workflow.lib.model.record import read_training
from workflow.lib.report.losses import read_losses
from workflow.lib.report.win_rates import win_rate
from workflow.lib.tokens.prompt_style import PromptStyle

NEEDED = (
    "model", "training.epochs", "parameters", "device", "precision", "versions", "initial_losses",
    "steps",
)  # fmt: skip
_EXAMPLE: Entry = {"instruction": "{instruction}", "input": "{input}", "output": "{output}"}


def model_card(
    names: Mapping[str, str],
    style: PromptStyle,
    *,
    training: Path,
    losses: Path,
    scores: Sequence[Path],
    wins: Sequence[Path],
) -> str:
    """Return a model card in Markdown, with the front matter that model hubs read.

    Args:
        names: of model, recipe, dataset and prompt in config.yaml.
        style: the prompt style it was finetuned with.
        training, losses: training.json and losses.csv.
        scores, wins: every scores.csv and wins.csv of the variant; may be empty.
    """
    record = read_training(training, *NEEDED)
    settings = record["model"] | record["training"]
    finetuned = settings["epochs"] > 0
    return "\n".join(
        [
            "---",
            "library_name: transformers",
            "pipeline_tag: text-generation",
            "tags: [gpt2, instruction-tuning]" if finetuned else "tags: [gpt2]",
            "---",
            "",
            f"# {names['model']} / {names['recipe']}",
            "",
            f"{names['model']}, a GPT-2 of {record['parameters']:,} parameters with its output "
            "head stored apart from the token embedding, "
            + (
                f"finetuned to follow the instructions of the data set {names['dataset']}."
                if finetuned
                else "as it is before finetuning."
            ),
            "It answers one instruction at a time and was not tuned for safety; its answers may be "
            "wrong.",
            "",
            "## Use",
            "",
            "```python",
            "from transformers import pipeline",
            "",
            'generate = pipeline("text-generation", "FOLDER")',
            'messages = [{"role": "user", "content": "Name a color."}]',
            'generate(messages, max_new_tokens=256)[0]["generated_text"][-1]["content"]',
            "```",
            "",
            f"The chat template writes the prompt style `{names['prompt']}`, in which an entry "
            "reads",
            "",
            "```",
            style.prompt(_EXAMPLE) + style.completion(_EXAMPLE),
            "```",
            "",
            *_about_inputs(style),
            "## Made with",
            "",
            *_table(("setting", "value"), settings.items()),
            "",
            f"Device {record['device']}, precision {record['precision']}, "
            + ", ".join(f"{name} {version}" for name, version in record["versions"].items())
            + ".",
            "",
            "## Losses",
            "",
            *_table(("when", "training", "validation"), _losses(record, losses)),
            "",
            "## Scores",
            "",
            *_scores(scores),
            "",
            *_win_rates(wins, record["training"]["epochs"] == 0),
        ]
    )


def _about_inputs(style: PromptStyle) -> list[str]:
    """Return how a chat gives an input, as a paragraph or two."""
    if style.input is None:
        return ["It was taught no inputs beside the instruction.", ""]
    content = content_with_input(style, "Correct the spelling.", "Ocassion")
    if content is None:
        return [
            "Without an input, the part with {input} is left out; in a chat it stands as `input` "
            "beside `content`, which transformers passes on to the template and llama.cpp's server "
            "does not.",
            "",
        ]
    return [
        "Without an input, the part with {input} is left out. In a chat, an input follows the "
        "instruction in the same message, joined as above:",
        "",
        "```python",
        f'messages = [{{"role": "user", "content": {json.dumps(content, ensure_ascii=False)}}}]',
        "```",
        "",
    ]


def _losses(record: Mapping[str, Any], losses: Path) -> list[tuple[str, str, str]]:
    """Return the losses before finetuning and at the last evaluation."""
    first = record["initial_losses"]
    rows = [("before finetuning", f"{first['train']:.3f}", f"{first['val']:.3f}")]
    for row in read_losses(losses, record)[-1:]:
        when = f"step {row['step']:.0f} of {record['steps']}"
        rows.append((when, f"{row['train_loss']:.3f}", f"{row['val_loss']:.3f}"))
    return rows


def _scores(tables: Sequence[Path]) -> list[str]:
    """Return a table with a row for each judge."""
    rows = []
    for table in tables:
        verdicts = read_scores(table)
        scores = entry_scores(by_entry(verdicts)).values()
        entries = len({verdict.entry for verdict in verdicts})
        mean = fmean(scores) if scores else math.nan
        rows.append((table.parent.name, f"{len(scores)} of {entries}", f"{mean:.2f}"))
    if not rows:
        return ["Not judged when this card was written."]
    note = "Mean from 0 to 100 over the test entries of the data set, by the pipeline's own judges."
    return [note, "", *_table(("judge", "scored", "mean"), rows)]


def _win_rates(tables: Sequence[Path], seedless: bool) -> list[str]:
    """Return a table with a row for each pairwise judge that compared it with another variant."""
    rows = []
    for table in tables:
        rate = win_rate([read_wins(table)], seedless)
        if rate.is_baseline:
            continue
        judged = rate.statuses["judged"] + rate.statuses["same"]
        rows.append(
            (
                table.parent.name,
                rate.baseline,
                f"{judged} of {rate.entries}",
                "" if rate.rate is None else f"{rate.rate:.2f}",
                rate.interval and f"{rate.interval.low:.1f} to {rate.interval.high:.1f}",
                "" if rate.controlled is None else f"{rate.controlled:.2f}",
            )
        )
    if not rows:
        return []
    note = (
        "Percent of the test entries on which its response is preferred to that of the baseline, a "
        "tie or a verdict that changed with the order counting half."
    )
    header = ("judge", "baseline", "compared", "win rate", "95% interval", "length-controlled")
    return ["## Win rates", "", note, "", *_table(header, rows), ""]


def _table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Return a Markdown table; None becomes an empty cell."""
    lines = [header, ["---"] * len(header), *rows]
    return [
        "| " + " | ".join("" if cell is None else str(cell) for cell in line) + " |"
        for line in lines
    ]
