"""YOLO oriented boxes on tiles: a folder that ultralytics trains on and CVAT reads ("Ultralytics YOLO Oriented Boxes").

The format has no ignore areas and no ids. Ignored labels get classes of their own (`ignore_vessel`, …); ids are found
again by place when labels are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from detector.errors import LabelError
from training.exchange.pictures import new_folder, write_pictures
from training.exchange.tiles import Cut, Tile, write_manifest
from training.labelfiles import CLASSES, parse_yolo_line
from training.labels import Label, LabelledScene

DATA = "data.yaml"
_IGNORE = "ignore_"


def write_yolo_tiles(scenes: Sequence[LabelledScene], folder: Path, cut: Cut, *, ignore: bool = True) -> list[Tile]:
    """Write images/, labels/, data.yaml and tiles.json.

    Args:
        scenes: what to write.
        folder: a new folder.
        cut: how scenes are cut into pictures.
        ignore: write ignored labels, as classes of their own; otherwise they are left out.

    Raises:
        LabelError: the folder is already there.
    """
    used = {_name(label) for scene in scenes for label in scene.labels if label.ignore and ignore}
    names = [*CLASSES, *sorted(used)]
    with new_folder(folder) as draft:
        (draft / "images").mkdir()
        (draft / "labels").mkdir()
        tiles = write_pictures(scenes, draft / "images", cut, hide_frame=True)
        for tile, labels in tiles:
            kept = [label for label in labels if ignore or not label.ignore]
            lines = [_line(names.index(_name(label)), label, tile) for label in kept]
            (draft / "labels" / f"{Path(tile.file).stem}.txt").write_text("".join(lines))
        # Without `path`, ultralytics takes the folder of this file; so it can be moved.
        data = {"train": "images", "val": "images", "names": dict(enumerate(names))}
        (draft / DATA).write_text(yaml.safe_dump(data, sort_keys=False))
        write_manifest([tile for tile, _ in tiles], draft)
    return [tile for tile, _ in tiles]


def _name(label: Label) -> str:
    name = label.name if label.name in CLASSES else CLASSES[0]
    return f"{_IGNORE}{name}" if label.ignore else name


def _line(number: int, label: Label, tile: Tile) -> str:
    shares = tile.to_tile(label.corners) / np.array(tile.size)
    return f"{number} {' '.join(f'{v:.8f}' for v in shares.reshape(-1))}\n"


def read_yolo_tiles(folder: Path, tiles: dict[str, Tile], export: Path) -> dict[str, list[Label]]:
    """Labels in picture pixels, by picture name, of a folder of YOLO-OBB files that were written for tiles.

    Text files may lie in folders below `labels` (CVAT adds one for the subset). A picture without a text file has not
    been looked at; one with an empty file has no vessels.

    Raises:
        LabelError: a file has no picture, or a line cannot be understood.
    """
    names = _names(folder / DATA if (folder / DATA).is_file() else export / DATA)
    root = folder / "labels" if (folder / "labels").is_dir() else folder
    out: dict[str, list[Label]] = {}
    for file in sorted(root.rglob("*.txt")):
        if file.stem not in tiles:
            if file.parent == folder and file.stem in ("train", "val", "test", "classes", "README"):
                continue  # lists of pictures that CVAT adds
            raise LabelError(f"{file} has no picture among the {len(tiles)} tiles of the export; set --tiles")
        if file.stem in out:
            raise LabelError(f"{folder} holds two label files named {file.name}; remove one")
        out[file.stem] = _read(file, names, np.array(tiles[file.stem].size, float))
    return out


def _read(file: Path, names: Sequence[str], size: Any) -> list[Label]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise LabelError(f"{file} cannot be read as text: {error}") from error
    labels = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            name, shares = parse_yolo_line(line, names, f"{file}, line {number}")
            ignore = name.startswith(_IGNORE) or name not in CLASSES
            name = name.removeprefix(_IGNORE)
            labels.append(Label(shares * size, name if name in CLASSES else CLASSES[0], ignore))
    return labels


def _names(file: Path) -> list[str]:
    try:
        names = yaml.safe_load(file.read_text())["names"]
        if isinstance(names, dict):
            names = [names[i] for i in range(len(names))]
        return [str(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise LabelError(f"{file} does not list `names`: {type(error).__name__} {error}") from error
