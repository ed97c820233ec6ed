"""Simulated site-years, and a small run of the calibration."""

from __future__ import annotations

import json

import numpy as np
import pytest

from training.simulate.calibrate import CELLS, main
from training.simulate.siteyears import _BERTH, YEAR, Setting, log_ratio, simulate


def test_same_seed_same_year():
    one, two, other = simulate(Setting(), 1), simulate(Setting(), 1), simulate(Setting(), 2)
    assert (one.begin == two.begin).all() and (one.series.count == two.series.count).all()
    assert len(one.begin) != len(other.begin) or (one.begin != other.begin).any()


def test_a_berth_holds_one_ship_at_a_time():
    site = simulate(Setting(calls=150, stay_days=1.5, convoy=3.0), 1)
    assert (site.begin[1:] >= site.leave[:-1]).all()
    assert site.series.count.max() == 1
    anchorage = simulate(Setting(calls=300, capacity=20), 1)
    assert (anchorage.begin[1:] < anchorage.leave[:-1]).any() and anchorage.series.count.max() > 1


@pytest.mark.parametrize("kind", ["gamma", "lognormal"])
def test_traffic_is_what_the_setting_says(kind):
    setting = Setting(calls=60, stay_days=3.0, stay_cv=0.7, stay_kind=kind, years=40.0, season=0.5)
    site = simulate(setting, 1)
    stays = site.leave - site.begin
    assert len(site.begin) / 40 == pytest.approx(60, rel=0.06)
    assert stays.mean() == pytest.approx(3.0, rel=0.05) and stays.std() / stays.mean() == pytest.approx(
        0.7, rel=0.1
    )


def test_looks_are_what_the_setting_says():
    setting = Setting(years=40.0, revisit_days=5.0, clear=0.4, recall=0.8, false_rate=0.03)
    site = simulate(setting, 1)
    times = site.series.times
    assert len(times) / (40 * YEAR / 5) == pytest.approx(0.4, abs=0.04)
    there = np.searchsorted(site.begin, times, side="right") > np.searchsorted(
        site.leave, times, side="right"
    )
    assert site.series.count[there].mean() == pytest.approx(0.8, abs=0.04)
    assert site.series.count[~there].mean() == pytest.approx(0.03, abs=0.02)
    assert np.corrcoef(site.series.count[1:], site.series.count[:-1])[0, 1] > 0


def test_nothing_arrives_while_stopped():
    site = simulate(Setting(calls=90, stopped=(0.3, 0.8), season=0.0), 1)
    assert site.begun(0.32 * YEAR, 0.79 * YEAR) <= 1 and site.begun(0, 0.3 * YEAR) > 5


def test_ratio_is_that_of_the_two_densities():
    """Against the densities that it stands for, and with mean 1 over pairs of different ships."""
    from scipy.stats import multivariate_normal, norm

    mean, spread, error = _BERTH.T
    rng = np.random.default_rng(0)
    pairs = rng.normal(mean, np.hypot(spread, error), (2, 5, 3))
    for i in range(5):
        expected = 0.0
        for k in range(3):
            total = spread[k] ** 2 + error[k] ** 2
            both = multivariate_normal([mean[k]] * 2, [[total, spread[k] ** 2], [spread[k] ** 2, total]])
            alone = norm(mean[k], np.sqrt(total))
            expected += both.logpdf(pairs[:, i, k]) - alone.logpdf(pairs[:, i, k]).sum()
        assert log_ratio(pairs[0], pairs[1])[i, i] == pytest.approx(np.clip(expected, -12, 12))
    many = rng.normal(mean, np.hypot(spread, error), (2, 2000, 3))
    assert np.exp(log_ratio(many[0], many[1])).mean() == pytest.approx(1.0, abs=0.05)


def test_measurements_without_error_tell_ships_apart():
    sharp, plain = (simulate(Setting(error=error, false_rate=0.0), 2) for error in (0.03, 1.0))
    assert (sharp.begin == plain.begin).all() and (sharp.series.count == plain.series.count).all()
    ratio = [np.concatenate([r.ravel() for r in site.series.same_log_ratio]) for site in (sharp, plain)]
    assert (np.abs(ratio[0]) > 5).mean() > 0.95 > (np.abs(ratio[1]) > 5).mean()
    same = np.searchsorted(sharp.begin, sharp.series.times, side="right")
    linked = [
        (a == b) for a, b, r in zip(same[:-1], same[1:], sharp.series.same_log_ratio, strict=True) if r.size
    ]
    assert ((ratio[0] > 0) == np.array(linked)).mean() > 0.99


@pytest.mark.slow
def test_small_calibration(capsys):
    """Far from proof, but an estimate that is twice too high or an interval half as wide fails here."""
    assert main(["--cells", "base", "season 0.8", "anchorage", "--years", "4", "--json"]) == 0
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert set(cells) == {"base", "season 0.8", "anchorage", "all berths"}
    covered = [cells[name]["coverage_month"] for name in ("base", "season 0.8", "anchorage")]
    assert np.mean(covered) > 0.8
    assert abs(cells["all berths"]["estimate"]["bias"]) < 0.3
    assert cells["all berths"]["seen"]["bias"] < -0.3, "what is seen is a lower bound"
    for name in ("all berths", "anchorage"):
        row = cells[name]
        assert row["estimate_true_stay"]["rmse"] < 1.2 * row["littles_law_true_stay"]["rmse"]


def test_calibration_prints_a_table(capsys):
    assert main(["--cells", "anchorage", "--years", "1"]) == 0
    out = capsys.readouterr().out
    assert "coverage of 90 %" in out and "anchorage" in out and "1 site-years, 0 refused" in out


def test_grid_spans_what_it_should():
    settings = [setting for setting in CELLS.values() if setting.capacity == 1]
    for name, low, high in [
        ("calls", 20, 150), ("stay_days", 1.5, 6.0), ("revisit_days", 1.5, 5.0), ("clear", 0.25, 0.7),
        ("recall", 0.7, 0.98), ("false_rate", 0.0, 0.05),
    ]:  # fmt: skip
        values = [getattr(setting, name) for setting in settings]
        assert (min(values), max(values)) == (low, high)
    assert len(CELLS) * 10 >= 200
