"""Every kind of source becomes a Scene that reads right."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from detector.errors import MissingBandError, SceneError, UnknownScaleError
from detector.geometry import Window
from detector.scene import open_scene
from tests import scenes

RGBN = ("B04", "B03", "B02", "B08")
PLACE = {"transform": scenes.grid_transform(), "crs": scenes.CRS}
WATER = Window(20, 80, 20, 20)


def level_of(scene, band="B04"):
    return float(np.nanmean(scene.reflectance(WATER, (band,))))


@pytest.mark.parametrize(
    ("options", "gain_offset"),
    [
        ({}, (1e-4, -0.1)),
        ({"level": "L1C"}, (1e-4, -0.1)),
        ({"baseline": "02.14", "layout": "old"}, (1e-4, 0.0)),
        ({"level": "L1C", "baseline": "02.01", "layout": "old"}, (1e-4, 0.0)),
        ({"metadata": False, "baseline": "03.01"}, (1e-4, 0.0)),
        ({"metadata": False, "baseline": "05.11"}, (1e-4, -0.1)),
        ({"baseline": "03.00", "quantification": 1000}, (1e-3, 0.0)),
    ],
)
@pytest.mark.parametrize("form", ["folder", "zip", "SAFE.zip", "xml"])
def test_safe(tmp_path: Path, options, gain_offset, form) -> None:
    safe = scenes.write_safe(tmp_path, **options)
    source = safe
    if form == "zip":
        source = scenes.zip_folder(safe).rename(tmp_path / "S2 product.zip")
    elif form == "SAFE.zip":
        source = scenes.zip_folder(safe)
    elif form == "xml":
        if options.get("metadata") is False:
            pytest.skip("no xml")
        source = next(safe.glob("MTD*.xml"))
    if form == "zip" and options.get("metadata") is False:
        assert open_scene(source).radiometry["B04"] == pytest.approx(gain_offset)
        return
    with open_scene(source) as scene:
        assert scene.radiometry["B04"] == pytest.approx(gain_offset)
        assert scene.id == safe.name.removesuffix(".SAFE")
        assert scene.level == options.get("level", "L2A")
        assert scene.acquired is not None
        assert scene.acquired.replace(microsecond=0) == datetime(2020, 3, 1, 2, 21, 9, tzinfo=UTC)
        assert (scene.grid.width, scene.grid.height) == (scenes.SIZE, scenes.SIZE)
        assert set(RGBN) <= set(scene.bands)
        shift = 1000 if gain_offset[1] else 0
        assert level_of(scene) == pytest.approx(
            (600 + shift) * gain_offset[0] + gain_offset[1], abs=5e-2 * 600 * gain_offset[0]
        )
        stored = scene.read(Window(0, 0, 60, 60), RGBN)
        assert stored.dtype == np.uint16 and stored.shape == (4, 60, 60)


def test_offset_of_each_band_is_its_own(tmp_path: Path) -> None:
    offsets = dict.fromkeys(scenes.BAND_IDS, -1000) | {"B08": -500}
    with open_scene(scenes.write_safe(tmp_path, offset=offsets)) as scene:
        assert scene.radiometry["B08"] == pytest.approx((1e-4, -0.05))
        assert scene.radiometry["B03"] == pytest.approx((1e-4, -0.1))


def test_metadata_beats_the_name(tmp_path: Path) -> None:
    name = scenes.product_name("L2A", "02.14")  # the name says old, the metadata says new
    with open_scene(scenes.write_safe(tmp_path, baseline="05.00", name=name)) as scene:
        assert scene.radiometry["B04"] == pytest.approx((1e-4, -0.1))


def test_scale_given_beats_the_metadata(tmp_path: Path) -> None:
    with open_scene(scenes.write_safe(tmp_path), scale="DN / 20000") as scene:
        assert scene.radiometry["B04"] == pytest.approx((5e-5, 0))


def test_tile_time_is_more_exact_than_the_start_of_the_data_take(tmp_path: Path) -> None:
    with open_scene(scenes.write_safe(tmp_path, tile_time="2020-03-01T02:27:13.5Z")) as scene:
        assert scene.acquired == datetime(2020, 3, 1, 2, 27, 13, 500_000, tzinfo=UTC)


def test_true_colour_when_the_bands_are_missing(tmp_path: Path) -> None:
    with open_scene(scenes.write_safe(tmp_path, bands=("TCI", "SCL", "B08"))) as scene:
        assert scene.bands == ("B04", "B03", "B02", "SCL")
        assert scene.radiometry["B04"] == pytest.approx((0.3558 / 255, 0.0))
        assert scene.read(WATER, ("B04",)).dtype == np.uint8


def test_scl_and_swir_come_on_the_10_m_grid(tmp_path: Path) -> None:
    with open_scene(scenes.write_safe(tmp_path)) as scene:
        scl = scene.scl(Window(-4, 0, 124, scenes.SIZE))
        assert scl is not None and scl.dtype == np.uint8 and scl.shape == (scenes.SIZE, 124)
        assert (scl[:, :4] == 0).all()
        assert (scl[:60, 4:64] == 9).all() and (scl[60:, 4:] == 6).all()
        swir = scene.reflectance(Window(0, 0, scenes.SIZE, scenes.SIZE), ("B11",))[0]
        assert np.isnan(swir[:5, :5]).all()
        assert np.nanmean(swir[80:, :40]) == pytest.approx(0.06, abs=0.003)
        assert swir[59:61, 55:65].mean() > 0.2  # the ship is where it is at 10 m


def test_granule_and_image_folder_find_the_metadata_above(tmp_path: Path) -> None:
    safe = scenes.write_safe(tmp_path, baseline="05.00")
    with open_scene(next(safe.glob("GRANULE/*/IMG_DATA/R10m"))) as scene:
        assert scene.radiometry["B04"] == pytest.approx((1e-4, -0.1))


def test_two_products_in_one_folder_are_refused(tmp_path: Path) -> None:
    scenes.write_safe(tmp_path, size=16)
    scenes.write_safe(tmp_path, size=16, level="L1C")
    with pytest.raises(SceneError, match="2 products"):
        open_scene(tmp_path)


@pytest.mark.parametrize(
    "names",
    [
        RGBN,
        ("B4", "B3", "B2", "B8"),
        ("red", "Green", "BLUE", "nir"),
        ("B04_10m", "B3 (560 nm)", "b02", "NIR"),
    ],
)
def test_geotiff_band_spellings(tmp_path: Path, names) -> None:
    path = scenes.write_raster(
        tmp_path / "port.tif",
        scenes.four_bands(),
        descriptions=names,
        tags={"SCALE": "DN / 10000", "ACQUIRED": "2023-08-17"},
    )
    with open_scene(path) as scene:
        assert scene.bands == RGBN and scene.id == "port"
        assert scene.acquired == datetime(2023, 8, 17, tzinfo=UTC)
        assert level_of(scene, "B08") == pytest.approx(0.03, abs=0.002)


def test_geotiff_bands_given(tmp_path: Path) -> None:
    path = scenes.write_raster(tmp_path / "a.tif", scenes.four_bands())
    with pytest.raises(MissingBandError, match="bands="):
        open_scene(path)
    with open_scene(path, bands=("B02", "B03", "B04", "B08"), scale=1e-4) as scene:
        assert level_of(scene, "B02") == pytest.approx(0.09, abs=0.002)
    with pytest.raises(MissingBandError, match="names 3 bands"):
        open_scene(path, bands=("B02", "B03", "B04"), scale=1e-4)


def test_gdal_scale_and_offset(tmp_path: Path) -> None:
    array = scenes.four_bands() + np.uint16(1000)
    path = scenes.write_raster(
        tmp_path / "a.tif", array, descriptions=RGBN, scales=[1e-4] * 4, offsets=[-0.1] * 4
    )
    with open_scene(path) as scene:
        assert level_of(scene, "B04") == pytest.approx(0.09, abs=0.002)
    scenes.write_raster(
        path, array, descriptions=RGBN, scales=[1e-4] * 4, offsets=[-0.1] * 4, tags={"SCALE": "DN/10000"}
    )
    with pytest.raises(UnknownScaleError, match="SCALE tag"):
        open_scene(path)


def test_picture_of_8_bits_is_true_colour_and_alpha_masks_it(tmp_path: Path) -> None:
    rgb = (scenes.four_bands()[:3] // 14).clip(1, 255).astype(np.uint8)
    alpha = np.full_like(rgb[:1], 255)
    alpha[:, :, :30] = 0
    for array in (rgb, np.concatenate([rgb, alpha])):
        path = scenes.write_raster(tmp_path / f"{len(array)}.tif", array)
        with open_scene(path) as scene:
            assert scene.bands == ("B04", "B03", "B02")
            assert level_of(scene, "B04") == pytest.approx(64 * 0.3558 / 255, rel=0.05)
            missing = scene.read(Window(0, 0, 60, 10), ("B03",))[0] == scene.fill
            assert missing[:, :30].all() == (len(array) == 4) and not missing[:, 30:].any()


def test_a_dark_channel_of_a_picture_is_no_gap(tmp_path: Path) -> None:
    rgb = np.stack([np.zeros((20, 20)), np.full((20, 20), 9), np.full((20, 20), 30)]).astype(np.uint8)
    rgb[:, :, :5] = 0
    with open_scene(scenes.write_raster(tmp_path / "a.tif", rgb, photometric="RGB")) as scene:
        red = scene.reflectance(Window(0, 0, 20, 20), ("B04", "B03"))[0]
        assert np.isnan(red[:, :5]).all() and (red[:, 5:] == 0).all()


def test_own_nodata_and_own_mask_become_the_fill_value(tmp_path: Path) -> None:
    array = scenes.four_bands().astype(np.int16)
    array[:, :10] = -9999
    path = scenes.write_raster(tmp_path / "a.tif", array, descriptions=RGBN, nodata=-9999)
    with open_scene(path, scale=1e-4) as scene:
        assert scene.fill == -9999
        assert np.isnan(scene.reflectance(Window(0, 0, 20, 20), RGBN)[:, :10]).all()
        assert (scene.read(Window(-3, 0, 3, 3), RGBN) == -9999).all()
    floats = scenes.write_raster(
        tmp_path / "f.tif", (array / 1e4).astype(np.float32), descriptions=RGBN, nodata=-0.9999
    )
    with open_scene(floats) as scene:
        assert np.isnan(scene.fill)
        got = scene.read(Window(0, 0, 20, 20), RGBN)
        assert np.isnan(got[:, :10]).all() and np.isfinite(got[:, 10:]).all()


def test_data_mask_band(tmp_path: Path) -> None:
    mask = np.ones((1, scenes.SIZE, scenes.SIZE), np.uint16)
    mask[:, :, 50:] = 0
    array = np.concatenate([scenes.four_bands(), mask])
    path = scenes.write_raster(tmp_path / "a.tif", array, descriptions=(*RGBN, "dataMask"))
    with open_scene(path, scale=1e-4) as scene:
        got = scene.read(Window(0, 0, 100, 4), RGBN)
        assert (got[:, :, 50:] == 0).all() and (got[:, :, :50] > 0).all()


def test_float_reflectance_needs_no_scale_but_other_floats_do(tmp_path: Path) -> None:
    array = scenes.four_bands().astype(np.float32)
    good = scenes.write_raster(tmp_path / "good.tif", array / 1e4, descriptions=RGBN)
    bad = scenes.write_raster(tmp_path / "bad.tif", array, descriptions=RGBN)
    with open_scene(good) as scene:
        assert scene.radiometry["B04"] == (1.0, 0.0)
    with pytest.raises(UnknownScaleError, match="scale="):
        open_scene(bad)


@pytest.mark.parametrize("suffix", [".tif", ".jp2"])
def test_folder_of_single_bands(tmp_path: Path, suffix) -> None:
    for name, band in zip(("B02", "B03", "B04", "B08"), scenes.four_bands(), strict=True):
        scenes.write_raster(tmp_path / f"nampo_20200301T022109_{name}{suffix}", band)
    with pytest.raises(UnknownScaleError):
        open_scene(tmp_path)
    with open_scene(tmp_path, scale={"B02": 1e-4, "red": 1e-4, "B3": 1e-4, "nir": "DN/10000"}) as scene:
        assert scene.acquired == datetime(2020, 3, 1, 2, 21, 9, tzinfo=UTC)
        assert level_of(scene, "B02") == pytest.approx(0.09, abs=0.002)
        assert scene.id == tmp_path.name


def test_folder_with_metadata_beside(tmp_path: Path) -> None:
    for name, band in zip(("B02", "B03", "B04", "B08"), scenes.four_bands(), strict=True):
        scenes.write_raster(tmp_path / f"{name}.tif", band + np.uint16(1000))
    name = scenes.product_name()
    text = scenes.product_xml("L2A", "05.09", offset=-1000, name=name, quantification=10_000)
    (tmp_path / "MTD_MSIL2A.xml").write_text(text)
    with open_scene(tmp_path) as scene:
        assert level_of(scene, "B08") == pytest.approx(0.03, abs=0.002)
        assert scene.level == "L2A"


FLAG = "earthsearch:boa_offset_applied"
BASE = "s2:processing_baseline"


@pytest.mark.parametrize(
    ("properties", "raster", "shift", "expected"),
    [
        ({FLAG: True, BASE: "05.09"}, {"scale": 1e-4, "offset": -0.1}, 0, (1e-4, 0.0)),  # the trap
        ({FLAG: True, BASE: "05.09"}, None, 0, (1e-4, 0.0)),
        ({FLAG: False, BASE: "05.09"}, {"scale": 1e-4, "offset": -0.1}, 1000, (1e-4, -0.1)),
        ({FLAG: False, BASE: "04.00"}, None, 1000, (1e-4, -0.1)),
        ({FLAG: False, BASE: "03.01"}, {"scale": 1e-4, "offset": 0}, 0, (1e-4, 0.0)),
        ({BASE: "05.00"}, {"scale": 1e-4, "offset": -0.1}, 1000, (1e-4, -0.1)),
        ({}, {"scale": 1e-4, "offset": -0.1}, 1000, (1e-4, -0.1)),
        ({BASE: "02.12"}, None, 0, (1e-4, 0.0)),
        ({FLAG: False, BASE: "05.09"}, {"scale": 1e-4, "offset": 0}, 1000, None),  # contradiction
        (
            {FLAG: False, BASE: "05.11"},
            {"scale": 1e-4, "offset": -0.1},
            0,
            None,
        ),  # the pixels contradict the flag
        ({BASE: "02.12"}, {"scale": 1e-4, "offset": -0.1}, 0, None),
        ({BASE: "05.00"}, None, 1000, None),
        ({FLAG: False}, None, 1000, None),
        ({}, None, 0, None),
    ],
)
def test_stac_scale(tmp_path: Path, properties, raster, shift, expected) -> None:
    item = scenes.write_stac(tmp_path, properties=properties, raster=raster, shift=shift)
    if expected is None:
        with pytest.raises(UnknownScaleError, match="scale="):
            open_scene(item)
        with open_scene(item, scale=(1e-4, 0)) as scene:
            assert scene.radiometry["B04"] == (1e-4, 0)
        return
    with open_scene(item) as scene:
        assert scene.radiometry["B08"] == pytest.approx(expected)
        assert level_of(scene) == pytest.approx(0.06, abs=0.002)
        assert scene.level == "L2A" and scene.id == "S2A_51SYC_20220301_0_L2A"
        assert scene.acquired == datetime(2022, 3, 1, 2, 27, 13, 24_000, tzinfo=UTC)
        assert scene.scl(WATER) is not None


@pytest.mark.parametrize(
    "keys",
    [
        {"B02_10m": "B02", "B03_10m": "B03", "B04_10m": "B04", "B08_10m": "B08"},
        {"B02": "B02", "B03": "B03", "B04": "B04", "B8A": "B8A"},
        {"visual": "TCI"},
    ],
)
def test_stac_asset_keys(tmp_path: Path, keys) -> None:
    item = scenes.write_stac(tmp_path, keys=keys, properties={FLAG: True})
    with open_scene(item) as scene:
        assert {"B04", "B03", "B02"} <= set(scene.bands)
        assert ("B08" in scene.bands) == ("B08_10m" in keys)


def test_stac_dict_and_band_objects(tmp_path: Path) -> None:
    path = scenes.write_stac(
        tmp_path, properties={FLAG: True}, keys={"a": "B02", "b": "B03", "c": "B04", "d": "B08"}
    )
    item = json.loads(path.read_text())
    for key, band in zip(
        "abcd",
        ({"name": "B02"}, {"common_name": "green"}, {"name": "red"}, {"eo:common_name": "nir"}),
        strict=True,
    ):
        item["assets"][key]["bands" if key == "d" else "eo:bands"] = [band]
    with pytest.raises(SceneError, match="relative"):
        open_scene(item)
    item["links"] = [{"rel": "self", "href": str(path)}]
    with open_scene(item) as scene:
        assert {"B02", "B03", "B04", "B08"} == set(scene.bands)


def test_array_and_scene() -> None:
    array = scenes.four_bands()
    with open_scene(
        array,
        bands=("B02", "B03", "B04", "B08"),
        scale="DN / 10000",
        acquired="2020-03-01T02:21:09Z",
        **PLACE,
    ) as scene:
        assert scene.acquired == datetime(2020, 3, 1, 2, 21, 9, tzinfo=UTC)
        np.testing.assert_array_equal(scene.read(Window(2, 3, 10, 5), RGBN), array[[2, 1, 0, 3], 3:8, 2:12])
        assert open_scene(scene) is scene
    with pytest.raises(UnknownScaleError):
        open_scene(array, bands=RGBN, **PLACE)
    with open_scene(array / 1e4, bands=RGBN, **PLACE) as scene:
        assert scene.radiometry["B08"] == (1.0, 0.0)
    with pytest.raises(UnknownScaleError):
        open_scene(array.astype(float), bands=RGBN, **PLACE)
    with open_scene((array[:3] // 14).astype(np.uint8), bands=RGBN[:3], **PLACE) as scene:
        assert scene.radiometry["B04"] == pytest.approx((0.3558 / 255, 0.0))
    with pytest.raises(UnknownScaleError):
        open_scene((array // 14).astype(np.uint8), bands=RGBN, **PLACE)


def test_the_same_pixels_from_every_source(tmp_path: Path) -> None:
    """A SAFE, its zip, a GeoTIFF and an array of the same reflectance read the same."""
    safe = scenes.write_safe(tmp_path)
    window = Window(30, 40, 50, 50)
    with open_scene(safe) as scene:
        expected = scene.reflectance(window, RGBN)
        stored = scene.read(Window(0, 0, scenes.SIZE, scenes.SIZE), RGBN)
    tif = scenes.write_raster(tmp_path / "a.tif", stored, descriptions=RGBN, tags={"SCALE": "0.0001,-0.1"})
    for source, options in (
        (scenes.zip_folder(safe), {}),
        (tif, {}),
        (stored, {"bands": RGBN, "scale": "reflectance = DN * 0.0001 + -0.1", **PLACE}),
    ):
        with open_scene(source, **options) as scene:
            np.testing.assert_allclose(scene.reflectance(window, RGBN), expected, rtol=1e-6)
