"""A quick look at a scene with its vessels: one PNG by which a person can judge the result at a glance.

A small scene is one picture. A scene much larger than the picture is an overview, with enlarged crops below it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from detector.atomic import check_writable, replacing
from detector.errors import MissingDependencyError, TableError
from detector.geometry import Window
from detector.truecolour import Stretch, overview, true_colour

if TYPE_CHECKING:
    from PIL.Image import Image

    from detector.canvas import Mark, Panel
    from detector.detections import Detections
    from detector.scene import Scene

_CROP = 128  # pixels of the scene on a side
_MOST_ZOOM = 3
_COLUMNS = 4
_MOST_CROPS = 16
_GAP = 8


def write_preview(
    source: Any, detections: Detections, path: str | os.PathLike[str], max_side: int = 1600
) -> None:
    """Draw a scene in true colour with its vessels outlined, north up, and write it as PNG.

    Kept vessels are yellow, coal barges magenta, rejected boxes thin and dashed. Labels give the row in the table
    (from 1) and the length.

    Args:
        source: an open Scene, or anything that `open_scene` takes.
        detections: the vessels of this scene.
        path: where to write; must end in .png.
        max_side: longest side of the picture (of the overview, where there are crops), pixels.

    Raises:
        TableError: the path is not .png, or its folder cannot be written.
        SceneError: the scene cannot be read.
        MissingDependencyError: Pillow is not installed.
    """
    if Path(path).suffix.lower() != ".png":
        raise TableError(f"{path}: a preview is a .png file")
    check_writable(path)
    try:
        import PIL  # noqa: F401
    except ImportError:
        raise MissingDependencyError("a preview needs Pillow: pip install pillow") from None
    with _opened(source) as scene:
        picture = _compose(scene, detections, max_side)
    with replacing(path) as draft:
        picture.save(draft, format="PNG")


@contextmanager
def _opened(source: Any) -> Iterator[Scene]:
    from detector.scene import Scene, open_scene

    if isinstance(source, Scene):
        yield source
        return
    with open_scene(source) as scene:
        yield scene


def _compose(scene: Scene, detections: Detections, max_side: int) -> Image:
    from detector.canvas import Panel

    grid = scene.grid
    wide, high = _ground_shape(scene)
    zoom = min(_MOST_ZOOM, max_side / max(wide, high))
    size = max(1, round(wide * zoom)), max(1, round(high * zoom))
    whole = Window(0, 0, grid.width, grid.height)
    reflectance = overview(scene, math.ceil(1 / zoom))
    stretch = Stretch(reflectance)
    marks = _marks(scene, detections)
    panel = Panel(stretch(reflectance), whole, grid, size)
    panel.draw_scale()
    if zoom >= 1:
        panel.draw_boxes(marks)
        panel.draw_labels([m for m in marks if m.kept and _is_labelled(m, marks)])
        return _titled(panel.image, scene, marks, "")
    crops = _crops(scene, marks)
    panel.draw_boxes(marks, width=1.2, pad=4)
    for number, (window, _) in enumerate(crops):
        panel.draw_frame(window, _letter(number))
    side = (max(size[0], _COLUMNS * _CROP * 2) - (_COLUMNS - 1) * _GAP) // _COLUMNS
    details = [
        _detail(scene, stretch, window, side, marks, _letter(i)) for i, (window, _) in enumerate(crops)
    ]
    shown = {id(mark) for _, inside in crops for mark in inside}
    note = f"enlarged below: {len(shown)} of {sum(m.kept for m in marks)}" if crops else ""
    return _titled(_sheet(panel.image, [detail.image for detail in details]), scene, marks, note)


def _ground_shape(scene: Scene) -> tuple[float, float]:
    """Width and height in pixels that are square on the ground (those of EPSG:4326 are not)."""
    across, down = scene.grid.pixel_size()
    finest = min(across, down)
    return scene.grid.width * across / finest, scene.grid.height * down / finest


# ---- vessels


def _marks(scene: Scene, detections: Detections) -> list[Mark]:
    from detector.canvas import COAL, REJECTED, VESSEL, Mark

    marks = []
    for row, vessel in enumerate(detections, 1):
        outline = shapely.get_coordinates(vessel["geometry"].exterior)[:-1]
        corners = np.column_stack(scene.grid.from_lonlat(outline[:, 0], outline[:, 1]))
        if not np.isfinite(corners).all():
            continue
        kept = vessel["status"] == "kept"
        colour = (COAL if vessel["class"] == "coal_barge" else VESSEL) if kept else REJECTED
        length = vessel["length_m"]
        text = f"{row}" if math.isnan(length) else f"{row}: {length:.0f} m"
        marks.append(
            Mark(corners, colour, kept, text, 0.0 if math.isnan(length) else length, vessel["confidence"])
        )
    return marks


def _is_labelled(mark: Mark, marks: list[Mark]) -> bool:
    """The larger vessels; all of them where there are few."""
    kept = sum(m.kept for m in marks)
    return kept <= 40 or mark.length_m >= 60


def _crops(scene: Scene, marks: list[Mark]) -> list[tuple[Window, list[Mark]]]:
    """Windows of enlarged crops, most confident vessels first, each with the kept vessels inside it."""
    left = sorted((m for m in marks if m.kept), key=lambda m: -m.confidence)
    crops: list[tuple[Window, list[Mark]]] = []
    while left and len(crops) < _MOST_CROPS:
        near = [m for m in left if max(abs(np.subtract(m.centre, left[0].centre))) < _CROP * 0.42]
        # Centred on the whole group, yet never so far that the vessel it is made for leaves the crop.
        centre = np.mean([m.centre for m in near], axis=0)
        centre = np.clip(
            centre, np.subtract(left[0].centre, _CROP * 0.25), np.add(left[0].centre, _CROP * 0.25)
        )
        col, row = (round(float(v)) - _CROP // 2 for v in centre)
        col = max(0, min(col, scene.grid.width - _CROP))
        row = max(0, min(row, scene.grid.height - _CROP))
        inside = [m for m in left if col <= m.centre[0] < col + _CROP and row <= m.centre[1] < row + _CROP]
        crops.append((Window(col, row, _CROP, _CROP), inside))
        left = [m for m in left[1:] if not any(m is other for other in inside)]
    return crops


def _detail(
    scene: Scene, stretch: Stretch, window: Window, side: int, marks: list[Mark], letter: str
) -> Panel:
    from detector.canvas import Panel

    panel = Panel(stretch(true_colour(scene, window)), window, scene.grid, (side, side))
    panel.draw_tag(0, 0, letter, size=14)
    panel.draw_scale(size=11)
    margin = 20
    inside = [
        m
        for m in marks
        if -margin < m.centre[0] - window.col < _CROP + margin
        and -margin < m.centre[1] - window.row < _CROP + margin
    ]
    panel.draw_boxes(inside)
    panel.draw_labels([m for m in inside if m.kept])
    return panel


def _letter(number: int) -> str:
    return chr(ord("A") + number)


# ---- page


def _sheet(overview: Image, details: list[Image]) -> Image:
    """The overview above rows of crops."""
    from PIL import Image

    from detector.canvas import INK

    if not details:
        return overview
    side = details[0].width
    columns = min(_COLUMNS, len(details))
    rows = math.ceil(len(details) / columns)
    width = max(overview.width, columns * (side + _GAP) - _GAP)
    page = Image.new("RGB", (width, overview.height + rows * (side + _GAP)), INK)
    page.paste(overview, ((width - overview.width) // 2, 0))
    for number, detail in enumerate(details):
        x, y = number % columns * (side + _GAP), overview.height + _GAP + number // columns * (side + _GAP)
        page.paste(detail, (x, y))
    return page


def _titled(picture: Image, scene: Scene, marks: list[Mark], note: str) -> Image:
    """A picture below a line with scene, time and counts."""
    from PIL import Image, ImageDraw

    from detector.canvas import COAL, INK, PAPER, REJECTED, VESSEL, font

    kept = [m for m in marks if m.kept]
    coal = sum(m.colour == COAL for m in kept)
    counts = [
        (VESSEL, f"{len(kept) - coal} vessel" + ("s" if len(kept) - coal != 1 else "")),
        (COAL, f"{coal} coal barge" + ("s" if coal != 1 else "")),
        (REJECTED, f"{len(marks) - len(kept)} rejected"),
    ]
    counts = [
        entry for entry, number in zip(counts, (1, coal, len(marks) - len(kept)), strict=True) if number
    ]
    time = scene.acquired.strftime("%Y-%m-%d %H:%M:%S UTC") if scene.acquired else "time unknown"
    bold, plain, height = font(17), font(14), 56
    width = max(picture.width, 480)
    page = Image.new("RGB", (width, picture.height + height), INK)
    page.paste(picture, ((width - picture.width) // 2, height))
    pen = ImageDraw.Draw(page)
    pen.text((12, 9), _shortened(scene.id, bold, width - 24), fill=PAPER, font=bold)
    x = 12.0
    for colour, text in [(None, time), *counts, *([(None, note)] if note else [])]:
        if colour:
            pen.rectangle((x, 34, x + 16, 45), outline=colour, width=2)
            x += 22
        pen.text((x, 32), text, fill=PAPER if colour else (170, 180, 192), font=plain)
        x += plain.getlength(text) + 20
    return page


def _shortened(text: str, face: Any, width: float) -> str:
    while face.getlength(text) > width and len(text) > 8:
        text = text[: len(text) // 2 - 2] + "..." + text[len(text) // 2 + 2 :]
    return text
