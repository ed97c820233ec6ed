"""A user's own labelled images, without a configuration: `bargewatch evaluate --labels FILE --images FOLDER`."""

from __future__ import annotations

import json
from pathlib import Path

from detector.errors import LabelError
from training.labelfiles import read_vector, read_yolo
from training.labels import LabelledScene, read_coco


def own_scenes(labels: Path, images: Path, *, rejected: bool = False) -> list[LabelledScene]:
    """Read labels of whatever kind they are.

    Args:
        labels: polygons on a map (GeoPackage, GeoJSON, a vessel table of `bargewatch predict` that was corrected), COCO
            (.json), or a folder of YOLO-OBB text files, where class 0 is `vessel` and 1 is `coal_barge`.
        images: folder of the scenes. Those in a folder of their own below it are of one place, named after that folder;
            any other image is a place of its own, which intervals and thresholds then take it for.
        rejected: also read the rows of a vessel table that were rejected.

    Raises:
        LabelError: the labels or the images are absent or cannot be understood.
    """
    if not labels.exists():
        raise LabelError(f"there are no labels at {labels}; give a .gpkg, .geojson or COCO .json file, or a YOLO folder")
    if not images.is_dir():
        raise LabelError(f"{images} is not a folder of images; set --images")
    if labels.is_dir():
        scenes = read_yolo(labels, images, names=("vessel", "coal_barge"))
    elif labels.suffix.lower() == ".json" and _is_coco(labels):
        scenes = read_coco(labels, images)
    else:
        scenes = read_vector(labels, images, rejected=rejected)
    for scene in scenes:
        if not scene.path.exists():
            raise LabelError(f"{labels} names the image {scene.path}, which is not there; set --images")
        inside = scene.path.relative_to(images).parts
        if len(inside) > 1:
            scene.place = inside[0]
    return scenes


def _is_coco(path: Path) -> bool:
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise LabelError(f"{path} is not JSON: {error}") from error
    return isinstance(content, dict) and "annotations" in content
