"""Chips: pixels of a zone, copied whole from scenes on its grid and laid on it from others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.crs import CRS
from rasterio.warp import Resampling, calculate_default_transform, reproject

from detector.errors import SiteError, TableError
from detector.geometry import Grid, Window
from detector.loadings import chips
from detector.loadings.chiplooks import read_chip_looks
from detector.loadings.sites import Site, Zone
from detector.scene import Scene, open_scene

BANDS = ("B04", "B03", "B02", "B08")
SIDE = 180
GRID = Grid(CRS.from_epsg(32651), Affine(10, 0, 700_000, 0, -10, 4_290_000), SIDE, SIDE)
TIME = datetime(2020, 3, 1, 2, 21, 9, tzinfo=UTC)


def zone(id: str = "pier 1", kind: str = "berth", box: tuple[float, ...] = (60, 60, 110, 100)) -> Zone:
    west, north, east, south = box
    lon, lat = GRID.to_lonlat([west, east, east, west], [south, south, north, north])
    return Zone(id, kind, id, 1, "test", 10.0, None, shapely.Polygon(np.column_stack([lon, lat])))


def stored() -> np.ndarray:
    rng = np.random.default_rng(0)
    water = 1500 + rng.normal(0, 20, (4, SIDE, SIDE))
    water[:, 70:75, 70:90] = 4000
    return water.astype(np.uint16)


def scene(pixels: np.ndarray, grid: Grid = GRID, acquired: datetime | None = TIME, bands=BANDS) -> Scene:
    return open_scene(
        pixels, transform=grid.transform, crs=grid.crs, bands=bands, acquired=acquired, scale=(1e-4, -0.1)
    )


def folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def test_a_chip_is_the_pixels_of_the_scene(tmp_path: Path):
    place, pixels = zone(), stored()
    with scene(pixels) as source:
        (path,) = chips.write_chips(source, Site("port", (place,)), tmp_path)
        assert path == tmp_path / chips.file_name("pier 1") / f"{chips.file_name(source.id)}.tif"
    grid = chips.chip_grid(place)
    with rasterio.open(path) as file:
        assert file.descriptions == (*BANDS, "MASK")
        assert (file.crs, file.transform) == (grid.crs, grid.transform)
        assert file.tags()["SCALE"] == "0.0001,-0.1"
    with open_scene(str(path)) as chip:
        assert chip.acquired == TIME
        layers = chip.reflectance(Window(0, 0, grid.width, grid.height), BANDS)
    col, row = (700_000 - grid.transform.c) / -10, (grid.transform.f - 4_290_000) / -10
    top, left = round(row), round(col)
    expected = pixels[:, top : top + grid.height, left : left + grid.width] * 1e-4 - 0.1
    assert layers == pytest.approx(expected, abs=1e-6)


def test_the_chip_reaches_beyond_its_zone(tmp_path: Path):
    grid = chips.chip_grid(zone())
    assert grid.width >= 50 + 2 * chips.MARGIN_M / 10
    assert grid.height >= 40 + 2 * chips.MARGIN_M / 10
    assert chips.zone_mask(zone(), grid).sum() == pytest.approx(2000, rel=0.02)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:32652", "EPSG:4326"])
def test_scenes_on_other_grids_are_laid_on_the_same(tmp_path: Path, crs: str):
    pixels = stored()
    to = CRS.from_string(crs)
    west, south, east, north = 700_000, 4_290_000 - 10 * SIDE, 700_000 + 10 * SIDE, 4_290_000
    transform, width, height = calculate_default_transform(GRID.crs, to, SIDE, SIDE, west, south, east, north)
    moved = np.zeros((4, height, width), np.uint16)
    reproject(
        pixels, moved, src_transform=GRID.transform, src_crs=GRID.crs, dst_transform=transform, dst_crs=to,
        resampling=Resampling.cubic, src_nodata=0, dst_nodata=0,
    )  # fmt: skip
    site = Site("port", (zone(),))
    with (
        scene(pixels) as one,
        scene(moved, Grid(to, transform, width, height), TIME + timedelta(days=5)) as other,
    ):
        (first,) = chips.write_chips(one, site, folder(tmp_path, "a"))
        (second,) = chips.write_chips(other, site, folder(tmp_path, "b"))
    layers = []
    for path in (first, second):
        with open_scene(str(path)) as chip:
            grid = chips.chip_grid(zone())
            assert (chip.grid.transform, chip.grid.width) == (grid.transform, grid.width)
            layers.append(chip.reflectance(Window(0, 0, grid.width, grid.height), ("B04",))[0])
    inner = chips.zone_mask(zone(), grid)
    assert np.isfinite(layers[1][inner]).all()
    ships = layers[0] > 0.2
    assert np.median(layers[1][ships & inner]) == pytest.approx(0.3, abs=0.03)
    assert np.median(layers[1][~ships & inner]) == pytest.approx(0.05, abs=0.003)


def test_clouds_and_missing_ground(tmp_path: Path):
    pixels = stored()
    pixels[:, :, :85] = 0  # beyond the swath
    site = Site("port", (zone(), zone("dark", box=(10, 60, 40, 100)), zone("sea", "area")))
    with scene(pixels) as source:
        written = chips.write_chips(source, site, tmp_path)
    assert [path.parent.name for path in written] == [chips.file_name("pier 1")]  # no look, no chip; no area
    (look,) = read_chip_looks(tmp_path, zone())
    _, layers = look.read(chips.chip_grid(zone()))
    inside = chips.zone_mask(zone(), chips.chip_grid(zone()))
    assert np.isnan(layers[0][inside]).mean() == pytest.approx(0.5, abs=0.03)
    pixels = stored()
    pixels[:, 40:140, 20:160] = 7000  # one white cloud of 1.4 km
    with scene(pixels) as source:
        assert chips.write_chips(source, Site("port", (zone(),)), folder(tmp_path, "c")) == []


def write(folder: Path, pixels: np.ndarray, when: datetime, name: str, bands=BANDS) -> None:
    with scene(pixels, acquired=when, bands=bands) as source:
        source.id = name
        chips.write_chips(source, Site("port", (zone(),)), folder)


def test_granules_of_one_overpass_are_one_look(tmp_path: Path):
    west, east = stored(), stored()
    west[:, :, 95:], east[:, :, :85] = 0, 0
    write(tmp_path, west, TIME, "west")
    write(tmp_path, east, TIME + timedelta(seconds=12), "east")
    write(tmp_path, stored()[:3], TIME + timedelta(days=5), "later", BANDS[:3])
    looks = read_chip_looks(tmp_path, zone())
    assert [look.scene_ids for look in looks] == [("west", "east"), ("later",)]
    grid = chips.chip_grid(zone())
    bands, layers = looks[0].read(grid)
    assert bands == BANDS
    assert np.isfinite(layers[:, chips.zone_mask(zone(), grid)]).all()
    assert looks[1].read(grid)[0] == BANDS[:3]
    assert [look.scene_ids for look in read_chip_looks(tmp_path, zone(), ["east"])] == [("east",)]


def test_bad_input_is_named(tmp_path: Path):
    with pytest.raises(TableError, match="no such folder"):
        read_chip_looks(tmp_path / "none", zone())
    write(tmp_path, stored(), TIME, "one")
    with pytest.raises(TableError, match="grid"):
        read_chip_looks(tmp_path, zone())[0].read(chips.chip_grid(zone(box=(50, 60, 110, 100))))
    with pytest.raises(SiteError, match="km wide"):
        chips.prepare_chips(tmp_path, Site("port", (zone(box=(0, 0, 5000, 100)),)))
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match="file"):
        chips.prepare_chips(tmp_path / "file", Site("port", (zone(),)))
    write(folder(tmp_path, "t"), stored(), None, "timeless")
    with pytest.raises(TableError, match="no time"):
        read_chip_looks(tmp_path / "t", zone())


@pytest.mark.parametrize("text", ["a/b", "../x", "pier 1", ".hidden", "ö", "x" * 300, "a\nb"])
def test_names_are_safe_and_differ(text: str):
    name = chips.file_name(text)
    assert name != text
    assert "/" not in name and not name.startswith(".") and len(name) < 140
    assert chips.file_name(text + "y") != name
    assert chips.file_name("S2A_MSIL2A_20200301T022109") == "S2A_MSIL2A_20200301T022109"
