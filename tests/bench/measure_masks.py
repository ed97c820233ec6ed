"""Figures of docs/masks.md.  Run: python -m tests.bench.measure_masks data

`data` is the folder of `make data`. For every labelled scene in it: the share of labelled vessels with water around
them (ring of 60 m), and the share of clear inland pixels that the mask calls water. Inland: land by roaring-landmask, 500 m
from the coastline, and dry by B11 > 0.10 where there is a B11 (a band the masks do not use). "haze": L2A with the
light of a hazy atmosphere put on (B02 +0.09, B03 +0.06, B04 +0.035, B08 +0.015), as L1C has it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
from scipy import ndimage

from detector.geometry import Window
from detector.masks import (
    CLOUD_CLASSES,
    SMALLEST_CLOUD,
    _cloud_by_whiteness,
    _without_specks,
    cloud,
    land_fraction,
    land_polygons,
    water,
)
from detector.scene import open_scene

HAZE = {"B02": 0.09, "B03": 0.06, "B04": 0.035, "B08": 0.015, "B11": 0.0}
REACH_M = 60.0
COLOUR = ("B04", "B03", "B02")
INFRARED = (*COLOUR, "B08")


def labelled(shared: Path):
    """(path, polygons of vessels in pixels) of all labelled scenes."""
    for folder, name in (("sen2ships", "annotations.json"), ("series", "coco.json")):
        if not (shared / folder / name).is_file():  # labels of Houston are not fetched
            continue
        coco = json.loads((shared / folder / name).read_text())
        for image in coco["images"]:
            mine = [a for a in coco["annotations"] if a["image_id"] == image["id"] and a["category_id"] == 1]
            key = "obb" if folder == "sen2ships" else "segmentation"
            yield shared / folder / image["file_name"], [np.ravel(a[key]).reshape(-1, 2) for a in mine]


def inland(scene, window):
    land = land_polygons(scene.grid, window)
    far = ndimage.distance_transform_edt(land) * scene.grid.pixel_size()[0] > 500
    if "B11" in scene.bands:
        with np.errstate(invalid="ignore"):
            far &= scene.reflectance(window, ["B11"])[0] > 0.10
    return far


def big_white(scene, window, bands):
    found = _cloud_by_whiteness(scene.reflectance(window, bands))
    return _without_specks(found, round(SMALLEST_CLOUD / float(np.prod(scene.grid.pixel_size()))))


def main(shared: Path) -> None:
    totals: dict[str, list[tuple[int, int, int, int]]] = {}
    print(f"{'scene':22s} {'mode':10s} vessels with_water ring_water_median inland_px called_water")
    for path, polygons in labelled(shared):
        with open_scene(path, require=()) as scene:
            window = Window(0, 0, scene.grid.width, scene.grid.height)
            reach = REACH_M / scene.grid.pixel_size()[0]
            dry = inland(scene, window)
            for mode, bands in (("infrared", INFRARED), ("colour", COLOUR)):
                use = [band for band in bands if band in scene.bands]
                if ("B03" not in use or "B08" not in use) if mode == "infrared" else set(COLOUR) - set(use):
                    continue
                clear = scene.reflectance(window, use)
                hazes = (0.0,) if scene.read(Window(0, 0, 1, 1), use[:1]).dtype == np.uint8 else (0.0, 1.0)
                for haze in hazes:
                    layers = clear + haze * np.array([HAZE[b] for b in use], np.float32)[:, None, None]
                    mask = water(layers, use)
                    wet = np.array([1 - land_fraction(mask, p, reach) for p in polygons])
                    wet = wet[np.isfinite(wet)]
                    seen = dry & np.isfinite(layers).all(axis=0)
                    row = (len(wet), int((wet > 0).sum()), int(seen.sum()), int((mask & seen).sum()))
                    name = mode + (" haze" if haze else "")
                    group = f"{name} houston" if "houston" in str(path) else name
                    totals.setdefault(group, []).append(row)
                    part = row[3] / max(row[2], 1)
                    print(
                        f"{path.stem:22s} {name:14s} {row[0]:4d} {row[1]:4d}"
                        f" {np.median(wet) if len(wet) else 0:5.2f} {row[2]:8d} {part:.4f}"
                    )
            if set(COLOUR) <= set(scene.bands):
                bands = [band for band in INFRARED if band in scene.bands]
                white = big_white(scene, window, bands)
                hit = sum(
                    bool(
                        white[tuple(np.clip(p.mean(axis=0).astype(int)[::-1], 0, np.array(white.shape) - 1))]
                    )
                    for p in polygons
                )
                print(f"{path.stem:22s} whiteness {white.mean():.5f} of the scene, over {hit} vessels")
    for name, scale in (
        ("limassol.tif", "DN / 10000 - 0.1"),
        ("accra.tif", "DN / 10000 - 0.1"),
        ("genoa_20221102.nc", "DN / 10000 - 0.1"),
    ):
        sample = shared / "reader_samples" / name
        if not sample.is_file():  # they are not fetched
            continue
        with open_scene(sample, scale=scale) as scene:
            window = Window(0, 0, scene.grid.width, scene.grid.height)
            white = big_white(scene, window, INFRARED)
            classes = scene.scl(window)
            line = f"{name:22s} whiteness {white.mean():.4f}"
            if classes is not None:
                raw = np.isin(classes, CLOUD_CLASSES)
                kept = cloud(scene, window)
                both = white[kept].mean() if kept.any() else 0.0
                line += f"; SCL cloud {raw.mean():.4f}, in large pieces {kept.mean():.4f}"
                line += f", of these white {both:.2f}"
                line += f"; white but not SCL {(white & ~raw).mean():.4f}"
            print(line)
    for group, rows in totals.items():
        sums = np.sum(rows, axis=0)
        print(
            f"{group:24s} vessels with water {sums[1]}/{sums[0]} = {sums[1] / sums[0]:.4f};"
            f" inland called water {sums[3] / sums[2]:.4f}"
        )


if __name__ == "__main__":
    default = os.environ.get("BARGEWATCH_SHARED", Path(__file__).resolve().parents[3] / "shared")
    given = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(default)
    main(given / "data" if (given / "data").is_dir() else given)
