"""What arrived, left, was missed and never moves, on painted looks at a quay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS
from scipy import ndimage

from detector.boxes import corners_of
from detector.cli import main
from detector.columns import utc_text
from detector.detections import Detections
from detector.geometry import Grid
from detector.loadings.change import apply_changes
from detector.loadings.chips import write_chips
from detector.loadings.chipseries import FIXED_PAIRS, RECOVERED
from detector.loadings.count import count_loadings
from detector.loadings.difference import LEAST_PIXELS, compare
from detector.loadings.sites import Site, Zone
from detector.scene import open_scene

BANDS = ("B04", "B03", "B02", "B08")
SIDE, FINE, QUAY = 130, 2, 45
GRID = Grid(CRS.from_epsg(32651), Affine(10, 0, 700_000, 0, -10, 4_290_000), SIDE, SIDE)
START = datetime(2020, 3, 1, 2, 21, 9, tzinfo=UTC)
# Column, row, length, width in pixels and angle clockwise from the right: at the quay, at anchor, and small.
QUAYSIDE, ANCHORED, SMALL = (65, 47.6, 16, 2.8, 0.0), (80, 75, 14, 2.6, 0.9), (55, 78, 6, 1.6, 0.4)
SHIP, DARK_SHIP = (0.25, 0.22, 0.20, 0.24), (0.13, 0.12, 0.12, 0.14)
WATER = np.array([0.05, 0.06, 0.055, 0.02])

Ship = tuple[tuple[float, ...], tuple[float, ...]]


@lru_cache(maxsize=8)
def ground(shift: tuple[float, float]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Land and water without ships, finer than pixels, and the columns and rows of it."""
    side = (SIDE + 10) * FINE
    rows, cols = (np.mgrid[:side, :side] + 0.5) / FINE - 5 - np.array(shift).reshape(2, 1, 1)
    structure = (
        ndimage.gaussian_filter(np.random.default_rng(7).normal(size=(side, side)), 2.5 * FINE) * 0.4 * FINE
    )
    structure = ndimage.shift(structure, np.array(shift) * FINE, order=1, mode="wrap")
    land = rows < QUAY
    colour = np.array([1.0, 0.9, 0.8, 1.4]).reshape(4, 1, 1)
    return np.where(land, (0.17 + structure) * colour, WATER.reshape(4, 1, 1)), cols, rows


