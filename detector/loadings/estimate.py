"""The estimate of loadings: how many visits began in each period, as draws from the posterior.

`estimate` hands berths to the hidden Markov chain and zones for several vessels to the model of anchorages.
The method is explained in docs/estimate.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detector.errors import ConfigError
from detector.loadings import littles_law
from detector.loadings.beliefs import NORMAL_95, SeeingBelief, StayBelief
from detector.loadings.posterior import Posterior, Question
from detector.loadings.series import ZoneSeries
from detector.wording import counted

Floats = NDArray[np.float64]

# Below these nothing is estimated: ten looks cannot tell one ship a week from one a month, and a month
# that was seen once or never would get its figure from its neighbours alone.
LEAST_LOOKS = 10
LEAST_LOOKS_A_PERIOD = 2


@dataclass(frozen=True)
class ZoneEstimate:
    """Visits that began in each of p periods at one zone.

    A refused period has NaN in mean, low and high and its reason in notes; it still counts in draws, so that a
    year is not short of its cloudy month. A refused zone has no draws and its reason in note.

    Attributes:
        periods: (p, 2) days since 1970-01-01 UTC, cut to the span of the series.
        looks: (p,) usable looks.
        mean, low, high: (p,) posterior mean and 90 % interval, ends included: at most 5 % of the probability lies
            below low and at most 5 % above high.
        draws: (k, p) int joint draws. Sums over periods, and over the zones of a site, are draws of the sum.
        total: mean, low and high of the sum over all periods.
        mean_stay_days, mean_stay_low, mean_stay_high: posterior of the mean stay, 90 %.
        stay_source: `looks` if they narrowed the belief to less than two thirds, else `site` or `default`.
        recall: posterior mean.
        detection_probability: (p,) share of the visits that some usable look showed.
        unobserved_share: (p,) share of the period after which no usable look follows within a mean stay.
        littles_law: (p,) mean number present x days / mean stay, with mean_stay_days.
        sensitivity: (2, p) mean if the mean stay were the low and the high end of the belief.
        vessel_days: (3, p) vessels present x days: mean, low, high.
    """

    zone_id: str
    periods: Floats
    looks: NDArray[np.int64]
    mean: Floats
    low: Floats
    high: Floats
    draws: NDArray[np.int64]
    total: tuple[float, float, float]
    mean_stay_days: float
    mean_stay_low: float
    mean_stay_high: float
    stay_source: str
    recall: float
    detection_probability: Floats
    unobserved_share: Floats
    littles_law: Floats
    sensitivity: Floats
    vessel_days: Floats
    notes: tuple[str | None, ...]
    note: str | None


def interval(draws: NDArray[np.integer] | Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, low and high of the 90 % interval over the first axis; NaN without draws.

    Quantiles are draws, not values between them: the interval of a count has whole ends, and holds 90 % or more.
    """
    if not len(draws):
        nothing = np.full(np.shape(draws)[1:], np.nan)
        return nothing, nothing.copy(), nothing.copy()
    low, high = np.quantile(draws, [0.05, 0.95], axis=0, method="inverted_cdf")
    return draws.mean(axis=0), low.astype(float), high.astype(float)


def estimate(
    series: ZoneSeries,
    periods: Sequence[tuple[float, float]],
    *,
    recall: float = 0.85,
    recall_spread: float = 0.06,
    false_rate: float = 0.02,
    false_spread: float = 0.02,
    draws: int = 320,
    seed: int = 0,
) -> ZoneEstimate:
    """Estimate how many visits began in each period.

    Args:
        periods: (start, end) in days since 1970-01-01 UTC, in order and without overlap; cut to the span.
        recall, recall_spread: mean and standard deviation of the belief about the share of present vessels that a
            usable look shows, from the evaluation of the detector.
        false_rate, false_spread: the same for the chance that an empty berth shows a vessel; of a zone for several
            vessels, false vessels a look.
        draws: joint draws from the posterior.
        seed: the same arguments give the same draws.

    Raises:
        ConfigError: rates that are no probabilities, or periods that overlap or are not in order.
    """
    seeing = SeeingBelief(recall, recall_spread, false_rate, false_spread)
    belief = StayBelief.of(series.stay_days)
    spans = _spans(series, periods)
    looks = np.array([_looks_in(series, *span) for span in spans], dtype=np.int64)
    if len(series) < LEAST_LOOKS:
        return _refused(
            series,
            spans,
            looks,
            f"{counted(len(series), 'usable look')}, and an estimate needs {LEAST_LOOKS}",
        )
    asked = Question(series, belief, seeing, spans, draws)
    return _told(asked, looks, _posterior(asked, np.random.default_rng(seed)))


