"""Cut labelled scenes into georeferenced chips and keep them in a folder.

A chip is a GeoTIFF of the encoded network input (uint8, bands B04 B03 B02 B08, 0 = no data) on the scene's own
pixel grid, with its boxes in a JSON index beside. Chips overlap, so that every hull is whole in at least one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.encoding import BANDS, encode
from detector.errors import ConfigError, MissingBandError
from detector.geometry import Window
from detector.scene import open_scene
from training.labels import LabelledScene

CHIP = 384
"""Side of a chip in scene pixels: a 512-pixel crop of the network, turned by any angle, fits inside."""
STRIDE = 192
INDEX = "chips.json"


@dataclass
class Chip:
    """One chip and its boxes.

    Attributes:
        file: GeoTIFF name in the chip folder.
        scene: name of the labelled scene it was cut from.
        place: its port.
        metres: ground metres of one pixel (geometric mean of both directions).
        near_infrared: whether band B08 is real.
        corners: (n, 4, 2) boxes in chip pixels; a box may stick out.
        classes: (n,) class numbers.
        ignore: (n,) boxes that must count neither way.
        valid: share of pixels with data.
        hard: (m, 2) pixel positions of hard negatives, see `training.hard`.
    """

    file: str
    scene: str
    place: str
    metres: float
    near_infrared: bool
    corners: NDArray[np.float32]
    classes: NDArray[np.int64]
    ignore: NDArray[np.bool_]
    valid: float
    hard: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 2), np.float32))

    def to_json(self) -> dict[str, Any]:
        """The chip as plain JSON types."""
        return {
            **self.__dict__,
            "corners": np.round(self.corners.reshape(-1, 8).astype(float), 3).tolist(),
            "classes": self.classes.tolist(),
            "ignore": self.ignore.tolist(),
            "hard": np.round(self.hard.astype(float), 1).tolist(),
        }

    @classmethod
    def from_json(cls, row: dict[str, Any]) -> Chip:
        """The reverse of `to_json`."""
        return cls(
            **{
                **row,
                "corners": np.asarray(row["corners"], np.float32).reshape(-1, 4, 2),
                "classes": np.asarray(row["classes"], np.int64),
                "ignore": np.asarray(row["ignore"], bool),
                "hard": np.asarray(row.get("hard", []), np.float32).reshape(-1, 2),
            }
        )


def read_index(folder: Path) -> list[Chip]:
    """All chips of a chip folder.

    Raises:
        ConfigError: the folder has no index.
    """
    index = folder / INDEX
    if not index.is_file():
        raise ConfigError(f"{folder} holds no {INDEX}; cut chips first (bargewatch train does it)")
    return [Chip.from_json(row) for row in json.loads(index.read_text())]


def cut_chips(
    scenes: list[LabelledScene], folder: Path, classes: tuple[str, ...],
    hard: Mapping[str, NDArray[np.float64]] | None = None,
) -> list[Chip]:  # fmt: skip
    """Cut every scene and write chips and index into a folder, replacing what was there.

    Args:
        scenes: what to cut.
        folder: where chips and index go.
        classes: names in the order of the class numbers.
        hard: pixel positions (n, 2) of hard negatives by the name of a scene.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.tif"):
        old.unlink()
    nowhere = np.zeros((0, 2))
    chips = [
        chip for scene in scenes for chip in _cut_scene(scene, folder, classes, (hard or {}).get(scene.name, nowhere))
    ]
    (folder / INDEX).write_text(json.dumps([chip.to_json() for chip in chips]))
    return chips


def _origins(size: int) -> list[int]:
    last = max(size - CHIP, 0)
    return sorted({*range(0, last, STRIDE), last})


def read_encoded(scene: Any, window: Window, stand_ins: dict[str, str]) -> NDArray[np.uint8]:
    """Encoded pixels (4, height, width) of a window; bands may be stood in for by others.

    Raises:
        MissingBandError: red, green or blue is neither there nor stood in for.
    """
    wanted = [band if band in scene.bands else stand_ins.get(band, band) for band in BANDS]
    present = [band for band in wanted if band in scene.bands]
    for band in wanted[:3]:
        if band not in scene.bands:
            raise MissingBandError(f"{scene.id} has no band {band}; it has {', '.join(scene.bands)}")
    unique = list(dict.fromkeys(present))
    encoded = encode(scene.read(window, unique), [scene.radiometry[b] for b in unique], scene.fill)
    out = np.zeros((len(BANDS), window.height, window.width), np.uint8)
    for channel, band in enumerate(wanted):
        if band in unique:
            out[channel] = encoded[unique.index(band)]
    return out


def _cut_scene(
    labelled: LabelledScene, folder: Path, classes: tuple[str, ...], hard: NDArray[np.float64]
) -> Iterator[Chip]:
    import rasterio

    with open_scene(labelled.path, require=()) as scene:
        grid = scene.grid
        corners = np.array([label.corners for label in labelled.labels], np.float32).reshape(-1, 4, 2)
        if unknown := {label.name for label in labelled.labels} - set(classes):
            raise ConfigError(f"{labelled.name} has the class {unknown.pop()!r}; add it to `classes` or to `drop`")
        class_ids = np.array([classes.index(label.name) for label in labelled.labels], np.int64)
        ignore = np.array([label.ignore for label in labelled.labels], bool)
        for row in _origins(grid.height):
            for col in _origins(grid.width):
                window = Window(col, row, CHIP, CHIP)
                pixels = read_encoded(scene, window, labelled.stand_ins)
                valid = float((pixels[:3] > 0).all(axis=0).mean())
                if valid < 0.02:
                    continue
                shifted = corners - np.array([col, row], np.float32)
                centre = shifted.mean(axis=1)
                inside = ((centre > -20) & (centre < CHIP + 20)).all(axis=1)
                spots = (hard - np.array([col, row])).astype(np.float32)
                spots = spots[((spots > 0) & (spots < CHIP)).all(axis=1)]
                sizes = grid.pixel_size(col + CHIP / 2, row + CHIP / 2)
                chip = Chip(
                    f"{labelled.name}_{col}_{row}.tif", labelled.name, labelled.place,
                    float(np.sqrt(sizes[0] * sizes[1])), bool(pixels[3].any()),
                    shifted[inside], class_ids[inside], ignore[inside], valid, spots,
                )  # fmt: skip
                profile = {
                    "driver": "GTiff", "count": len(BANDS), "dtype": "uint8", "width": CHIP, "height": CHIP,
                    "crs": grid.crs, "transform": grid.window_grid(window).transform, "nodata": 0,
                    "compress": "deflate",
                }  # fmt: skip
                with rasterio.open(folder / chip.file, "w", **profile) as out:
                    out.write(pixels)
                    out.descriptions = BANDS
                yield chip
