"""The figures of an evaluation: precision and recall, reliability, slices. Needs matplotlib (training extra)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from detector.atomic import replacing

_BLUE, _ORANGE, _GREEN, _GREY = "#1f77b4", "#e07b00", "#2a9d4a", "#777777"
_CURVES = (
    ("within_150_m", "centre within 150 m", _BLUE), ("within_50_m", "centre within 50 m", _GREEN),
    ("overlap_50", "box overlap 0.5", _ORANGE),
)  # fmt: skip
_MAPS = (
    ("raw", "as the network gives it", _GREY), ("cross_fold", "calibrated by other networks", _ORANGE),
    ("cross_place", "calibrated by other places of the network", _BLUE),
)  # fmt: skip


def write(result: dict[str, Any], folder: Path, mode: str) -> list[str]:
    """Draw the figures of one set of labels (a result of `training.summary`) as PNG.

    Returns:
        the file names: ``precision-recall-<mode>.png``, ``reliability-…``, ``slices-…``.
    """
    figures = {"precision-recall": _precision_recall, "reliability": _reliability, "slices": _slices}
    names = []
    for name, draw in figures.items():
        figure = draw(result)
        names.append(f"{name}-{mode}.png")
        with replacing(folder / names[-1]) as draft:
            figure.savefig(draft, dpi=110, bbox_inches="tight")
    return names


def _figure(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(1, columns)
    for ax in np.atleast_1d(axes):
        ax.grid(alpha=0.3)
        ax.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _precision_recall(result: dict[str, Any]) -> Any:
    figure, ax = _figure(6, 5)
    for key, name, colour in _CURVES:
        if points := result["curves"][key]:
            recall, precision, _ = np.array(points).T
            ax.plot(recall, precision, color=colour, label=name)
    for key, name, marker in (("pooled", "thresholds of other folds", "o"), ("pooled_at_single", "one threshold", "s")):
        values = result[key]
        if values["precision_150"] is not None and values["recall_150"] is not None:
            label = f"{name}: F1 {values['f1_150'] or 0:.2f}"
            ax.plot(values["recall_150"], values["precision_150"], marker, color=_BLUE, mfc="white", ms=8, label=label)
    ax.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", aspect="equal")
    ax.legend(loc="lower left", fontsize=8)
    return figure


def _reliability(result: dict[str, Any]) -> Any:
    figure, (left, right) = _figure(10, 4.6, 2)
    calibration = result["calibration"]
    left.plot([0, 1], [0, 1], color="black", lw=0.8, ls=":")
    for key, name, colour in _MAPS:
        if (found := calibration[key]) is None or not found["all"]["n"]:
            continue
        bins = found["all"]["bins"]
        share, n = np.array([b["vessels"] for b in bins]), np.array([b["n"] for b in bins])
        error = np.sqrt(share * (1 - share) / n)
        left.errorbar(
            [b["confidence"] for b in bins], share, yerr=error, color=colour, marker="o", ms=4, capsize=2, lw=1.2,
            label=f"{name}: ECE {found['all']['ece']:.3f} (chance {found['all']['floor']:.3f})",
        )  # fmt: skip
    left.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share that are labelled vessels")
    left.legend(fontsize=7, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    for fold, network in calibration["networks"].items():
        if network["table"]:
            raw, calibrated = np.array(network["table"]).T
            label = f"network {fold}: {network['detections']} detections, {network['places']} places"
            right.plot(raw, calibrated, label=label)
    if calibration["table"]:
        raw, calibrated = np.array(calibration["table"]).T
        right.plot(raw, calibrated, color="black", lw=2, label="all together")
    right.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence of the network", ylabel="calibrated")
    right.legend(fontsize=7, loc="lower right")
    return figure


def _slices(result: dict[str, Any]) -> Any:
    figure, axes = _figure(10, 4.6, 2)
    rows = [row for row in result["slices"] if row["labels"]]
    places = [{"name": p, "intervals": {}, **v} for p, v in result["places"].items() if v["labels"]]
    for ax, shown in zip(axes, (rows, places), strict=True):
        y = np.arange(len(shown))[::-1]
        for key, name, colour, shift in (("recall_150", "recall", _BLUE, 0.2), ("f1_150", "F1", _ORANGE, -0.2)):
            values = [row[key] or 0.0 for row in shown]
            ax.barh(y + shift, values, 0.38, color=colour, label=f"{name} at 150 m")
            for at, row in zip(y, shown, strict=True):
                if interval := row["intervals"].get(key):
                    ax.plot(interval, [at + shift] * 2, color="black", lw=1)
        ax.set_yticks(y, [f"{row['name'].replace('_', ' ')} ({row['labels']})" for row in shown], fontsize=8)
        ax.set(xlim=(0, 1))
        ax.grid(axis="y", visible=False)
    axes[0].set_xlabel("line: 95 % interval over places; in brackets: labelled vessels", fontsize=8)
    axes[1].legend(fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2)
    return figure
