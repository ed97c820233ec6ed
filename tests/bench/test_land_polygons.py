"""The optional coastline polygons; slow, because unpacking them takes seconds."""

from __future__ import annotations

import pytest

from detector.geometry import Window
from detector.masks import land_polygons
from detector.scene import open_scene
from tests import scenes

RGBN = ("B04", "B03", "B02", "B08")


def test_land_polygons() -> None:
    pytest.importorskip("roaring_landmask")
    with open_scene(
        scenes.four_bands(), bands=RGBN, scale=1e-4, transform=scenes.grid_transform(1000), crs=scenes.CRS
    ) as scene:  # 120 km from Nampo to Haeju: land and the Yellow Sea
        land = land_polygons(scene.grid, Window(0, 0, 120, 120))
        assert land.shape == (120, 120) and 0.1 < land.mean() < 0.9
        col, row = scene.grid.from_lonlat(125.756, 38.507)  # Sariwon
        assert land[int(row), int(col)]
