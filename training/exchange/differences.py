"""What a person changed: two sets of labels compared, and the changes as a file of corrections (docs/labels.md)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.atomic import replacing
from detector.errors import LabelError
from training.exchange.geopackage import unique_names
from training.exchange.tiles import Tile, overlap
from training.labels import Label, LabelledScene

Corrections = dict[str, list[dict[str, Any]]]
"""Image file name to its operations."""
TOLERANCE = 0.1
"""Corners that moved by less, in scene pixels, are where they were; formats round."""
SAME = 0.3
"""Least intersection over union of two boxes that may be one label, where ids do not tell."""


def differences(
    original: Sequence[LabelledScene],
    edited: Sequence[LabelledScene],
    *,
    unseen: Sequence[Tile] = (),
    reason: str = "",
) -> Corrections:
    """The operations that turn the original labels into the edited ones, by image file name.

    Labels are paired by id, and where there is none by overlap. Scenes that are not among the edited ones, and tiles
    that did not come back, stay as they are.

    Args:
        original: labels with ids.
        edited: the same scenes after editing.
        unseen: tiles that nobody looked at.
        reason: what to note where the edited label has no `reason` of its own.

    Raises:
        LabelError: an edited image is not among the originals, or ids do not tell the original labels apart.
    """
    unique_names(original)
    unique_names(edited)
    by_name = {scene.path.name: scene for scene in original}
    out: Corrections = {}
    for scene in edited:
        before = by_name.get(scene.path.name)
        if before is None:
            raise LabelError(f"{scene.path.name} is not among the {len(by_name)} original images; check --original")
        gaps = [tile for tile in unseen if tile.image == scene.path.name]
        seen = [label for label in before.labels if not any(tile.owns(label.centre) for tile in gaps)]
        operations = _scene_differences(seen, scene.labels, reason)
        _check_ids(before, operations)
        if operations:
            out[scene.path.name] = operations
    return out


def _scene_differences(before: Sequence[Label], after: Sequence[Label], reason: str) -> list[dict[str, Any]]:
    pairs = _paired(before, after)
    operations: list[dict[str, Any]] = []
    for i, label in enumerate(before):
        if i not in pairs:
            operations.append({"op": "remove", "id": label.id, "reason": reason or "removed by hand"})
            continue
        operations += _changes(label, after[pairs[i]], reason)
    for j, label in enumerate(after):
        if j not in set(pairs.values()):
            kind = {} if label.name == "vessel" else {"class": label.name}
            why = label.properties.get("reason") or reason or "drawn by hand"
            operations.append({"op": "ignore" if label.ignore else "add", "obb": _obb(label), **kind, "reason": why})
    return operations


def _paired(before: Sequence[Label], after: Sequence[Label]) -> dict[int, int]:
    """Index of the edited label of each original one; a copied label has its id twice, the nearer copy takes it."""
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    by_id: dict[str, list[int]] = {}
    for j, label in enumerate(after):
        if label.id is not None:
            by_id.setdefault(str(label.id), []).append(j)
    for i, label in enumerate(before):
        copies = [j for j in by_id.get(str(label.id), []) if j not in taken] if label.id is not None else []
        if copies:
            pairs[i] = min(copies, key=lambda j: corner_distance(label.corners, after[j].corners))
            taken.add(pairs[i])
    known = {str(label.id) for label in before if label.id is not None}
    loose = [j for j, label in enumerate(after) if j not in taken and str(label.id) not in known]
    near = [
        (overlap(before[i].corners, after[j].corners), i, j)
        for i in range(len(before)) if i not in pairs
        for j in loose if np.hypot(*(before[i].centre - after[j].centre)) < np.ptp(before[i].corners, axis=0).sum()
    ]  # fmt: skip
    for shared, i, j in sorted(near, key=lambda one: (-one[0], one[1], one[2])):
        if shared >= SAME and i not in pairs and j not in taken:
            pairs[i] = j
            taken.add(j)
    return pairs


def _changes(old: Label, new: Label, reason: str) -> list[dict[str, Any]]:
    noted = new.properties.get("reason") if new.properties.get("reason") != old.properties.get("reason") else None
    why = noted or reason
    out: list[dict[str, Any]] = []
    if corner_distance(old.corners, new.corners) > TOLERANCE:
        out.append({"op": "reshape", "id": old.id, "obb": _obb(new), "reason": why or _described(old, new)})
    if old.name != new.name:
        out.append({"op": "class", "id": old.id, "class": new.name, "reason": why or f"{old.name} -> {new.name}"})
    if old.ignore != new.ignore:
        out.append({"op": "ignore" if new.ignore else "count", "id": old.id, "reason": why or "changed by hand"})
    return out


def corner_distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Largest distance of two boxes' corners, wherever each begins and whichever way round it goes; pixels."""
    orders = [np.roll(corners, shift, axis=0) for corners in (other, other[::-1]) for shift in range(4)]
    return float(min(np.hypot(*(one - order).T).max() for order in orders))


