"""COCO as CVAT reads and writes it ("COCO 1.0"), on tiles; and COCO of whole scenes, for training.

CVAT takes a polygon from `segmentation`, or, where that is empty, a rectangle from `bbox` that is turned clockwise about
its centre by `attributes.rotation` degrees (since CVAT 2.3, cvat-ai/cvat#5219). Ids must be whole numbers
(cvat-ai/cvat#7356). It keeps attributes that the task's labels declare: `cvat-labels.json` declares ours.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from detector.atomic import replacing
from detector.errors import LabelError
from training.exchange.pictures import new_folder, write_pictures
from training.exchange.tiles import Cut, Tile, write_manifest
from training.labelfiles import CLASSES, PROPERTIES
from training.labels import Label, LabelledScene, read_coco

ANNOTATIONS = "annotations/instances_default.json"
SOURCE_ID = "source_id"
_COLOURS = ("#ffe200", "#ff46c8")
#: A box whose corners lie further than this from a rectangle, in picture pixels, is written as a polygon.
_RECTANGLE = 0.01


def write_coco(scenes: Sequence[LabelledScene], folder: Path, cut: Cut, *, rotated: bool = False) -> list[Tile]:
    """Write a folder for CVAT: images/, annotations/instances_default.json, cvat-labels.json, tiles.json.

    Args:
        scenes: what to write.
        folder: a new folder.
        cut: how scenes are cut into pictures.
        rotated: write rectangles as CVAT's turned boxes instead of polygons; others stay polygons, so nothing is lost.

    Raises:
        LabelError: the folder is already there.
    """
    with new_folder(folder) as draft:
        (draft / "images").mkdir()
        (draft / "annotations").mkdir()
        tiles = write_pictures(scenes, draft / "images", cut)
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, (tile, labels) in enumerate(tiles, 1):
            width, height = tile.size
            images.append({"id": number, "file_name": tile.file, "width": width, "height": height})
            for label in labels:
                shape = _shape(tile.to_tile(label.corners), rotated)
                annotations.append(_annotation(label, len(annotations) + 1, number, shape))
        (draft / ANNOTATIONS).write_text(_document(images, annotations))
        (draft / "cvat-labels.json").write_text(json.dumps(cvat_labels(), indent=1) + "\n")
        write_manifest([tile for tile, _ in tiles], draft)
    return [tile for tile, _ in tiles]


def write_scene_coco(scenes: Sequence[LabelledScene], path: Path, images: Path) -> None:
    """Write COCO in scene pixels, for `format: coco` with `obb: corners` in the settings of a training.

    Args:
        scenes: what to write.
        path: the JSON file.
        images: the folder that file names are relative to.
    """
    rows: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, scene in enumerate(scenes, 1):
        file = Path(os.path.relpath(scene.path, images)).as_posix()
        rows.append({"id": number, "file_name": file, "location": scene.place})
        for label in scene.labels:
            annotation = _annotation(label, len(annotations) + 1, number, _shape(label.corners, False))
            annotations.append({**annotation, "obb": np.round(label.corners.reshape(-1), 6).tolist()})
    with replacing(path) as draft:
        draft.write_text(_document(rows, annotations))


def read_coco_tiles(content: Any, path: Path, tiles: dict[str, Tile]) -> dict[str, list[Label]]:
    """Labels in picture pixels, by picture name, of a COCO file that was written for tiles or came back from CVAT.

    Raises:
        LabelError: it is not COCO, or names a picture that is not among the tiles.
    """
    out: dict[str, list[Label]] = {}
    for scene in read_coco(path, Path(), content=content):
        name = scene.path.stem
        if name not in tiles:
            raise LabelError(
                f"{path} has the picture {scene.path.name}, which is not among the {len(tiles)} tiles; set --tiles"
            )
        for label in scene.labels:
            attributes = label.properties
            label.id = attributes.get(SOURCE_ID) or None
            label.properties = {key: attributes[key] for key in PROPERTIES if attributes.get(key) not in (None, "")}
            if "confidence" in label.properties:
                label.properties["confidence"] = _number(label.properties["confidence"])
        out.setdefault(name, []).extend(scene.labels)
    return out


def cvat_labels() -> list[dict[str, Any]]:
    """The labels of a CVAT task, for the tab "Raw" of its constructor."""

    def text(name: str) -> dict[str, Any]:
        return {"name": name, "input_type": "text", "mutable": False, "values": [""], "default_value": ""}

    tick = {"name": "ignore", "input_type": "checkbox", "mutable": False, "values": ["false"], "default_value": "false"}
    attributes = [tick, *(text(name) for name in (*PROPERTIES, SOURCE_ID))]
    return [
        {"name": name, "color": colour, "type": "any", "attributes": attributes}
        for name, colour in zip(CLASSES, _COLOURS, strict=True)
    ]


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _document(images: list[dict[str, Any]], annotations: list[dict[str, Any]]) -> str:
    categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(CLASSES, 1)]
    document = {"licenses": [], "info": {"description": "bargewatch labels"}, "categories": categories}
    return json.dumps({**document, "images": images, "annotations": annotations}) + "\n"


def _annotation(label: Label, number: int, image: int, shape: dict[str, Any]) -> dict[str, Any]:
    texts = {key: "" if label.properties.get(key) is None else str(label.properties[key]) for key in PROPERTIES}
    source = "" if label.id is None else str(label.id)
    rotation = shape.pop("rotation")
    attributes = {"ignore": label.ignore, **texts, SOURCE_ID: source, "occluded": False, "rotation": rotation}
    category = CLASSES.index(label.name) + 1 if label.name in CLASSES else 1
    return {"id": number, "image_id": image, "category_id": category, **shape, "iscrowd": 0, "attributes": attributes}


def _shape(corners: NDArray[np.float64], rotated: bool) -> dict[str, Any]:
    low, high = corners.min(axis=0), corners.max(axis=0)
    area = round(float(shapely.Polygon(corners).area), 3)
    turned = _turned(corners) if rotated else None
    if turned is not None:
        return {"segmentation": [], "bbox": turned[:4], "rotation": turned[4], "area": area}
    ring = np.round(corners.reshape(-1), 6).tolist()
    return {"segmentation": [ring], "bbox": np.round([*low, *(high - low)], 6).tolist(), "rotation": 0.0, "area": area}


def _turned(corners: NDArray[np.float64]) -> list[float] | None:
    """x, y, width, height of the upright box and degrees clockwise about its centre; None if it is no rectangle."""
    along, across = corners[1] - corners[0], corners[3] - corners[0]
    width, height = float(np.hypot(*along)), float(np.hypot(*across))
    if min(width, height) == 0 or along[0] * across[1] - along[1] * across[0] < 0:
        return None
    centre, axis = corners.mean(axis=0), along / width
    side = np.array([-axis[1], axis[0]])
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    fitted = centre + signs[:, :1] * axis * width / 2 + signs[:, 1:] * side * height / 2
    if np.hypot(*(fitted - corners).T).max() > _RECTANGLE:
        return None
    turn = float(np.degrees(np.arctan2(along[1], along[0]))) % 360.0
    return [round(float(v), 6) for v in (centre[0] - width / 2, centre[1] - height / 2, width, height, turn)]
