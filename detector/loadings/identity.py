"""Is it the same ship? Place, size and axis of two sightings, weighed against the other ships of the zone.

The log ratio of a pair is log p(both measurements | one ship) - log p(both | two ships). Each ship has true
values drawn from the population of the zone; each sighting measures them with Gaussian errors. The population
is a mixture: one wide component that holds any ship anywhere in the zone, and a kernel at each sighting of the series. So
"it lies where the other lay" says much in an open anchorage and nothing at a jetty where every ship lies at
the same fenders, and "both are 175 m" says little where all ships are.

How long a ship stays is not in the ratio: the model of stays adds it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: log ratios are cut off here; no pair of sightings at 10 m says more.
LIMIT = 20.0
MOORED_KINDS = ("coal_berth", "berth")

_WIDE_WEIGHT = 3.0  # of the wide component, in sightings
# Sightings a few days apart may be of one ship, and a ship must not be its own evidence that others look
# like it: the sightings of a look count in full only where the neighbouring looks are this far, days.
_APART = 10.0
_MOST_KERNELS = 64
_OPEN_M = 500.0  # kernels of places in an open anchorage
_AT_ONCE = 2000  # sightings held against all kernels in one array


@dataclass(frozen=True)
class Errors:
    """Standard deviations of one measurement at 10 m pixels, and how often a measurement is worth nothing.

    Attributes:
        length_m, width_m: an outline at half level is off by a pixel at either end.
        place_m: centre of a moored hull: registration of the scenes and the outline.
        scope_m: horizontal reach of the anchor chain. A ship at anchor swings about the anchor with its centre at
            this and half its length; the swinging circle of the textbooks is chain and length.
        axis_deg: long axis of a moored hull of 100 m or more; shorter hulls in proportion. At anchor the axis
            is free.
        colour: of one channel, where colours are given, in the units of the colours.
        place_doubt, size_doubt, axis_doubt: chance that a ship that stayed was shifted to another place, that
            its box was cut or merged with another, that its axis is wrong.
    """

    length_m: float = 12.0
    width_m: float = 5.0
    place_m: float = 15.0
    scope_m: float = 75.0
    axis_deg: float = 8.0
    colour: float = 0.1
    place_doubt: float = 0.05
    size_doubt: float = 0.03
    axis_doubt: float = 0.1


@dataclass(frozen=True)
class Sightings:
    """The vessels seen in one zone; every array has a row a vessel.

    Attributes:
        days: time of the look.
        xy: (n, 2) centre, metres east and north of any point nearby.
        length_m, width_m: NaN where unknown.
        axis_deg: 0-180 clockwise from north; NaN where unknown.
        colour: (n, channels) or None.
    """

    days: Floats
    xy: Floats
    length_m: Floats
    width_m: Floats
    axis_deg: Floats
    colour: Floats | None = None


class Identity:
    """Same-ship ratios of the sightings of one zone.

    Args:
        kind: of the zone; ships lie fast at berths and swing elsewhere.
        area_m2: of the zone.
    """

    def __init__(self, sightings: Sightings, kind: str, area_m2: float, errors: Errors | None = None) -> None:
        errors = errors or Errors()
        kernels, weights = _kernels(sightings.days)
        self._parts = [_size(sightings, errors, kernels, weights)]
        if kind in MOORED_KINDS:
            self._parts.append(_berth_place(sightings, errors, kernels, weights, area_m2))
            self._parts.append(_axis(sightings, errors, kernels, weights))
        else:
            self._parts.append(_anchor_place(sightings, errors, kernels, weights, area_m2))
        if sightings.colour is not None:
            self._parts.append(_colour(sightings.colour, errors, kernels, weights))

    def log_ratio(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> Floats:
        """Log ratio of each pair (one[i], other[i]) of sightings, within ±LIMIT."""
        total = np.zeros(len(one))
        for part in self._parts:
            total += part.log_ratio(one, other)
        return np.clip(total, -LIMIT, LIMIT)


@dataclass(frozen=True)
class _Part:
    """One kind of evidence: d numbers a sighting, measured with Gaussian errors.

    Attributes:
        values, noise: (n, d) measurements and their standard deviations; NaN measurements say nothing.
        centres, spread, weights: (k, d), (k, d), (k,) Gaussian components of the population.
        flat: density of the component that is even over all values, its weight included.
        doubt: chance that a measurement of a ship that stayed says nothing about it.
        period: of angles.
    """

    values: Floats
    noise: Floats
    centres: Floats
    spread: Floats
    weights: Floats
    flat: float
    doubt: float
    period: float | None = None

    def log_ratio(self, one: NDArray[np.int64], other: NDArray[np.int64]) -> Floats:
        """Log ratio of pairs of sightings.

        With a = t + e, b = t + f for one ship and errors of equal variance s², b - a ~ N(0, 2 s²) and
        (a + b)/2 ~ N(centre, spread² + s²/2) are independent, so the integral over the ship t is closed.
        """
        step = self._wrapped(self.values[other] - self.values[one])
        noise = np.sqrt((self.noise[one] ** 2 + self.noise[other] ** 2) / 2)
        result = np.full(len(step), np.log(self.doubt))
        unknown = ~np.isfinite(step).all(axis=1)
        result[unknown] = 0.0
        near = np.flatnonzero((np.abs(step) < 8 * noise).all(axis=1) & ~unknown)
        if len(near):
            middle = self.values[one[near]] + step[near] / 2
            same = _log_normal(step[near], np.sqrt(2) * noise[near])
            same += self._log_density(middle, noise[near] / np.sqrt(2))
            apart = self._log_each[one[near]] + self._log_each[other[near]]
            log_ratio = np.minimum(same - apart, LIMIT)
            result[near] = np.log(self.doubt + (1 - self.doubt) * np.exp(log_ratio))
        return result

    @cached_property
    def _log_each(self) -> Floats:
        """(n,) log density of the population at each sighting."""
        return self._log_density(self.values, self.noise)

    def _wrapped(self, step: Floats) -> Floats:
        if self.period is None:
            return step
        return np.asarray((step + self.period / 2) % self.period - self.period / 2)

    def _log_density(self, values: Floats, noise: Floats) -> Floats:
        """Log density of the population, seen through noise, at (m, d) values."""
        total = np.full(len(values), self.flat)
        for start in range(0, len(values), _AT_ONCE):
            some = slice(start, start + _AT_ONCE)
            away = self._wrapped(values[some, None] - self.centres)
            deviation = np.sqrt(self.spread**2 + noise[some, None] ** 2)
            total[some] += np.exp(_log_normal(away, deviation)) @ self.weights
        return np.asarray(np.log(np.maximum(total, 1e-300)))


def _log_normal(away: Floats, deviation: Floats) -> Floats:
    """Log density of independent normal errors, summed over the last axis."""
    return np.asarray(
        (-0.5 * (away / deviation) ** 2 - np.log(deviation) - 0.5 * np.log(2 * np.pi)).sum(axis=-1)
    )


def _kernels(days: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Sightings that stand for the population, and their weights; the wide component has the rest of 1."""
    if not len(days):
        return np.zeros(0, np.int64), np.zeros(0)
    looks, which = np.unique(days, return_inverse=True)
    edges = np.concatenate([[-np.inf], (looks[1:] + looks[:-1]) / 2, [np.inf]])
    weights = np.minimum(np.diff(edges) / _APART, 1.0)[which]
    order = np.argsort(days, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(days) - 1, _MOST_KERNELS).round().astype(np.int64))]
    total = weights.sum()
    part = weights[chosen] / weights[chosen].sum()
    return chosen, part * total / (total + _WIDE_WEIGHT)


