"""The list of released weights, `registry.json`, which says what each file must hash to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detector.atomic import replacing
from detector.errors import WeightsError
from detector.model import find_weights
from training.export import sha256

FILE = "registry.json"


def register(
    folder: Path,
    name: str,
    onnx: Path,
    *,
    pt: Path | None = None,
    made_from: Path | None = None,
    default: bool | str = False,
) -> dict[str, Any]:
    """Enter weights into the registry of a folder, or renew their entry; the first become the default.

    Args:
        folder: where `registry.json` and the files are.
        name: what users say to ``--weights``.
        onnx: the exported network, in the folder.
        pt: the lean checkpoint, in the folder.
        made_from: the network that this one is another form of; where it is in the registry, they share its card.
        default: make them the weights that are used unless told otherwise; "vnni": on processors with 8-bit
            instructions only.

    What the network says of itself (classes, size, confidence, calibration) is copied for people to read; inference asks
    the file.

    Raises:
        WeightsError: a file is not in the folder, or the registry is damaged.
    """
    path = folder / FILE
    try:
        table: dict[str, Any] = {"default": name, "weights": {}}
        if path.is_file():
            table = json.loads(path.read_text())
        known: dict[str, Any] = table["weights"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is not a registry of weights; restore it, or remove it to begin anew") from error
    entry: dict[str, Any] = {}
    for kind, file in (("onnx", onnx), ("pt", pt)):
        if file is None:
            continue
        if file.parent.resolve() != folder.resolve() or not file.is_file():
            raise WeightsError(f"{file} is not in {folder}; the files of a registry lie beside it")
        entry |= {kind: file.name, f"{kind}_sha256": sha256(file)}
    cards = {other.get("onnx"): other.get("card") for other in known.values()}
    card = None if made_from is None else cards.get(made_from.name)
    known[name] = entry | {"card": card or f"{name}.md"} | _facts(onnx)
    if default == "vnni":
        table["default_vnni"] = name
    elif default or table.get("default") not in known:
        table["default"] = name
    with replacing(path) as draft:
        draft.write_text(json.dumps(table, indent=1) + "\n")
    return table


def _facts(onnx: Path) -> dict[str, Any]:
    """What a network says of itself that a reader of the registry wants to know."""
    found = find_weights(onnx)
    facts: dict[str, Any] = {"classes": list(found.classes), "size": found.size, "confidence": found.confidence}
    if found.calibration is not None:
        facts["calibration"] = [list(pair) for pair in found.calibration]
    return facts
