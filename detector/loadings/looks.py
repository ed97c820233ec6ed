"""Looks: how much of each zone could be seen in each scene, also where no vessel was found.

Without them an empty berth and a cloud are the same thing.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from detector.atomic import replacing
from detector.columns import one_line, utc_text
from detector.errors import TableError
from detector.geometry import Grid, Window
from detector.textformats import escape_cell, unescape_cell

if TYPE_CHECKING:
    from detector.loadings.sites import Site
    from detector.scene import Scene

COLUMNS = ("scene_id", "acquired", "site", "zone_id", "clear_fraction")

_BLOCK = 512  # pixels
# A zone of more blocks is sampled by this many, evenly spread: a water body of 100 km need not be read
# whole to know that half of it was under cloud.
_MOST_BLOCKS = 24

ClearWindow = Callable[["Scene", Window], NDArray[np.bool_]]


def clear_pixels(scene: Scene, window: Window) -> NDArray[np.bool_]:
    """Where a window holds data and no cloud; bool (height, width)."""
    from detector import masks

    bands = [band for band in ("B04", "B03", "B02", "B08") if band in scene.bands]
    seen = masks.valid(scene.read(window, bands), scene.fill)
    return seen & ~masks.cloud(scene, window) if seen.any() else seen


def look_rows(scene: Scene, site: Site, clear_window: ClearWindow = clear_pixels) -> list[dict[str, Any]]:
    """One row a zone that the scene's rectangle touches: scene_id, acquired, site, zone_id, clear_fraction.

    clear_fraction is the share of the zone's pixels that hold data and no cloud; pixels beyond the edge of
    the scene count as not clear.

    Args:
        clear_window: tells which pixels of a window are clear.
    """
    # To the second, as in the vessel table, so that the tables can be joined by it.
    acquired = None if scene.acquired is None else utc_text(scene.acquired.replace(microsecond=0))
    rows = []
    for zone in site.zones:
        outline = _in_pixels(zone.polygon, scene.grid)
        if outline is None or not outline.intersects(shapely.box(0, 0, scene.grid.width, scene.grid.height)):
            continue
        fraction = _clear_fraction(scene, outline, clear_window)
        row = (scene.id, acquired, site.name, zone.id, round(fraction, 4))
        rows.append(dict(zip(COLUMNS, row, strict=True)))
    return rows


def _in_pixels(polygon: shapely.Polygon, grid: Grid) -> shapely.Polygon | None:
    """An outline in pixel coordinates, or None where the CRS of the scene does not reach."""
    # Long edges are bent by a projection.
    dense = shapely.segmentize(polygon, 0.02)
    moved = shapely.transform(dense, lambda xy: np.column_stack(grid.from_lonlat(xy[:, 0], xy[:, 1])))
    return moved if np.isfinite(shapely.get_coordinates(moved)).all() else None


def _clear_fraction(scene: Scene, outline: shapely.Polygon, clear_window: ClearWindow) -> float:
    shapely.prepare(outline)
    inside = clear = 0
    for window in _sample(list(_blocks(outline))):
        zone = _inside(outline, window)
        inside += int(zone.sum())
        part = _clipped(window, scene.grid)
        if part and zone.any():
            left, top = part.col - window.col, part.row - window.row
            zone = zone[top : top + part.height, left : left + part.width]
            clear += int((zone & clear_window(scene, part)).sum())
    if inside:
        return clear / inside
    # A zone smaller than a pixel holds no pixel centre: take the pixel that it lies in.
    point = outline.representative_point()
    pixel = Window(math.floor(point.x), math.floor(point.y), 1, 1)
    return float(clear_window(scene, pixel)[0, 0]) if _clipped(pixel, scene.grid) else 0.0


def _inside(outline: shapely.Polygon, window: Window) -> NDArray[np.bool_]:
    """Which pixels of a window have their centre inside an outline."""
    cols = np.arange(window.col, window.col + window.width) + 0.5
    rows = np.arange(window.row, window.row + window.height) + 0.5
    return np.asarray(shapely.contains_xy(outline, *np.meshgrid(cols, rows)))


def _blocks(outline: shapely.Polygon) -> Iterator[Window]:
    west, north, east, south = outline.bounds  # rows grow southwards
    left, top, right, bottom = math.floor(west), math.floor(north), math.ceil(east), math.ceil(south)
    for row in range(top, bottom, _BLOCK):
        for col in range(left, right, _BLOCK):
            window = Window(col, row, min(_BLOCK, right - col), min(_BLOCK, bottom - row))
            if outline.intersects(shapely.box(col, row, col + window.width, row + window.height)):
                yield window


def _sample(blocks: list[Window]) -> list[Window]:
    if len(blocks) <= _MOST_BLOCKS:
        return blocks
    return [blocks[i] for i in np.linspace(0, len(blocks) - 1, _MOST_BLOCKS).round().astype(int)]


def _clipped(window: Window, grid: Grid) -> Window | None:
    """The part of a window that lies on the grid."""
    left, top = max(window.col, 0), max(window.row, 0)
    right, bottom = min(window.col + window.width, grid.width), min(window.row + window.height, grid.height)
    return Window(left, top, right - left, bottom - top) if left < right and top < bottom else None


def write_looks(path: str | os.PathLike[str], looks: Iterable[Mapping[str, Any]]) -> None:
    """Write a looks table as CSV, whole or not at all.

    Raises:
        TableError: the path is not .csv, or its folder cannot be written.
    """
    check_csv(path)
    with replacing(path) as draft, open(draft, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for look in looks:
            *texts, fraction = (look[name] for name in COLUMNS)
            table.writerow([*(escape_cell(one_line(text or "")) for text in texts), fraction])


def read_looks(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """The rows of a looks table.

    Raises:
        TableError: the file is missing or damaged, lacks a column or holds a value that it cannot hold.
    """
    check_csv(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file, strict=True)
            if missing := [name for name in COLUMNS if name not in (table.fieldnames or ())]:
                raise TableError(
                    f"{path}: the looks table lacks the column {missing[0]!r}; it needs {', '.join(COLUMNS)}"
                )
            return [_look(row, f"{path}, row {number}") for number, row in enumerate(table, 2)]
    except FileNotFoundError:
        raise TableError(f"{path}: no such looks table; `bargewatch predict --looks` writes one") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path}: cannot be read as a looks table: {error}") from error


def _look(row: Mapping[str, str | None], where: str) -> dict[str, Any]:
    texts = {name: unescape_cell(row[name] or "") for name in COLUMNS}
    try:
        fraction = float(texts["clear_fraction"])
    except ValueError:
        fraction = math.nan
    if not 0 <= fraction <= 1:
        raise TableError(f"{where}: clear_fraction is {row['clear_fraction']!r}; use a number from 0 to 1")
    acquired = utc_text(texts["acquired"], f"{where}, acquired") if texts["acquired"] else None
    return {**texts, "acquired": acquired, "clear_fraction": fraction}


def check_csv(path: str | os.PathLike[str]) -> None:
    """Raises TableError where the path of a looks table does not end in .csv."""
    if Path(path).suffix.lower() != ".csv":
        raise TableError(f"{path}: a looks table is a .csv file")
