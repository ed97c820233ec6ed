"""Labelled scenes: what every label format is turned into before chips are cut."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import LabelError


@dataclass(eq=False)
class Label:
    """One labelled object.

    Attributes:
        corners: (4, 2) pixel positions of the oriented box, corner convention, in order round the box.
        name: class name, `vessel` or `coal_barge`.
        ignore: doubtful or not separable: neither hit nor miss may count there.
        id: the source's own id, for corrections and reports.
        properties: whatever else the source knows (visit_id, status, …).
    """

    corners: NDArray[np.float64]
    name: str = "vessel"
    ignore: bool = False
    id: str | int | None = None
    properties: dict[str, Any] = field(default_factory=dict)

    @property
    def centre(self) -> NDArray[np.float64]:
        """(2,) pixel position of the middle of the box."""
        return self.corners.mean(axis=0)


@dataclass
class LabelledScene:
    """A scene and its labels.

    Attributes:
        path: the raster.
        place: the port; scenes of one place are never split between training and test.
        labels: all its objects.
        stand_ins: bands to read in place of those that the file lacks, e.g. {"B02": "B03"}.
    """

    path: Path
    place: str
    labels: list[Label]
    stand_ins: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Place and file stem, unique in a data set."""
        return self.place if self.path.stem == self.place else f"{self.place}_{self.path.stem}"


def is_true(value: Any) -> bool:
    """Whether a value of a label file means yes; tools write true, 1, "1" and "true"."""
    return str(value).strip().lower() in ("true", "1", "1.0")


def _corners(annotation: dict[str, Any], convention: str) -> NDArray[np.float64]:
    """Box corners of a COCO annotation, from `obb` if present, else the smallest rectangle round the polygon."""
    obb = annotation.get("obb")
    if obb is not None and convention == "corners":
        return np.asarray(obb, dtype=float).reshape(4, 2)
    if obb is not None and convention == "cxcywha":
        cx, cy, length, width, angle = obb
        along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        across = np.array([-along[1], along[0]])
        signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]])
        return np.array([cx, cy]) + signs[:, :1] * along * length / 2 + signs[:, 1:] * across * width / 2
    if annotation.get("segmentation"):
        import shapely

        ring = np.asarray(annotation["segmentation"][0], dtype=float).reshape(-1, 2)
        # Four corners are the box, unless their sides cross or a number is missing, which the reader says.
        if not np.isfinite(ring).all() or (len(ring) == 4 and shapely.Polygon(ring).is_valid):
            return ring
        box = shapely.minimum_rotated_rectangle(shapely.MultiPoint(ring))
        if box.geom_type == "Polygon":
            return np.asarray(box.exterior.coords)[:4]
    if annotation.get("bbox"):
        x, y, w, h = annotation["bbox"]
        corners = np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], dtype=float)
        # CVAT writes a turned rectangle as the upright one and degrees clockwise about its centre (cvat-ai/cvat#4745).
        turn = np.radians(float(annotation.get("attributes", {}).get("rotation") or 0.0))
        spin = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        middle = corners.mean(axis=0)
        return (corners - middle) @ spin + middle if turn else corners
    raise LabelError(f"annotation {annotation.get('id')} has no obb, segmentation or bbox")


def read_coco(
    path: Path,
    images: Path,
    *,
    content: Any = None,
    obb: str = "corners",
    place: str | None = None,
    classes: Sequence[str] = ("vessel", "coal_barge"),
    drop: Iterable[str] = (),
    stand_ins: dict[str, dict[str, str]] | None = None,
) -> list[LabelledScene]:
    """Read COCO labels.

    Args:
        path: the JSON file.
        images: folder that `file_name` is relative to.
        content: the file's, where it is already parsed.
        obb: how the `obb` field is written: "corners" (x1 y1 … x4 y4) or "cxcywha" (centre, length, width,
            angle in degrees clockwise from +x).
        place: the place of all images; by default the image's `location`, else its file stem.
        classes: category names that are objects to find.
        drop: category names that are left out; any other name becomes an ignore area.
        stand_ins: for an image's stem, the bands to read instead of missing ones.

    Raises:
        LabelError: the file is not COCO, or an annotation has no box.
    """
    try:
        coco = json.loads(path.read_text()) if content is None else content
    except (OSError, ValueError) as error:
        raise LabelError(f"{path} is not a COCO label file: {type(error).__name__} {error}") from error
    try:
        categories = {c["id"]: c["name"] for c in coco["categories"]}
        by_image: dict[int, list[Label]] = {image["id"]: [] for image in coco["images"]}
        for annotation in coco["annotations"]:
            name = categories[annotation["category_id"]]
            if name in drop:
                continue
            attributes = annotation.get("attributes") or {}
            marks = (annotation.get("ignore"), annotation.get("iscrowd"), attributes.get("ignore"))
            ignore = any(is_true(mark) for mark in marks) or name not in classes
            corners = _corners(annotation, obb)
            if not np.isfinite(corners).all():
                raise LabelError(f"{path}: annotation {annotation['id']} has a position that is not a number")
            # Our own files keep ids here: COCO's must be whole numbers, and tools renumber them.
            known = attributes["source_id"] or None if "source_id" in attributes else annotation["id"]
            by_image[annotation["image_id"]].append(
                Label(corners, name if name in classes else classes[0], ignore, known, attributes)
            )
        return [
            LabelledScene(
                images / image["file_name"],
                place or image.get("location") or Path(image["file_name"]).stem,
                by_image[image["id"]],
                (stand_ins or {}).get(Path(image["file_name"]).stem, {}),
            )
            for image in coco["images"]
        ]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        if isinstance(error, LabelError):
            raise
        raise LabelError(f"{path} is not a COCO label file: {type(error).__name__} {error}") from error


def apply_corrections(scenes: list[LabelledScene], path: Path) -> None:
    """Apply a corrections file in place, by image name and label id; its operations are those of docs/labels.md.

    Raises:
        LabelError: the file cannot be read, names a label that does not exist, or an unknown operation.
    """
    by_name = {scene.path.name: scene for scene in scenes}
    try:
        for image, corrections in json.loads(path.read_text())["images"].items():
            if image not in by_name:
                continue  # a user may have fetched some of the ports only
            scene = by_name[image]
            by_id = {label.id: label for label in scene.labels}
            for correction in corrections:
                _correct(scene, by_id, correction, f"{path.name}, {image}")
    except LabelError:
        raise
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise LabelError(f"{path} is not a file of corrections: {type(error).__name__} {error}") from error


def _correct(scene: LabelledScene, by_id: dict[Any, Label], correction: dict[str, Any], where: str) -> None:
    op, label = correction["op"], by_id.get(correction.get("id"))
    box = np.asarray(correction["obb"], float).reshape(4, 2) if "obb" in correction else None
    if "id" in correction and label is None:
        raise LabelError(f"{where}: there is no label {correction['id']} to {op}")
    name, reason = correction.get("class", "vessel"), {"reason": correction.get("reason", "")}
    if op == "add" and box is not None:
        scene.labels.append(Label(box, name, properties=reason))
    elif op == "ignore" and label is not None:
        label.ignore = True
    elif op == "ignore" and box is not None:
        scene.labels.append(Label(box, name, ignore=True, properties=reason))
    elif op == "count" and label is not None:
        label.ignore = False
    elif op == "class" and label is not None and "class" in correction:
        label.name = str(name)
    elif op == "remove" and label is not None:
        scene.labels.remove(label)
    elif op == "reshape" and label is not None and box is not None:
        label.corners = box
    else:
        raise LabelError(f"{where}: {correction} is not an add, remove, ignore, reshape, class or count with what it needs")
