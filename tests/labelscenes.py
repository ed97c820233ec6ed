"""Small rasters in any CRS, and labels on them, for tests of label formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from hypothesis import strategies as st

from training.labels import Label, LabelledScene

#: EPSG code -> transform of a raster of about 10 m pixels; in 4326 and 3857 pixels are not square or not 10 m.
GRIDS = {
    "EPSG:32651": Affine(10, 0, 700_000, 0, -10, 4_300_000),
    "EPSG:3857": Affine(10, 0, 13_900_000, 0, -10, 4_700_000),
    "EPSG:4326": Affine(1e-4, 0, 124.9, 0, -1e-4, 38.7),
}


def raster(path: Path, crs: str = "EPSG:32651", *, width: int = 150, height: int = 110) -> Path:
    """An 8-bit true colour image of dark water with a bright spot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(1).integers(30, 40, (3, height, width)).astype(np.uint8)
    pixels[:, height // 2 : height // 2 + 3, width // 2 : width // 2 + 12] = 180
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=3, dtype="uint8", crs=crs, transform=GRIDS[crs],
        photometric="RGB",
    ) as out:  # fmt: skip
        out.write(pixels)
    return path


def box(col: float, row: float, length: float, width: float, degrees: float) -> np.ndarray:
    """Corners (4, 2) of a rectangle in pixels."""
    turn = np.radians(degrees)
    along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
    signs = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])
    return np.array([col, row]) + signs[:, :1] * along * length / 2 + signs[:, 1:] * across * width / 2


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Finite floats."""
    return st.floats(low, high, allow_nan=False)


@st.composite
def some_labels(draw: st.DrawFn) -> list[Label]:
    """Up to six labels whose centres are on a grid of 150 × 110 pixels and not in the same place."""
    places = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), max_size=6, unique=True))
    labels = []
    for number, (i, j) in enumerate(places, 1):
        corners = box(
            5 + 15 * i + draw(numbers(-4, 4)), 5 + 15 * j + draw(numbers(-4, 4)),
            draw(numbers(1, 30)), draw(numbers(0.5, 9)), draw(numbers(0, 360)),
        )  # fmt: skip
        if draw(st.booleans()):  # what a hand drew need not be a rectangle
            corners = corners + np.array([[0, 0], [0, 0], [draw(numbers(0, 0.2)), 0], [0, 0]])
        name = draw(st.sampled_from(["vessel", "coal_barge"]))
        labels.append(Label(corners, name, draw(st.booleans()), number))
    return labels


def scene_of(path: Path, labels: list[Label]) -> LabelledScene:
    """A scene that is a place of its own."""
    return LabelledScene(path, path.stem, labels)
