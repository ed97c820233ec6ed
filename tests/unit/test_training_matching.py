"""Matching of detections and labels, and the numbers made of it."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from training import scores
from training.matching import (
    FALSE_ALARM,
    IGNORED,
    LocalPlane,
    SceneBoxes,
    average_precision,
    axis_error,
    long_side,
    match_by_distance,
    match_by_overlap,
    overlaps,
)


def box(x: float, y: float, length: float = 100.0, width: float = 20.0, heading: float = 0.0) -> np.ndarray:
    """Corners of a box in metres, its long side along a heading clockwise from north."""
    h = np.radians(heading)
    along, across = np.array([np.sin(h), np.cos(h)]), np.array([np.cos(h), -np.sin(h)])
    signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) / 2
    return np.array([x, y]) + signs[:, :1] * along * length + signs[:, 1:] * across * width


def scene(labels=(), found=(), confidence=None, ignore=(), length=100.0, heading=0.0) -> SceneBoxes:
    def stack(boxes):
        return np.array(boxes, float).reshape(-1, 4, 2)

    n = len(found)
    return SceneBoxes(
        stack(labels), stack(ignore), stack(found),
        np.array(np.linspace(0.9, 0.5, n) if confidence is None else confidence, float),
        np.full(n, length), np.full(n, heading),
    )  # fmt: skip


def test_each_label_is_found_once() -> None:
    s = scene([box(0, 0)], [box(10, 0), box(0, 0)], [0.6, 0.9])
    assert match_by_distance(s, 150).tolist() == [FALSE_ALARM, 0]


def test_radius_is_inclusive_and_in_metres() -> None:
    s = scene([box(0, 0)], [box(0, 150)])
    assert match_by_distance(s, 150).tolist() == [0]
    assert match_by_distance(s, 149.9).tolist() == [FALSE_ALARM]


def test_nearest_free_label_is_taken() -> None:
    s = scene([box(0, 0), box(60, 0)], [box(50, 0), box(55, 0)])
    assert match_by_distance(s, 150).tolist() == [1, 0]


def test_ignore_counts_neither_way_but_labels_come_first() -> None:
    area = box(0, 0, 300, 300)
    s = scene([box(0, 0)], [box(0, 0), box(400, 0), box(100, 0), box(160, 0, 260, 260)], ignore=[area])
    match = match_by_distance(s, 50)
    assert match[0] == 0
    assert match[1] == FALSE_ALARM
    assert match[2] == IGNORED
    assert match[3] == IGNORED  # its middle is outside, but it overlaps by more than a tenth
    counted = scores.match_scene(s)
    assert scores.count(counted, 0.0, 50) == scores.Counts(1, 1, 0)


def test_overlap_wants_half() -> None:
    s = scene([box(0, 0)], [box(0, 30), box(0, 40)])
    assert match_by_overlap(s).tolist() == [0, FALSE_ALARM]
    assert match_by_overlap(scene([box(0, 0)], [box(0, 40)])).tolist() == [FALSE_ALARM]


def test_overlap_of_turned_boxes_agrees_with_shapely() -> None:
    rng = np.random.default_rng(3)
    boxes = np.array([box(*rng.uniform(-60, 60, 2), heading=rng.uniform(0, 360)) for _ in range(12)])
    got = overlaps(boxes, boxes)
    for i, a in enumerate(boxes):
        for j, b in enumerate(boxes):
            p, q = shapely.Polygon(a), shapely.Polygon(b)
            assert got[i, j] == pytest.approx(p.intersection(q).area / p.union(q).area, abs=1e-9)


def test_nothing_anywhere() -> None:
    m = scores.match_scene(scene())
    assert scores.count(m, 0.5, 150) == scores.Counts(0, 0, 0)
    assert scores.row(m, 0.5)["f1_150"] is None
    assert scores.row(scores.match_scene(scene([box(0, 0)])), 0.5)["recall_150"] == 0.0


def test_axis_error_knows_no_bow() -> None:
    assert axis_error(np.array([179.0, 10.0, 190.0]), np.array([1.0, 100.0, 9.0])).tolist() == [2.0, 90.0, 1.0]


@pytest.mark.parametrize("heading", [0.0, 30.0, 89.0, 135.0, 179.0])
def test_long_side(heading: float) -> None:
    length, axis = long_side(np.array([box(5, 5, 80, 12, heading), np.roll(box(5, 5, 80, 12, heading), 1, axis=0)]))
    np.testing.assert_allclose(length, 80)
    np.testing.assert_allclose(axis_error(axis, np.full(2, heading)), 0, atol=1e-9)


def test_local_plane_is_true_to_the_ellipsoid() -> None:
    from pyproj import Geod

    plane = LocalPlane(24.0, 54.5)
    points = np.array([[24.4, 54.6], [24.4005, 54.6012]])
    x, y = plane(points)
    _, _, metres = Geod(ellps="WGS84").inv(*points[0], *points[1])
    assert np.hypot(*(x - y)) == pytest.approx(metres, rel=1e-4)


def brute_force_ap(hits: list[bool], labels: int) -> float:
    """For every recall that is reached, the best precision at that recall or beyond, times the step in recall."""
    points = [(sum(hits[: k + 1]) / labels, sum(hits[: k + 1]) / (k + 1)) for k in range(len(hits))]
    area, before = 0.0, 0.0
    for recall in sorted({r for r, _ in points}):
        area += (recall - before) * max(p for r, p in points if r >= recall - 1e-12)
        before = recall
    return area


@settings(deadline=None)
@given(st.lists(st.booleans(), max_size=40), st.integers(0, 5))
def test_average_precision_is_the_area(hits: list[bool], missed: int) -> None:
    labels = sum(hits) + missed
    match = np.where(hits, 0, FALSE_ALARM).astype(int).reshape(-1)
    confidence = np.linspace(1, 0.1, len(hits))
    got = average_precision(match, confidence, labels)
    if not labels:
        assert np.isnan(got)
    else:
        assert got == pytest.approx(brute_force_ap(hits, labels))


def test_average_precision_is_close_to_that_of_ultralytics() -> None:
    metrics = pytest.importorskip("ultralytics.utils.metrics")
    rng = np.random.default_rng(0)
    hits = rng.random(400) < np.linspace(0.98, 0.1, 400)
    confidence = np.linspace(0.99, 0.01, 400)
    labels = int(hits.sum()) + 30
    ap = metrics.ap_per_class(hits[:, None], confidence, np.zeros(400), np.zeros(labels))[5][0, 0]
    # ultralytics reads the curve at 101 recalls, hence the tolerance.
    assert average_precision(np.where(hits, 0, -1), confidence, labels) == pytest.approx(ap, abs=0.01)


def test_ignored_detections_do_not_touch_average_precision() -> None:
    match = np.array([0, IGNORED, 1, FALSE_ALARM])
    assert average_precision(match, np.array([0.9, 0.8, 0.7, 0.6]), 2) == 1.0


def matched(good: list[float], bad: list[float], labels: int) -> scores.Matched:
    near = np.array([0] * len(good) + [FALSE_ALARM] * len(bad))
    nothing = np.full(len(near), np.nan)
    return scores.Matched(
        labels, np.array(good + bad), dict.fromkeys(scores.RADII_M, near), near, nothing, nothing
    )


def test_threshold_of_a_fold_ignores_its_own_places() -> None:
    places = {"x": matched([0.9, 0.8], [0.6], 2), "y": matched([0.4], [0.1], 1), "z": matched([0.4], [0.1], 1)}
    folds = {"x": "a", "y": "b", "z": "b"}
    got = scores.cross_fit_thresholds(places, folds)
    assert 0.1 < got["a"] <= 0.4
    assert 0.6 < got["b"] <= 0.8
    places["x"] = matched([], [0.9] * 50, 2)
    assert scores.cross_fit_thresholds(places, folds)["a"] == got["a"]


def test_threshold_without_labels_is_the_default() -> None:
    assert scores.best_threshold(scores.pool([])) == scores.DEFAULT_THRESHOLD


def test_lengths_and_axes_of_the_matched() -> None:
    s = scene([box(0, 0, 100, 20, 40)], [box(0, 0), box(900, 0)], length=110.0, heading=225.0)
    got = scores.row(scores.match_scene(s), 0.0)
    assert got["length_bias_m"] == pytest.approx(10)
    assert got["length_mae_m"] == pytest.approx(10)
    assert got["axis_within_10"] == 1.0
    assert got["fp"] == 1


def test_counts_at_a_threshold_equal_matching_those_detections_alone() -> None:
    rng = np.random.default_rng(5)
    labels = [box(*rng.uniform(0, 900, 2)) for _ in range(15)]
    found = [box(*rng.uniform(0, 900, 2)) for _ in range(40)]
    confidence = rng.random(40)
    whole = scores.match_scene(scene(labels, found, confidence))
    for threshold in (0.2, 0.5, 0.8):
        keep = np.flatnonzero(confidence >= threshold)
        alone = scores.match_scene(scene(labels, [found[i] for i in keep], confidence[keep]))
        assert scores.count(whole, threshold, 150) == scores.count(alone, 0.0, 150)


def test_bootstrap_interval_holds_the_value_and_is_repeatable() -> None:
    places = {str(i): matched([0.9] * i, [0.9] * (6 - i), 6) for i in range(1, 6)}
    thresholds = dict.fromkeys(places, 0.5)
    low, high = scores.bootstrap_f1(places, thresholds)
    pooled = scores.count(scores.pool(list(places.values())), 0.5, 150).f1
    assert 0 < low < pooled < high < 1
    assert (low, high) == scores.bootstrap_f1(places, thresholds)
    same = {str(i): matched([0.9], [0.9], 2) for i in range(4)}
    assert scores.bootstrap_f1(same, dict.fromkeys(same, 0.5)) == pytest.approx((0.5, 0.5))
