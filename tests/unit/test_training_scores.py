"""Slices, shores and water: that every vessel and false alarm is counted where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from detector.errors import ConfigError
from detector.geometry import Grid
from training import scores
from training.matching import FALSE_ALARM, IGNORED
from training.scores import Matched, pool, row
from training.slices import SLICES, Slice, named, part
from training.summary import summarise
from training.surroundings import LAND, NO_DATA, SHORES, WATER, Surroundings

LENGTHS = st.floats(16, 400)
SHORE = st.one_of(st.floats(0, 600), st.just(np.inf))


@st.composite
def places(draw: st.DrawFn) -> Matched:
    labels = draw(st.lists(st.tuples(LENGTHS, SHORE), min_size=1, max_size=8))
    free = list(range(len(labels)))
    rows = []
    for _ in range(draw(st.integers(0, 10))):
        kind = draw(st.sampled_from(["hit", "false", "ignored"]))
        match = free.pop() if kind == "hit" and free else (IGNORED if kind == "ignored" else FALSE_ALARM)
        rows.append((match, draw(st.floats(0, 1)), draw(LENGTHS), draw(SHORE)))
    match, confidence, length, shore = (np.array(v) for v in zip(*rows, strict=True)) if rows else [np.zeros(0)] * 4
    match, label = match.astype(int), np.array(labels)
    return Matched(
        confidence, dict.fromkeys(scores.RADII_M, match), match, length, np.zeros(len(match)), shore,
        label[:, 0], np.zeros(len(labels)), label[:, 1], {name: 10.0 for name, _, _ in SHORES},
    )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(places(), st.floats(0, 1), st.sampled_from(["length", "shore"]))
def test_slices_of_a_kind_part_everything(matched: Matched, threshold: float, kind: str) -> None:
    whole = row(matched, threshold)
    parts = [row(part(matched, one), threshold) for one in named([kind])]
    for figure in ("labels", "tp", "fp", "fn"):
        assert sum(p[figure] for p in parts) == whole[figure]
    if kind == "shore":
        assert sum(p["water_km2"] for p in parts) == whole["water_km2"] == 30


@settings(deadline=None, max_examples=40)
@given(st.lists(places(), min_size=1, max_size=3), st.floats(0, 1))
def test_slicing_and_pooling_can_be_exchanged(parts: list[Matched], threshold: float) -> None:
    for one in SLICES:
        a, b = row(part(pool(parts), one), threshold), row(pool([part(m, one) for m in parts]), threshold)
        assert a.keys() == b.keys()
        for key, value in a.items():
            assert b[key] == (None if value is None else pytest.approx(value))


def test_a_vessel_belongs_by_its_label_and_a_false_alarm_by_its_claim() -> None:
    near = np.array([0, FALSE_ALARM])
    matched = Matched(
        np.array([0.9, 0.8]), dict.fromkeys(scores.RADII_M, near), near, np.array([40.0, 40.0]), np.zeros(2),
        np.array([0.0, 0.0]), np.array([100.0]), np.zeros(1), np.array([np.inf]),
    )  # fmt: skip
    long, short = (row(part(matched, Slice("length", "", length_m=r)), 0.5) for r in ((60.0, np.inf), (0.0, 60.0)))
    assert (long["tp"], long["fp"], short["tp"], short["fp"]) == (1, 0, 0, 1)
    assert long["length_bias_60_m"] == -60


def test_false_alarms_per_100_km2() -> None:
    near = np.full(3, FALSE_ALARM)
    matched = Matched(
        np.array([0.9, 0.8, 0.1]), dict.fromkeys(scores.RADII_M, near), near, *np.full((3, 3), 50.0),
        np.zeros(0), np.zeros(0), np.zeros(0), {"open water": 40.0, "near quay": 10.0},
    )  # fmt: skip
    assert row(matched, 0.5)["false_per_100km2"] == pytest.approx(4.0)
    matched.water_km2 = {}
    assert row(matched, 0.5)["false_per_100km2"] is None


def square(col: float, row: float, width: float, height: float) -> np.ndarray:
    return np.array([[col, row], [col + width, row], [col + width, row + height], [col, row + height]])


def harbour(*hulls: np.ndarray) -> Surroundings:
    """3 km x 2 km in UTM: 500 m of land in the west, the rest water; hulls are dry, as they are to the mask."""
    surface = np.full((200, 300), WATER, np.uint8)
    surface[:, :50] = LAND
    for hull in hulls:
        (c0, r0), (c1, r1) = hull.min(axis=0).astype(int), hull.max(axis=0).astype(int)
        surface[r0:r1, c0:c1] = LAND
    return Surroundings(surface, Grid(CRS.from_epsg(32650), Affine(10, 0, 5e5, 0, -10, 4e6), 300, 200), np.array(hulls))


def test_distance_to_shore_is_that_of_the_hull_and_not_to_other_hulls() -> None:
    moored, rafted = square(50, 20, 3, 20), square(53, 20, 3, 20)
    anchored, far = square(80, 80, 20, 3), square(200, 80, 20, 3)
    around = harbour(moored, rafted, anchored, far)
    distance = around.shore_m(around.hulls)
    assert 0 <= distance[0] < distance[1] < 100
    assert distance[2] == pytest.approx(300, abs=15)
    assert distance[3] == np.inf


def test_an_unlabelled_hull_is_no_land_to_itself() -> None:
    hull = square(200, 80, 4, 30)
    around = harbour(hull)
    around.hulls = np.zeros((0, 4, 2))
    assert hull.size and around.surface[90, 202] == LAND
    assert around.shore_m(hull[None]).tolist() == [np.inf]


def test_wash_is_no_land_but_a_breakwater_is() -> None:
    around = harbour()
    around.surface[100:103, 150:160] = LAND  # 0.3 ha
    assert around.shore_m(square(150, 104, 10, 2)[None]).tolist() == [np.inf]
    wall = harbour()
    wall.surface[100:103, 150:180] = LAND  # 0.9 ha
    assert wall.shore_m(square(150, 106, 10, 2)[None])[0] < 60


def test_water_is_measured_on_the_ground_and_parted_by_shore() -> None:
    water = harbour(square(200, 80, 20, 3)).water_km2()
    scale = 0.9996  # of UTM on its central meridian; near it here
    assert sum(water.values()) == pytest.approx(2.5 * 2 / scale**2, rel=2e-3)
    assert water["near quay"] == pytest.approx(0.1 * 2, rel=0.06)
    assert water["open water"] == pytest.approx(2.0 * 2, rel=0.02)


def test_pieces_of_a_large_scene_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = harbour(square(90, 60, 30, 4)).water_km2()
    monkeypatch.setattr("training.surroundings._PIECE", 77)
    assert harbour(square(90, 60, 30, 4)).water_km2() == pytest.approx(whole)


def test_outside_the_image_nothing_is_known() -> None:
    around = harbour()
    around.surface[:, 250:] = NO_DATA
    assert np.isnan(around.shore_m(np.array([square(400, 80, 5, 5), square(260, 80, 5, 5)]))).all()
    assert around.shore_m(np.zeros((0, 4, 2))).shape == (0,)


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(ConfigError, match="no labelled scene"):
        summarise({}, {})
