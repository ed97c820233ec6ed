"""The estimate of loadings: intervals, sums, refusals, and what it does with ships that stay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from detector.errors import ConfigError, TableError
from detector.loadings.beliefs import StayBelief
from detector.loadings.estimate import LEAST_LOOKS, estimate, interval
from detector.loadings.series import ZoneSeries, to_days
from training.simulate.siteyears import Setting, simulate

QUARTERS = [(0.0, 91.0), (91.0, 182.0), (182.0, 273.0), (273.0, 365.0)]


def berth(times, seen, ratio=0.0, *, stay=(2.0, 4.0), end=365.0) -> ZoneSeries:
    """A berth whose ships of consecutive looks have all the same log ratio."""
    seen = np.asarray(seen)
    ratios = [np.full((a, b), float(ratio)) for a, b in zip(seen[:-1], seen[1:], strict=True)]
    return ZoneSeries("b1", "coal_berth", 1, stay, np.asarray(times, float), seen, ratios, 0.0, end)


@pytest.fixture(scope="module")
def year():
    site = simulate(Setting(), 3)
    return site, estimate(site.series, QUARTERS, recall=site.told_recall, seed=1)


def test_estimate_is_consistent_within_itself(year):
    site, found = year
    assert found.note is None and found.draws.shape == (320, 4)
    np.testing.assert_allclose(found.mean, found.draws.mean(axis=0))
    assert found.mean.sum() == pytest.approx(found.total[0]), "quarters add up to the year"
    assert (found.low <= found.mean).all() and (found.mean <= found.high).all()
    assert found.total[2] - found.total[1] < (found.high - found.low).sum(), (
        "errors of quarters partly cancel"
    )
    assert (
        found.looks == [((site.series.times >= a) & (site.series.times < b)).sum() for a, b in QUARTERS]
    ).all()
    assert found.mean_stay_low < found.mean_stay_days < found.mean_stay_high
    assert ((found.detection_probability > 0) & (found.detection_probability < 1)).all()
    assert ((found.unobserved_share >= 0) & (found.unobserved_share <= 1)).all()
    low_stay, high_stay = found.sensitivity.sum(axis=1)
    assert low_stay > found.total[0] > high_stay, "shorter stays mean more ships"


def test_the_truth_lies_in_the_interval_of_a_plain_year(year):
    site, found = year
    assert found.total[1] <= site.begun(0, 365) <= found.total[2]
    assert found.total[0] > site.seen() * 1.2, "most visits fall between looks"


def test_same_arguments_give_the_same_draws(year):
    site, found = year
    again = estimate(site.series, QUARTERS, recall=site.told_recall, seed=1)
    other = estimate(site.series, QUARTERS, recall=site.told_recall, seed=2)
    assert (again.draws == found.draws).all() and (other.draws != found.draws).any()


def test_finer_periods_hold_the_same_year(year):
    site, found = year
    edges = np.linspace(0, 365, 13)
    months = estimate(
        site.series, list(zip(edges[:-1], edges[1:], strict=True)), recall=site.told_recall, seed=1
    )
    assert months.total[0] == pytest.approx(found.total[0], rel=0.1)


def test_many_looks_make_it_nearly_exact():
    setting = Setting(
        revisit_days=1.0, clear=0.97, recall=0.98, false_rate=0.0, stay_days=5.0, calls=40, season=0.0
    )
    site = simulate(setting, 5)
    found = estimate(
        site.series, QUARTERS, recall=0.98, recall_spread=0.01, false_rate=0.001, false_spread=0.001
    )
    truth = site.begun(0, 365)
    assert abs(found.total[0] - truth) <= 0.08 * truth
    assert found.total[2] - found.total[1] < 0.45 * truth, "some ships follow at once and look alike"
    assert found.stay_source == "looks"


def test_one_ship_that_stays_is_not_many():
    times = np.arange(1.0, 361.0, 6.0)
    always = np.ones(len(times), dtype=int)
    same = estimate(berth(times, always, ratio=4.0, stay=(2.0, 40.0)), QUARTERS)
    others = estimate(berth(times, always, ratio=-6.0, stay=(2.0, 40.0)), QUARTERS)
    assert same.total[0] < 25, "sixty looks at what looks like one ship"
    assert others.total[1] >= 50, "another ship at each look"


def test_an_empty_berth_has_few_loadings():
    found = estimate(berth(np.arange(1.0, 361.0, 5.0), np.zeros(72, dtype=int)), QUARTERS)
    assert found.total[1] == 0 and found.total[2] < 15
    anchorage = ZoneSeries(
        "a",
        "anchorage",
        9,
        None,
        np.arange(1.0, 361.0, 5.0),
        np.zeros(72, int),
        [np.zeros((0, 0))] * 71,
        0.0,
        365.0,
    )
    assert estimate(anchorage, QUARTERS).total[2] < 15


def test_stay_belief_that_is_half_doubles_where_looks_are_sparse():
    times = np.arange(3.0, 365.0, 12.0)
    seen = (np.arange(len(times)) % 3 == 0).astype(int)
    short, long = (estimate(berth(times, seen, stay=stay), QUARTERS) for stay in [(1.3, 1.7), (2.6, 3.4)])
    assert short.total[0] / long.total[0] == pytest.approx(2.0, rel=0.25)
    assert short.stay_source == "site"
    assert estimate(berth(times, seen, stay=None), QUARTERS).stay_source in ("default", "looks")


def test_too_few_looks_are_refused():
    few = estimate(berth(np.linspace(5, 350, LEAST_LOOKS - 1), np.ones(LEAST_LOOKS - 1, int)), QUARTERS)
    assert few.note is not None and str(LEAST_LOOKS - 1) in few.note
    assert np.isnan(few.mean).all() and np.isnan(few.total[0]) and few.draws.shape == (0, 4)


def test_one_look_is_not_looks():
    assert str(estimate(berth([5.0], [1]), QUARTERS).note).startswith("1 usable look, and")
    times = [*np.linspace(5, 85, LEAST_LOOKS), 140.0]
    assert str(estimate(berth(times, np.ones(LEAST_LOOKS + 1, int)), QUARTERS).notes[1]).startswith("1 usable look, and")


def test_a_cloudy_period_is_refused_but_stays_in_the_year():
    times = np.concatenate([np.arange(1.0, 90.0, 4.0), np.arange(190.0, 365.0, 4.0)])
    found = estimate(berth(times, (np.arange(len(times)) % 2)), QUARTERS)
    assert np.isnan(found.mean).tolist() == [False, True, False, False]
    assert found.notes[1] is not None and "0 usable looks" in found.notes[1] and found.notes[0] is None
    assert found.total[0] == pytest.approx(found.draws.sum(axis=1).mean())
    width = np.quantile(found.draws, 0.95, axis=0) - np.quantile(found.draws, 0.05, axis=0)
    assert width[1] > width[2], "a quarter that nobody saw is less certain"
    assert found.unobserved_share[1] > 0.9


def test_intervals_of_counts_have_ends_that_occur():
    mean, low, high = interval(np.array([[0]] * 4 + [[1]] * 90 + [[7]] * 6))
    assert (low[0], high[0]) == (1, 7) and mean[0] == pytest.approx(1.32)
    assert np.isnan(interval(np.zeros((0, 2)))[0]).all()


@pytest.mark.parametrize("periods", [[], [(10, 5)], [(0, 50), (40, 90)], [(50, 90), (0, 40)], [(400, 500)]])
def test_periods_that_make_no_sense(periods):
    with pytest.raises(ConfigError):
        estimate(berth(np.arange(1.0, 100.0, 5.0), np.ones(20, int)), periods)


@pytest.mark.parametrize("rates", [{"recall": 1.0}, {"recall": 0}, {"false_rate": 0}, {"recall_spread": 0}])
def test_rates_that_make_no_sense(rates):
    with pytest.raises(ConfigError):
        estimate(berth(np.arange(1.0, 100.0, 5.0), np.ones(20, int)), QUARTERS, **rates)


def test_belief_by_itself_gives_the_visits_of_its_median():
    belief = StayBelief.of((2.0, 4.0))
    stays = belief.grid(400)
    weight = np.exp(belief.log_weight(stays))
    assert (weight / stays).sum() / weight.sum() * belief.median == pytest.approx(1.0, abs=0.01)


def test_anchorage_counts_vessels_and_their_days():
    setting = Setting(
        calls=200, stay_days=5.0, capacity=20, revisit_days=2.0, clear=0.7, recall=0.95, season=0.0
    )
    site = simulate(setting, 2)
    found = estimate(site.series, QUARTERS, recall=site.told_recall)
    truth = site.begun(0, 365)
    assert found.total[1] <= truth <= found.total[2]
    present = (np.minimum(site.leave, 365) - np.maximum(site.begin, 0)).sum()
    assert found.vessel_days[0].sum() == pytest.approx(present, rel=0.15)
    assert (found.vessel_days[1] <= found.vessel_days[2]).all()


def test_series_are_checked():
    good = berth([1.0, 2.0, 4.0], [1, 1, 0])
    for change in (
        {"times": np.array([1.0, 1.0, 4.0])},
        {"times": np.array([2.0, 1.0, 4.0])},
        {"count": np.array([1, 1])},
        {"same_log_ratio": good.same_log_ratio[:1]},
        {"same_log_ratio": [np.array([[np.nan]]), np.zeros((1, 0))]},
        {"last_log_ratio": np.zeros(2)},
        {"end": 0.0},
        {"capacity": 0},
    ):
        with pytest.raises(TableError, match="b1"):
            replace(good, **change)


def test_days_are_utc():
    assert to_days(datetime(1970, 1, 2, 12, tzinfo=UTC)) == 1.5
    assert to_days(datetime(1970, 1, 2, 12, tzinfo=timezone(timedelta(hours=12)))) == 1.0
    assert to_days(datetime(1970, 1, 2, 12)) == 1.5
