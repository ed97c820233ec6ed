"""Years of traffic at one zone and what looks would see of it: for calibrating the estimate of loadings.

No pixels are painted. Visits queue for the berth; overpasses come by the calendar; clouds hide some; the detector
misses and invents vessels; and each detection is measured with error. The ratio `the same ship` against
`another ship` is the exact one for Gaussian measurements of Gaussian fleets.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from detector.loadings.series import ZoneSeries

Floats = NDArray[np.float64]

YEAR = 365.0
_BURN_IN = 60.0
_TURNAROUND = 0.15  # days between one ship leaving and the next one alongside
_CAP = 12.0  # log ratios beyond this add nothing

# Mean, spread over the fleet and error of one measurement, metres: length, width, place along the berth. The error
# of length is that of a hull of 10 m pixels; the fleet is coasters to handy-size bulk carriers.
_BERTH = np.array([[130.0, 35.0, 13.0], [20.0, 5.0, 6.0], [0.0, 30.0, 12.0]])
# At anchor: the place east and north, which swings with the tide.
_ANCHOR = np.array([[130.0, 35.0, 13.0], [20.0, 5.0, 6.0], [0.0, 1200.0, 150.0], [0.0, 1200.0, 150.0]])


@dataclass(frozen=True)
class Setting:
    """What a site-year is drawn from.

    Attributes:
        calls: expected visits a year.
        stay_days, stay_cv, stay_kind: mean and coefficient of variation of stays, `gamma` or `lognormal`.
        revisit_days, clear: days between overpasses; chance that one is clear. recall, false_rate: of the detector.
        season: relative amplitude of the year's wave in the arrival rate, clouds opposed to it.
        stopped: (from, to) share of the year without any arrival, or None.
        convoy: mean number of ships that arrive together.
        capacity: 1 for a berth. Above: an anchorage, without queue.
        years: length.
        told_stay: factor by which the centre of the belief is wrong; None: the truth is a draw from the belief.
        told_factor: the 90 % half-width of the belief, a factor; 0 gives no belief.
        error: factor on the errors of all measurements.
    """

    calls: float = 60.0
    stay_days: float = 3.0
    stay_cv: float = 0.6
    stay_kind: str = "gamma"
    revisit_days: float = 2.5
    clear: float = 0.45
    recall: float = 0.88
    false_rate: float = 0.02
    season: float = 0.3
    stopped: tuple[float, float] | None = None
    convoy: float = 1.0
    capacity: int = 1
    years: float = 1.0
    told_stay: float | None = None
    told_factor: float = 1.414
    error: float = 1.0


@dataclass(frozen=True)
class SiteYears:
    """A series and its truth.

    Attributes:
        series: what the estimate gets. begin, leave: (v,) days, every visit that touches the span.
        told_recall: what an evaluation would have said of the detector.
        setting: what it was drawn from.
    """

    series: ZoneSeries
    begin: Floats
    leave: Floats
    told_recall: float
    setting: Setting

    def begun(self, start: float, end: float) -> int:
        """Visits that began in [start, end)."""
        return int(((self.begin >= start) & (self.begin < end)).sum())

    def seen(self) -> int:
        """Visits of the span that some look fell into."""
        times = self.series.times
        return int((np.searchsorted(times, self.leave) > np.searchsorted(times, self.begin)).sum())


def simulate(setting: Setting, seed: int) -> SiteYears:
    """Draw the traffic, the looks and the measurements; the same arguments give the same."""
    rng = np.random.default_rng([seed, 4])
    days = setting.years * YEAR
    phase = rng.uniform(0, 2 * np.pi)
    begin, leave = _visits(setting, days, phase, rng)
    times = _looks(setting, days, phase, rng)
    series = _seen(setting, begin, leave, times, days, rng)
    logit = np.log(setting.recall / (1 - setting.recall)) + rng.normal(0, 0.4)
    touches = (leave > 0) & (begin < days)
    return SiteYears(series, begin[touches], leave[touches], float(1 / (1 + np.exp(-logit))), setting)


def _visits(setting: Setting, days: float, phase: float, rng: np.random.Generator) -> tuple[Floats, Floats]:
    span = days + _BURN_IN
    events = rng.poisson(setting.calls / setting.convoy * span / YEAR * (1 + setting.season))
    times = rng.uniform(-_BURN_IN, days, events)
    wave = 1 + setting.season * np.sin(2 * np.pi * times / YEAR + phase)
    times = times[rng.random(events) * (1 + setting.season) < wave]
    sizes = (
        1 + rng.poisson(setting.convoy - 1, len(times)) if setting.convoy > 1 else np.ones(len(times), int)
    )
    arrive = np.sort(np.repeat(times, sizes) + rng.exponential(0.1, int(sizes.sum())))
    if setting.stopped:
        share = arrive / days
        arrive = arrive[(share < setting.stopped[0]) | (share > setting.stopped[1])]
    stay = _stays(setting, len(arrive), rng)
    if setting.capacity > 1:
        return arrive, arrive + stay
    begin, free = np.empty(len(arrive)), -np.inf
    for ship in range(len(arrive)):
        begin[ship] = max(arrive[ship], free + _TURNAROUND)
        free = begin[ship] + stay[ship]
    return begin, begin + stay


def _stays(setting: Setting, count: int, rng: np.random.Generator) -> Floats:
    mean, cv = setting.stay_days, setting.stay_cv
    if setting.stay_kind == "gamma":
        return rng.gamma(1 / cv**2, mean * cv**2, count)
    if setting.stay_kind == "lognormal":
        variance = np.log1p(cv**2)
        return rng.lognormal(np.log(mean) - variance / 2, np.sqrt(variance), count)
    raise ValueError(f"stay_kind is {setting.stay_kind!r}; use gamma or lognormal")


def _looks(setting: Setting, days: float, phase: float, rng: np.random.Generator) -> Floats:
    """Usable looks: whole days by the calendar, at one local time; clouds persist and have their season."""
    due = np.arange(rng.uniform(0, setting.revisit_days), days, setting.revisit_days)
    times = np.unique(np.floor(due)) + 0.1 + rng.uniform(0, 0.01)
    times = times[times < days]
    weather = np.empty(len(times))
    last, last_time = rng.normal(), -1.0
    for look, time in enumerate(times):
        keep = np.exp(-(time - last_time) / 2.0)
        last, last_time = keep * last + np.sqrt(1 - keep**2) * rng.normal(), time
        weather[look] = last
    chance = np.clip(setting.clear * (1 - 0.4 * np.sin(2 * np.pi * times / YEAR + phase)), 0.03, 0.97)
    return times[weather < np.array([NormalDist().inv_cdf(c) for c in chance])]


def _seen(
    setting: Setting, begin: Floats, leave: Floats, times: Floats, days: float, rng: np.random.Generator
) -> ZoneSeries:
    fleet = (_BERTH if setting.capacity == 1 else _ANCHOR) * [1.0, 1.0, setting.error]
    ships = rng.normal(fleet[:, 0], fleet[:, 1], (len(begin), len(fleet)))
    found: list[Floats] = []
    for time in times:
        present = np.flatnonzero((begin <= time) & (time < leave))
        here = ships[present[rng.random(len(present)) < setting.recall]]
        false = _false_vessels(setting, len(present), rng)
        real = np.concatenate([here, rng.normal(fleet[:, 0], fleet[:, 1], (false, len(fleet)))])
        found.append(rng.normal(real, fleet[:, 2]))
    ratios = [log_ratio(a, b, fleet) for a, b in zip(found[:-1], found[1:], strict=True)]
    last = np.zeros(len(times))
    before: Floats | None = None
    for look, vessels in enumerate(found):
        if setting.capacity == 1 and len(vessels):
            last[look] = 0.0 if before is None else log_ratio(before, vessels, fleet)[0, 0]
            before = vessels
    return ZoneSeries(
        zone_id="simulated",
        kind="coal_berth" if setting.capacity == 1 else "anchorage",
        capacity=setting.capacity,
        stay_days=_told(setting, rng),
        times=times,
        count=np.array([len(vessels) for vessels in found], dtype=np.int64),
        same_log_ratio=ratios,
        start=0.0,
        end=days,
        last_log_ratio=last if setting.capacity == 1 else None,
    )


def _false_vessels(setting: Setting, present: int, rng: np.random.Generator) -> int:
    if setting.capacity > 1:
        return int(rng.poisson(setting.false_rate))
    return int(present == 0 and rng.random() < setting.false_rate)


def log_ratio(first: Floats, second: Floats, fleet: Floats = _BERTH) -> Floats:
    """(a, b) log p(measurements | one ship) - log p(measurements | two ships of the fleet).

    Args:
        first, second: (a, k) and (b, k) measurements. fleet: (k, 3) mean, spread, error.
    """
    mean, spread, error = fleet.T
    one, other = (first - mean)[:, None, :], (second - mean)[None, :, :]
    total = spread**2 + error**2
    shared = spread**2 / total
    left = 1 - shared**2
    quadratic = (one**2 + other**2 - 2 * shared * one * other) / (total * left) - (one**2 + other**2) / total
    return np.asarray(np.clip(-0.5 * (np.log(left) + quadratic).sum(axis=2), -_CAP, _CAP))


def _told(setting: Setting, rng: np.random.Generator) -> tuple[float, float] | None:
    """The site's belief: the truth is a draw from it, or it is wrong by the factor asked for."""
    half = setting.told_factor
    if not half:
        return None
    off = setting.told_stay or float(np.exp(rng.normal(0, np.log(half) / 1.645)))
    return setting.stay_days * off / half, setting.stay_days * off * half