def at_least(estimate: ZoneEstimate, seen: NDArray[np.int64]) -> ZoneEstimate:
    """The estimate given that so many visits (p,) are known to have begun in each period, seen and linked.

    Draws of the model weigh links and false detections anew and may fall below; beside a table of visits, which states
    them, they would contradict it.
    """
    draws = np.maximum(estimate.draws, seen)
    mean, low, high = interval(draws)
    for values in (mean, low, high):
        values[~np.isfinite(estimate.mean)] = np.nan
    return replace(
        estimate, draws=draws, mean=mean, low=low, high=high, total=_three(interval(draws.sum(axis=1)))
    )


def _posterior(asked: Question, rng: np.random.Generator) -> Posterior:
    if asked.series.capacity == 1:
        from detector.loadings.berthposterior import berth_posterior

        return berth_posterior(asked, rng)
    from detector.loadings.anchorage import anchorage_posterior

    return anchorage_posterior(asked, rng)


def _spans(series: ZoneSeries, periods: Sequence[tuple[float, float]]) -> Floats:
    spans = np.asarray(periods, dtype=np.float64).reshape(-1, 2)
    if not len(spans) or (spans[:, 1] <= spans[:, 0]).any() or (spans[1:, 0] < spans[:-1, 1]).any():
        raise ConfigError(f"periods {list(periods)!r}; give (start, end) pairs in order that do not overlap")
    cut = np.clip(spans, series.start, series.end)
    if (cut[:, 1] <= cut[:, 0]).any():
        raise ConfigError(
            f"zone {series.zone_id!r}: a period lies outside the counted span, days {series.start:g} to "
            f"{series.end:g}; leave it out"
        )
    return np.asarray(cut)


def _looks_in(series: ZoneSeries, start: float, end: float) -> int:
    return int(((series.times >= start) & (series.times < end)).sum())


def _told(asked: Question, looks: NDArray[np.int64], posterior: Posterior) -> ZoneEstimate:
    series, belief, seeing, spans = asked.series, asked.belief, asked.seeing, asked.spans
    mean, low, high = interval(posterior.starts)
    stay = np.exp(np.log(posterior.stay_days).mean())
    # Few values of the stay are on the grid: their spread says more than their quantiles.
    spread = float(np.log(posterior.stay_days).std())
    recall = float(posterior.recall.mean())
    notes: list[str | None] = [
        None
        if n >= LEAST_LOOKS_A_PERIOD
        else f"{counted(n, 'usable look')}, and an estimate needs {LEAST_LOOKS_A_PERIOD}"
        for n in looks
    ]
    refused = np.array([note is not None for note in notes])
    for values in (mean, low, high):
        values[refused] = np.nan
    counts = [series.count[(series.times >= a) & (series.times < b)] for a, b in spans]
    return ZoneEstimate(
        zone_id=series.zone_id,
        periods=spans,
        looks=looks,
        mean=mean,
        low=low,
        high=high,
        draws=posterior.starts,
        total=_three(interval(posterior.starts.sum(axis=1))),
        mean_stay_days=float(stay),
        mean_stay_low=float(stay * np.exp(-NORMAL_95 * spread)),
        mean_stay_high=float(stay * np.exp(NORMAL_95 * spread)),
        stay_source="looks" if spread < belief.spread * 2 / 3 else belief.source,
        recall=recall,
        detection_probability=np.array(
            [
                littles_law.detection_probability(series.times, a, b, stay, posterior.shape, recall)
                for a, b in spans
            ]
        ),
        unobserved_share=np.array([littles_law.unobserved_share(series.times, a, b, stay) for a, b in spans]),
        littles_law=np.array(
            [
                littles_law.littles_law(
                    count, b - a, stay, recall=recall, false_rate=seeing.false_rate, capacity=series.capacity
                )
                for count, (a, b) in zip(counts, spans, strict=True)
            ]
        ),
        sensitivity=posterior.sensitivity,
        vessel_days=np.stack(interval(posterior.vessel_days)),
        notes=tuple(notes),
        note=None,
    )


def _three(values: tuple[Floats, Floats, Floats]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _refused(series: ZoneSeries, spans: Floats, looks: NDArray[np.int64], reason: str) -> ZoneEstimate:
    nothing = np.full(len(spans), np.nan)
    return ZoneEstimate(
        zone_id=series.zone_id,
        periods=spans,
        looks=looks,
        mean=nothing,
        low=nothing.copy(),
        high=nothing.copy(),
        draws=np.zeros((0, len(spans)), dtype=np.int64),
        total=(np.nan, np.nan, np.nan),
        mean_stay_days=np.nan,
        mean_stay_low=np.nan,
        mean_stay_high=np.nan,
        stay_source="",
        recall=np.nan,
        detection_probability=nothing.copy(),
        unobserved_share=nothing.copy(),
        littles_law=nothing.copy(),
        sensitivity=np.full((2, len(spans)), np.nan),
        vessel_days=np.full((3, len(spans)), np.nan),
        notes=(reason,) * len(spans),
        note=reason,
    )
