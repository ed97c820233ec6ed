"""Painted products on disk, traffic over time, and the demonstration."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio

from training.simulate import (
    PaintedScene,
    SceneSpec,
    Traffic,
    Vessel,
    paint,
    paint_tile,
    run_demo,
    series,
    site_geojson,
    tile_spec,
    truth_geojson,
    write_geotiff,
    write_safe,
)
from training.simulate.demo import match_positions
from training.simulate.scene import Painter

SPEC = SceneSpec(seed=4, size=(320, 320), vessel_count=10)
START = datetime(2020, 3, 1, 2, 21, 9, tzinfo=UTC)


@pytest.fixture(scope="module")
def painted() -> PaintedScene:
    return paint(SPEC)


def test_safe_has_the_structure_of_a_product(painted: PaintedScene, tmp_path: Path) -> None:
    safe = write_safe(painted, tmp_path)
    assert safe.name == f"{painted.id}.SAFE"
    assert safe.name.startswith("S2A_MSIL2A_20200301T022109_N0400_R003_T51SYC_")
    root = ET.parse(safe / "MTD_MSIL2A.xml").getroot()
    assert root.findtext(".//PROCESSING_BASELINE") == "04.00"
    assert root.findtext(".//BOA_QUANTIFICATION_VALUE") == "10000"
    offsets = {e.get("band_id"): int(e.text or 0) for e in root.iter("BOA_ADD_OFFSET")}
    assert offsets == {str(k): -1000 for k in range(13)}
    tile = ET.parse(next(safe.glob("GRANULE/*/MTD_TL.xml"))).getroot()
    assert tile.findtext(".//HORIZONTAL_CS_CODE") == "EPSG:32651"
    for listed in root.iter("IMAGE_FILE"):
        assert (safe / f"{listed.text}.jp2").is_file()
    for band in ("B02", "B03", "B04", "B08"):
        path = next(safe.glob(f"GRANULE/L2A_T51SYC_*/IMG_DATA/R10m/T51SYC_20200301T022109_{band}_10m.jp2"))
        with rasterio.open(path) as image:
            assert image.crs.to_epsg() == 32651
            assert image.transform == painted.grid.transform
            np.testing.assert_array_equal(image.read(1), painted.bands[band])  # lossless
    with rasterio.open(next(safe.glob("GRANULE/*/IMG_DATA/R20m/*_B11_20m.jp2"))) as image:
        assert image.shape == (160, 160) and image.transform.a == 20
    with rasterio.open(next(safe.glob("GRANULE/*/IMG_DATA/R20m/*_SCL_20m.jp2"))) as image:
        assert set(np.unique(image.read(1))) <= set(range(12))
    with rasterio.open(next(safe.glob("GRANULE/*/IMG_DATA/R10m/*_TCI_10m.jp2"))) as image:
        assert image.count == 3 and image.dtypes[0] == "uint8"


def test_level_1c_product(tmp_path: Path) -> None:
    safe = write_safe(paint(replace(SPEC, level="L1C", size=(128, 128))), tmp_path)
    root = ET.parse(safe / "MTD_MSIL1C.xml").getroot()
    assert root.findtext(".//QUANTIFICATION_VALUE") == "10000"
    assert {e.text for e in root.iter("RADIO_ADD_OFFSET")} == {"-1000"}
    assert len(list(safe.glob("GRANULE/L1C_*/IMG_DATA/*_B0[2348].jp2"))) == 4
    assert not list(safe.glob("GRANULE/*/IMG_DATA/*SCL*"))


def test_geotiff_says_how_to_read_it(painted: PaintedScene, tmp_path: Path) -> None:
    path = write_geotiff(painted, tmp_path / "scene.tif", ("B04", "B03", "B02", "B08"))
    with rasterio.open(path) as image:
        assert image.descriptions == ("B04", "B03", "B02", "B08")
        assert image.tags()["SCALE"] == "reflectance = DN / 10000 - 0.1"
        assert image.tags()["ACQUIRED"] == "2020-03-01T02:21:09Z"
        assert image.tags()["SCENE_ID"] == painted.id
        np.testing.assert_array_equal(image.read(4), painted.bands["B08"])


def test_truth_and_site_files(painted: PaintedScene, tmp_path: Path) -> None:
    truth_geojson(painted.truth, tmp_path / "truth.geojson")
    features = json.loads((tmp_path / "truth.geojson").read_text())["features"]
    assert [f["properties"]["id"] for f in features] == [v.id for v in painted.truth]
    for f in features:
        assert f["properties"]["class"] in ("vessel", "coal_barge")
        lon, lat = np.array(f["geometry"]["coordinates"][0]).T
        assert 125 < lon.min() <= f["properties"]["lon"] <= lon.max() < 126
        assert 38 < lat.min() <= f["properties"]["lat"] <= lat.max() < 39
    site_geojson(painted.zones, painted.grid, tmp_path / "site.geojson")
    kinds = [f["properties"]["kind"] for f in json.loads((tmp_path / "site.geojson").read_text())["features"]]
    assert "coal_berth" in kinds and "anchorage" in kinds


def test_tile_is_written_block_by_block_as_painted_whole(tmp_path: Path) -> None:
    spec = tile_spec(3, size=1100, vessels=12, harbours=1)
    path, truth = paint_tile(spec, tmp_path, form="tif")
    whole = paint(spec)
    assert [t.id for t in truth] == [t.id for t in whole.truth]
    with rasterio.open(path) as image:
        np.testing.assert_array_equal(image.read(1), whole.bands["B02"])
    land = (whole.scl != 6).mean()
    assert 0.25 < land < 0.75
    with pytest.raises(ValueError, match="form"):
        paint_tile(spec, tmp_path, form="png")


def test_visits_fill_berths_without_overlap() -> None:
    traffic = Traffic(SceneSpec(seed=6, size=(600, 600)), START, START + timedelta(days=120))
    coal = sorted((v for v in traffic.visits if v.zone and "coal-berth" in v.zone), key=lambda v: v.arrive)
    assert len(coal) > 15
    assert 1.0 < np.mean([(v.leave - v.arrive) / timedelta(days=1) for v in coal]) < 6.0
    for day in range(0, 120, 5):
        when = START + timedelta(days=day)
        ships = traffic.vessels_at(when)
        hulls = [s.outline for s in ships]
        assert not any(a.intersects(b) for k, a in enumerate(hulls) for b in hulls[:k])
        assert {v.id for v in traffic.present(when)} <= {s.id for s in ships}


def test_series_is_one_port_whose_ships_come_and_go() -> None:
    dates = [START + timedelta(days=d) for d in (0, 1, 10)]
    scenes = list(series(SceneSpec(seed=6, size=(320, 320)), dates, vary_weather=False))
    ids = [{v.id for v in s.truth if not v.id.startswith("S")} for s in scenes]
    assert ids[0] & ids[1]  # most stays are longer than a day
    assert ids[0] != ids[2]
    again = list(series(SceneSpec(seed=6, size=(320, 320)), dates[:1] + dates[2:], vary_weather=False))
    assert again[1].bands["B03"].shape == scenes[2].bands["B03"].shape
    assert [s.spec.acquired for s in scenes] == dates
    moored = [v for v in scenes[0].truth if v.id.startswith("B") and v.id in ids[1]]
    for v in moored:  # alongside the same quay, at the same place
        other = next(o for o in scenes[1].truth if o.id == v.id)
        assert (other.lon, other.lat) == (v.lon, v.lat)


def test_coal_rises_during_a_stay() -> None:
    traffic = Traffic(SceneSpec(seed=6, size=(600, 600)), START, START + timedelta(days=60))
    visit = next(v for v in traffic.visits if v.zone and "coal-berth" in v.zone)
    third = (visit.leave - visit.arrive) / 3
    loads = [visit.load_at(visit.arrive + k * third) for k in range(4)]
    assert loads[0] == 0.0 and loads[-1] == 1.0 and loads == sorted(loads)


def test_matching_is_one_to_one() -> None:
    match = match_positions([0.0, 0.001, 1.0], [0.0, 0.0, 0.0], [0.0009, 0.0011, 0.5], [0.0] * 3, 150.0)
    assert {(t, d) for t, d, _ in match.pairs} == {(0, 0), (1, 1)}
    assert match.missed == (2,) and match.false == (2,)
    assert match_positions([], [], [1.0], [1.0], 150.0).false == (0,)
    assert match_positions([1.0], [1.0], [], [], 150.0).missed == (0,)


def test_demo_compares_with_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipeline is replaced by one that finds all but two vessels and makes one up."""
    import types

    from training.simulate import demo

    spec = replace(demo.demo_spec(1), size=(400, 400), vessel_count=12)
    monkeypatch.setattr(demo, "demo_spec", lambda seed: spec)
    true = Painter(spec).truth()

    class Fake(dict):  # type: ignore[type-arg]
        def write(self, path: Path) -> None:
            Path(path).write_text("{}")

    def run(scenes: list[Path], weights: object = None, site: object = None) -> list[types.SimpleNamespace]:
        assert (Path(scenes[0]) / "MTD_MSIL2A.xml").is_file() and site is not None
        kept = true[2:]
        found = Fake(
            lon=[v.lon for v in kept] + [0.0],
            lat=[v.lat for v in kept] + [0.0],
            length_m=[v.length_m + 5 for v in kept] + [50.0],
        )
        return [types.SimpleNamespace(detections=found, looks=[], error=None)]

    fake = types.ModuleType("detector.prediction")
    fake.run = run  # type: ignore[attr-defined]
    preview = types.ModuleType("detector.preview")
    preview.write_preview = lambda scene, vessels, path: Path(path).write_bytes(b"png")  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "detector.prediction", fake)
    monkeypatch.setitem(sys.modules, "detector.preview", preview)
    result = run_demo(tmp_path, seed=1)
    assert (result.total, result.found, result.close, result.false) == (
        len(true),
        len(true) - 2,
        len(true) - 2,
        1,
    )
    assert {v.id for v in result.missed} == {v.id for v in true[:2]}
    assert result.length_error_m == pytest.approx(5.0)
    text = result.summary()
    assert f"{len(true)} vessels painted" in text and str(result.table) in text and text.count("missed:") == 2
    assert result.truth.is_file() and result.site.is_file() and result.looks.is_file() and result.picture is not None


def test_light_import() -> None:
    code = (
        "import sys, training.simulate; "
        "bad = {'torch', 'ultralytics', 'matplotlib', 'albumentations', 'cv2'} & set(sys.modules); "
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_given_vessels_are_painted_where_they_are_told() -> None:
    ship = Vessel("mine", "bulk_carrier", 1800.0, 2000.0, 180.0, 28.0, 45.0)
    scene = paint(replace(SPEC, vessels=(ship,)))
    assert [v.id for v in scene.truth] == ["mine"]
    assert (scene.truth[0].col, scene.truth[0].row) == (180.0, 200.0)
