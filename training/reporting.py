"""Evaluation results as JSON and as tables to read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detector.atomic import replacing
from detector.calibration import Table, check
from detector.errors import ConfigError

Column = tuple[str, str, str]
"""Key of a value, title, format."""

_COLUMNS: tuple[Column, ...] = (
    ("labels", "labels", "d"), ("tp", "found", "d"), ("fp", "false", "d"), ("fn", "missed", "d"),
    ("precision_150", "P 150 m", ".2f"), ("recall_150", "R 150 m", ".2f"), ("f1_150", "F1 150 m", ".2f"),
    ("f1_50", "F1 50 m", ".2f"), ("ap50", "AP50", ".2f"), ("water_km2", "water km²", ".0f"),
    ("false_per_100km2", "false / 100 km²", ".1f"),
)  # fmt: skip
_SHAPE: tuple[Column, ...] = (
    ("length_bias_60_m", "length bias m", "+.1f"), ("length_mae_60_m", "length MAE m", ".1f"),
    ("axis_within_10_60", "axis within 10°", ".2f"),
)  # fmt: skip
FIGURES: tuple[Column, ...] = (
    ("f1_150", "F1 at 150 m", ".2f"), ("precision_150", "precision at 150 m", ".2f"),
    ("recall_150", "recall at 150 m", ".2f"), ("f1_50", "F1 at 50 m", ".2f"), ("ap50", "AP50, oriented boxes", ".2f"),
    ("false_per_100km2", "false alarms per 100 km² of water", ".1f"),
    ("length_bias_60_m", "length bias, 60 m and over, m", "+.1f"),
    ("length_mae_60_m", "length MAE, 60 m and over, m", ".1f"),
    ("axis_within_10_60", "axis within 10°, 60 m and over", ".2f"),
)  # fmt: skip

HOW = (
    "P, R, F1: one-to-one matches of centres within 150 m (50 m) on the ground. AP50: oriented boxes, intersection over "
    "union 0.5, all-point interpolation, detections of all networks ranked together by their raw confidence. Length and "
    "axis: of the vessels matched within 150 m and labelled 60 m or longer, claimed minus labelled. Water: the product's "
    "own mask and the labelled hulls. Detections on ignore areas count neither way. Unlabelled vessels count as false "
    "alarms, so precision is a lower bound."
)


def table(first: str, rows: Iterable[tuple[str, dict[str, Any]]], columns: Sequence[Column]) -> str:
    """A Markdown table: a row for each name and its values, empty where a value is None."""
    titles = [first, *(title for _, title, _ in columns)]
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for name, values in rows:
        cells = ["" if values.get(key) is None else format(values[key], form) for key, _, form in columns]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def figures(result: dict[str, Any]) -> str:
    """The pooled figures with their intervals, one a line, at each way to choose a threshold."""
    ways = {f"one threshold, {result['thresholds']['single']:.2f}": ("pooled_at_single", "intervals_at_single")}
    if several_folds(result):
        ways = {"thresholds of other folds": ("pooled", "intervals"), **ways}
    lines = [f"| | {' | '.join(ways)} |", "|---|" + "---|" * len(ways)]
    for key, title, form in FIGURES:
        cells = [_with_interval(result[of].get(key), result[drawn].get(key), form) for of, drawn in ways.values()]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def several_folds(result: dict[str, Any]) -> bool:
    """Whether thresholds were chosen fold by fold; else there is but one."""
    return len(result["thresholds"]["cross_fit"]) > 1


def _with_interval(value: float | None, interval: list[float] | None, form: str) -> str:
    if value is None:
        return ""
    if interval is None:
        return format(value, form)
    return f"{value:{form}} ({interval[0]:{form}} to {interval[1]:{form}})"


def interval_note(result: dict[str, Any]) -> str:
    """What the intervals are."""
    b = result["bootstrap"]
    few = " With so few they are rather too narrow." if b["places"] < 10 else ""
    return (
        f"In brackets: {b['level']:.0%} intervals, {b['places']} {b['over']} drawn anew with replacement "
        f"{b['resamples']} times; thresholds are kept.{few}"
    )


def slice_table(rows: Sequence[dict[str, Any]]) -> str:
    """The slices that hold anything, with the intervals of recall and F1."""
    shown = []
    for one in rows:
        if one["labels"] or one["fp"]:
            drawn = {f"{key}_interval": _short(one["intervals"].get(key)) for key in ("recall_150", "f1_150")}
            shown.append((one["name"], {**one, **drawn}))
    columns: list[Column] = [("labels", "labels", "d"), ("places", "places", "d"), ("tp", "found", "d")]
    columns += [("fp", "false", "d"), ("fn", "missed", "d"), ("recall_150", "R 150 m", ".2f")]
    columns += [("recall_150_interval", "95 %", "s")]
    columns += [("f1_150", "F1 150 m", ".2f"), ("f1_150_interval", "95 %", "s"), ("ap50", "AP50", ".2f")]
    columns += [("water_km2", "water km²", ".0f"), ("false_per_100km2", "false / 100 km²", ".1f")]
    return table("slice", shown, columns)


def _short(interval: list[float] | None) -> str | None:
    return None if interval is None else f"{interval[0]:.2f}-{interval[1]:.2f}"


def calibration_table(calibration: dict[str, Any]) -> str:
    """ECE as the networks give their confidence and after calibration."""
    names = {
        "raw": "as the networks give it", "cross_fold": "calibrated on places of other networks",
        "cross_place": "calibrated on other places of the same network",
    }  # fmt: skip
    titles = ["confidence", "detections", "ECE", "by chance", "shown", "ECE of these", "by chance"]
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for key, name in names.items():
        if found := calibration[key]:
            cells = []
            for part in (found["all"], found["shown"]):
                ece = "" if part["ece"] is None else f"{part['ece']:.3f}"
                cells += [str(part["n"]), ece, f"{part['floor']:.3f}"]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        f"Expected calibration error over {calibration['bins']} bins of equal width; 'by chance': what as many detections "
        "would show if every confidence were right. 'Shown': at or above the place's threshold. Calibration never uses the "
        "place that it is judged on.",
    ]
    networks = [(fold, one) for fold, one in calibration["networks"].items() if one["half"] is not None]
    if len(networks) > 1:
        halves = ", ".join(f"{one['half']:.2f} for network {fold}" for fold, one in networks)
        lines += ["", f"Half of the detections are vessels at a raw confidence of {halves}."]
    return "\n".join(lines)


def transfer_table(transfer: dict[str, Any]) -> str:
    """What the choice of thresholds costs."""
    names = {
        "other_networks": "on the places of other networks (reported above)",
        "same_network": "on other places of the same network",
        "one": "one for all, on all places", "best_of_network": "best for each network, on its own places",
        "best_of_place": "best for each place, on itself",
    }  # fmt: skip
    lines = ["| threshold chosen | F1 150 m |", "|---|---|"]
    lines += [f"| {name} | {transfer[f'f1_150_{key}']:.3f} |" for key, name in names.items()]
    lines += ["", "The last three judge a choice on what it was made on: they bound what a better choice could gain."]
    return "\n".join(lines)


def markdown(report: dict[str, Any]) -> str:
    """The report as Markdown: figures, places, slices and calibration for each set of labels, and how to read them."""
    mode = report["mode"]
    lines = [f"# Evaluation, {mode.replace('_', ' ')}", "", report["weights_note"], ""]
    for number, (kind, result) in enumerate(report["labels"].items()):
        places = [(p, v) for p, v in result["places"].items()]
        columns = [("threshold", "threshold", ".2f"), *_COLUMNS, *_SHAPE]
        pooled = [("**pooled**", result["pooled"])]
        if several_folds(result):
            single = {"threshold": result["thresholds"]["single"], **result["pooled_at_single"]}
            pooled.append(("pooled, one threshold", single))
        lines += [f"## {kind.capitalize()} labels", "", figures(result), "", interval_note(result), ""]
        lines += ["### Places", "", table("place", [*places, *pooled], columns), ""]
        lines += ["### Slices", "", slice_table(result["slices"]), "", result["slice_definition"], ""]
        lines += ["### Confidence", "", calibration_table(result["calibration"]), ""]
        if result["transfer"] and several_folds(result):
            lines += ["### Thresholds", "", transfer_table(result["transfer"]), ""]
        if number == 0 and report.get("plots"):
            lines += [f"![{name}]({name})" for name in report["plots"]] + [""]
            for one in report.get("failures", []):
                lines += [f"### Failures: {one['slice']}", "", f"![{one['slice']}]({one['file']})", ""]
            if report.get("failures"):
                lines += [report["failure_legend"], ""]
    if report["skipped"]:
        lines += ["Not scored:", ""]
        lines += [f"- {one['scene']}: {one['reason']}" for one in report["skipped"]] + [""]
    lines += [report["threshold_note"], "", HOW, ""]
    return "\n".join(lines)


def write_report(report: dict[str, Any], folder: Path) -> tuple[Path, Path]:
    """Write ``evaluation-<mode>.json`` and ``.md`` into a folder; returns both paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / f"evaluation-{report['mode']}.json", folder / f"evaluation-{report['mode']}.md"
    for path, text in zip(paths, (json.dumps(report, indent=1) + "\n", markdown(report)), strict=True):
        with replacing(path) as draft:
            draft.write_text(text)
    return paths


def operating_point(report: Path) -> tuple[float, Table | None]:
    """The threshold and the calibration that a report chose from all places together, to go with released weights.

    Raises:
        ConfigError: the file is no report of `bargewatch evaluate`.
    """
    try:
        first = next(iter(json.loads(report.read_text())["labels"].values()))
        threshold, table = float(first["thresholds"]["single"]), first["calibration"]["table"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, StopIteration) as error:
        raise ConfigError(f"{report} is no report of bargewatch evaluate; name its evaluation-….json") from error
    return threshold, None if table is None else check(table)
