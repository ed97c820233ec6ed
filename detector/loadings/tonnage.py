"""Tonnes and value: the draws of the loadings, carried through what ships hold, load and are worth.

Only visits at coal berths become tonnes. Each draw of the estimate says how many visits began in a period; the ones that
were seen keep their length and class, the unseen ones take theirs from ships seen at the same zone. What is unsure about
every ship alike (the line of tonnes against length, the fleet, the shares, the price) is drawn once for all zones and
periods of a draw, so that it does not average out in a year or a site. Explained in docs/tonnes.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.loadings.payload import CLASSES, Curves, Payload
from detector.loadings.prices import Prices
from detector.loadings.rows import Span, days_of

if TYPE_CHECKING:
    from detector.loadings.estimate import ZoneEstimate

Floats = NDArray[np.float64]
Visits = Sequence[Mapping[str, Any]]

COAL_KIND = "coal_berth"
_DRAWS = 2000  # the ends of an interval move by some 5 % of a standard deviation from one seed to the next
_SHORTEST_M = 15.0
# Ships of one berth differ by at least this much, as far as a few sightings can tell (standard deviation).
_LEAST_SPREAD_M = 20.0


class Fleet:
    """Joint draws of what all ships of a run have in common; the ships themselves differ on top of that."""

    def __init__(self, payload: Payload, draws: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self.draws = draws
        self.curves: dict[str, Curves] = {c: payload.capacity[c].curves(draws, rng) for c in CLASSES}
        self.is_cargo = {c: payload.capacity[c].is_cargo for c in CLASSES}
        self.common = np.exp(payload.fleet_spread * rng.standard_normal(draws))
        self.loading = payload.loading(draws, rng)
        # Which of the reported shares hold is as unsure as few reports make it: each draw has a bootstrap sample.
        self.shares = rng.choice(payload.shares, (draws, len(payload.shares)))

    def cargo(self, length_m: Floats, barge: NDArray[np.bool_]) -> Floats:
        """Tonnes of coal that ships take away; 0 for those that load none. Arrays (draws, n)."""
        rng, n = self._rng, length_m.shape[1]
        rows = np.arange(self.draws)[:, None]
        share = self.shares[rows, rng.integers(self.shares.shape[1], size=(self.draws, n))]
        z = rng.standard_normal((self.draws, n))
        cargo = np.zeros((self.draws, n))
        for name, mine in (("vessel", ~barge), ("coal_barge", barge)):
            if mine.any():
                tonnes = self.curves[name].tonnes(length_m, z) * (1.0 if self.is_cargo[name] else share)
                cargo = np.where(mine, tonnes, cargo)
        loads = rng.random((self.draws, n), np.float32) < self.loading[:, None]
        return np.asarray(cargo * loads * self.common[:, None])


@dataclass(frozen=True)
class _Sizes:
    """What is known of the ships of a zone: length with its error after all ships of the zone are considered, and class."""

    days: Floats
    length_m: Floats
    error_m: Floats
    barge: NDArray[np.bool_]


def add_tonnes(
    rows: Sequence[dict[str, Any]],
    kinds_of: Mapping[str, str],
    visits: Visits,
    estimates: Mapping[str, ZoneEstimate | None],
    spans: Sequence[Span],
    payload: Payload,
    prices: Prices,
    *,
    loading_kinds: Sequence[str],
    length_error_m: float,
    seed: int,
) -> None:
    """Fill tonnes and value into the rows of the Loadings table, and say in their notes what they leave out.

    Args:
        rows: of zones and of the site (zone_id None); changed in place.
        kinds_of: kind of each zone.
        visits: rows of the Visits table.
        loading_kinds: kinds whose visits are loadings.
        length_error_m: standard deviation of the length of one sighting.
    """
    rng = np.random.default_rng([seed, 7])
    loading = [zone for zone, kind in kinds_of.items() if kind in loading_kinds]
    berths = [zone for zone in loading if kinds_of[zone] == COAL_KIND]
    fleet = Fleet(payload, _DRAWS, rng)
    worth = rng.random(_DRAWS)
    tonnes: dict[str, Floats | None] = {}
    for zone in berths:
        estimate = estimates[zone]
        sizes = _sizes([visit for visit in visits if visit["zone_id"] == zone], length_error_m)
        known = estimate is not None and len(estimate.draws) and len(sizes.days)
        tonnes[zone] = _zone_tonnes(estimate.draws, sizes, spans, fleet, rng) if estimate and known else None
    starts = {row["period_start"]: n for n, row in enumerate(r for r in rows if r["zone_id"] is None)}
    for row in rows:
        number, zone = starts[row["period_start"]], row["zone_id"]
        mine = berths if zone is None else [zone] if zone in berths else []
        if not mine:
            if zone in loading or (zone is None and loading):
                _remark(row, "no tonnes: only loadings at coal berths are taken for coal")
            continue
        if not _has_estimate(mine, estimates, number):
            continue  # the note says why already
        parts = [part for name in mine if (part := tonnes[name]) is not None]
        if len(parts) < len(mine):
            _remark(row, "no tonnes: no vessel was seen whose length could tell what ships carry")
            continue
        if zone is None and len(mine) < len(loading):
            _remark(row, f"tonnes of {', '.join(mine)} alone")
        _fill(row, np.sum([part[:, number] for part in parts], axis=0), spans[number], prices, worth)


def _has_estimate(zones: Sequence[str], estimates: Mapping[str, ZoneEstimate | None], number: int) -> bool:
    found = [estimates[zone] for zone in zones]
    return all(estimate is not None and math.isfinite(estimate.mean[number]) for estimate in found)


def _fill(row: dict[str, Any], tonnes: Floats, span: Span, prices: Prices, worth: Floats) -> None:
    low, high = np.quantile(tonnes, [0.05, 0.95])
    for name, value in (("tonnes", tonnes.mean()), ("tonnes_low", low), ("tonnes_high", high)):
        row[name] = round(float(value), -2)
    price = prices.over(*span.counted)
    if price is None:
        _remark(row, "no value: no price for all of this period")
        return
    value = tonnes * (price[0] + (price[1] - price[0]) * worth)
    for name, end in zip(("value_usd_low", "value_usd_high"), np.quantile(value, [0.05, 0.95]), strict=True):
        row[name] = round(float(end), -4)


def _remark(row: dict[str, Any], text: str) -> None:
    row["note"] = "; ".join(part for part in (row["note"], text) if part)


def _sizes(visits: Visits, length_error_m: float) -> _Sizes:
    """Lengths of visits, each drawn towards the mean of the zone as far as its error asks for.

    Without that, errors of measurement would be taken for differences between ships, and tonnes, which go with about the
    cube of the length, would come out too high.
    """
    known = [visit for visit in visits if math.isfinite(visit["length_m"])]
    length = np.array([visit["length_m"] for visit in known], float)
    if not len(length):
        return _Sizes(np.zeros(0), length, length, np.zeros(0, bool))
    variance = length_error_m**2 / np.array([visit["looks_seen"] for visit in known], float)
    between = max(float(length.var() - variance.mean()), _LEAST_SPREAD_M**2)
    weight = between / (between + variance)
    return _Sizes(
        days=np.array([days_of(visit["first_seen"]) for visit in known]),
        length_m=weight * length + (1 - weight) * length.mean(),
        error_m=np.sqrt(weight * variance),
        barge=np.array([visit["class"] == "coal_barge" for visit in known]),
    )


def _zone_tonnes(
    loadings: NDArray[np.int64], sizes: _Sizes, spans: Sequence[Span], fleet: Fleet, rng: np.random.Generator
) -> Floats:
    """Tonnes of each draw and period, (draws, periods)."""
    draws, visits = fleet.draws, len(sizes.days)
    number = loadings[np.arange(draws) % len(loadings)]
    rows = np.arange(draws)[:, None]
    # Few ships were seen, so which sizes call here is unsure too: each draw has a bootstrap sample of them.
    population = rng.integers(visits, size=(draws, visits), dtype=np.int32)
    result = np.zeros(number.shape)
    for period, span in enumerate(spans):
        low, high = span.counted
        seen = np.flatnonzero((sizes.days >= low) & (sizes.days < high))
        most = max(int(number[:, period].max()), 0)
        unseen = population[rows, rng.integers(visits, size=(draws, max(most - len(seen), 0)))]
        # The visits seen come first; where a draw may have fewer visits than were seen, in an order that changes.
        order = np.tile(seen, (draws, 1))
        if number[:, period].min() < len(seen):
            order = rng.permuted(order, axis=1)
        which = np.concatenate([order, unseen], axis=1)[:, :most]
        error = sizes.error_m[which] * rng.standard_normal(which.shape, np.float32)
        length = np.maximum(sizes.length_m[which] + error, _SHORTEST_M)
        cargo = fleet.cargo(length, sizes.barge[which])
        result[:, period] = (cargo * (np.arange(most) < number[:, period, None])).sum(axis=1)
    return result
