"""The list of released weights, `registry.json`, which says what each file must hash to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from detector.atomic import replacing
from detector.errors import WeightsError
from training.export import sha256

FILE = "registry.json"


def register(
    folder: Path, name: str, onnx: Path, *, pt: Path | None = None, default: bool | str = False, **facts: Any
) -> dict[str, Any]:
    """Enter weights into the registry of a folder, or renew their entry; the first become the default.

    Args:
        folder: where `registry.json` and the files are.
        name: what users say to ``--weights``.
        onnx: the exported network, in the folder.
        pt: the lean checkpoint, in the folder.
        default: make them the weights that are used unless told otherwise; "vnni": on processors with 8-bit
            instructions only.
        facts: what else to keep, e.g. classes and confidence; for people, the ONNX file's own metadata decide.

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
    known[name] = entry | {"card": f"{name}.md"} | facts
    if default == "vnni":
        table["default_vnni"] = name
    elif default or table.get("default") not in known:
        table["default"] = name
    with replacing(path) as draft:
        draft.write_text(json.dumps(table, indent=1) + "\n")
    return table
