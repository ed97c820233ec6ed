"""The grid of a site, the choice of blocks, and the grouping of granules."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detector.errors import ConfigError
from detector.imagery.area import Area, area_of, offset_of, zone_mask
from detector.imagery.granules import Granule, day_span, overpasses, product_facts
from detector.imagery.scenefile import scale_text
from detector.imagery.selection import (
    BLOCK,
    class_looks,
    clear_zones,
    coarse_scene,
    read_windows,
    wanted_blocks,
)
from detector.loadings.sites import Site, Zone, list_sites, load_site
from detector.scene.scale import parse_scale
from tests.loopback.world import box, write_site

WHEN = datetime(2020, 3, 1, 2, 27, 13, tzinfo=UTC)


def place(lon: float, lat: float, size: float = 0.02) -> Site:
    zone = Zone("z", "berth", "z", 1, "a test", 10.0, None, shapely.box(lon, lat, lon + size, lat + size))
    return Site("s", (zone,))


@settings(max_examples=40, deadline=None)
@given(st.floats(-179, 179), st.floats(-70, 70), st.floats(0, 2000))
def test_an_area_holds_its_site_and_margin_on_the_lattice_of_the_tiles(
    lon: float, lat: float, margin: float
) -> None:
    site = place(lon, lat)
    area = area_of(site, margin)
    t = area.grid.transform
    assert (t.a, t.e) == (10, -10)
    assert t.c % 60 == 0 and t.f % 60 == 0
    assert (area.grid.width % 4, area.grid.height % 4) == (0, 0)
    west, south, east, north = site.bounds
    cols, rows = area.grid.from_lonlat([west, east, west, east], [south, south, north, north])
    room = margin / 10 - 0.01
    assert cols.min() >= room and rows.min() >= room
    assert cols.max() <= area.grid.width - room and rows.max() <= area.grid.height - room
    assert area.lonlat.covers(site.zones[0].polygon)


def test_shipped_sites_have_areas() -> None:
    for name in list_sites():
        area = area_of(load_site(name))
        middle = area.site.bounds[0] / 2 + area.site.bounds[2] / 2
        assert area.grid.crs.to_epsg() == 32600 + int((middle + 180) // 6) + 1


@pytest.mark.parametrize("margin", [-1, 60_000, float("nan")])
def test_margins_out_of_range(margin: float) -> None:
    with pytest.raises(ConfigError, match="margin"):
        area_of(place(125, 38), margin)


def test_a_site_as_large_as_a_country_is_refused() -> None:
    with pytest.raises(ConfigError, match="split it"):
        area_of(place(120, 30, 5))


def test_the_fingerprint_follows_zones_and_margin() -> None:
    first = area_of(place(125, 38))
    assert first.fingerprint == area_of(place(125, 38)).fingerprint
    assert first.fingerprint != area_of(place(125, 38), 400).fingerprint
    moved = replace(
        first.site, zones=(replace(first.site.zones[0], polygon=shapely.box(125, 38, 125.01, 38.02)),)
    )
    assert first.fingerprint != Area(moved, first.grid, 500).fingerprint


def test_offset_of() -> None:
    from detector.geometry import Window

    grid = area_of(place(125, 38)).grid
    part = grid.window_grid(Window(30, -7, 50, 60))
    assert offset_of(part, grid) == (30, -7, 50, 60)
    from affine import Affine

    assert offset_of(replace(part, transform=part.transform * Affine.translation(0.5, 0)), grid) is None
    assert offset_of(replace(part, transform=part.transform * Affine.scale(2)), grid) is None


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(bool, st.tuples(st.integers(1, 11), st.integers(1, 11))),
    st.integers(1, 512),
    st.integers(1, 512),
)
def test_windows_cover_every_wanted_block_once(wanted: np.ndarray, right: int, bottom: int) -> None:
    rows, cols = wanted.shape
    grid = replace(
        area_of(place(125, 38)).grid, width=(cols - 1) * BLOCK + right, height=(rows - 1) * BLOCK + bottom
    )
    count = np.zeros(wanted.shape, int)
    for window in read_windows(wanted, grid):
        assert window.col % BLOCK == 0 and window.row % BLOCK == 0
        assert 0 < window.width <= 2048 and 0 < window.height <= 2048
        assert window.col + window.width <= grid.width and window.row + window.height <= grid.height
        count[
            window.row // BLOCK : -(-(window.row + window.height) // BLOCK),
            window.col // BLOCK : -(-(window.col + window.width) // BLOCK),
        ] += 1
    assert count.max(initial=0) <= 1
    assert (count[wanted] == 1).all()


def test_blocks_follow_what_is_clear(tmp_path: Path) -> None:
    site = load_site(
        write_site(tmp_path / "p.geojson", {"a": box(0, 0, 15_000, 3000), "b": box(0, 9000, 900, 900)})
    )
    area = area_of(site)
    every = wanted_blocks(area, {"a", "b"}, None)
    assert every[0].all() and not every[-1, 1:].any() and every[-1, 0]
    classes = np.full((area.coarse.height, area.coarse.width), 6, np.uint8)
    classes[:, 160:] = 9  # east of 6.4 km: cloud
    scene = coarse_scene(classes, area.coarse, "s", WHEN)
    looks = class_looks(scene, area)
    fractions = {row["zone_id"]: row["clear_fraction"] for row in looks}
    assert fractions["b"] == 1.0 and 0.3 < fractions["a"] < 0.5
    assert clear_zones(looks, 0.1) == {"a", "b"} and clear_zones(looks, 0.6) == {"b"}
    wanted = wanted_blocks(area, {"a", "b"}, scene)
    assert wanted[0, :2].all() and not wanted[0, 2:].any()
    assert not clear_zones([{"zone_id": "a", "clear_fraction": 0.0}], 0.0)


def test_a_zone_smaller_than_a_pixel_is_still_masked() -> None:
    area = area_of(place(125, 38, 0.00005), 0)
    assert zone_mask(area.site.zones[0].polygon, area.coarse, 0).sum() >= 1


def granule(name: str, minutes: float = 0, **facts: object) -> Granule:
    base = {"platform": "S2A", "level": "L2A", "tile": "51SYC"}
    return Granule(name, WHEN + timedelta(minutes=minutes), **(base | facts))  # type: ignore[arg-type]


def test_granules_are_grouped_by_overpass() -> None:
    found = overpasses(
        [
            granule("later", 1440, datatake="20200302T022109"),
            granule("north", 0.2, tile="51SYD"),
            granule("south", 0, datatake="20200301T022109"),
            granule("other satellite", 0.5, platform="S2C"),
            granule("other level", 0.1, level="L1C"),
        ]
    )
    assert [[g.id for g in overpass.granules] for overpass in found] == [
        ["south", "north"],
        ["other level"],
        ["other satellite"],
        ["later"],
    ]
    assert [overpass.scene_id("nampo") for overpass in found] == [
        "S2A_MSIL2A_20200301T022109_nampo",
        "S2A_MSIL1C_20200301T022719_nampo",
        "S2C_MSIL2A_20200301T022743_nampo",
        "S2A_MSIL2A_20200302T022109_nampo",
    ]


def test_two_strips_of_a_tile_stay_and_a_reprocessing_goes() -> None:
    kept = overpasses(
        [
            granule("strip 1", strip="20200301T022107", baseline=2.14),
            granule("strip 2", strip="20200301T022700", baseline=2.14),
            granule("strip 1 anew", strip="20200301T022107", baseline=5.0),
            granule("strip 1 again", strip="20200301T022107", baseline=5.0, created="0"),
        ]
    )
    assert [[g.id for g in overpass.granules] for overpass in kept] == [["strip 1 again", "strip 2"]]


def test_product_names() -> None:
    facts = product_facts("S2B_MSIL1C_20200301T022109_N0500_R003_T51SYC_20230501T120000.SAFE")
    assert facts == {
        "platform": "S2B",
        "level": "L1C",
        "datatake": "20200301T022109",
        "baseline": 5.0,
        "tile": "51SYC",
        "created": "20230501T120000",
    }
    assert product_facts("S2A_51SYC_20200301_0_L2A") == {}


def test_days() -> None:
    first, last = day_span("2020-03-01", "2020-03-01")
    assert (first.isoformat(), last.isoformat()) == (
        "2020-03-01T00:00:00+00:00",
        "2020-03-01T23:59:59.999999+00:00",
    )
    with pytest.raises(ConfigError, match="swap"):
        day_span("2020-03-02", "2020-03-01")
    for wrong in ("yesterday", "2020-02-30", "01.03.2020"):
        with pytest.raises(ConfigError, match="not a date"):
            day_span(wrong, "2020-03-01")


@given(st.integers(1, 70_000), st.integers(-2000, 2000))
def test_scale_tags_are_read_back(steps: int, offset: int) -> None:
    gain = (1 / steps, offset / 10_000)
    assert parse_scale(scale_text(gain), "x") == pytest.approx(gain, rel=1e-9, abs=1e-12)
    assert parse_scale(scale_text((0.3558 / 255, 0.0)), "x") == pytest.approx((0.3558 / 255, 0.0))
