"""From a painted scene to the vessel table, with the real network.

How good the network is on real scenes is not asked here, but whether what is around it keeps its
promises: each hull once and whole, one length in every CRS, the same answer from files and arrays.
"""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import Resampling, calculate_default_transform, reproject

from detector import Detections, masks, open_scene, predict
from detector.errors import BargewatchError, EmptySceneError, SceneError
from detector.geometry import Grid
from detector.loadings.sites import load_site
from detector.model import find_weights
from detector.prediction import run
from tests.network import weights_to_test
from training.simulate import PaintedScene, SceneSpec, Vessel, paint, true_colour, write_geotiff

BANDS = ("B04", "B03", "B02", "B08")
SCALE = (1e-4, -0.1)
TOP = 16  # first row of the part that is used, 384 rows
# Column, row (of the whole painting), length and heading of each ship; the shore is north of them all.
SHIPS = (
    (60, 300, 150, 10), (180, 335, 185, 75), (300, 330, 130, 140), (440, 340, 180, 95), (600, 345, 160, 50),
    (740, 350, 190, 110), (850, 360, 140, 20),
)  # fmt: skip
BORDER_SHIP = 3


@pytest.fixture(scope="module")
def weights() -> Path | None:
    return weights_to_test()


@pytest.fixture(scope="module")
def painted(weights: Path | None) -> PaintedScene:
    vessels = tuple(
        Vessel(str(k), "bulk_carrier", 10.0 * col, 10.0 * row, float(length), length / 6.2, float(heading))
        for k, (col, row, length, heading) in enumerate(SHIPS)
    )
    calm = {"haze": 0.05, "wind": 2.0, "harbours": 0, "estuary": False}
    return paint(SceneSpec(seed=3, size=(400, 900), vessels=vessels, lon=124.0, **calm))


def crop(painted: PaintedScene, left: int, width: int, top: int = TOP, height: int = 384) -> dict[str, Any]:
    """A part of the painting, as arguments of `predict`."""
    array = np.stack([painted.bands[band][top : top + height, left : left + width] for band in BANDS])
    transform = painted.grid.transform * Affine.translation(left, top)
    return {"source": array, "transform": transform, "crs": painted.grid.crs, "bands": BANDS, "scale": SCALE}


def look(arguments: dict[str, Any], weights: Path | None, **options: Any) -> Detections:
    return predict(**{"weights": weights, "confidence": 0.2, "threads": 1, **arguments, **options})


def of_ship(table: Detections, painted: PaintedScene, ship: int, reach: float = 80.0) -> np.ndarray:
    """Rows of the boxes whose centre is near a ship."""
    truth = painted.truth[ship]
    east = (table["lon"] - truth.lon) * 111_320 * np.cos(np.radians(truth.lat))
    return np.flatnonzero(np.hypot(east, (table["lat"] - truth.lat) * 110_990) < reach)


def identical(a: Detections, b: Detections, *, but: tuple[str, ...] = ()) -> None:
    assert len(a) == len(b)
    for name in a.columns:
        if name in but:
            continue
        same = a[name] == b[name]
        if a[name].dtype.kind == "f":
            same |= np.isnan(a[name]) & np.isnan(b[name])
        assert np.all(same), name


@pytest.fixture(scope="module")
def whole(painted: PaintedScene, weights: Path | None) -> Detections:
    """What is found in the whole painting, rejected boxes too."""
    return look(crop(painted, 0, 900), weights, keep_rejected=True)


def test_most_ships_are_found_once_and_near_their_length(painted: PaintedScene, whole: Detections) -> None:
    found = [of_ship(whole, painted, k) for k in range(len(SHIPS))]
    assert all(len(rows) <= 1 for rows in found)
    seen = [(k, rows[0]) for k, rows in enumerate(found) if len(rows)]
    assert len(seen) >= len(SHIPS) - 2
    lengths = [whole["length_m"][row] / painted.truth[k].length_m for k, row in seen]
    assert 0.85 < np.median(lengths) < 1.2
    turned = [(whole["heading_deg"][row] - painted.truth[k].heading_deg + 90) % 180 - 90 for k, row in seen]
    assert np.median(np.abs(turned)) < 8


def test_the_table_keeps_its_promises(whole: Detections) -> None:
    assert (np.diff(whole["confidence"]) <= 0).all()
    assert whole["heading_ambiguous"].all()
    assert ((whole["heading_deg"] >= 0) & (whole["heading_deg"] < 180)).all()
    assert np.isfinite(whole["coal_score"]).any()
    for row in whole:
        assert row["geometry"].is_valid
        centre = row["geometry"].centroid
        assert (centre.x, centre.y) == pytest.approx((row["lon"], row["lat"]), abs=1e-6)
        assert row["length_m"] >= row["width_m"]


