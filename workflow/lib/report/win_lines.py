"""The console's lines about win rates. The Snakefile imports this module: nothing slow in here."""

from collections.abc import Mapping, Sequence


def win_lines(rows: Sequence[Mapping[str, str]], notes: Mapping[str, str]) -> list[str]:
    """Return a line for each variant and pairwise judge, best first.

    Args:
        rows: of summary.csv about pairwise judges, one for each variant.
        notes: words behind each judge's name, empty for a language model.
    """
    lines = []
    for judge in dict.fromkeys(row["judge"] for row in rows):
        note = notes.get(judge)
        lines.append(f"Win rates by {judge}{f' ({note})' if note else ''}, in percent of entries:")
        own = [row for row in rows if row["judge"] == judge]
        lines += map(_line, sorted(own, key=lambda row: -float(row["win_rate"] or 0)))
        lines.append("")
    return lines


def _line(row: Mapping[str, str]) -> str:
    name = f"{row['model']} / {row['recipe']}"
    if row["baseline"] == f"{row['model']}/{row['recipe']}":
        return f"{name}: the baseline"
    if not row["win_rate"]:
        return f"{name} against {row['baseline']}: no verdict in every run"
    rate = f"{float(row['win_rate']):.2f}"
    if row["win_low"]:
        rate += f" ({float(row['win_low']):.1f} to {float(row['win_high']):.1f})"
    if row["lc_win_rate"]:
        rate += f", length-controlled {float(row['lc_win_rate']):.2f}"
    if int(row["disagreements"]):
        rate += f"; {row['disagreements']} verdicts changed with the order"
    missing = int(row["unparsed"]) + int(row["failed"])
    if missing:
        rate += f"; {missing} of {row['entries']} entries have no verdict"
    if int(row["unrated"]):
        rate += f"; {row['unrated']} of {row['entries']} entries not rated"
    return f"{name} against {row['baseline']}: {rate}"