def _part(
    values: Floats,
    noise: Floats,
    kernels: NDArray[np.int64],
    weights: Floats,
    spread: Floats | float,
    *,
    flat: float,
    doubt: float,
    period: float | None = None,
    wide: tuple[Floats, Floats] | None = None,
) -> _Part:
    """A part whose wide component is even with density `flat`, or normal with `wide` (centre, spread)."""
    known = np.isfinite(values[kernels]).all(axis=1)
    centres, share = values[kernels][known], weights[known]
    spreads = np.broadcast_to(spread, centres.shape)
    rest = 1.0 - share.sum()
    if wide is not None:
        centres, spreads = np.vstack([centres, wide[0]]), np.vstack([spreads, wide[1]])
        share, rest = np.append(share, rest), 0.0
    return _Part(values, noise, centres, spreads, share, rest * flat, doubt, period)


def _size(sightings: Sightings, errors: Errors, kernels: NDArray[np.int64], weights: Floats) -> _Part:
    # Breadth follows length, about L/9 and some metres, so what is compared is the rest.
    values = np.column_stack([sightings.length_m, sightings.width_m - sightings.length_m / 9])
    noise = np.tile([errors.length_m, np.hypot(errors.width_m, errors.length_m / 9)], (len(values), 1))
    any_ship = (np.array([150.0, 12.0]), np.array([70.0, 10.0]))
    spread = np.array([8.0, 2.0])
    return _part(values, noise, kernels, weights, spread, flat=0.0, doubt=errors.size_doubt, wide=any_ship)


