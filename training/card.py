"""Model cards: a hand-written text with every figure filled in from an evaluation.

The text is a `string.Template` (configs/card.md). No figure in a card is typed by hand, so a card cannot disagree with the
evaluation that it cites.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from string import Template
from typing import Any

from detector.atomic import replacing
from detector.calibration import apply
from detector.errors import ConfigError, WeightsNotFoundError
from detector.resources import config_path, weights_path
from training.evaluate import training_settings
from training.failures import LEGEND
from training.reporting import (
    HOW,
    calibration_table,
    figures,
    interval_note,
    several_folds,
    slice_table,
    table,
    transfer_table,
)

MODES = {"four_band": "Four bands", "true_colour": "True colour alone"}
_PLACES = (
    ("labels", "labels", "d"), ("precision_150", "P 150 m", ".2f"), ("recall_150", "R 150 m", ".2f"),
    ("f1_150", "F1 150 m", ".2f"), ("f1_50", "F1 50 m", ".2f"), ("ap50", "AP50", ".2f"),
    ("false_per_100km2", "false / 100 km²", ".1f"),
)  # fmt: skip


def write_card(
    name: str, evaluation: Path, *, run: Path | None = None, template: Path | None = None, folder: Path | None = None
) -> list[Path]:
    """Write ``NAME.md`` and, where there are failures, ``NAME-failures.jpg``.

    Args:
        name: of the weights in the registry.
        evaluation: folder with ``evaluation-four_band.json``, ``evaluation-true_colour.json`` or both.
        run: folder of the training run of these weights, whose settings are compared with those measured.
        template: the text around the figures.
        folder: where to write, and where registry.json is; by default the weights that ship.

    Raises:
        ConfigError: there is no evaluation, or the template asks for something unknown.
        WeightsNotFoundError: the registry does not have the weights.
    """
    reports = {mode: _read(evaluation / f"evaluation-{mode}.json") for mode in MODES}
    found = {mode: report for mode, report in reports.items() if report is not None}
    if not found:
        raise ConfigError(f"{evaluation} holds no evaluation-*.json; run bargewatch evaluate --out {evaluation}")
    first_mode, first = next(iter(found.items()))
    folder = folder or weights_path("registry.json").parent
    strip = evaluation / f"failures-{first_mode}.jpg"
    picture = folder / f"{name}-failures.jpg"
    text = template or config_path("card.md")
    parts = {
        "name": name, "facts": _facts(name, folder), "training": _training(first, run), "protocol": _protocol(first),
        "sections": "\n".join(_section(mode, report) for mode, report in found.items()),
        "failures": _failures(picture.name) if strip.is_file() else "No pictures were drawn.",
    }  # fmt: skip
    try:
        content = Template(text.read_text()).substitute(parts)
    except (OSError, KeyError, ValueError) as error:
        known = ", ".join(f"${key}" for key in parts)
        raise ConfigError(f"{text} cannot be filled in: {error}; it may use {known}") from error
    paths = [folder / f"{name}.md"]
    if strip.is_file():
        paths.append(picture)
        with replacing(picture) as draft:
            shutil.copyfile(strip, draft)
    with replacing(paths[0]) as draft:
        draft.write_text(content.rstrip() + "\n")
    return paths


def _read(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        report: dict[str, Any] = json.loads(path.read_text())
        report["labels"], report["scenes"], report["settings"]  # noqa: B018 - an older report lacks some
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not an evaluation of this version; run bargewatch evaluate again") from error
    return report


def _facts(name: str, folder: Path) -> str:
    path = folder / "registry.json"
    try:
        table = json.loads(path.read_text())["weights"]
        entry = table[name]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsNotFoundError(f"{path} has no weights {name!r}; enter them with bargewatch export --name") from error
    rows = [("Files", ", ".join(f"`{entry[kind]}`" for kind in ("onnx", "pt") if kind in entry))]
    rows.append(("SHA-256", f"`{entry['onnx_sha256']}` (.onnx)"))
    for other, form in table.items():
        if other != name and form.get("card") == entry.get("card"):
            what = f"`{form['onnx']}`, SHA-256 `{form['onnx_sha256']}`; the figures are of the first"
            rows.append((f"Other form, `{other}`", what))
    rows.append(("Classes", ", ".join(entry.get("classes", []))))
    if "size" in entry:
        rows.append(("Network input", f"{entry['size']} x {entry['size']} pixels of 5 m"))
    if "confidence" in entry:
        shown = float(apply(entry.get("calibration"), entry["confidence"]))
        scales = f"{entry['confidence']:g} of the network's own scores; {shown:.2f} in tables and for `--confidence`"
        rows.append(("Threshold", scales))
    rows.append(("Confidence", "calibrated" if entry.get("calibration") else "as the network gives it, not calibrated"))
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows)])


def _training(report: dict[str, Any], run: Path | None) -> str:
    """What is known of the training: the data that the evaluation saw, and the settings of the run."""
    scenes = Counter(one["place"] for one in report["scenes"])
    vessels = sum(one["vessels"] for one in report["scenes"])
    lines = [
        f"Measured on {vessels} labelled vessels in {sum(scenes.values())} scenes of {len(scenes)} places: "
        f"{', '.join(sorted(place.replace('_', ' ') for place in scenes))}."
    ]
    if run is None:
        return lines[0]
    settings = training_settings(run)
    if settings is None:
        raise ConfigError(f"{run} has no train.yaml; name the folder of a training run")
    o, s = settings["optimise"], settings["sampling"]
    mean = settings.get("averaged_with", [])
    what = f"These weights: averaged from {1 + len(mean)} runs. The first" if mean else "These weights:"
    lines.append(
        f"{what} started from `{settings['start']}`, {o['epochs']} epochs of {s['samples']} crops of "
        f"{s['size']} x {s['size']} pixels, seed {settings['seed']}, on all places of the configuration."
    )
    if made := _made(settings):
        lines.append(f"Beside the real labels: {made}.")
    if mean:
        lines.append(f"What the others were trained with, where it differs from the first: {'; '.join(map(_brief, mean))}.")
    others = [fold for fold, theirs in report["settings"].items() if theirs != settings]
    if report["out_of_fold"]:
        lines.append(
            f"**The networks measured below ({', '.join(others)}) were trained with other settings.**" if others
            else "The networks measured below were trained with the same settings, each without the places of its fold."
        )  # fmt: skip
    return "\n\n".join(lines)


def _made(settings: dict[str, Any]) -> str:
    """What was shown beside real labels."""
    painted, laid, hard = settings["painted"], settings["laid"], settings["sampling"]["hard"]
    parts = [
        f"{painted['scenes']} painted ports" if painted["scenes"] else "",
        f"{laid['copies']} copy of every real port with about {laid['vessels']} groups of painted hulls, most at its quays"
        if laid["copies"] else "",
        f"false alarms of an earlier stage ({hard:.0%} of the crops)" if hard else "",
    ]  # fmt: skip
    return "; ".join(part for part in parts if part)


def _brief(settings: dict[str, Any]) -> str:
    """Settings as one line of text."""
    return ", ".join(f"`{name}: {json.dumps(value)}`" for name, value in settings.items()) or "nothing"


def _protocol(report: dict[str, Any]) -> str:
    lines = [report["weights_note"]]
    if report["out_of_fold"]:
        networks = ", ".join(f"{fold} ({one['sha256'][:12]})" for fold, one in report["weights"].items())
        lines.append(
            "These weights have seen every labelled place, so no figure on those places would mean anything for them. What "
            f"is measured is the recipe: networks {networks}, run over whole scenes of the places that they have not seen."
        )
    left_out = sorted({one["scene"].split("_2")[0] for one in report["skipped"]})
    if left_out:
        lines.append(f"Not scored: {', '.join(left_out)}.")
    return "\n\n".join([" ".join(lines), f"{report['threshold_note']} {HOW}"])


def _section(mode: str, report: dict[str, Any]) -> str:
    kind, result = next(iter(report["labels"].items()))
    lines = [f"### {MODES[mode]}, {kind} labels", "", figures(result), "", interval_note(result), ""]
    rows = [(place.replace("_", " "), values) for place, values in result["places"].items()]
    lines += [table("place", [*rows, ("**pooled**", result["pooled"])], _PLACES), ""]
    if mode == "true_colour":
        return "\n".join(lines)
    lines += [slice_table(result["slices"]), "", result["slice_definition"], ""]
    lines += ["#### Confidence and thresholds", "", calibration_table(result["calibration"]), ""]
    if result["transfer"] and several_folds(result):
        lines += [transfer_table(result["transfer"]), ""]
    if (original := report["labels"].get("original")) and kind != "original":
        lines += ["#### On the source's own labels", "", figures(original), ""]
    return "\n".join(lines)


def _failures(picture: str) -> str:
    which = "The worst miss and the worst false alarm of each slice that are not shown before it."
    return f"{which}\n\n![failures]({picture})\n\n{LEGEND}"