def test_twice_is_the_same(painted: PaintedScene, weights: Path | None, whole: Detections) -> None:
    identical(look(crop(painted, 0, 900), weights, keep_rejected=True), whole)


def test_threads_do_not_change_the_answer(painted: PaintedScene, weights: Path | None) -> None:
    part = crop(painted, 380, 200)
    one, two = (look(part, weights, threads=threads) for threads in (1, 2))
    assert len(one) == len(two) > 0
    for name in ("confidence", "lon", "lat", "length_m", "width_m"):
        assert np.allclose(one[name], two[name], rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("left", [50, 62, 74, 86, 98, 110])
def test_a_hull_across_a_border_comes_out_once_and_whole(
    painted: PaintedScene, weights: Path | None, whole: Detections, left: int
) -> None:
    """720 columns are two windows that share 48; the ship moves over where the first one ends."""
    table = look(crop(painted, left, 720), weights)
    rows = of_ship(table, painted, BORDER_SHIP)
    assert len(rows) == 1
    [reference] = of_ship(whole, painted, BORDER_SHIP)
    assert table["length_m"][rows[0]] == pytest.approx(whole["length_m"][reference], rel=0.12)


def warped(arguments: dict[str, Any], epsg: int, resolution: float) -> dict[str, Any]:
    array, crs = arguments["source"], CRS.from_epsg(epsg)
    _, rows, columns = array.shape
    bounds = rasterio.transform.array_bounds(rows, columns, arguments["transform"])
    transform, width, height = calculate_default_transform(
        arguments["crs"], crs, columns, rows, *bounds, resolution=resolution
    )
    out = np.zeros((4, height, width), np.uint16)
    reproject(
        array, out, src_transform=arguments["transform"], src_crs=arguments["crs"], src_nodata=0,
        dst_transform=transform, dst_crs=crs, dst_nodata=0, resampling=Resampling.cubic,
    )  # fmt: skip
    return {**arguments, "source": out, "transform": transform, "crs": crs}


@pytest.mark.parametrize(("epsg", "resolution"), [(3857, 10.0), (4326, 9e-5)])
def test_a_ship_is_as_long_in_another_crs(
    painted: PaintedScene, weights: Path | None, epsg: int, resolution: float
) -> None:
    """Pixels of 7.8 m, and of 7.8 m by 10 m, on the ground: every ship has the same length to 2 %."""
    part = crop(painted, 0, 900, top=200, height=200)
    here, there = look(part, weights), look(warped(part, epsg, resolution), weights)
    ratios = []
    for k in range(len(SHIPS)):
        a, b = of_ship(here, painted, k), of_ship(there, painted, k)
        if len(a) == len(b) == 1:
            ratios.append(there["length_m"][b[0]] / here["length_m"][a[0]])
    print(f"EPSG:{epsg}: lengths over those in EPSG:32651: {np.round(ratios, 3)}")
    assert len(ratios) >= len(SHIPS) - 1
    assert np.abs(np.array(ratios) - 1.0).max() <= 0.02


def small(painted: PaintedScene) -> PaintedScene:
    """200 x 200 pixels with one ship, as a painting."""
    rows, columns = slice(200, 400), slice(360, 560)
    transform = painted.grid.transform * Affine.translation(360, 200)
    bands = {band: pixels[rows, columns] for band, pixels in painted.bands.items()}
    return replace(painted, bands=bands, grid=Grid(painted.grid.crs, transform, 200, 200))


def test_files_arrays_and_open_scenes_say_the_same(
    painted: PaintedScene, weights: Path | None, tmp_path: Path
) -> None:
    path = write_geotiff(small(painted), tmp_path / "a.tif", BANDS)
    from_file = look({"source": path}, weights)
    assert len(of_ship(from_file, painted, BORDER_SHIP)) == 1
    from_array = look(crop(painted, 360, 200, top=200, height=200), weights)
    identical(from_file, from_array, but=("scene_id", "acquired"))
    with open_scene(path) as scene:
        identical(look({"source": scene}, weights), from_file)
        identical(look({"source": scene}, weights), from_file)  # it is still open


def test_true_colour_alone(painted: PaintedScene, weights: Path | None) -> None:
    part = crop(painted, 360, 200, top=200, height=200)
    part |= {"source": true_colour(small(painted)), "bands": BANDS[:3], "scale": None}
    table = look(part, weights, confidence=0.05)
    assert len(of_ship(table, painted, BORDER_SHIP)) == 1
    score = table["coal_score"]
    assert (np.isnan(score) | ((score >= 0) & (score <= 1))).all()


@pytest.mark.parametrize("reason", ["land", "cloud"])
def test_rejected_boxes_are_kept_when_asked(
    painted: PaintedScene, weights: Path | None, monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """The masks are set by hand: nothing but a pond in the corner is water, or all is cloud."""

    def pond(green: np.ndarray, nir: np.ndarray) -> np.ndarray:
        mask = np.zeros(green.shape, bool)
        mask[:8, :8] = True
        return mask

    def overcast(scene: Any, window: Any) -> np.ndarray:
        return np.ones((window.height, window.width), bool)

    name, mask = ("water_encoded", pond) if reason == "land" else ("cloud", overcast)
    monkeypatch.setattr(masks, name, mask)
    part = crop(painted, 360, 200, top=200, height=200)
    everything = look(part, weights, keep_rejected=True)
    assert everything["status"][of_ship(everything, painted, BORDER_SHIP)].tolist() == [reason]
    identical(look(part, weights), everything.kept)


def test_granules_that_overlap_show_a_ship_once(
    painted: PaintedScene, weights: Path | None, tmp_path: Path
) -> None:
    one = small(painted)
    paths = []
    for name, spec in (
        ("a", one.spec),
        ("b", replace(one.spec, seed=4, acquired=one.spec.acquired + timedelta(seconds=14))),
        ("c", replace(one.spec, seed=5, acquired=one.spec.acquired + timedelta(days=5))),
    ):
        paths.append(write_geotiff(replace(one, spec=spec), tmp_path / f"{name}.tif", BANDS))
    results = list(run(paths, weights=weights, confidence=0.2, keep_rejected=True, threads=1))
    assert [result.error for result in results] == [None] * 3
    statuses = []
    for result in results:
        assert result.detections is not None
        [row] = of_ship(result.detections, painted, BORDER_SHIP)
        statuses.append(result.detections["status"][row])
    assert statuses == ["kept", "duplicate", "kept"]
    assert results[1].rejected["duplicate"] >= 1


def test_a_site_names_the_zone_and_tells_the_looks(
    painted: PaintedScene, weights: Path | None, tmp_path: Path
) -> None:
    truth = painted.truth[BORDER_SHIP]
    zone = {
        "type": "Feature",
        "properties": {
            "id": "roads", "kind": "anchorage", "name": "Roads", "capacity": 3, "source": "made up",
            "accuracy_m": 50,
        },
        "geometry": shapely.geometry.mapping(shapely.Point(truth.lon, truth.lat).buffer(0.003)),
    }  # fmt: skip
    path = tmp_path / "port.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [zone]}))
    part = crop(painted, 360, 400, top=200, height=200)
    table = look(part, weights, site=path)
    assert set(table["site"]) == {"port"}
    assert table["zone_id"][of_ship(table, painted, BORDER_SHIP)].tolist() == ["roads"]
    other = of_ship(table, painted, BORDER_SHIP + 1)
    assert set(table["zone_id"][other]) <= {None}
    scene = open_scene(part.pop("source"), **part)
    [result] = run([scene], weights=weights, site=load_site(path), threads=1)
    assert [(look_["zone_id"], look_["clear_fraction"]) for look_ in result.looks] == [("roads", 1.0)]


def test_one_bad_scene_does_not_cost_the_others(
    painted: PaintedScene, weights: Path | None, tmp_path: Path
) -> None:
    good = write_geotiff(small(painted), tmp_path / "good.tif", BANDS)
    results = list(run([tmp_path / "gone.tif", good], weights=weights, confidence=0.2, threads=1))
    assert isinstance(results[0].error, SceneError)
    assert results[0].detections is None
    assert results[1].detections is not None and len(results[1].detections)
    with pytest.raises(BargewatchError, match="gone.tif"):
        predict([good, tmp_path / "gone.tif"], weights=weights, threads=1)


def test_a_ship_on_the_antimeridian_has_a_box_of_its_size(
    painted: PaintedScene, weights: Path | None
) -> None:
    """The painting is moved to where the border ship lies at 180 degrees."""
    part = crop(painted, 360, 200, top=200, height=200)
    [row] = of_ship(look(part, weights), painted, BORDER_SHIP)
    part["crs"] = CRS.from_epsg(32660)
    zero = Grid(part["crs"], Affine(10, 0, 0, 0, -10, 0), 1, 1)
    col, down = zero.from_lonlat(180.0, 38.7)
    part["transform"] = Affine(10, 0, float(col) * 10 - 800, 0, -10, -float(down) * 10 + 1400)
    table = look(part, weights)
    assert (np.abs(table["lon"]) <= 180).all()
    spans = [polygon.bounds[2] - polygon.bounds[0] for polygon in table["geometry"]]
    assert max(spans) < 0.01
    places = zip(table["geometry"], table["lon"], strict=True)
    assert all(p.bounds[0] < lon < p.bounds[2] for p, lon in places)


@pytest.mark.parametrize(
    ("pixels", "resolution", "error", "said"),
    [
        (np.zeros((4, 64, 64), np.uint16), 10, EmptySceneError, "no data"),
        (np.full((4, 64, 64), np.nan, np.float32), 10, SceneError, "no"),
        (np.full((4, 64, 64), 1200, np.uint16), 60, SceneError, "60 x 60 m"),
    ],
)
def test_scenes_that_cannot_be_searched(
    weights: Path | None, pixels: np.ndarray, resolution: float, error: type[Exception], said: str
) -> None:
    place = Affine(resolution, 0, 500_000, 0, -resolution, 4_300_000)
    scale = SCALE if pixels.dtype == np.uint16 else None
    with pytest.raises(error, match=said):
        predict(pixels, transform=place, crs="EPSG:32651", bands=BANDS, scale=scale, weights=weights)


def test_memory_does_not_grow_with_the_scene(weights: Path | None, tmp_path: Path) -> None:
    """3000 x 3000 pixels, 72 MB as stored; mostly meadow, which is read and masked but not searched."""
    path, side = tmp_path / "large.tif", 3000
    profile = {
        "driver": "GTiff", "dtype": "uint16", "count": 4, "width": side, "height": side, "nodata": 0,
        "tiled": True, "crs": "EPSG:32651", "transform": Affine(10, 0, 500_000, 0, -10, 4_300_000),
        "compress": "deflate",
    }  # fmt: skip
    stack = np.empty((4, side, side), np.uint16)
    stack[:] = np.array([1500, 1600, 1400, 4000], np.uint16)[:, None, None]
    stack[:, :100, :100] = np.array([1500, 1700, 1600, 1100], np.uint16)[:, None, None]
    with rasterio.open(path, "w", **profile) as out:
        out.write(stack)
        out.descriptions = BANDS
        out.update_tags(SCALE="DN / 10000 - 0.1")
    size = stack.nbytes
    del stack
    [warm_up] = run([path], weights=weights, threads=1)  # what the runtimes keep is not the scene's
    assert warm_up.error is None
    assert warm_up.windows > 60
    assert warm_up.windows - warm_up.skipped < 5
    tracemalloc.start()
    [result] = run([path], weights=weights, threads=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    print(f"peak of arrays {peak / 2**20:.0f} MB for a scene of {size / 2**20:.0f} MB")
    assert result.error is None
    assert peak < size * 0.7


def test_confidence_is_what_the_calibration_of_the_weights_makes_of_it(
    painted: PaintedScene, weights: Path | None, tmp_path: Path
) -> None:
    """The threshold that a user gives is of the calibrated confidence; without one the network's own holds."""
    onnx = pytest.importorskip("onnx")
    source = find_weights(weights)
    graph = onnx.load(str(source.path))
    entry = next(entry for entry in graph.metadata_props if entry.key == "bargewatch")
    facts = json.loads(entry.value) | {"calibration": [[0.0, 0.0], [0.2, 0.5], [1.0, 1.0]]}
    entry.value = json.dumps(facts)
    calibrated = tmp_path / "calibrated.onnx"
    onnx.save(graph, str(calibrated))
    plain = tmp_path / "plain.onnx"
    del facts["calibration"]
    entry.value = json.dumps(facts)
    onnx.save(graph, str(plain))
    part = crop(painted, 360, 200, top=200, height=200)
    before, after = look(part, plain, confidence=0.2), look(part, calibrated, confidence=0.5)
    assert len(before) == len(after) > 0
    raw = np.asarray(before["confidence"])
    assert np.allclose(after["confidence"], 0.5 + (raw - 0.2) / 0.8 * 0.5, atol=2e-4)
    assert len(look(part, calibrated, confidence=None)) == len(look(part, plain, confidence=None))