def _berth_place(
    sightings: Sightings, errors: Errors, kernels: NDArray[np.int64], weights: Floats, area_m2: float
) -> _Part:
    noise = np.full((len(sightings.xy), 2), errors.place_m)
    # Ships of one jetty lie some tens of metres apart, by their lengths and the fenders in use.
    return _part(
        sightings.xy, noise, kernels, weights, 10.0, flat=1 / max(area_m2, 1e4), doubt=errors.place_doubt
    )


def _anchor_place(
    sightings: Sightings, errors: Errors, kernels: NDArray[np.int64], weights: Floats, area_m2: float
) -> _Part:
    length = np.where(np.isfinite(sightings.length_m), sightings.length_m, 150.0)
    radius = length / 2 + errors.scope_m
    # A point on a circle has the variance radius²/2 in each direction.
    noise = np.repeat(np.hypot(radius / np.sqrt(2), errors.place_m)[:, None], 2, axis=1)
    # Where ships crowd in a part of the zone, a near place is weaker evidence than in the open: kernels are as narrow
    # as the sightings allow, by the rule for two dimensions of Silverman 1986, Density Estimation, with quartiles for
    # the deviation. Few sightings may all be of one ship: as far as the wide component counts, kernels stay wide.
    quartiles = np.percentile(sightings.xy, [25, 75], axis=0) if len(sightings.xy) else np.zeros((2, 2))
    narrow = np.minimum((quartiles[1] - quartiles[0]) / 1.34 * max(len(kernels), 1) ** (-1 / 6), _OPEN_M)
    known = weights.sum()
    spread = np.sqrt(known * narrow**2 + (1 - known) * _OPEN_M**2)
    return _part(
        sightings.xy, noise, kernels, weights, spread, flat=1 / max(area_m2, 1e4), doubt=errors.place_doubt
    )


def _axis(sightings: Sightings, errors: Errors, kernels: NDArray[np.int64], weights: Floats) -> _Part:
    length = np.where(np.isfinite(sightings.length_m), sightings.length_m, 50.0)
    noise = np.minimum(errors.axis_deg * 100 / np.clip(length, 10, 100), 45.0)[:, None]
    axis = (sightings.axis_deg % 180)[:, None]
    return _part(axis, noise, kernels, weights, 3.0, flat=1 / 180, doubt=errors.axis_doubt, period=180.0)


def _colour(colour: Floats, errors: Errors, kernels: NDArray[np.int64], weights: Floats) -> _Part:
    noise = np.full(colour.shape, errors.colour)
    known = colour[np.isfinite(colour).all(axis=1)]
    centre = known.mean(axis=0) if len(known) else np.zeros(colour.shape[1])
    wide = (centre, np.full(colour.shape[1], 5 * errors.colour))
    spread = np.full(colour.shape[1], errors.colour)
    return _part(colour, noise, kernels, weights, spread, flat=0.0, doubt=errors.size_doubt, wide=wide)
