"""Measure how alike painted and real scenes are: water texture, sharpness, contrast of ships.

``python -m training.simulate.realism data`` prints one line a scene, first the real ones of `data`, the folder of
`make data`. The numbers are in docs/simulator.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from training.simulate.noise import Array
from training.simulate.scene import SceneSpec, paint
from training.simulate.spectra import BANDS


def _windows(shape: tuple[int, ...], side: int) -> Iterator[tuple[slice, slice]]:
    for r in range(0, shape[1] - side, side):
        for c in range(0, shape[2] - side, side):
            yield slice(r, r + side), slice(c, c + side)


def water_texture(stack: Array, side: int = 48) -> dict[str, Array] | None:
    """Medians over windows of open water of a (B02, B03, B04, B08, …) reflectance stack.

    ``grain``: standard deviation (1e-4) of what a Gaussian of 2 pixels removes, four bands; ``bands``:
    correlation of
    that grain between B02 and B03, B04, B08; ``neighbours``: its correlation at one pixel in B08 and B02.
    """
    fine = np.stack([b - ndimage.gaussian_filter(b, 2) for b in stack[:4]])
    rows = []
    for at in _windows(stack.shape, side):
        t, f = stack[:4, at[0], at[1]], fine[:, at[0], at[1]]
        wet = (t[1] > t[3]).mean() > 0.999 and t[3].max() < 0.13
        if not wet or (np.abs(f) > 6 * f.std(axis=(1, 2), keepdims=True)).any():
            continue
        between = np.corrcoef(f.reshape(4, -1))[0, 1:]
        near = [(x[:, 1:] * x[:, :-1]).mean() / x.var() for x in (f[3], f[0])]
        rows.append(np.r_[f.std(axis=(1, 2)) * 1e4, between, near])
    if len(rows) < 3:
        return None
    m = np.median(rows, axis=0)
    return {"grain": m[:4], "bands": m[4:7], "neighbours": m[7:9]}


def sharpness(stack: Array, side: int = 64) -> tuple[float, float] | None:
    """Power of B04 over land at 0.35–0.5 and 0.2–0.35 cycles a pixel, over that at 0.08–0.2 (medians)."""
    hann = np.outer(np.hanning(side), np.hanning(side))
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.fftfreq(side)[None])
    rows = []
    for at in _windows(stack.shape, side):
        t = stack[:, at[0], at[1]]
        if (t[1] > t[3]).mean() > 0.25 or t[2].std() < 0.012 or t[2].max() > 0.6:
            continue
        power = np.abs(np.fft.fft2((t[2] - t[2].mean()) * hann)) ** 2
        low = power[(f > 0.08) & (f < 0.2)].mean()
        rows.append((power[(f > 0.35) & (f < 0.5)].mean() / low, power[(f > 0.2) & (f < 0.35)].mean() / low))
    if len(rows) < 3:
        return None
    a, b = np.median(rows, axis=0)
    return float(a), float(b)


def ship_levels(stack: Array, boxes: list[NDArray[np.floating]]) -> Array | None:
    """(p10, p50, p90) over ships on open water: B02–B08 inside minus the water, median and maximum."""
    rows = []
    for corners in boxes:
        polygon = shapely.Polygon(corners)
        c, r = int(polygon.centroid.x) - 20, int(polygon.centroid.y) - 20
        if c < 0 or r < 0 or c + 40 > stack.shape[2] or r + 40 > stack.shape[1]:
            continue
        t = stack[:4, r : r + 40, c : c + 40]
        if np.percentile(t[3], 60) > 0.08:
            continue
        y, x = np.mgrid[0:40, 0:40]
        inside = shapely.contains_xy(polygon.buffer(-0.3), x + c + 0.5, y + r + 0.5)
        if inside.sum() < 3:
            continue
        water = np.median(t.reshape(4, -1), axis=1)
        rows.append(np.r_[np.median(t[:, inside], axis=1) - water, t[:, inside].max(axis=1) - water])
    if len(rows) < 5:
        return None
    return np.asarray(np.percentile(rows, [10, 50, 90], axis=0), np.float32)


def _report(name: str, stack: Array, boxes: list[NDArray[np.floating]]) -> Array | None:
    texture, sharp = water_texture(stack), sharpness(stack)
    parts = [f"{name:12s}"]
    if texture:
        numbers = {
            k: " ".join(f"{v:5.2f}" if k != "grain" else f"{v:4.1f}" for v in a) for k, a in texture.items()
        }
        parts += [f"{k} {v}" for k, v in numbers.items()]
    if sharp:
        parts.append(f"sharpness {sharp[0]:.3f} {sharp[1]:.3f}")
    print(" | ".join(parts))
    return ship_levels(stack, boxes)


def main(data: Path) -> None:
    """Print the comparison. Accra is left out where its image is not there: no public source of it is fetched."""
    import rasterio

    data = data / "data" if (data / "data").is_dir() else data
    notes = json.loads((data / "sen2ships/annotations.json").read_text())
    images = {Path(i["file_name"]).stem: i["id"] for i in notes["images"]}
    for port in (
        "klang",
        "honolulu",
        "busan",
        "algiers",
        "genoa",
        "valencia",
        "casablanca",
        "marseille",
        "gdynia",
    ):
        with rasterio.open(data / f"sen2ships/{port}.tif") as source:
            stack = source.read().astype(np.float32) / 65535
        boxes = [
            np.reshape(a["obb"], (4, 2)) for a in notes["annotations"] if a["image_id"] == images.get(port)
        ]
        _show(_report(port, stack, boxes))
    accra = data / "reader_samples/accra.tif"
    if accra.is_file():
        with rasterio.open(accra) as source:
            order = [source.descriptions.index(b) + 1 for b in BANDS]
            _report("accra", source.read(order).astype(np.float32) / 10000, [])
    for seed in range(4):
        scene = paint(SceneSpec(seed=seed, vessel_count=60, turbidity=0.2 + 0.15 * seed, haze=0.1 * seed))
        found = []
        for v in scene.truth:
            cols, rows = scene.grid.from_lonlat(*np.array(v.polygon.exterior.coords)[:4].T)
            found.append(np.c_[cols, rows])
        _show(_report(f"painted {seed}", scene.reflectance(), found))


def _show(levels: Array | None) -> None:
    if levels is not None:
        for share, row in zip((10, 50, 90), levels, strict=True):
            median, top = " ".join(f"{v:6.3f}" for v in row[:4]), " ".join(f"{v:6.3f}" for v in row[4:])
            print(f"    ships p{share}: median {median}  maximum {top}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("data"))
