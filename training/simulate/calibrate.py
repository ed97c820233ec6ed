"""How good the estimate of loadings is, on simulated site-years: coverage, bias and error of every estimator.

python -m training.simulate.calibrate [--quick] [--cells NAME ...] [--years N] [--jobs N] [--error FACTOR] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.loadings.beliefs import StayBelief
from detector.loadings.estimate import ZoneEstimate, estimate
from detector.loadings.littles_law import littles_law
from training.simulate.siteyears import YEAR, Setting, SiteYears, simulate

Floats = NDArray[np.float64]

# One thing changes in each cell; the first is what the others change.
CELLS: dict[str, Setting] = {
    "base": Setting(),
    "20 calls": Setting(calls=20),
    "100 calls": Setting(calls=100, stay_days=2.5),
    "150 calls": Setting(calls=150, stay_days=1.5),
    "stay 1.5 d": Setting(stay_days=1.5),
    "stay 6 d": Setting(calls=45, stay_days=6.0),
    "stay 6 d, 20 calls": Setting(calls=20, stay_days=6.0),
    "revisit 1.5 d": Setting(revisit_days=1.5),
    "revisit 5 d": Setting(revisit_days=5.0),
    "clear 25 %": Setting(clear=0.25),
    "clear 70 %": Setting(clear=0.70),
    "revisit 5 d, clear 25 %": Setting(revisit_days=5.0, clear=0.25),
    "recall 0.70": Setting(recall=0.70),
    "recall 0.98": Setting(recall=0.98),
    "false 0": Setting(false_rate=0.0),
    "false 5 %": Setting(false_rate=0.05),
    "no season": Setting(season=0.0),
    "season 0.8": Setting(season=0.8),
    "half a year stopped": Setting(stopped=(0.3, 0.8), calls=90),
    "gamma, CV 0.4": Setting(stay_cv=0.4),
    "log-normal, CV 0.9": Setting(stay_cv=0.9, stay_kind="lognormal"),
    "convoys of 2": Setting(convoy=2.0),
    "convoys of 3": Setting(convoy=3.0, calls=80, stay_days=2.0),
    "belief a third low": Setting(told_stay=2 / 3),
    "belief a third high": Setting(told_stay=4 / 3),
    "no belief": Setting(told_factor=0.0),
    "anchorage": Setting(calls=150, stay_days=4.0, capacity=12),
    "anchorage, 5 d": Setting(calls=300, stay_days=6.0, capacity=20, revisit_days=5.0),
}
QUICK = ("base", "revisit 5 d", "season 0.8", "log-normal, CV 0.9", "belief a third high", "anchorage")

# The second is the estimate that knows what the third is given: the true mean stay, recall and false rate.
ESTIMATORS = (
    "estimate",
    "estimate_true_stay",
    "littles_law_true_stay",
    "littles_law_belief",
    "horvitz_thompson",
    "seen",
)
_HEADS = ("estimate", "est., W true", "Little, W true", "Little, belief", "Horvitz-Th.", "seen")


@dataclass(frozen=True)
class Outcome:
    """One site-year: truth, every estimator, and whether the estimate's intervals held months, quarters and the year.

    Attributes:
        known_covered: whether the interval of the year of the estimate with the true stay held it.
        width: of the year's interval, relative. stay_ratio: mean stay, estimated by true.
        belief_ratio: the middle of the belief by the true mean stay.
    """

    cell: str
    values: dict[str, float]
    truth: float
    covered: dict[str, tuple[int, int]]
    known_covered: bool
    width: float
    stay_ratio: float
    belief_ratio: float


def run(cell: str, setting: Setting, seed: int) -> Outcome | None:
    """Simulate and estimate one site-year; None where the estimate refused."""
    site = simulate(setting, seed)
    edges = np.linspace(0, setting.years * YEAR, round(12 * setting.years) + 1)
    months = list(zip(edges[:-1], edges[1:], strict=True))
    found = estimate(site.series, months, recall=site.told_recall, seed=seed)
    if found.note is not None:
        return None
    known = _with_true_stay(site, months, seed)
    truth = np.array([site.begun(a, b) for a, b in months])
    values = {
        "estimate": found.total[0],
        "estimate_true_stay": known.total[0],
        **_others(site, float(found.detection_probability.mean())),
    }
    covered = {name: _covered(found.draws, truth, months) for name, months in _SPANS.items()}
    return Outcome(
        cell,
        values,
        float(truth.sum()),
        covered,
        bool(known.total[1] <= truth.sum() <= known.total[2]),
        (found.total[2] - found.total[1]) / max(found.total[0], 1.0),
        found.mean_stay_days / setting.stay_days,
        _belief(site) / setting.stay_days,
    )


def _with_true_stay(site: SiteYears, periods: list[tuple[float, float]], seed: int) -> ZoneEstimate:
    """The estimate with the knowledge that Little's law is given: the true mean stay, recall and false rate."""
    setting = site.setting
    told = replace(site.series, stay_days=(setting.stay_days * 0.99, setting.stay_days * 1.01))
    return estimate(
        told,
        periods,
        recall=setting.recall,
        recall_spread=0.005,
        false_rate=max(setting.false_rate, 0.001),
        false_spread=0.001,
        seed=seed,
    )


def _belief(site: SiteYears) -> float:
    """The middle of the belief about the mean stay, days."""
    return StayBelief.of(site.series.stay_days).median


_SPANS = {"month": 1, "quarter": 3, "year": 12}


def _covered(draws: NDArray[np.int64], truth: NDArray[np.int64], months: int) -> tuple[int, int]:
    sums = draws.reshape(len(draws), -1, months).sum(axis=2)
    low, high = np.quantile(sums, [0.05, 0.95], axis=0, method="inverted_cdf")
    true = truth.reshape(-1, months).sum(axis=1)
    return int(((low <= true) & (true <= high)).sum()), len(true)


