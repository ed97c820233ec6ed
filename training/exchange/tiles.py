"""Scenes cut into tiles that labelling tools can show, and the way back.

Tools such as CVAT show 8-bit pictures and know neither maps nor 10980 pixels on a side. So each scene is divided into
cores that do not overlap; a tile shows its core and a frame around it. A label belongs to the one tile whose core holds
its centre: nothing is labelled twice, and no hull is cut, because the frame is grown until all labels of the tile are
inside. `tiles.json` beside the pictures says where each tile lies.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from detector.errors import LabelError
from detector.geometry import Grid, Window
from training.labels import Label, LabelledScene

MANIFEST = "tiles.json"
SAME_OVERLAP = 0.5
"""Boxes of two tiles with more intersection over union than this are one vessel, drawn twice."""


@dataclass(frozen=True)
class Cut:
    """How scenes are cut.

    Attributes:
        core: side of a core, scene pixels.
        frame: width of the frame around it, scene pixels.
        zoom: picture pixels of one scene pixel (its rows; columns as many as keep the ground undistorted).
        suffix: ".png" or ".jpg".
        labelled_only: leave out tiles without labels.
    """

    core: int = 256
    frame: int = 32
    zoom: float = 4.0
    suffix: str = ".png"
    labelled_only: bool = False


@dataclass(frozen=True)
class Tile:
    """One picture of a part of a scene.

    Attributes:
        file: name of the picture.
        image, place: file name and place of the scene.
        core: the pixels of the scene that it owns.
        window: the pixels that it shows.
        zoom: picture pixels of one scene pixel, columns and rows.
    """

    file: str
    image: str
    place: str
    core: Window
    window: Window
    zoom: tuple[float, float]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return round(self.window.width * self.zoom[0]), round(self.window.height * self.zoom[1])

    def to_tile(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Picture positions of scene pixels (…, 2)."""
        return np.asarray((corners - np.array(self.window[:2])) * np.array(self.zoom))

    def to_scene(self, corners: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scene pixels of picture positions (…, 2)."""
        return np.asarray(corners / np.array(self.zoom) + np.array(self.window[:2]))

    def owns(self, position: NDArray[np.float64]) -> bool:
        """Whether a scene position lies in the core."""
        col, row, width, height = self.core
        return bool(col <= position[0] < col + width and row <= position[1] < row + height)


def plan(scene: LabelledScene, grid: Grid, cut: Cut) -> list[tuple[Tile, list[Label]]]:
    """The tiles of a scene, row by row, each with the labels that it owns."""
    across, down = grid.pixel_size()
    cols, rows = range(0, grid.width, cut.core), range(0, grid.height, cut.core)
    owned: dict[tuple[int, int], list[Label]] = {(col, row): [] for row in rows for col in cols}
    for label in scene.labels:
        # A centre outside of the raster (a hull cut by its edge) belongs to the nearest tile.
        col, row = np.clip(label.centre, 0, (grid.width - 1, grid.height - 1)) // cut.core * cut.core
        owned[int(col), int(row)].append(label)
    tiles = []
    for (col, row), labels in owned.items():
        if cut.labelled_only and not labels:
            continue
        core = Window(col, row, min(cut.core, grid.width - col), min(cut.core, grid.height - row))
        window = _shown(core, labels, cut.frame)
        wide = max(round(window.width * cut.zoom * across / down), 1) if abs(across / down - 1) > 0.01 else None
        zoom = (cut.zoom if wide is None else wide / window.width, cut.zoom)
        stem = re.sub(r"[^\w.-]+", "_", scene.name)
        file = f"{stem}_{row:05d}_{col:05d}{cut.suffix}"
        tiles.append((Tile(file, scene.path.name, scene.place, core, window, zoom), labels))
    return tiles


def _shown(core: Window, labels: Sequence[Label], frame: int) -> Window:
    """The core with its frame, grown until every label is inside."""
    low = np.array([core.col, core.row]) - frame
    high = np.array([core.col + core.width, core.row + core.height]) + frame
    for label in labels:
        low = np.minimum(low, np.floor(label.corners.min(axis=0)).astype(int) - 2)
        high = np.maximum(high, np.ceil(label.corners.max(axis=0)).astype(int) + 2)
    return Window(int(low[0]), int(low[1]), int(high[0] - low[0]), int(high[1] - low[1]))


def write_manifest(tiles: Sequence[Tile], folder: Path) -> None:
    """Write `tiles.json`: where each picture lies in its scene."""
    rows = ",\n".join(f"  {json.dumps(asdict(tile))}" for tile in tiles)
    (folder / MANIFEST).write_text(f'{{"version": 1, "tiles": [\n{rows}\n]}}\n')


def read_manifest(path: Path) -> dict[str, Tile]:
    """The tiles of a `tiles.json`, or of the folder that it lies in, by picture name without folder and suffix.

    Raises:
        LabelError: there is none, or it is damaged.
    """
    file = path / MANIFEST if path.is_dir() else path
    try:
        rows = json.loads(file.read_text())["tiles"]
        tiles = [_tile(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabelError(
            f"{file} is no list of tiles ({type(error).__name__} {error}); --tiles is the folder of `labels export`"
        ) from error
    return {Path(tile.file).stem: tile for tile in tiles}


def _tile(row: dict[str, Any]) -> Tile:
    core, window = (Window(*(int(v) for v in row[key])) for key in ("core", "window"))
    zoom = (float(row["zoom"][0]), float(row["zoom"][1]))
    if not (min(zoom) > 0 and min(*core[2:], *window[2:]) > 0):
        raise ValueError(f"tile {row['file']} has no size")
    return Tile(str(row["file"]), str(row["image"]), str(row["place"]), core, window, zoom)


def gather(labels: dict[str, list[Label]], tiles: dict[str, Tile], images: Sequence[Path]) -> list[LabelledScene]:
    """Labels in picture pixels, by picture name, as labelled scenes; one scene for each that a tile is of.

    A box whose centre was drawn in the frame is taken too, unless the owner of that place has the same vessel.

    Raises:
        LabelError: the image of a tile is not there.
    """
    paths = {path.name: path for path in images}
    scenes: dict[str, LabelledScene] = {}
    outside: list[tuple[str, Label]] = []
    for name, found in labels.items():
        tile = tiles[name]
        if tile.image not in paths:
            raise LabelError(f"the tile {tile.file} is of {tile.image}, which is not among the images; set --images")
        scene = scenes.setdefault(tile.image, LabelledScene(paths[tile.image], tile.place, []))
        for label in found:
            label.corners = tile.to_scene(label.corners)
            if tile.owns(label.centre):
                scene.labels.append(label)
            else:
                outside.append((tile.image, label))
    for image, label in outside:
        if not any(_overlap(label, other) > SAME_OVERLAP for other in scenes[image].labels):
            scenes[image].labels.append(label)
    return list(scenes.values())


def _overlap(one: Label, other: Label) -> float:
    if np.hypot(*(one.centre - other.centre)) > np.ptp(one.corners, axis=0).sum():
        return 0.0
    return overlap(one.corners, other.corners)


def overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Intersection over union of two boxes (4, 2)."""
    a, b = (shapely.convex_hull(shapely.MultiPoint(corners)) for corners in (one, other))
    shared = a.intersection(b).area
    return float(shared / (a.area + b.area - shared)) if shared > 0 else 0.0
