"""The chips to label next: a map of them in order, pictures, georeferenced cuts, and the predictions to start from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.detections import Detections
from detector.errors import LabelError, SceneError
from detector.scene import Scene, open_scene
from training.exchange import styles
from training.exchange.candidates import Candidate, candidates
from training.exchange.choosing import BASE, k_centre, standardised, uncertainty
from training.exchange.geopackage import image_outlines, write_labels, write_layer
from training.exchange.pictures import new_folder, scene_stretch
from training.labels import Label, LabelledScene

if TYPE_CHECKING:
    from detector.truecolour import Stretch

CUT_BANDS = ("B02", "B03", "B04", "B08", "B11", "B12")
_PICTURE = 768


@dataclass
class Choice:
    """A chosen chip.

    Attributes:
        rank: 1 is labelled first.
        candidate: the chip.
        uncertainty: sum over its boxes.
        difference: distance to the nearest chip that is labelled or ranks before it; inf for the first without any.
    """

    rank: int
    candidate: Candidate
    uncertainty: float
    difference: float

    @property
    def name(self) -> str:
        """File stem of its cut and picture."""
        window = self.candidate.window
        stem = re.sub(r"[^\w.-]+", "_", self.candidate.path.stem)
        return f"{self.rank:03d}_{stem}_{window.row:05d}_{window.col:05d}"


def choose(
    scenes: Sequence[Path],
    count: int,
    *,
    size: int = 256,
    vessels: Detections | None = None,
    threshold: float = 0.5,
    labelled: Sequence[Path] = (),
    say: Callable[[str], None] = lambda text: None,
) -> tuple[list[Choice], dict[Path, str]]:
    """Rank the chips of scenes: large uncertainty times difference first.

    Args:
        scenes: what to choose from.
        count: how many chips.
        size: side of a chip, scene pixels.
        vessels: predictions from a low confidence on; without any, difference alone decides.
        threshold: confidence from which a box counts as a vessel.
        labelled: scenes that are labelled already.
        say: progress, a line a scene.

    Returns:
        The choices in order, and the scenes that could not be read with the reason.

    Raises:
        LabelError: no scene has a chip with water.
    """
    found: list[Candidate] = []
    failed: dict[Path, str] = {}
    for path in scenes:
        try:
            chips = list(candidates(path, size, vessels))
        except SceneError as error:
            failed[path] = str(error)
            continue
        say(f"{path.name}: {len(chips)} chips, {sum(len(chip.boxes) for chip in chips)} predicted vessels")
        found += chips
    if not found:
        raise LabelError(f"none of the {len(scenes)} scenes has a chip with water and data; {'; '.join(failed.values())}")
    known = [chip.features for path in labelled for chip in candidates(path, size, None)]
    scaled = standardised(np.array([chip.features for chip in found] + known))
    doubt = np.array([float(uncertainty(chip.confidence, threshold).sum()) for chip in found])
    order = k_centre(
        scaled[: len(found)], count, weight=BASE + doubt, known=scaled[len(found) :] if known else None
    )
    choices = [Choice(rank, found[i], float(doubt[i]), distance) for rank, (i, distance) in enumerate(order, 1)]
    return choices, failed


def write_chosen(choices: Sequence[Choice], folder: Path, vessels: Detections | None) -> None:
    """Write a new folder: chips.gpkg, labels.gpkg, images/SCENE/*.tif and pictures/*.jpg.

    Raises:
        LabelError: the folder is already there.
    """
    with new_folder(folder) as draft:
        (draft / "pictures").mkdir()
        scenes: dict[int, LabelledScene] = {}
        for path in dict.fromkeys(choice.candidate.path for choice in choices):
            cuts = draft / "images" / re.sub(r"[^\w.-]+", "_", path.stem)
            cuts.mkdir(parents=True)
            with open_scene(path) as scene:
                stretch = scene_stretch(scene)
                for choice in (one for one in choices if one.candidate.path == path):
                    file = cuts / f"{choice.name}.tif"
                    _write_cut(scene, choice, file)
                    _write_picture(scene, choice, stretch, draft / "pictures" / f"{choice.name}.jpg")
                    scenes[choice.rank] = LabelledScene(file, cuts.name, _labels(choice, vessels))
        ordered = [scenes[choice.rank] for choice in choices]
        write_labels(ordered, draft / "labels.gpkg")
        write_layer(draft / "chips.gpkg", "chips", _chip_table(choices, ordered))
        styles.write_styles(draft / "chips.gpkg", {"chips": styles.chip_style()})


def _labels(choice: Choice, vessels: Detections | None) -> list[Label]:
    chip = choice.candidate
    if vessels is None:
        return []
    corner = np.array(chip.window[:2], float)
    return [
        Label(box - corner, str(vessels["class"][row]), id=int(row) + 1, properties={"confidence": float(confidence)})
        for box, row, confidence in zip(chip.boxes, chip.rows, chip.confidence, strict=True)
    ]


def _write_cut(scene: Scene, choice: Choice, file: Path) -> None:
    """The stored numbers of a chip as a GeoTIFF that says what they are."""
    import rasterio

    window = choice.candidate.window
    bands = [band for band in CUT_BANDS if band in scene.bands]
    pixels = scene.read(window, bands)
    profile = {
        "driver": "GTiff", "width": window.width, "height": window.height, "count": len(bands), "dtype": pixels.dtype,
        "crs": scene.grid.crs, "transform": scene.grid.window_grid(window).transform, "nodata": scene.fill,
        "compress": "deflate",
    }  # fmt: skip
    with rasterio.open(file, "w", **profile) as out:
        out.write(pixels)
        out.descriptions = tuple(bands)
        out.scales = [scene.radiometry[band][0] for band in bands]
        out.offsets = [scene.radiometry[band][1] for band in bands]
        if scene.acquired is not None:
            out.update_tags(ACQUIRED=scene.acquired.isoformat())
        if scene.level is not None:
            out.update_tags(LEVEL=scene.level)


def _write_picture(scene: Scene, choice: Choice, stretch: Stretch, file: Path) -> None:
    from detector.canvas import VESSEL, Mark, Panel
    from detector.truecolour import true_colour

    chip = choice.candidate
    zoom = _PICTURE / max(chip.window.width, chip.window.height)
    size = round(chip.window.width * zoom), round(chip.window.height * zoom)
    panel = Panel(stretch(true_colour(scene, chip.window)), chip.window, scene.grid, size)
    panel.draw_scale()
    marks = [
        Mark(box, VESSEL, True, f"{confidence:.2f}", 0.0, float(confidence))
        for box, confidence in zip(chip.boxes, chip.confidence, strict=True)
    ]
    panel.draw_boxes(marks)
    panel.draw_labels(marks)
    panel.draw_tag(0, 0, f"{choice.rank}", size=16)
    panel.image.save(file, quality=90)


def _chip_table(choices: Sequence[Choice], scenes: Sequence[LabelledScene]) -> Any:
    table = image_outlines(scenes)
    table.insert(0, "rank", [choice.rank for choice in choices])
    table.insert(2, "scene", [choice.candidate.path.name for choice in choices])
    # SQLite has no infinity; the first chip without any before it has no distance.
    distances = [round(c.difference, 3) if np.isfinite(c.difference) else None for c in choices]
    table["uncertainty"] = [round(choice.uncertainty, 3) for choice in choices]
    table["difference"] = np.array(distances, float)
    return table.rename(columns={"labels": "predicted"})