def _others(site: SiteYears, caught: float) -> dict[str, float]:
    series, setting = site.series, site.setting
    days = series.end - series.start
    seen = _visits_seen(site)
    rates: dict[str, Any] = {"capacity": series.capacity}
    return {
        "littles_law_true_stay": littles_law(
            series.count,
            days,
            setting.stay_days,
            recall=setting.recall,
            false_rate=setting.false_rate,
            **rates,
        ),
        "littles_law_belief": littles_law(
            series.count, days, _belief(site), recall=site.told_recall, false_rate=0.02, **rates
        ),
        "horvitz_thompson": seen / max(caught, 0.02),
        "seen": float(seen),
    }


def _visits_seen(site: SiteYears) -> int:
    """Vessels that are not taken for one of the look before (likelier than not, one to one)."""
    from scipy.optimize import linear_sum_assignment

    series = site.series
    seen = int(series.count.sum())
    for _, ratio in series.steps():
        rows, columns = linear_sum_assignment(np.maximum(ratio, 0.0), maximize=True)
        seen -= int((ratio[rows, columns] > 0).sum())
    return seen


def summary(outcomes: list[Outcome]) -> dict[str, Any]:
    """Coverage, bias and relative root mean square error over some site-years."""
    truth = np.array([outcome.truth for outcome in outcomes])
    row: dict[str, Any] = {"site_years": len(outcomes), "truth": float(truth.mean())}
    for span in _SPANS:
        inside, all_of_them = np.sum([outcome.covered[span] for outcome in outcomes], axis=0)
        row[f"coverage_{span}"] = float(inside / all_of_them)
    row["width"] = float(np.mean([outcome.width for outcome in outcomes]))
    row["known_coverage_year"] = float(np.mean([outcome.known_covered for outcome in outcomes]))
    stay = np.log([(outcome.stay_ratio, outcome.belief_ratio) for outcome in outcomes])
    row["stay_ratio"] = float(np.exp(stay[:, 0].mean()))
    row["stay_rmse"], row["belief_rmse"] = np.sqrt((stay**2).mean(axis=0)).tolist()
    for name in ESTIMATORS:
        error = np.array([outcome.values[name] for outcome in outcomes]) - truth
        row[name] = {
            "bias": float(error.sum() / truth.sum()),
            "rmse": float(np.sqrt((error**2).mean()) / truth.mean()),
        }
    return row


def _table(rows: dict[str, dict[str, Any]]) -> str:
    head = f"{'':26s}{'':>5s} {'':>6s}   coverage of 90 %          {'':>5s} {'error of stay':>14s}" + "".join(
        f"  {name:>14s}" for name in _HEADS
    )
    second = (
        f"{'cell':26s}{'n':>5s} {'truth':>6s}  month  qtr   year  known   {'width':>5s} {'belief':>7s}{'found':>7s}"
    ) + "".join(f"  {'bias':>7s}{'RMSE':>7s}" for _ in ESTIMATORS)
    lines = [head, second]
    for name, row in rows.items():
        numbers = "".join(f"  {row[e]['bias']:>+7.1%}{row[e]['rmse']:>7.1%}" for e in ESTIMATORS)
        lines.append(
            f"{name:26s}{row['site_years']:>5d} {row['truth']:>6.1f}  {row['coverage_month']:>5.2f} "
            f"{row['coverage_quarter']:>5.2f}  {row['coverage_year']:>5.2f}  {row['known_coverage_year']:>5.2f}   "
            f"{row['width']:>5.2f} {row['belief_rmse']:>7.1%}{row['stay_rmse']:>7.1%}{numbers}"
        )
    return "\n".join(lines)


def _processor_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def main(arguments: list[str] | None = None) -> int:
    """The command; prints the table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.simulate.calibrate", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"only {', '.join(QUICK)}, 4 site-years each")
    parser.add_argument("--cells", nargs="+", metavar="NAME", choices=list(CELLS), help="only these cells")
    parser.add_argument("--years", type=int, help="site-years a cell (default 10)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument(
        "--error",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="of the measurements; 0.03 shows every ship's identity",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    names = options.cells or (QUICK if options.quick else CELLS)
    years = options.years or (4 if options.quick else 10)
    first = {name: options.seed * 100_003 + 1000 * number for number, name in enumerate(CELLS)}
    settings = {name: replace(CELLS[name], error=options.error) for name in names}
    jobs = [(name, settings[name], first[name] + n) for name in names for n in range(years)]
    started = _processor_seconds()
    if options.jobs > 1:
        with ProcessPoolExecutor(options.jobs) as pool:
            outcomes = list(pool.map(run, *zip(*jobs, strict=True)))
    else:
        outcomes = [_noted(number, len(jobs), *job) for number, job in enumerate(jobs, 1)]
    done = [outcome for outcome in outcomes if outcome is not None]
    rows = {name: summary(of) for name in names if (of := [o for o in done if o.cell == name])}
    berths = [outcome for outcome in done if CELLS[outcome.cell].capacity == 1]
    if berths:
        rows["all berths"] = summary(berths)
    if options.json:
        print(json.dumps({"refused": len(outcomes) - len(done), "cells": rows}, indent=1))
        return 0
    print(_table(rows))
    seconds = _processor_seconds() - started
    print(f"{len(done)} site-years, {len(outcomes) - len(done)} refused; {seconds:.0f} s of processor time")
    return 0


def _noted(number: int, count: int, cell: str, setting: Setting, seed: int) -> Outcome | None:
    outcome = run(cell, setting, seed)
    if number % 10 == 0 or number == count:
        print(f"{number} of {count}", file=sys.stderr, flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