def look(ships: tuple[Ship, ...] = (), seed: int = 0, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Reflectance (4, SIDE, SIDE) of land north of a quay and water south of it; `shift` is rows, cols."""
    fine, cols, rows = (part.copy() for part in ground(shift))
    for box, colour in ships:
        (corners,) = corners_of(np.array([box]))
        near = np.s_[
            np.searchsorted(rows[:, 0], corners[:, 1].min()) : np.searchsorted(
                rows[:, 0], corners[:, 1].max()
            ),
            np.searchsorted(cols[0], corners[:, 0].min()) : np.searchsorted(cols[0], corners[:, 0].max()),
        ]
        inside = shapely.contains_xy(shapely.Polygon(corners), cols[near], rows[near])
        fine[(slice(None), *near)][:, inside] = np.array(colour).reshape(4, 1)
    fine = ndimage.gaussian_filter(fine, (0, FINE / 2, FINE / 2))[
        :, 5 * FINE : -5 * FINE, 5 * FINE : -5 * FINE
    ]
    seen = fine.reshape(4, SIDE, FINE, SIDE, FINE).mean(axis=(2, 4))
    waves = ndimage.gaussian_filter(np.random.default_rng(seed).normal(0, 1, seen.shape), (0, 0.6, 0.6))
    return (seen + 0.003 * waves / waves.std()).astype(np.float32)


def floats_and_land() -> tuple[np.ndarray, np.ndarray]:
    floats = np.zeros((SIDE, SIDE), bool)
    floats[QUAY + 1 :] = True
    land = np.zeros((SIDE, SIDE), bool)
    land[: QUAY - 2] = True
    return floats, land


def compared(before: np.ndarray, after: np.ndarray):
    floats, land = floats_and_land()
    return compare(before, after, floats, land, np.ones((SIDE, SIDE), bool))


def iou(corners: np.ndarray, box: tuple[float, ...]) -> float:
    one, other = shapely.Polygon(corners), shapely.Polygon(corners_of(np.array([box]))[0])
    return one.intersection(other).area / one.union(other).area


@pytest.mark.parametrize("box", [QUAYSIDE, ANCHORED])
def test_a_ship_arrives_and_leaves_through_shift_and_haze(box):
    empty = look(seed=1)
    hazy = 0.85 * look(((box, SHIP),), seed=2, shift=(0.5, -0.75)) + 0.03
    found = compared(empty, hazy)
    assert (found.shift.rows, found.shift.cols) == pytest.approx((0.5, -0.75), abs=0.12)
    assert found.normalisation.gain == pytest.approx(np.full(4, 1 / 0.85), abs=0.08)
    (ship,) = found.objects
    assert ship.kind == "arrived"
    assert iou(ship.corners, box) > 0.5
    assert ship.area_m2 == pytest.approx(box[2] * box[3] * 100, rel=0.5)
    assert ship.chance < 1e-8
    (gone,) = compared(hazy, empty).objects
    assert gone.kind == "left"


def test_another_ship_in_the_place_of_one():
    before = look(((QUAYSIDE, DARK_SHIP), (ANCHORED, SHIP)), seed=1)
    after = look((((60, 47.6, 20, 2.8, 0.0), SHIP), (ANCHORED, SHIP)), seed=2)
    found = compared(before, after)
    assert [item.kind for item in found.objects if iou(item.corners, QUAYSIDE) > 0.1] != []
    assert any(item.kind == "arrived" for item in found.objects)
    assert not any(iou(item.corners, ANCHORED) > 0.1 for item in found.objects)
    (corners,) = corners_of(np.array([ANCHORED]))
    col, row = corners.mean(axis=0).astype(int)
    assert found.stayed[row, col]


def test_nothing_is_found_where_nothing_changed():
    """Quay edge, shift and other waves: 40 looks' worth of pixels would give four at the stated rate, objects none."""
    alarms = pixels = 0
    for seed in range(3):
        found = compared(look(seed=2 * seed), 1.1 * look(seed=2 * seed + 1, shift=(0.25, 0.5)) - 0.01)
        assert found.objects == ()
        alarms += int(found.changed.sum())
        pixels += int(floats_and_land()[0].sum())
    assert alarms <= 20 * 1e-4 * pixels


def test_cloud_is_neither_ship_nor_water():
    before, after = look(seed=1), look(((ANCHORED, SHIP),), seed=2)
    after[:, 60:95, 60:100] = np.nan
    found = compared(before, after)
    assert found.objects == ()
    assert np.isnan(found.change[:, 75, 80]).all()
    assert not found.changed[60:95, 60:100].any()


def test_specks_are_no_objects():
    after = look(seed=2)
    after[:, 90, 60 : 60 + LEAST_PIXELS - 2] += 0.3
    assert compared(look(seed=1), after).objects == ()


# ---- the vessel table

ZONE_BOX = (52, QUAY, 100, 90)


def zone(kind: str = "berth", box: tuple[float, ...] = ZONE_BOX, id: str = "quay") -> Zone:
    west, north, east, south = box
    lon, lat = GRID.to_lonlat([west, east, east, west], [south, south, north, north])
    return Zone(id, kind, id, 3, "test", 10.0, None, shapely.Polygon(np.column_stack([lon, lat])))


def series(folder: Path, site: Site, looks: list[np.ndarray], days: float = 10) -> list[dict]:
    rows = []
    for number, layers in enumerate(looks):
        when = START + timedelta(days=days * number)
        with open_scene(
            np.rint((np.nan_to_num(layers, nan=-0.1) + 0.1) * 1e4).astype(np.uint16),
            transform=GRID.transform, crs=GRID.crs, bands=BANDS, acquired=when, scale=(1e-4, -0.1),
        ) as scene:  # fmt: skip
            scene.id = f"S{number}"
            write_chips(scene, site, folder)
            rows += [
                {
                    "scene_id": scene.id,
                    "acquired": utc_text(when),
                    "site": site.name,
                    "zone_id": z.id,
                    "clear_fraction": 1.0,
                }
                for z in site.zones
            ]
    return rows


def vessel(number: int, box: tuple[float, ...], days: float = 10, status: str = "kept") -> dict:
    (corners,) = corners_of(np.array([box]))
    lon, lat = GRID.to_lonlat(*corners.T)
    return {
        "scene_id": f"S{number}", "acquired": utc_text(START + timedelta(days=days * number)), "class": "vessel",
        "confidence": 0.8, "lon": float(lon.mean()), "lat": float(lat.mean()), "length_m": box[2] * 10,
        "width_m": box[3] * 10, "heading_deg": 90.0, "heading_ambiguous": True, "status": status,
        "geometry": shapely.Polygon(np.column_stack([lon, lat])),
    }  # fmt: skip


def recovered(table: Detections) -> list[str]:
    return [row["scene_id"] for row in table if RECOVERED in row["flags"]]


def test_a_missed_ship_comes_back(tmp_path: Path):
    """Quayside in looks 1 to 3, and the detector saw it in 1 alone; at anchor in 2 and never seen."""
    site = Site("port", (zone(),))
    ships = [(), ((QUAYSIDE, SHIP),), ((QUAYSIDE, SHIP), (ANCHORED, DARK_SHIP)), ((QUAYSIDE, SHIP),), ()]
    rows = series(tmp_path, site, [look(s, seed=i) for i, s in enumerate(ships)])
    changes = apply_changes(Detections.from_rows([vessel(1, QUAYSIDE)]), rows, site, tmp_path)
    assert sorted(recovered(changes.vessels)) == ["S2", "S2", "S3"]
    added = changes.vessels[1:]
    assert set(added["zone_id"]) == {"quay"} and set(added["site"]) == {"port"}
    assert sorted(added["length_m"])[0] == pytest.approx(140, abs=25)
    kinds = [(o["kind"], o["later"]) for o in changes.objects]
    assert len(kinds) == 4 and sum(kind == "arrived" for kind, _ in kinds) == 2
    again = apply_changes(changes.vessels, rows, site, tmp_path)
    assert len(again.vessels) == len(changes.vessels)  # doing it twice adds nothing


def test_what_was_rejected_stays_rejected(tmp_path: Path):
    site = Site("port", (zone(),))
    rows = series(tmp_path, site, [look(s, seed=i) for i, s in enumerate([(), ((ANCHORED, SHIP),), ()])])
    table = Detections.from_rows([vessel(1, ANCHORED, status="cloud")])
    assert recovered(apply_changes(table, rows, site, tmp_path).vessels) == []
    assert recovered(apply_changes(Detections.empty(), rows, site, tmp_path).vessels) == ["S1"]
    assert (
        recovered(apply_changes(Detections.empty(), rows[:1], site, tmp_path).vessels) == []
    )  # scenes without look


def test_what_never_moves_is_fixed(tmp_path: Path):
    """A beacon in all looks, and a ship that comes and goes at the same place."""
    site = Site("port", (zone(),))
    n = FIXED_PAIRS + 2
    ships = [((SMALL, SHIP), (ANCHORED, SHIP)) if i % 3 else ((SMALL, SHIP),) for i in range(n)]
    rows = series(tmp_path, site, [look(s, seed=i) for i, s in enumerate(ships)])
    found = [vessel(i, SMALL) for i in (0, 4)] + [vessel(1, ANCHORED)]
    changes = apply_changes(Detections.from_rows(found), rows, site, tmp_path)
    assert list(changes.vessels["status"][:3]) == ["fixed", "fixed", "kept"]
    assert not any(
        row["geometry"].intersects(found[0]["geometry"]) for row in changes.vessels[3:]
    )  # nor recovered


def test_too_short_a_series_calls_nothing_fixed(tmp_path: Path):
    site = Site("port", (zone(),))
    rows = series(tmp_path, site, [look(((SMALL, SHIP),), seed=i) for i in range(4)])
    changes = apply_changes(Detections.from_rows([vessel(0, SMALL)]), rows, site, tmp_path)
    assert changes.vessels["status"][0] == "kept"


# ---- stockpiles


def test_dark_area_follows_the_pile(tmp_path: Path):
    yard = zone("stockpile", (55, 12, 95, 38), "yard")
    site = Site("port", (yard,))
    sides, layers = (8, 14, 20), []
    for number, side in enumerate(sides):
        layers.append(look((), seed=number))
        layers[-1][:, 10:40, 53:97] = 0.2 + 0.1 * layers[-1][:, 10:40, 53:97]  # a bright yard
        layers[-1][:, 15 : 15 + side, 60 : 60 + side] = 0.04
    layers[1] = 1.15 * layers[1] + 0.02  # haze, which would hide the pile
    layers.append(layers[0].copy())
    layers[-1][:, :, :90] = np.nan
    rows = series(tmp_path, site, layers)
    changes = apply_changes(Detections.empty(), rows, site, tmp_path)
    areas = [row.dark_area_m2 for row in changes.stockpiles]
    for row, side in zip(changes.stockpiles[:3], sides, strict=True):
        assert row.dark_area_m2 == pytest.approx(side**2 * 100, rel=0.15)
        assert 0 < row.dark_area_sd_m2 < 0.3 * row.dark_area_m2
    assert areas[:3] == sorted(areas[:3])
    assert np.isnan(areas[3])
    assert [path.name for path in changes.write(tmp_path)] == ["changes.geojson", "stockpiles.csv"]
    assert (tmp_path / "stockpiles.csv").read_text().count("\n") == 5


# ---- counting and the command line


def test_counting_uses_what_the_pixels_show(tmp_path: Path):
    site = Site("port", (zone(),))
    rows = series(tmp_path, site, [look(s, seed=i) for i, s in enumerate([(), ((QUAYSIDE, SHIP),), ()])])
    assert count_loadings(Detections.empty(), rows, site, period="all").visit_rows == ()
    count = count_loadings(Detections.empty(), rows, site, period="all", chips=tmp_path)
    (visit,) = count.visit_rows
    assert visit["first_seen"] == rows[1]["acquired"]
    assert any("recovered" in remark for remark in count.remarks)


def test_chips_need_a_site(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    call = ["predict", "scene.tif", "--out", str(tmp_path / "v.csv"), "--chips", str(tmp_path / "chips")]
    with pytest.raises(SystemExit) as stopped:
        main(call)
    assert stopped.value.code == 2
    assert "--chips needs --site" in capsys.readouterr().err
    assert not (tmp_path / "chips").exists()