def _described(old: Label, new: Label) -> str:
    (length, width), (longer, wider) = _size(old), _size(new)
    moved = float(np.hypot(*(new.centre - old.centre)))
    return f"length {length:.1f} -> {longer:.1f} px, width {width:.1f} -> {wider:.1f} px, moved {moved:.1f} px"


def _size(label: Label) -> tuple[float, float]:
    sides = np.hypot(*(np.roll(label.corners, -1, axis=0) - label.corners).T)
    pair = (float(sides[0] + sides[2]) / 2, float(sides[1] + sides[3]) / 2)
    return max(pair), min(pair)


def _obb(label: Label) -> list[float]:
    return [float(v) for v in np.round(label.corners.reshape(-1), 3)]


def _check_ids(scene: LabelledScene, operations: Sequence[dict[str, Any]]) -> None:
    count = Counter(str(label.id) for label in scene.labels)
    for operation in operations:
        if "id" not in operation:
            continue
        if operation["id"] is None or count[str(operation["id"])] > 1:
            raise LabelError(
                f"{scene.path.name}: the original label {operation['id']} to {operation['op']} has no id of its own; "
                "write the originals with `labels export` first, or fill their id column"
            )


def keep_reasons(corrections: Corrections, previous: Path) -> None:
    """Take the reasons of an earlier file of corrections for operations that are the same now.

    Raises:
        LabelError: the file cannot be read.
    """
    try:
        earlier = {
            (image, _key(operation)): operation.get("reason")
            for image, operations in json.loads(previous.read_text())["images"].items()
            for operation in operations
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabelError(f"{previous} is not a file of corrections: {type(error).__name__} {error}") from error
    for image, operations in corrections.items():
        for operation in operations:
            operation["reason"] = earlier.get((image, _key(operation))) or operation["reason"]


def _key(operation: dict[str, Any]) -> tuple[Any, ...]:
    box = tuple(round(float(v), 1) for v in operation.get("obb", ()))
    return operation["op"], str(operation.get("id")), operation.get("class"), box


def count_operations(corrections: Corrections) -> dict[str, int]:
    """How many operations of each kind."""
    return dict(Counter(operation["op"] for operations in corrections.values() for operation in operations))


def write_corrections(corrections: Corrections, path: Path, *, source: str, note: str) -> None:
    """Write a file of corrections, an operation a line, for `corrections:` in the settings of a training."""
    images = ",\n".join(
        f"  {json.dumps(image)}: [\n" + ",\n".join(f"   {json.dumps(o, ensure_ascii=False)}" for o in operations) + "\n  ]"
        for image, operations in sorted(corrections.items())
    )
    head = f' "source": {json.dumps(source)},\n "note": {json.dumps(note)},\n'
    with replacing(path) as draft:
        draft.write_text(f'{{\n{head} "images": {{\n{images}\n }}\n}}\n')
