"""The scenes of the benchmarks: painted once, kept by seed and size, with their truth beside them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

TRUTH = "truth.geojson"
_FULL = 10980


def steps(what: str) -> Callable[[int, int], None]:
    """A progress callback (done, all) that prints a line at every tenth of the way."""
    begun, shown = time.perf_counter(), 0

    def step(done: int, total: int) -> None:
        nonlocal shown
        tenth = 10 * done // total
        if tenth > shown:
            shown = tenth
            spent = time.perf_counter() - begun
            left = spent / done * (total - done)
            print(f"  {what}: {done} of {total}, {spent:.0f} s, {left:.0f} s to go", file=sys.stderr, flush=True)

    return step


def painted_tile(folder: Path, seed: int, size: int, form: str) -> Path:
    """The painted tile of a seed and a size (pixels a side), as "tif" or "safe"; made if it is not there yet.

    A smaller one has fewer vessels and one harbour, so that it is neither empty nor crammed.
    """
    from training.simulate import paint_tile, tile_spec, truth_geojson

    place = folder / f"painted-{size}-{seed}-{form}"
    if (place / TRUTH).is_file():  # written last
        return next(path for path in sorted(place.iterdir()) if path.suffix.lower() == f".{form}")
    share = (size / _FULL) ** 2
    spec = tile_spec(seed, size, max(30, round(300 * share)), harbours=3 if size >= 6000 else 1)
    path, truth = paint_tile(spec, place, form=form, progress=steps(f"painting {size} x {size} as {form}"))
    truth_geojson(truth, place / TRUTH)
    return path


def painted_port(folder: Path, seed: int, size: int) -> Path:
    """A painted port of the size of a crop, as a GeoTIFF."""
    from training.simulate import SceneSpec, paint, write_geotiff

    path = folder / f"port-{size}-{seed}.tif"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        draft = path.with_suffix(".part.tif")
        write_geotiff(paint(SceneSpec(seed=seed, size=(size, size))), draft)
        draft.replace(path)
    return path


def truth_places(scene: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Longitudes and latitudes of all vessels painted into a scene, None without a truth beside it."""
    path = scene.parent / TRUTH
    if not path.is_file():
        return None
    found = [feature["properties"] for feature in json.loads(path.read_text())["features"]]
    return np.array([one["lon"] for one in found]), np.array([one["lat"] for one in found])
