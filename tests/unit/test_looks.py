"""Looks: how much of a zone a scene shows, and the table of them."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pytest
import shapely
from affine import Affine
from rasterio.crs import CRS

from detector.errors import TableError
from detector.geometry import Grid, Window
from detector.loadings import looks
from detector.loadings.looks import clear_pixels, look_rows, read_looks, write_looks
from detector.loadings.sites import Site, Zone
from detector.scene import open_scene

SIDE = 600
GRID = Grid(CRS.from_epsg(32651), Affine(10, 0, 700_000, 0, -10, 4_290_000), SIDE, SIDE)
SCENE = SimpleNamespace(id="S2A_x", acquired=datetime(2020, 3, 1, 2, 21, 9, tzinfo=UTC), grid=GRID)


def zone(col, row, width, height, id="z"):
    cols, rows = [col, col + width, col + width, col], [row + height, row + height, row, row]
    lon, lat = GRID.to_lonlat(cols, rows)
    return Zone(id, "berth", id, 1, "test", 1.0, None, shapely.Polygon(np.column_stack([lon, lat])))


def fraction(zone_, clear_window):
    rows = look_rows(SCENE, Site("port", (zone_,)), clear_window)
    return rows[0]["clear_fraction"] if rows else None


def everything(scene, window: Window):
    return np.ones((window.height, window.width), bool)


def west_half(scene, window: Window):
    cols = np.arange(window.col, window.col + window.width)
    return np.broadcast_to(cols < SIDE / 2, (window.height, window.width))


def test_a_row_has_the_columns_of_the_contract():
    rows = look_rows(SCENE, Site("port", (zone(10, 10, 20, 20), zone(50, 50, 5, 5, "y"))), everything)
    assert rows[0] == {
        "scene_id": "S2A_x",
        "acquired": "2020-03-01T02:21:09Z",
        "site": "port",
        "zone_id": "z",
        "clear_fraction": 1.0,
    }
    assert [row["zone_id"] for row in rows] == ["z", "y"]


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ((10, 10, 20, 20), 1.0),
        ((290, 10, 20, 20), 0.5),
        ((400, 10, 20, 20), 0.0),
        ((-10, 10, 20, 20), 0.5),  # beyond the edge is not clear
        ((-30, -30, 60, 60), 0.25),
        ((0, 0, SIDE, SIDE), 0.5),  # more than one block
    ],
)
def test_the_fraction_counts_every_pixel_of_the_zone(box, expected):
    assert fraction(zone(*box), west_half) == pytest.approx(expected, abs=0.01)


def test_a_zone_that_the_scene_does_not_touch_is_not_listed():
    assert fraction(zone(SIDE + 5, 0, 10, 10), everything) is None
    far = Zone("far", "berth", "far", 1, "t", 1.0, None, shapely.box(-60, -30, -59, -29))
    assert fraction(far, everything) is None


def test_a_zone_smaller_than_a_pixel_is_looked_at():
    assert fraction(zone(10.1, 10.1, 0.2, 0.2), everything) == 1.0
    assert fraction(zone(500.1, 10.1, 0.2, 0.2), west_half) == 0.0


def test_only_windows_of_the_zone_are_read_and_a_huge_zone_is_sampled(monkeypatch):
    monkeypatch.setattr(looks, "_BLOCK", 50)
    seen = []

    def spy(scene, window):
        seen.append(window)
        return west_half(scene, window)

    assert fraction(zone(0, 0, SIDE, SIDE), spy) == pytest.approx(0.5, abs=0.1)
    assert len(seen) <= looks._MOST_BLOCKS
    seen.clear()
    fraction(zone(100, 100, 20, 20), spy)
    assert sum(w.width * w.height for w in seen) <= 23 * 23


def test_no_data_and_cloud_are_not_clear():
    pixels = np.random.default_rng(0).integers(560, 640, (4, 400, 400)).astype(np.uint16)
    pixels[:, :, :100] = 0  # beyond the swath
    pixels[:, 100:300, 200:] = 7000  # a broad bright white cloud
    with open_scene(
        pixels,
        bands=("B04", "B03", "B02", "B08"),
        scale=(1e-4, 0.0),
        transform=GRID.transform,
        crs="EPSG:32651",
    ) as scene:
        clear = clear_pixels(scene, Window(0, 0, 400, 400))
        assert not clear[:, :100].any()
        assert clear[50, 150]
        assert not clear[200, 300]
        row = look_rows(scene, Site("port", (zone(0, 0, 400, 400),)))[0]
    assert row["clear_fraction"] == pytest.approx(0.5, abs=0.05)
    assert row["acquired"] is None


ROWS = [
    {"scene_id": "=1+1", "acquired": "2020-03-01T02:21:09Z", "site": "port", "zone_id": "z", "clear_fraction": 0.25},
    {"scene_id": "b", "acquired": None, "site": "port", "zone_id": "z", "clear_fraction": 0.0},
]


@pytest.mark.parametrize("rows", [ROWS, []])
def test_the_table_gives_back_what_was_written(tmp_path, rows):
    write_looks(tmp_path / "looks.csv", rows)
    assert (tmp_path / "looks.csv").read_text().startswith("scene_id,acquired,site,zone_id,clear_fraction\n")
    assert read_looks(tmp_path / "looks.csv") == rows


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scene_id,acquired,site,zone_id\n", "'clear_fraction'"),
        ("scene_id,acquired,site,zone_id,clear_fraction\na,,p,z,1.5\n", "row 2.*1.5"),
        ("scene_id,acquired,site,zone_id,clear_fraction\na,,p,z,\n", "row 2"),
        ("scene_id,acquired,site,zone_id,clear_fraction\na,then,p,z,1\n", "'then'"),
    ],
)
def test_a_bad_table_is_a_table_error(tmp_path, text, said):
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(TableError, match=said):
        read_looks(tmp_path / "l.csv")


def test_missing_files_and_other_suffixes(tmp_path):
    with pytest.raises(TableError, match="no such"):
        read_looks(tmp_path / "l.csv")
    with pytest.raises(TableError, match=r"\.csv"):
        write_looks(tmp_path / "l.parquet", [])
