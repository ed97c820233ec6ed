"""Boxes: corners and sides, doubles and neighbours, metres."""

from __future__ import annotations

import time

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from detector.boxes import Boxes, corners_of, decode, measure, merge
from detector.geometry import Grid

UTM = Grid(CRS.from_epsg(32651), Affine(10, 0, 500_000, 0, -10, 4_300_000), 1000, 1000)

box = st.tuples(
    st.floats(0, 60), st.floats(0, 60), st.floats(1, 40), st.floats(1, 12), st.floats(-np.pi, np.pi)
)
score = st.sampled_from([0.3, 0.5, 0.5, 0.9])
found = st.lists(st.tuples(box, score, st.integers(0, 1)), min_size=1, max_size=25)


def boxes(*rows: tuple[float, ...], scores: list[float] | None = None) -> Boxes:
    n = len(rows)
    return Boxes(corners_of(np.array(rows)), np.array(scores or [0.5] * n), np.zeros(n, np.int64))


def of(rows: list[tuple[tuple[float, ...], float, int]]) -> Boxes:
    return Boxes(
        corners_of(np.array([row[0] for row in rows])),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows]),
    )


def same(a: Boxes, b: Boxes) -> bool:
    return (
        np.array_equal(a.corners, b.corners)
        and np.array_equal(a.scores, b.scores)
        and np.array_equal(a.classes, b.classes)
    )


@given(box)
def test_corners_have_the_sides_the_centre_and_the_angle(one: tuple[float, ...]) -> None:
    x, y, along, across, angle = one
    c = corners_of(np.array([one]))[0]
    assert np.allclose(c.mean(axis=0), (x, y), atol=1e-9)
    side = c[0] - c[3]
    assert np.allclose(side, along * np.array([np.cos(angle), np.sin(angle)]), atol=1e-9)
    assert np.hypot(*(c[0] - c[1])) == pytest.approx(across)
    assert abs(np.dot(side, c[0] - c[1])) < 1e-6
    assert shapely.Polygon(c).area == pytest.approx(along * across)


def test_an_angle_turns_clockwise_on_the_image() -> None:
    c = corners_of(np.array([[0, 0, 10, 2, np.pi / 2]]))[0]
    assert np.allclose((c[0] + c[1]) / 2, (0, 5))  # the front points down, where rows grow


def test_decode_takes_the_best_class_and_drops_what_is_no_box() -> None:
    raw = np.zeros((7, 6), np.float32)  # x y a b, two classes, angle
    raw[:4] = np.array([5, 6, 20, 4])[:, None]
    raw[4] = [0.9, 0.2, 0.4, 0.8, 0.8, 0.8]
    raw[5] = [0.1, 0.7, 0.4, 0.1, 0.1, 0.1]
    raw[6] = 0.5
    raw[2, 3], raw[3, 4], raw[0, 5] = np.nan, 0.0, np.inf
    xyabr, scores, classes = decode(raw, 0.5)
    assert classes.tolist() == [0, 1]
    assert np.allclose(scores, [0.9, 0.7])
    assert np.allclose(xyabr, [5, 6, 20, 4, 0.5])
    assert len(decode(raw, 0.95)[0]) == 0


@settings(max_examples=50, deadline=None)
@given(found, st.randoms())
def test_merging_does_not_depend_on_the_order(rows: list, random) -> None:
    shuffled = random.sample(rows, len(rows))
    assert same(merge(of(rows)), merge(of(shuffled)))


@settings(max_examples=50, deadline=None)
@given(found)
def test_merging_twice_changes_nothing_and_adds_nothing(rows: list) -> None:
    once = merge(of(rows))
    assert same(merge(once), once)
    given_ = {tuple(c.ravel()) for c in of(rows).corners}
    assert {tuple(c.ravel()) for c in once.corners} <= given_
    assert once.scores.max() == max(row[1] for row in rows)


def line(corners: np.ndarray) -> shapely.LineString:
    """The middle four fifths of the centre line of a box."""
    a, b, c, d = corners
    if np.hypot(*(b - a)) > np.hypot(*(c - b)):
        b, d = d, b
    bow, stern = (a + b) / 2, (c + d) / 2
    return shapely.LineString([bow + (stern - bow) / 10, stern + (bow - stern) / 10])


@settings(max_examples=60, deadline=None)
@given(found)
def test_merging_is_greedy_by_exact_overlaps(rows: list) -> None:
    """Against the textbook way: every pair, one after the other."""
    every = of(rows)
    order = np.lexsort((every.classes, *every.corners.reshape(-1, 8).T, -every.scores))
    kept: list[int] = []
    for i in order:
        new = shapely.Polygon(every.corners[i])
        for j in kept:
            old = shapely.Polygon(every.corners[j])
            shared = new.intersection(old).area
            crossing = line(every.corners[i]).crosses(line(every.corners[j]))
            if crossing or shared > 0.3 * new.union(old).area or shared > 0.65 * min(new.area, old.area):
                break
        else:
            kept.append(i)
    merged = merge(every)
    assert len(merged) == len(kept)
    assert np.array_equal(merged.corners, every.corners[kept])


