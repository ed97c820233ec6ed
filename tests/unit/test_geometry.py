"""Pixels, longitude and latitude, and metres on the ground agree in every CRS."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod
from rasterio.crs import CRS

from detector.boxes import measure
from detector.errors import GeoreferenceError
from detector.geometry import Grid, Window, metres_per_degree
from detector.plane import Plane

GEOD = Geod(ellps="WGS84")
NAMPO = (125.40, 38.72)


def grid_at(epsg: int, lon: float, lat: float, step: float | None = None, size: int = 1000) -> Grid:
    """A grid with a place at its middle."""
    crs = CRS.from_epsg(epsg)
    step = step or (1e-4 if crs.is_geographic else 10.0)
    zero = Grid(crs, Affine(step, 0, 0, 0, -step, 0), size, size)
    col, row = zero.from_lonlat(lon, lat)
    left, top = float(col) * step, -float(row) * step
    return Grid(crs, Affine(step, 0, left - step * size / 2, 0, -step, top + step * size / 2), size, size)


def hull(grid: Grid, lon: float, lat: float, length: float, width: float, heading: float) -> np.ndarray:
    """Corners (1, 4, 2) in pixels of a hull on the ground, by geodesics: an independent way."""
    corners = []
    for along, across in ((1, 1), (1, -1), (-1, -1), (-1, 1)):
        x, y, _ = GEOD.fwd(lon, lat, heading, along * length / 2)
        x, y, _ = GEOD.fwd(x, y, heading + 90, across * width / 2)
        corners.append((x, y))
    return np.stack(grid.from_lonlat(*np.array(corners).T), axis=-1)[None]


@pytest.mark.parametrize("epsg", [32651, 32652, 3857, 4326])
@pytest.mark.parametrize("heading", [0.0, 30.0, 90.0, 135.0])
def test_a_ship_is_as_long_in_every_crs(epsg: int, heading: float) -> None:
    grid = grid_at(epsg, *NAMPO)
    found = measure(hull(grid, *NAMPO, 180.0, 30.0, heading), grid)
    assert found.length_m[0] == pytest.approx(180.0, rel=0.002)
    assert found.width_m[0] == pytest.approx(30.0, rel=0.002)
    turned = (found.heading_deg[0] - heading + 90) % 180 - 90
    assert abs(turned) < 0.2


@settings(max_examples=60, deadline=None)
@given(
    lon=st.floats(-179.9, 179.9),
    lat=st.floats(-70, 70),
    heading=st.floats(0, 180),
    mercator=st.booleans(),
)
def test_a_ship_is_as_long_everywhere(lon: float, lat: float, heading: float, mercator: bool) -> None:
    zone = min(int((lon + 180) // 6) + 1, 60)
    grid = grid_at(3857 if mercator else (32700 if lat < 0 else 32600) + zone, lon, lat)
    found = measure(hull(grid, lon, lat, 200.0, 30.0, heading), grid)
    assert found.length_m[0] == pytest.approx(200.0, rel=0.01)
    assert abs((found.heading_deg[0] - heading + 90) % 180 - 90) < 1
    assert 0 <= found.heading_deg[0] < 180


def test_a_mercator_pixel_is_shorter_on_the_ground() -> None:
    column, row = grid_at(3857, 0, 60).pixel_size()
    assert column == pytest.approx(5.0, rel=0.01)
    assert row == pytest.approx(5.0, rel=0.01)


@pytest.mark.parametrize("epsg", [32651, 3857, 4326])
@given(col=st.floats(-200, 1200), row=st.floats(-200, 1200))
@settings(max_examples=30, deadline=None)
def test_there_and_back(epsg: int, col: float, row: float) -> None:
    grid = grid_at(epsg, *NAMPO)
    assert np.allclose(grid.from_lonlat(*grid.to_lonlat(col, row)), (col, row), atol=1e-4)


def test_the_corner_of_the_first_pixel_is_the_origin() -> None:
    grid = Grid(CRS.from_epsg(4326), Affine(0.5, 0, 100, 0, -0.25, 40), 10, 10)
    assert np.allclose(grid.to_lonlat([0, 1], [0, 2]), [[100, 100.5], [40, 39.5]])


@pytest.mark.parametrize("lon", [180.0, -180.0, 179.99999])
@pytest.mark.parametrize("epsg", [32601, 32660, 3857])
def test_pixels_at_the_antimeridian_are_not_the_width_of_the_world(epsg: int, lon: float) -> None:
    """Where the two columns around a pixel have longitudes of other sign."""
    grid = grid_at(epsg, lon, 60.0)
    column, row = grid.pixel_size()
    assert column == pytest.approx(row, rel=0.01)
    assert column < 10.1


def test_a_window_has_the_places_of_its_pixels() -> None:
    grid = grid_at(32651, *NAMPO)
    part = grid.window_grid(Window(30, -7, 64, 32))
    assert (part.width, part.height) == (64, 32)
    assert np.allclose(part.to_lonlat(2, 3), grid.to_lonlat(32, -4), atol=1e-12)


@pytest.mark.parametrize(
    ("crs", "transform", "said"),
    [
        (None, Affine(10, 0, 0, 0, -10, 0), "crs="),
        (CRS(), Affine(10, 0, 0, 0, -10, 0), "crs="),
        (CRS.from_epsg(3857), Affine(9.8, 1.7, 0, 1.7, -9.8, 0), "rotated"),
        (CRS.from_epsg(3857), Affine(10, 1, 0, 0, -10, 0), "sheared"),
        (CRS.from_epsg(3857), Affine(0, 0, 0, 0, -10, 0), "pixel size"),
        (CRS.from_epsg(3857), Affine(float("nan"), 0, 0, 0, -10, 0), "pixel size"),
    ],
)
def test_grids_without_a_place_are_refused(crs: CRS | None, transform: Affine, said: str) -> None:
    with pytest.raises(GeoreferenceError, match=said):
        Grid(crs, transform, 10, 10)


def test_a_crs_that_is_no_place_on_earth() -> None:
    engineering = CRS.from_wkt('LOCAL_CS["dock",UNIT["metre",1]]')
    grid = Grid(engineering, Affine(10, 0, 0, 0, -10, 0), 10, 10)
    with pytest.raises(GeoreferenceError, match="WGS84"):
        grid.pixel_size()


def test_a_place_off_the_earth() -> None:
    grid = Grid(CRS.from_epsg(32651), Affine(10, 0, 1e12, 0, -10, 1e12), 10, 10)
    with pytest.raises(GeoreferenceError, match="Earth"):
        grid.pixel_size()


def test_metres_per_degree_are_those_of_the_ellipsoid():
    for lat in (-75.0, -30.0, 0.0, 38.7, 60.0):
        east, north = metres_per_degree(lat)
        assert east == pytest.approx(GEOD.inv(10, lat, 10.001, lat)[2] * 1000, rel=1e-5)
        assert north == pytest.approx(GEOD.inv(10, lat - 0.0005, 10, lat + 0.0005)[2] * 1000, rel=1e-5)


@pytest.mark.parametrize(("lon", "lat"), [(24.0, 54.5), (179.9, -20.0)])
def test_the_local_plane_is_true_to_the_ellipsoid(lon, lat):
    plane = Plane(lon, lat)
    there, beyond = (lon + 0.4, lat + 0.1), (lon + 0.4005, lat + 0.1012)
    x, y = plane.forward(*np.transpose([there, beyond]))
    assert np.hypot(*np.diff([x, y])[:, 0]) == pytest.approx(GEOD.inv(*there, *beyond)[2], rel=1e-4)
    again = plane.inverse(x, y)
    np.testing.assert_allclose((again[0] - lon) % 360, [0.4, 0.4005], atol=1e-9)
    np.testing.assert_allclose(again[1], [there[1], beyond[1]], atol=1e-9)
