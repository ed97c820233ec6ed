"""Pictures of tiles: true colour with one stretch a scene, enlarged, the frame dimmed."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from detector.errors import LabelError
from detector.scene import open_scene
from detector.truecolour import Stretch, overview, true_colour
from training.exchange.tiles import Cut, Tile, plan
from training.labels import Label, LabelledScene

if TYPE_CHECKING:
    from PIL.Image import Image

    from detector.scene import Scene

_OVERVIEW = 1024  # pixels on a side from which a scene's stretch is taken
_DIM = 0.45
_GREY = 114  # what ultralytics pads pictures with
_LEAST_VALID = 0.02


def write_pictures(
    scenes: Sequence[LabelledScene], folder: Path, cut: Cut, *, hide_frame: bool = False
) -> list[tuple[Tile, list[Label]]]:
    """Cut and draw the tiles of all scenes into a folder; tiles without data and labels are left out.

    Args:
        scenes: what to cut.
        folder: where the pictures go; must exist.
        cut: how.
        hide_frame: paint the frame grey but for the tile's own labels, for training on the pictures (a neighbour's hull
            would be an unlabelled vessel there); otherwise the frame is shown dimmed, for people.
    """
    tiles: list[tuple[Tile, list[Label]]] = []
    for labelled in scenes:
        with open_scene(labelled.path, require=()) as scene:
            stretch = scene_stretch(scene)
            for tile, labels in plan(labelled, scene.grid, cut):
                picture = draw(scene, tile, stretch, labels, hide_frame)
                if picture is not None or labels:
                    picture = picture or _blank(tile)
                    picture.save(folder / tile.file, quality=92, compress_level=3)
                    tiles.append((tile, labels))
    return tiles


def scene_stretch(scene: Scene) -> Stretch:
    """One stretch for all pictures of a scene."""
    return Stretch(overview(scene, max(1, math.ceil(max(scene.grid.width, scene.grid.height) / _OVERVIEW))))


def draw(scene: Scene, tile: Tile, stretch: Stretch, labels: Sequence[Label], hide_frame: bool) -> Image | None:
    """The picture of a tile; None where there are no data."""
    from PIL import Image, ImageDraw

    reflectance = true_colour(scene, tile.window)
    if np.isfinite(reflectance).all(axis=0).mean() < _LEAST_VALID:
        return None
    picture = Image.fromarray(stretch(reflectance)).resize(tile.size, Image.Resampling.BICUBIC)
    shown = Image.new("L", tile.size, 0)
    pen = ImageDraw.Draw(shown)
    col, row, width, height = tile.core
    low, high = tile.to_tile(np.array([[col, row], [col + width, row + height]], float))
    pen.rectangle((*low, *(high - 1)), fill=255)
    if hide_frame:
        for label in labels:
            pen.polygon([(float(x), float(y)) for x, y in tile.to_tile(label.corners)], fill=255)
        rest = Image.new("RGB", tile.size, (_GREY,) * 3)
    else:
        rest = picture.point(lambda value: value * _DIM)
    return Image.composite(picture, rest, shown)


def _blank(tile: Tile) -> Image:
    from PIL import Image

    return Image.new("RGB", tile.size, (_GREY,) * 3)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill that gets its name `path` when all went well, and is removed otherwise.

    Raises:
        LabelError: `path` exists and is not an empty folder, or cannot be made.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise LabelError(f"{path} is already there; name a new folder, or remove it first")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{path.name[:40]}.", dir=path.parent))
    except OSError as error:
        raise LabelError(f"cannot make the folder {path}: {error.strerror or error}") from error
    try:
        draft.chmod(0o755)
        yield draft
        if path.is_dir():
            path.rmdir()
        os.replace(draft, path)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
