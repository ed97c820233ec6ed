"""Labels as a GeoPackage that QGIS opens coloured by class and status, with the outlines of the images they are of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detector.atomic import replacing
from detector.errors import LabelError
from training.exchange import styles
from training.labelfiles import label_table
from training.labels import LabelledScene


def write_labels(scenes: Sequence[LabelledScene], path: Path) -> None:
    """Write the layers `labels` (WGS84, columns of `label_table`) and `images`, with their styles, whole or not at all.

    The layer `images` says which images were looked at: an image without labels that is listed has no vessels.

    Raises:
        LabelError: two images have the same file name, by which labels are told apart.
    """
    unique_names(scenes)
    outlines = image_outlines(scenes)
    with replacing(path) as draft:
        write_layer(draft, "labels", label_table(scenes))
        write_layer(draft, "images", outlines)
        styles.write_styles(draft, {"labels": styles.label_style(), "images": styles.image_style()})


def unique_names(scenes: Sequence[LabelledScene]) -> None:
    """Check that file names tell the images apart.

    Raises:
        LabelError: two are the same.
    """
    seen: dict[str, Path] = {}
    for scene in scenes:
        other = seen.setdefault(scene.path.name, scene.path)
        if other is not scene.path:
            raise LabelError(f"{other} and {scene.path} have the same file name; rename one, labels name images by it")


def image_outlines(scenes: Sequence[LabelledScene]) -> Any:
    """A GeoDataFrame in WGS84: image, place, labels (how many), geometry (the outline of the raster)."""
    import geopandas
    import shapely

    from detector.scene import open_scene

    rows = []
    for scene in scenes:
        with open_scene(scene.path, require=()) as opened:
            width, height = opened.grid.width, opened.grid.height
            lon, lat = opened.grid.to_lonlat([0, width, width, 0], [0, 0, height, height])
        outline = shapely.Polygon(np.column_stack([lon, lat]))
        rows.append({"image": scene.path.name, "place": scene.place, "labels": len(scene.labels), "geometry": outline})
    columns = ["image", "place", "labels", "geometry"]
    return geopandas.GeoDataFrame(rows, columns=columns, geometry="geometry", crs="EPSG:4326").astype({"labels": int})


def write_layer(path: Path, layer: str, table: Any) -> None:
    """Add a layer of polygons to a GeoPackage; its geometry column is `geom`."""
    import pyogrio

    pyogrio.write_dataframe(
        table, path, layer=layer, driver="GPKG", geometry_type="Polygon", append=path.exists(), promote_to_multi=False
    )
