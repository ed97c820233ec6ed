"""Matching of detections and labels, and the numbers made of it."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from training import bootstrap, curves, scores
from training.matching import (
    FALSE_ALARM,
    IGNORED,
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
    near[: len(good)] = np.arange(len(good))
    far, length = np.full(len(near), np.inf), np.full(len(near), 100.0)
    return scores.Matched(
        np.array(good + bad), dict.fromkeys(scores.RADII_M, near), near, length, np.zeros(len(near)), far,
        np.full(labels, 100.0), np.zeros(labels), np.full(labels, np.inf),
    )  # fmt: skip


def test_threshold_of_a_fold_ignores_its_own_places() -> None:
    places = {"x": matched([0.9, 0.8], [0.6], 2), "y": matched([0.4], [0.1], 1), "z": matched([0.4], [0.1], 1)}
    folds = {"x": "a", "y": "b", "z": "b"}
    got = scores.cross_fit_thresholds(places, folds)
    assert 0.1 < got["a"] <= 0.4
    assert 0.6 < got["b"] <= 0.8
    places["x"] = matched([], [0.9] * 50, 2)
    assert scores.cross_fit_thresholds(places, folds)["a"] == got["a"]


def test_the_edge_of_a_cliff_is_not_chosen() -> None:
    # Found: 8 down to 0.9 and a ninth at 0.505; three false alarms follow at 0.495: only 0.50 has all nine and none false.
    place = matched([0.9] * 8 + [0.505], [0.495] * 3, 10)
    assert scores.best_threshold([place], spread=0) == 0.5
    assert 0.54 <= scores.best_threshold([place]) <= 0.85


def test_threshold_without_labels_is_the_default() -> None:
    assert scores.best_threshold([scores.pool([])]) == scores.DEFAULT_THRESHOLD


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


def test_bootstrap_intervals_hold_the_value_and_are_repeatable() -> None:
    places = {str(i): matched([0.9] * i, [0.8] * (6 - i), 6) for i in range(1, 6)}
    thresholds = dict.fromkeys(places, 0.5)
    found = bootstrap.intervals(places, thresholds)
    pooled = scores.row(scores.pool(list(places.values())), 0.5)
    for figure in ("f1_150", "f1_50", "precision_150", "recall_150", "ap50"):
        low, high = found[figure]
        assert 0 < low < pooled[figure] < high < 1
    assert found == bootstrap.intervals(places, thresholds)
    assert found["false_per_100km2"] is None
    same = {str(i): matched([0.9], [0.9], 2) for i in range(4)}
    assert bootstrap.intervals(same, dict.fromkeys(same, 0.5))["f1_150"] == pytest.approx([0.5, 0.5])


def test_bootstrap_of_average_precision_is_that_of_the_places_drawn() -> None:
    rng = np.random.default_rng(2)
    places = {}
    for name in "abc":
        hits = int(rng.integers(2, 6))
        places[name] = matched(list(rng.random(hits)), list(rng.random(4)), 7)
    everything = list(places.values())
    drawn = np.array([[2, 0, 1], [1, 1, 1], [0, 3, 0]])
    for weights, got in zip(drawn, bootstrap._average_precision(places, drawn), strict=True):
        again = scores.pool([m for m, times in zip(everything, weights, strict=True) for _ in range(times)])
        # copies of one detection come one after the other instead of together, which can only matter between them
        assert got == pytest.approx(average_precision(again.overlap, again.confidence, again.labels), abs=0.03)


def textbook_ap(scenes: list[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> float:
    """AP50 from corners alone, written without anything of training.matching, with OpenCV's overlap of rotated boxes.

    Each scene: labels, boxes, confidence. Boxes of all scenes from the most confident down; each takes its best free
    label of its scene; precision at a recall is the best at that recall or beyond (Everingham et al. 2010).
    """
    cv2 = pytest.importorskip("cv2")

    def overlap(a: np.ndarray, b: np.ndarray) -> float:
        p, q = (cv2.minAreaRect(corners.astype(np.float32)) for corners in (a, b))
        shared = cv2.rotatedRectangleIntersection(p, q)[1]
        area = 0.0 if shared is None else cv2.contourArea(cv2.convexHull(shared))
        return area / (p[1][0] * p[1][1] + q[1][0] * q[1][1] - area)

    ranked = sorted(((c, s, i) for s, (_, _, conf) in enumerate(scenes) for i, c in enumerate(conf)), reverse=True)
    taken: set[tuple[int, int]] = set()
    hits = []
    for _, s, i in ranked:
        labels, boxes, _ = scenes[s]
        free = [(overlap(boxes[i], labels[j]), j) for j in range(len(labels)) if (s, j) not in taken]
        best = max(free, default=(0.0, -1))
        hits.append(best[0] >= 0.5)
        if hits[-1]:
            taken.add((s, best[1]))
    return brute_force_ap(hits, sum(len(labels) for labels, _, _ in scenes))


@pytest.mark.parametrize("seed", range(4))
def test_ap50_of_oriented_boxes_agrees_with_an_independent_implementation(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scenes = []
    for _ in range(3):
        labels, found = [], []
        for _ in range(12):
            place, heading = rng.uniform(0, 900, 2), rng.uniform(0, 180)
            length, width = rng.uniform(30, 300), rng.uniform(10, 50)
            labels.append(box(*place, length, width, heading))
            if rng.random() < 0.8:  # found, more or less
                off, longer, turned = rng.normal(0, 6, 2), rng.uniform(0.7, 1.3), rng.normal(0, 4)
                found.append(box(*place + off, length * longer, width, heading + turned))
        found += [box(*rng.uniform(0, 900, 2), 100, 20, rng.uniform(0, 180)) for _ in range(8)]
        scenes.append((np.array(labels), np.array(found), rng.permutation(len(found)) / 50 + rng.random() / 100))
    got = scores.row(scores.pool([scores.match_scene(scene(*parts)) for parts in scenes]), 0.0)["ap50"]
    expected = textbook_ap(scenes)
    assert 0.1 < expected < 0.95
    assert got == pytest.approx(expected, abs=1e-6)


def test_precision_recall_curve_ends_where_everything_is_shown() -> None:
    m = matched([0.9, 0.5, 0.5], [0.7, 0.5], 6)
    recall, precision, threshold = curves.precision_recall(m.near[150], m.confidence, m.labels)
    assert threshold.tolist() == [0.9, 0.7, 0.5]
    np.testing.assert_allclose(recall, [1 / 6, 1 / 6, 3 / 6])
    np.testing.assert_allclose(precision, [1, 1 / 2, 3 / 5])
    for r, p, t in zip(recall, precision, threshold, strict=True):
        counts = scores.count(m, t, 150)
        assert (counts.recall, counts.precision) == pytest.approx((r, p))
    assert curves.listed(np.zeros(0, int), np.zeros(0), 3) == []
