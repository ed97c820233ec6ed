"""Masks on painted pixels; real figures are in docs/masks.md."""

from __future__ import annotations

import numpy as np
import pytest

from detector.errors import MissingBandError
from detector.geometry import Window
from detector.masks import SMALLEST_CLOUD, cloud, land_fraction, shadow, valid, water
from detector.scene import open_scene
from tests import scenes

RGBN = ("B04", "B03", "B02", "B08")
DEEP = (0.01, 0.02, 0.03, 0.005)
TURBID = (0.17, 0.16, 0.12, 0.09)
HAZY = (0.10, 0.11, 0.13, 0.07)
GLINT = (0.055, 0.058, 0.058, 0.06)
FOREST = (0.02, 0.04, 0.02, 0.30)
CITY = (0.14, 0.12, 0.10, 0.20)
FIELD = (0.12, 0.10, 0.07, 0.25)


def flat(*colours, size=60, noise=0.0008):
    """Vertical stripes of equal width, one a colour."""
    rng = np.random.default_rng(1)
    picture = np.repeat(np.array(colours).T[:, None, :], size // len(colours), axis=2).repeat(size, axis=1)
    return (picture + rng.normal(0, noise, picture.shape)).astype(np.float32)


@pytest.mark.parametrize("colour", [DEEP, TURBID, HAZY, GLINT])
@pytest.mark.parametrize("bands", [4, 3])
def test_water_of_every_kind_is_water(colour, bands) -> None:
    assert water(flat(colour)[:bands], RGBN[:bands]).mean() > 0.99


@pytest.mark.parametrize("colour", [FOREST, CITY, FIELD])
def test_land_is_not_water(colour) -> None:
    assert water(flat(colour), RGBN).mean() < 0.01
    rough = np.random.default_rng(2).uniform(0.6, 1.4, (20, 20)).repeat(3, 0).repeat(3, 1)
    assert water((flat(colour) * rough)[:3], RGBN[:3]).mean() < 0.02  # by colour alone, land is what is rough


def test_no_data_is_not_water_and_specks_go() -> None:
    layers = flat(FOREST)
    layers[:, 20:23, 20:23] = np.array(DEEP)[:, None, None]  # a shadow of 9 pixels
    layers[:, :2, 40:42] = np.array(DEEP)[:, None, None]  # cut by the edge: may go on
    layers[:, 50:, :] = np.nan
    found = water(layers, RGBN)
    assert found.sum() == 4 and found[:2, 40:42].all()
    assert not water(layers[:3], RGBN[:3])[50:].any()


def test_water_needs_bands() -> None:
    with pytest.raises(MissingBandError, match="B03"):
        water(np.ones((1, 5, 5)), ("B08",))


def test_valid() -> None:
    stored = np.array([[[0, 0, 5]], [[0, 7, 5]]], np.uint8)
    assert valid(stored, 0).tolist() == [[False, True, True]]
    assert valid(np.array([[[np.nan, 0.0]]], np.float32), np.nan).tolist() == [[False, True]]


def test_land_fraction_looks_at_the_ring() -> None:
    wet = np.zeros((100, 100), bool)
    wet[:, :50] = True
    ship = np.array([[20, 40], [30, 40], [30, 44], [20, 44]])
    assert land_fraction(wet, ship) == 0.0
    assert land_fraction(wet, ship + [50, 0]) == 1.0
    assert 0.4 < land_fraction(wet, ship + [25, 0]) < 0.6
    hole = wet.copy()
    hole[39:45, 19:31] = False  # the hull itself, and its mixed rim, are no land
    assert land_fraction(hole, ship) == 0.0
    assert np.isnan(land_fraction(wet, ship + 1000))
    assert land_fraction(wet, ship - [25, 0]) == 0.0  # half outside the mask


def scene_with_scl(tmp_path, pieces, level="L2A"):
    """A 400 px scene whose SCL is water (6) and rectangles (row, col, height, width, class) of 20 m."""
    scl = np.full((200, 200), 6, np.uint8)
    for row, col, height, width, kind in pieces:
        scl[row : row + height, col : col + width] = kind
    for name, band in zip(("B02", "B03", "B04", "B08"), scenes.four_bands(400), strict=True):
        scenes.write_raster(tmp_path / f"{name}.tif", band)
    scenes.write_raster(tmp_path / "SCL_20m.tif", scl, transform=scenes.grid_transform(20))
    return open_scene(tmp_path, scale=1e-4)


def test_cloud_from_scl_is_big(tmp_path) -> None:
    pieces = [
        (20, 20, 40, 40, 9),
        (100, 100, 3, 20, 9),
        (150, 20, 30, 30, 8),
        (150, 60, 30, 30, 10),
        (150, 120, 30, 30, 3),
    ]
    with scene_with_scl(tmp_path, pieces) as scene:
        found = cloud(scene, Window(0, 0, 400, 400))
        assert found[40:120, 40:120].all() and found[300:360, 40:100].all() and found[300:360, 120:180].all()
        assert not found[200:206, 200:240].any(), "a bright ship of 400 m x 60 m is not cloud"
        assert not found[300:360, 240:300].any(), "shadow is kept apart"
        dark = shadow(scene, Window(0, 0, 400, 400))
        assert dark is not None and dark[300:360, 240:300].all() and dark.sum() == 3600


def test_cloud_is_the_same_however_the_scene_is_cut(tmp_path) -> None:
    with scene_with_scl(tmp_path, [(20, 20, 40, 40, 9), (100, 100, 3, 20, 9)]) as scene:
        whole = cloud(scene, Window(0, 0, 400, 400))
        parts = [cloud(scene, Window(0, row, 400, 50)) for row in range(0, 400, 50)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_cloud_by_whiteness_leaves_ships_and_surf() -> None:
    layers = np.repeat(flat(DEEP, size=300), 1, axis=0)
    layers[:, 20:120, 20:120] = 0.5  # 1 km of cloud
    layers[:, 200:206, 100:140] = 0.6  # a white ship
    layers[:, 250:253, :] = 0.4  # surf
    layers[:, 150:190, 200:240] = np.array([0.35, 0.25, 0.15, 0.4])[:, None, None]  # 400 m of red roofs
    place = {"transform": scenes.grid_transform(), "crs": scenes.CRS}
    with open_scene(layers, bands=RGBN, **place) as scene:
        found = cloud(scene, Window(0, 0, 300, 300))
    assert found[20:120, 20:120].mean() > 0.98
    found[15:125, 15:125] = False
    assert not found.any()


def test_no_ship_is_as_large_as_the_smallest_cloud() -> None:
    assert SMALLEST_CLOUD > 2 * (400 + 40) * (62 + 40)


def test_s2cloudless_runs_on_60_m_blocks(monkeypatch) -> None:
    """The package is optional: a stand-in with its interface calls every block with bright B02 cloud."""
    import sys
    import types

    from detector import masks

    seen = []

    class Detector:
        def __init__(self, **options):
            seen.append(options)

        def get_cloud_masks(self, data):
            seen.append(data.shape)
            return (data[..., 1] > 0.4).astype(np.int8)

    module = types.ModuleType("s2cloudless")
    module.S2PixelCloudDetector = Detector
    monkeypatch.setitem(sys.modules, "s2cloudless", module)
    monkeypatch.setattr(masks, "_has_s2cloudless", lambda: True)
    layers = np.full((10, 100, 100), 0.05, np.float32)
    layers[1, 10:70, 10:70] = 0.6
    with open_scene(
        layers, bands=masks._S2CLOUDLESS_BANDS, transform=scenes.grid_transform(), crs=scenes.CRS, require=()
    ) as scene:
        scene.level = "L1C"
        found = cloud(scene, Window(0, 0, 100, 100))
    assert seen[0]["all_bands"] is False and seen[1] == (1, 38, 38, 10)
    assert found[16:64, 16:64].all() and found.mean() < 0.45
