"""Which parts of a site are worth downloading, by the scene classification in coarse pixels."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.geometry import Grid, Window
from detector.imagery.area import COARSE_M, PIXEL_M, Area, zone_mask

if TYPE_CHECKING:
    from detector.scene import Scene

#: Pixels a side of the blocks that are downloaded or left; also the tiles of the file, so that each is written once.
BLOCK = 512
#: Blocks a side of one read: 2048 pixels, below the 2,500 that Sentinel Hub gives at once.
_READ_BLOCKS = 4
#: Coarse pixels (320 m) by which what is clear is grown: a ship must not be cut by the border of a block.
_GROW = 8


def coarse_scene(classes: NDArray[np.uint8], grid: Grid, scene_id: str, acquired: datetime) -> Scene:
    """A scene that holds nothing but its classification (height, width)."""
    from detector.scene.core import Scene
    from detector.scene.layers import Memory

    return Scene(
        id=scene_id,
        acquired=acquired,
        grid=grid,
        bands=("SCL",),
        radiometry={"SCL": (1.0, 0.0)},
        reader=Memory(classes[None], ("SCL",), 0.0),
        fill=0.0,
        level="L2A",
    )


def class_looks(scene: Scene, area: Area) -> list[dict[str, Any]]:
    """Rows of the looks table by the scene classification alone, under the rules that `predict` uses."""
    from detector.loadings.looks import look_rows

    return look_rows(scene, area.site, clear_by_class)


def clear_by_class(scene: Scene, window: Window) -> NDArray[np.bool_]:
    """Where a window holds data and no cloud by its classification; bool (height, width)."""
    from detector import masks

    classes = scene.scl(window)
    assert classes is not None
    return np.asarray((classes != 0) & ~masks.cloud(scene, window))


def clear_zones(looks: list[dict[str, Any]], min_clear: float) -> set[str]:
    """Zones that can be seen well enough to be downloaded."""
    return {row["zone_id"] for row in looks if row["clear_fraction"] >= max(min_clear, 1e-9)}


def wanted_blocks(area: Area, zones: set[str], scene: Scene | None) -> NDArray[np.bool_]:
    """Blocks of the area's grid to download; bool (rows, columns).

    A block is wanted when it holds, or lies within 320 m of, a clear pixel of a wanted zone and its margin.

    Args:
        scene: the coarse classification; None where there is none, and every block of the zones is wanted.
    """
    from scipy import ndimage

    coarse = area.coarse
    useful = np.zeros((coarse.height, coarse.width), bool)
    for zone in area.site.zones:
        if zone.id in zones:
            useful |= zone_mask(zone.polygon, coarse, area.margin_m)
    if scene is not None:
        useful &= clear_by_class(scene, Window(0, 0, coarse.width, coarse.height))
        useful = ndimage.maximum_filter(useful, 2 * _GROW + 1)
    rows, cols = -(-area.grid.height // BLOCK), -(-area.grid.width // BLOCK)
    side = BLOCK * round(PIXEL_M) // round(COARSE_M)
    room = np.zeros((rows * side, cols * side), bool)
    room[: coarse.height, : coarse.width] = useful
    return np.asarray(room.reshape(rows, side, cols, side).any(axis=(1, 3)))


def read_windows(wanted: NDArray[np.bool_], grid: Grid) -> Iterator[Window]:
    """Windows of at most 2048 pixels a side that cover all wanted blocks, each block once."""
    for row in range(0, wanted.shape[0], _READ_BLOCKS):
        for col in range(0, wanted.shape[1], _READ_BLOCKS):
            part = wanted[row : row + _READ_BLOCKS, col : col + _READ_BLOCKS]
            if not part.any():
                continue
            rows, cols = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
            left, top = (col + cols[0]) * BLOCK, (row + rows[0]) * BLOCK
            right, bottom = (col + cols[-1] + 1) * BLOCK, (row + rows[-1] + 1) * BLOCK
            yield Window(
                int(left),
                int(top),
                int(min(right, grid.width) - left),
                int(min(bottom, grid.height) - top),
            )


def megabytes(windows: list[Window], bands: int = 4) -> float:
    """Size of windows before compression: 2 bytes a band and pixel, and a quarter of a byte for classes."""
    return sum(w.width * w.height for w in windows) * (2 * bands + 0.25) / 1e6
