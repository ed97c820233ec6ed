"""Anchorages: ships that crowd one part of them, very long gaps, and the visits that were seen."""

from __future__ import annotations

import numpy as np
import pytest

from detector.loadings.count import count_loadings
from detector.loadings.estimate import at_least, estimate
from detector.loadings.series import ZoneSeries
from tests.timelines import Ship, calls, detections, site, tables, zone


def crowded() -> list[Ship]:
    """Twelve strings of ships in a strip of 800 m."""
    return [
        Ship(s.arrives, s.leaves, s.length, s.width, x=10 * s.x)
        for string in range(12)
        for s in calls(15, seed=string + 50)
    ]


def test_ships_that_crowd_a_part_of_an_anchorage_are_not_taken_for_one():
    days = np.arange(0, 90, 2.5)
    clouds = set(days[np.random.default_rng(1).random(len(days)) < 0.4])
    rows, looks = tables(crowded(), days, clouds=clouds)
    count = count_loadings(
        detections(rows), looks, site(zone(kind="anchorage", capacity=40, size=(5000, 3000))), period="all"
    )
    row = next(r for r in count.loading_rows if r["zone_id"])
    truth = sum(0 <= ship.arrives < days[-1] for ship in crowded())
    assert row["visits_seen"] < row["loadings"]
    assert row["loadings_low"] <= truth <= row["loadings_high"]


@pytest.mark.filterwarnings("error")
def test_a_gap_of_years_breaks_nothing():
    times = np.concatenate([np.arange(0.0, 30.0, 2.0), 2000 + np.arange(0.0, 30.0, 2.0)])
    ratios = [np.array([[3.0]])] * (len(times) - 1)
    series = ZoneSeries("a", "anchorage", 5, (2, 4), times, np.ones(len(times)), ratios, 0.0, 2030.0)
    found = estimate(series, [(0, 30), (2000, 2030)])
    assert np.isfinite(found.mean).all() and np.isfinite(found.recall)


def test_an_estimate_does_not_fall_below_the_visits_that_are_known():
    times = np.arange(0.0, 60.0, 2.0)
    series = ZoneSeries("a", "anchorage", 5, (2, 4), times, np.ones(30), [np.array([[2.0]])] * 29, 0.0, 60.0)
    model = estimate(series, [(0, 30), (30, 60)])
    known = np.array([int(model.mean[0]) + 3, 0])
    found = at_least(model, known)
    assert model.low[0] < known[0] <= found.low[0] <= found.mean[0] <= found.high[0]
    np.testing.assert_array_equal(found.draws[:, 1], model.draws[:, 1])
    assert found.total[1] >= known[0] and found.mean[1] == model.mean[1]
    few = ZoneSeries("a", "anchorage", 5, None, times[:5], np.ones(5), [np.zeros((1, 1))] * 4, 0.0, 60.0)
    assert np.isnan(at_least(estimate(few, [(0, 60)]), np.array([3])).mean).all()
