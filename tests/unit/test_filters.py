"""Why a box is not a vessel."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import shapely

from detector import filters
from detector.boxes import Measures, corners_of
from detector.geometry import Window

NOON = datetime(2020, 3, 1, 2, 21, tzinfo=UTC)
WINDOW = Window(100, 200, 64, 64)


def ship(x: float, y: float, length: float = 16, width: float = 4, angle: float = 0.0) -> np.ndarray:
    """Corners (1, 4, 2) in scene pixels, at a place of the window."""
    return corners_of(np.array([[WINDOW.col + x, WINDOW.row + y, length, width, angle]]))


@pytest.mark.parametrize(
    ("length", "width", "rejected"),
    [(180, 30, False), (14, 5, True), (16, 5, False)]
    + [(399, 62, False), (500, 60, True), (60, 3, True), (300, 140, True)],
)
def test_size(length: float, width: float, rejected: bool) -> None:
    measures = Measures(np.array([float(length)]), np.array([float(width)]), np.zeros(1))
    assert filters.size_rejected(measures).tolist() == [rejected]


def land(water: np.ndarray, corners: np.ndarray) -> bool:
    return bool(filters.land_rejected(corners, water, WINDOW, 10.0)[0])


def test_a_ship_at_sea_is_not_on_land() -> None:
    assert not land(np.ones((64, 64), bool), ship(32, 32))


def test_a_shed_is_on_land() -> None:
    assert land(np.zeros((64, 64), bool), ship(32, 32))


def test_a_ship_at_a_quay_is_not_on_land() -> None:
    water = np.zeros((64, 64), bool)
    water[32:] = True  # the quay runs along the hull
    assert not land(water, ship(32, 34))


def test_a_ship_in_a_narrow_basin_is_not_on_land() -> None:
    water = np.zeros((64, 64), bool)
    water[26:38, 20:50] = True
    water[30:34, 24:40] = False  # the hull itself is no water
    assert not land(water, ship(32, 32))


def test_a_puddle_far_from_the_box_does_not_make_it_a_ship() -> None:
    water = np.zeros((64, 64), bool)
    water[:10] = True
    assert land(water, ship(32, 32))


def test_the_ring_is_in_metres() -> None:
    """Water 90 m away is beyond the ring; on a grid of 20 m pixels the same picture is closer in pixels."""
    water = np.zeros((64, 64), bool)
    water[38:] = True
    assert not filters.land_rejected(ship(32, 32), water, WINDOW, 10.0)[0]
    assert filters.land_rejected(ship(32, 32), water, WINDOW, 20.0)[0]


def cloud(mask: np.ndarray, corners: np.ndarray) -> bool:
    return bool(filters.cloud_rejected(corners, mask, WINDOW)[0])


def test_cloud_counts_inside_the_box_only() -> None:
    mask = np.ones((64, 64), bool)
    assert cloud(mask, ship(32, 32, angle=0.7))
    mask[20:44, 20:44] = False
    assert not cloud(mask, ship(32, 32, angle=0.7))


def test_half_a_hull_in_cloud() -> None:
    mask = np.zeros((64, 64), bool)
    mask[:, :30] = True
    assert not cloud(mask, ship(32, 32))  # 6 of 16 columns
    mask[:, :36] = True
    assert cloud(mask, ship(32, 32))  # 12 of 16


@pytest.mark.parametrize("place", [(-2, 32), (66, 32), (32, 65), (0, 0), (-40, -40), (200, 200)])
def test_boxes_at_and_beyond_the_edge_of_the_window(place: tuple[float, float]) -> None:
    assert not cloud(np.zeros((64, 64), bool), ship(*place))
    assert not land(np.ones((64, 64), bool), ship(*place))


def test_a_box_smaller_than_a_pixel() -> None:
    mask = np.zeros((64, 64), bool)
    mask[32, 32] = True
    assert cloud(mask, ship(32.8, 32.8, 0.1, 0.1))
    assert not cloud(mask, ship(40.8, 32.8, 0.1, 0.1))


def test_no_boxes() -> None:
    none = np.zeros((0, 4, 2))
    assert filters.land_rejected(none, np.ones((64, 64), bool), WINDOW, 10.0).tolist() == []
    assert filters.cloud_rejected(none, np.ones((64, 64), bool), WINDOW).tolist() == []


def hulls(*lon: float) -> list[shapely.Polygon]:
    return [shapely.box(x, 38.0, x + 0.002, 38.0004) for x in lon]


def test_the_same_hull_in_the_next_granule_is_a_duplicate() -> None:
    passes = filters.Overpasses()
    assert passes.duplicates(NOON, hulls(125.0, 125.1)).tolist() == [False, False]
    later = NOON + timedelta(seconds=14)
    assert passes.duplicates(later, hulls(125.1003, 125.2)).tolist() == [True, False]


def test_a_ship_alongside_is_not_a_duplicate() -> None:
    passes = filters.Overpasses()
    passes.duplicates(NOON, hulls(125.0))
    beside = [shapely.box(125.0, 38.0003, 125.002, 38.0007)]
    assert passes.duplicates(NOON, beside).tolist() == [False]


def test_the_next_day_is_another_look() -> None:
    passes = filters.Overpasses()
    passes.duplicates(NOON, hulls(125.0))
    assert passes.duplicates(NOON + timedelta(days=1), hulls(125.0)).tolist() == [False]
    assert passes.duplicates(NOON - timedelta(days=1), hulls(125.0)).tolist() == [False]


def test_a_third_granule_is_compared_with_both_others() -> None:
    passes = filters.Overpasses()
    passes.duplicates(NOON, hulls(125.0))
    passes.duplicates(NOON, hulls(125.0, 125.1))
    assert passes.duplicates(NOON, hulls(125.0, 125.1, 125.2)).tolist() == [True, True, False]


def test_scenes_without_a_time_or_a_hull_are_not_compared() -> None:
    passes = filters.Overpasses()
    assert passes.duplicates(None, hulls(125.0)).tolist() == [False]
    assert passes.duplicates(NOON, []).tolist() == []
    assert passes.duplicates(NOON, hulls(125.0)).tolist() == [False]
    assert passes.duplicates(NOON, []).tolist() == []