def test_a_double_goes_and_the_more_confident_stays() -> None:
    merged = merge(boxes((50, 50, 20, 4, 0.5), (51, 50.5, 19, 4, 0.55), scores=[0.4, 0.8]))
    assert merged.scores.tolist() == [0.8]


def test_a_part_of_a_hull_goes() -> None:
    """Half a hull, as a window sees it that cuts it: little of the union, but all inside."""
    assert len(merge(boxes((50, 50, 20, 4, 0), (44, 50, 8, 3, 0), scores=[0.8, 0.6]))) == 1


@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 4, 1.3])
@pytest.mark.parametrize("gap", [1.0, 0.75])
def test_rafted_ships_stay_two(angle: float, gap: float) -> None:
    """Side by side, touching or with boxes that overlap by a quarter of their width."""
    aside = 4 * gap * np.array([-np.sin(angle), np.cos(angle)])
    rows = [(50 + k * aside[0], 50 + k * aside[1], 18, 4, angle) for k in range(3)]
    assert len(merge(boxes(*rows))) == 3


def test_ships_that_follow_each_other_stay_two() -> None:
    assert len(merge(boxes((50, 50, 20, 4, 0), (69, 50, 20, 4, 0)))) == 2


@pytest.mark.parametrize("angle", [0.2, 0.7, np.pi / 2])
def test_two_hulls_do_not_cross(angle: float) -> None:
    assert len(merge(boxes((50, 50, 40, 4, 0), (53, 50, 30, 4, angle)))) == 1


def test_a_ship_with_its_bow_at_the_side_of_another_stays() -> None:
    assert len(merge(boxes((50, 50, 40, 6, 0), (50, 61, 18, 5, np.pi / 2)))) == 2


def test_nothing_to_merge() -> None:
    assert len(merge(Boxes.empty())) == 0
    assert len(merge(boxes((1, 1, 5, 2, 0)))) == 1
    assert len(Boxes.concat([])) == 0


def test_many_boxes_take_seconds_and_not_hours() -> None:
    """Each of 5000 hulls seen four times; all pairs would be 200 million."""
    rng = np.random.default_rng(0)
    hulls = np.column_stack(
        [rng.uniform(0, 10980, (5000, 2)), np.full(5000, 18.0), np.full(5000, 4.0), rng.uniform(0, 3, 5000)]
    )
    rows = np.repeat(hulls, 4, axis=0) + rng.normal(0, 0.2, (20000, 5)) * [1, 1, 1, 1, 0.05]
    many = Boxes(corners_of(rows), rng.uniform(0.3, 0.9, 20000), np.zeros(20000, np.int64))
    begun = time.process_time()  # other work on the machine does not count
    merged = merge(many)
    assert time.process_time() - begun < 10
    assert 4900 < len(merged) <= 5000


def test_measures_on_a_metric_grid() -> None:
    """Grid north is true north on the central meridian."""
    rows = [[0, 500, 20, 3, 0], [0, 500, 3, 20, 0], [0, 500, 20, 3, -np.pi / 4]]
    m = measure(corners_of(np.array(rows)), UTM)
    assert np.allclose(m.length_m, 200, rtol=1e-3)
    assert np.allclose(m.width_m, 30, rtol=1e-3)
    assert np.allclose(m.heading_deg, [90, 0, 45], atol=0.1)


def test_measures_where_a_degree_of_longitude_is_half_as_long() -> None:
    grid = Grid(CRS.from_epsg(4326), Affine(1e-4, 0, 20, 0, -1e-4, 60), 100, 100)
    m = measure(corners_of(np.array([[50, 50, 20, 4, 0], [50, 50, 20, 4, np.pi / 2]])), grid)
    assert m.length_m[0] == pytest.approx(20 * 5.58, rel=0.01)
    assert m.width_m[0] == pytest.approx(4 * 11.14, rel=0.01)
    assert m.length_m[1] == pytest.approx(20 * 11.14, rel=0.01)
    assert m.heading_deg[0] == pytest.approx(90)
    assert m.heading_deg[1] % 180 == pytest.approx(0, abs=1e-6)


@given(st.floats(-1e-15, 1e-15))
def test_an_axis_is_below_180(tiny: float) -> None:
    heading = measure(corners_of(np.array([[0, 0, 20, 3, np.pi / 2 + tiny]])), UTM).heading_deg[0]
    assert 0 <= heading < 180


def test_nothing_to_measure() -> None:
    assert len(measure(np.zeros((0, 4, 2)), UTM).length_m) == 0
