"""Evaluation results as JSON and as a table to read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detector.atomic import replacing

_COLUMNS = (
    ("labels", "labels", "d"), ("tp", "found", "d"), ("fp", "false", "d"), ("fn", "missed", "d"),
    ("precision_150", "P 150 m", ".2f"), ("recall_150", "R 150 m", ".2f"), ("f1_150", "F1 150 m", ".2f"),
    ("f1_50", "F1 50 m", ".2f"), ("ap50", "AP50", ".2f"), ("length_bias_m", "length bias m", "+.0f"),
    ("length_mae_m", "length MAE m", ".0f"), ("axis_within_10", "axis within 10°", ".2f"),
)  # fmt: skip


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown: one table for each set of labels, and how to read it."""
    lines = [f"# Evaluation, {report['mode'].replace('_', ' ')}", "", report["weights_note"], ""]
    for kind, result in report["labels"].items():
        interval = result["pooled_f1_150_interval"]
        single = result["thresholds"]["single"]
        lines += [f"## {kind.capitalize()} labels", "", _header()]
        lines += [_line(place, values["threshold"], values) for place, values in result["places"].items()]
        lines += [
            _line("**pooled**", None, result["pooled"]),
            _line("pooled, one threshold", single, result["pooled_at_single"]),
            "",
            f"Pooled F1 at 150 m: {result['pooled']['f1_150'] or 0:.3f}, 95 % interval over places "
            f"{interval['low']:.3f} to {interval['high']:.3f}.",
            "",
        ]
    if report["skipped"]:
        lines += ["Not scored:", ""]
        lines += [f"- {one['scene']}: {one['reason']}" for one in report["skipped"]] + [""]
    lines += [report["threshold_note"], "", _HOW, ""]
    return "\n".join(lines)


_HOW = (
    "P, R, F1: one-to-one matches of centres within 150 m (50 m) on the ground. AP50: oriented boxes, intersection over "
    "union 0.5, all-point interpolation. Length bias and MAE: claimed minus labelled length of the vessels matched within "
    "150 m. Detections on ignore areas count neither way. Unlabelled vessels count as false alarms, so precision is a "
    "lower bound."
)


def _header() -> str:
    names = ["place", "threshold", *(title for _, title, _ in _COLUMNS)]
    return f"| {' | '.join(names)} |\n|{'---|' * len(names)}"


def _line(name: str, threshold: float | None, values: dict[str, Any]) -> str:
    cells = [name, "by fold" if threshold is None else f"{threshold:.2f}"]
    cells += ["" if values[key] is None else format(values[key], form) for key, _, form in _COLUMNS]
    return f"| {' | '.join(cells)} |"


def write_report(report: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write ``evaluation-<mode>.json`` and ``.md`` into a folder; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"evaluation-{report['mode']}.json", folder / f"evaluation-{report['mode']}.md"
    for path, text in zip(paths, (json.dumps(report, indent=1) + "\n", markdown(report)), strict=True):
        with replacing(path) as draft:
            draft.write_text(text)
    return paths
