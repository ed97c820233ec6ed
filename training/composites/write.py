"""Write composite scenes with COCO labels: ``python -m training.composites.write SHARED OUT [--family train]``.

The labels are read back by `training.labels.read_coco` (format `coco`, `obb: corners`) beside those of real scenes: real
vessels of the port are `vessel`, composites `vessel` or `coal_barge`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from detector.geometry import Grid
from training.composites.families import FAMILIES
from training.composites.fit import FIT_PORTS, TEST_PORTS
from training.composites.ports import read_port
from training.composites.samples import read_ports
from training.composites.scene import Composite, compose
from training.labels import Label
from training.simulate.noise import Array
from training.simulate.spectra import BANDS


def write_pixels(pixels: Array, grid: Grid, path: Path) -> None:
    """Write (bands, height, width) reflectance as GeoTIFF (uint16, reflectance = DN / 65535, as the real ports)."""
    import rasterio

    height, width = pixels.shape[1:]
    stored = np.where(np.isfinite(pixels), np.clip(np.rint(pixels * 65535), 1, 65535), 0)
    profile = {"driver": "GTiff", "count": len(BANDS), "dtype": "uint16", "width": width, "height": height,
               "crs": grid.crs, "transform": grid.transform, "nodata": 0,
               "compress": "deflate"}  # fmt: skip
    with rasterio.open(path, "w", **profile) as out:
        out.write(stored.astype(np.uint16))
        out.descriptions = BANDS
        out.update_tags(SCALE=str(1 / 65535))


def write(composites: list[tuple[Composite, list[Label]]], folder: Path) -> None:
    """Write each scene and `annotations.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    images, annotations = [], list[dict[str, Any]]()
    for number, (composite, real) in enumerate(composites, 1):
        name = f"{composite.port}_composite_{number}.tif"
        write_pixels(composite.pixels, composite.grid, folder / name)
        height, width = composite.pixels.shape[1:]
        images.append(
            {"id": number, "file_name": name, "width": width, "height": height, "location": composite.port}
        )
        boxes = [(truth.corners, truth.label, False) for truth in composite.truth]
        boxes += [(label.corners, label.name, label.ignore) for label in real]
        for corners, label_name, ignore in boxes:
            annotations.append(
                {"id": len(annotations) + 1, "image_id": number, "category_id": 2 if label_name == "coal_barge" else 1,
                 "ignore": int(ignore), "obb": np.round(corners, 3).ravel().tolist()}
            )  # fmt: skip
    categories = [{"id": 1, "name": "vessel"}, {"id": 2, "name": "coal_barge"}]
    table = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "annotations.json").write_text(json.dumps(table))


def main() -> None:
    """Compose and write the ports of a family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder of the training data (docs/data.md)")
    parser.add_argument("out", type=Path)
    parser.add_argument("--family", choices=sorted(FAMILIES), default="train")
    parser.add_argument("--vessels", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    scenes = read_ports(options.shared)
    made = []
    for name in TEST_PORTS if options.family == "test" else FIT_PORTS:
        if name in scenes and (port := read_port(scenes[name])) is not None:
            made.append(
                (compose(port, FAMILIES[options.family], options.vessels, options.seed), scenes[name].labels)
            )
    write(made, options.out)


if __name__ == "__main__":
    main()
