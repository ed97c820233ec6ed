"""The weeks of one zone: links within each week, and draws of how many different vessels were seen and were there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.detections import Detections
from detector.loadings.identity import LIMIT, Errors
from detector.loadings.links import Pairs, fit_stay, link, pairs_of
from detector.loadings.littles_law import unobserved_share
from detector.loadings.tables import Tables, ZoneLooks
from detector.loadings.visits import identity_of

Floats = NDArray[np.float64]

_DRAWS = 2000


class ZoneWeeks:
    """What each week of a zone shows."""

    def __init__(
        self,
        at: ZoneLooks,
        tables: Tables,
        weeks: Sequence[tuple[float, float]],
        mmsi: Mapping[tuple[Any, ...], int],
        recall: float,
        rng: np.random.Generator,
    ) -> None:
        self.at, self.weeks, self.recall, self._rng = at, weeks, recall, rng
        self.spans = [(max(start, tables.start), min(end, tables.end)) for start, end in weeks]
        vessels = at.vessels
        self.week_of = np.searchsorted([start for start, _ in weeks], at.times[at.look], side="right") - 1
        pairs = _named(pairs_of(at, identity_of(at, Errors())), vessels, mmsi)
        self.stay = fit_stay(at, pairs, recall)
        # Pairs of one week only: a ship of last week counts again, so nothing may tie the weeks.
        mine = self.week_of[pairs.one] == self.week_of[pairs.other]
        within = Pairs(
            *(getattr(pairs, name)[mine] for name in ("one", "other", "gap", "missed", "log_ratio"))
        )
        links = link(at, within, self.stay, recall)
        self.began = np.clip(links.began, 0.0, 1.0)
        self._chains: dict[int, list[tuple[list[int], set[str]]]] = defaultdict(list)
        for chain in links.chains():
            self._chains[int(self.week_of[chain[0]])].append((chain, self._groups_of(chain)))
        self.first = rng.random((_DRAWS, len(self.began))) < self.began

    @property
    def passing(self) -> bool:
        return self.at.zone.kind == "area"

    def looks(self, number: int, *, usable: bool) -> Floats:
        start, end = self.weeks[number]
        chosen = (self.at.times >= start) & (self.at.times < end) & (self.at.usable if usable else True)
        return np.asarray(self.at.times[chosen])

    def observed(self, number: int) -> float:
        """Share of the week after which a usable look of it follows within one mean stay."""
        return 1.0 - unobserved_share(self.looks(number, usable=True), *self.spans[number], self.stay)

    def vessels(self, number: int, group: str) -> tuple[int, Floats, Floats | None]:
        """Different vessels seen, draws of that number, and draws of all that were there (None: not known)."""
        chains = [chain for chain, groups in self._chains.get(number, []) if group in groups]
        members = np.array([one for chain in chains for one in chain], np.int64)
        # Two hulls in one look are two ships, whatever the draws say.
        least = int(np.bincount(self.at.look[members]).max(initial=0))
        seen = np.maximum(self.first[:, members].sum(axis=1), least)
        usable = self.at.usable[self.at.look[members]]
        counted = np.minimum(self.first[:, members[usable]].sum(axis=1), seen)
        chance = chance_seen(self.looks(number, usable=True), *self.spans[number], self.stay, self.recall)
        if self.passing or chance <= 0:
            return len(chains), seen.astype(float), None
        # Gamma-Poisson: the number there has Jeffreys' prior for a rate, and each was seen with the same chance.
        missed = self._rng.negative_binomial(counted + 0.5, chance)
        return len(chains), seen.astype(float), np.maximum(seen, counted + missed).astype(float)

    def _groups_of(self, chain: list[int]) -> set[str]:
        vessels = self.at.vessels
        confidence = vessels["confidence"][chain]
        barge = 2 * confidence[vessels["class"][chain] == "coal_barge"].sum() > confidence.sum()
        flags = {f"flag:{flag}" for one in chain for flag in vessels["flags"][one]}
        return {"all", f"class:{'coal_barge' if barge else 'vessel'}", *flags}


def _named(pairs: Pairs, vessels: Detections, mmsi: Mapping[tuple[Any, ...], int]) -> Pairs:
    """Pairs with what AIS knows: hulls of one MMSI are one ship, of two MMSIs two."""
    keys = zip(vessels["scene_id"], vessels["lon"].tolist(), vessels["lat"].tolist(), strict=True)
    numbers = np.array([mmsi.get(key, -1) for key in keys], np.int64)
    one, other = numbers[pairs.one], numbers[pairs.other]
    known = (one >= 0) & (other >= 0)
    ratio = np.where(known, np.where(one == other, LIMIT, -LIMIT), pairs.log_ratio)
    return replace(pairs, log_ratio=ratio)


def chance_seen(times: Floats, start: float, end: float, stay: float, recall: float) -> float:
    """Chance that a vessel that is there at some time from start to end is seen at one of the looks.

    Ships come evenly and stay exponentially: of those there at some time, stay / (stay + end - start) were there at
    the start.
    """
    points = 64
    begins = np.append(start, start + (np.arange(points) + 0.5) * (end - start) / points)
    weight = np.append(stay, np.full(points, (end - start) / points)) / (stay + end - start)
    wait = times - begins[:, None]
    later = np.cumsum(wait >= 0, axis=1) - 1  # looks before this one that missed it
    caught = np.where(wait >= 0, recall * (1 - recall) ** later * np.exp(-np.maximum(wait, 0) / stay), 0.0)
    return float((weight * caught.sum(axis=1)).sum())
