"""Rows of the Loadings table: a zone and period each, and the whole site."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from detector.loadings.beliefs import StayBelief
from detector.loadings.overpasses import overpass_starts
from detector.loadings.sites import Zone
from detector.loadings.tables import Tables, ZoneLooks
from detector.wording import counted

if TYPE_CHECKING:
    from detector.loadings.estimate import ZoneEstimate

Period = Literal["month", "quarter", "year", "all"]
PERIODS: tuple[Period, ...] = ("month", "quarter", "year", "all")
COLUMNS = (
    "site", "zone_id", "period_start", "period_end", "looks", "usable_looks", "visits_seen", "loadings", "loadings_low",
    "loadings_high", "mean_stay_days", "stay_source", "detection_probability", "tonnes", "tonnes_low", "tonnes_high",
    "value_usd_low", "value_usd_high", "note",
)  # fmt: skip

TEXT_COLUMNS = ("site", "zone_id", "period_start", "period_end", "stay_source", "note")

#: Kinds whose visits are loadings, and which the row of the whole site adds up.
LOADING_KINDS = ("coal_berth", "berth")
#: A ship that lies at a berth for longer, days, may be none.
FIXED_DAYS = 60.0


@dataclass(frozen=True)
class Span:
    """A calendar period and the part of it that is counted, days since 1970-01-01 UTC."""

    start: datetime
    end: datetime
    counted: tuple[float, float]

    @property
    def whole(self) -> bool:
        return self.counted == (_days(self.start), _days(self.end))


def _days(when: datetime) -> float:
    return when.timestamp() / 86400


def _when(days: float) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=days)


def periods_of(start: float, end: float, period: Period) -> list[Span]:
    first, last = _when(start), _when(end)
    if period == "all":
        return [Span(first, last, (start, end))]
    months = {"month": 1, "quarter": 3, "year": 12}[period]
    month = first.year * 12 + (first.month - 1) // months * months
    spans: list[Span] = []
    while True:
        begin, finish = (datetime(m // 12, m % 12 + 1, 1, tzinfo=UTC) for m in (month, month + months))
        if begin >= last:
            return spans
        spans.append(Span(begin, finish, (max(_days(begin), start), min(_days(finish), end))))
        month += months


def _text(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def zone_rows(
    looks: ZoneLooks,
    visits: Sequence[Mapping[str, Any]],
    estimate: ZoneEstimate | None,
    site: str,
    spans: Sequence[Span],
    kinds: Sequence[str],
) -> list[dict[str, Any]]:
    """A row a period for one zone.

    A visit is counted where it was first seen. That it may have begun before, in the gap before the first
    sighting, is said in the note.
    """
    seen = np.array([days_of(visit["first_seen"]) for visit in visits], float)
    of_zone = _zone_notes(looks, visits, kinds)
    rows = []
    for number, span in enumerate(spans):
        low, high = span.counted
        during = (looks.times >= low) & (looks.times < high)
        first_seen = (seen >= low) & (seen < high)
        row = _blank(site, looks.zone.id, span)
        row["looks"], row["usable_looks"] = int(during.sum()), int((during & looks.usable).sum())
        row["visits_seen"] = int(first_seen.sum())
        notes = [_part_note(span), *of_zone]
        notes.append(_early_note(visits, span))
        if estimate is not None:
            row |= _estimated(estimate, number)
            notes += _estimate_notes(estimate, number, looks.zone)
        row["note"] = "; ".join(note for note in notes if note)
        rows.append(row)
    return rows


def _early_note(visits: Sequence[Mapping[str, Any]], span: Span) -> str:
    """How many visits were first seen in a span, but may have begun in the gap before; "" for none."""
    low, high = span.counted
    seen = np.array([days_of(visit["first_seen"]) for visit in visits], float)
    began = np.array([days_of(visit["arrived_after"]) for visit in visits], float)
    early = int(((seen >= low) & (seen < high) & ~(began >= low)).sum())
    return f"{early} of the visits seen may have begun before the period" if early else ""


def began_within(visits: Sequence[Mapping[str, Any]], spans: Sequence[Span]) -> NDArray[np.int64]:
    """Visits first seen in each span that cannot have begun before: the look before, in the same span, did not show them."""
    seen = np.array([days_of(visit["first_seen"]) for visit in visits], float)
    began = np.array([days_of(visit["arrived_after"]) for visit in visits], float)
    return np.array([((began >= span.counted[0]) & (seen < span.counted[1])).sum() for span in spans], np.int64)


def _estimated(estimate: ZoneEstimate, number: int) -> dict[str, Any]:
    return {
        "loadings": float(estimate.mean[number]),
        "loadings_low": float(estimate.low[number]),
        "loadings_high": float(estimate.high[number]),
        "mean_stay_days": float(estimate.mean_stay_days),
        "stay_source": estimate.stay_source or None,
        "detection_probability": float(estimate.detection_probability[number]),
    }


def _estimate_notes(estimate: ZoneEstimate, number: int, zone: Zone) -> list[str]:
    """Why there is no estimate, or what to hold it against."""
    if not math.isfinite(estimate.mean[number]):
        return [f"no estimate: {estimate.notes[number] or estimate.note}"]
    belief = StayBelief.of(zone.stay_days)
    short, long = estimate.sensitivity[:, number]
    return [
        f"Little's law {estimate.littles_law[number]:.1f}",
        f"{estimate.unobserved_share[number]:.0%} of the time unobserved",
        f"{short:.1f} if ships stayed {belief.low:g} days, {long:.1f} if {belief.high:g}",
    ]


def _blank(site: str, zone_id: str | None, span: Span) -> dict[str, Any]:
    """A row with nothing known; tonnes and value are filled in by `tonnage`."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS, math.nan)
    bounds = {"period_start": _text(span.start), "period_end": _text(span.end)}
    return {**row, "site": site, "zone_id": zone_id, **bounds, "stay_source": None, "note": ""}


def _part_note(span: Span) -> str:
    if span.whole:
        return ""
    first, last = _when(span.counted[0]), _when(span.counted[1] - 0.5)
    return f"counted from {first:%Y-%m-%d} to {last:%Y-%m-%d}, where there are looks"


def _zone_notes(looks: ZoneLooks, visits: Sequence[Mapping[str, Any]], kinds: Sequence[str]) -> list[str]:
    zone, notes = looks.zone, []
    if zone.kind not in kinds:
        notes.append(f"visits of the {zone.kind.replace('_', ' ')}, not loadings")
    if not len(looks.times):
        notes.append("no estimate: no look at this zone")
    elif zone.kind == "area":
        notes.append("no estimate: vessels pass through an area")
    crowded = int((np.bincount(looks.look, minlength=1) > zone.capacity).sum())
    if crowded:
        notes.append(
            f"more vessels than the capacity of {zone.capacity} in {counted(crowded, 'look')}: check the site file, "
            "the estimate takes the surest"
        )
    stays = [days_of(visit["last_seen"]) - days_of(visit["first_seen"]) for visit in visits]
    if zone.kind in LOADING_KINDS and (endless := sum(stay > FIXED_DAYS for stay in stays)):
        notes.append(
            f"{counted(endless, 'visit')} of more than {FIXED_DAYS:g} days may be of fixed objects: look at them"
        )
    return notes


def site_rows(
    rows: Sequence[Mapping[str, Any]],
    estimates: Mapping[str, ZoneEstimate | None],
    visits: Sequence[Mapping[str, Any]],
    tables: Tables,
    spans: Sequence[Span],
    kinds: Sequence[str],
) -> list[dict[str, Any]]:
    """The whole site, a row a period: its loading zones added up draw by draw, for the interval of the sum.

    There is no sum where one of them has no estimate: what is missing would be counted as none.
    """
    chosen = [looks for looks in tables.zones if looks.zone.kind in kinds]
    names = [looks.zone.id for looks in chosen]
    overpasses = _distinct([looks.times for looks in chosen])
    usable = _distinct([looks.times[looks.usable] for looks in chosen])
    result = []
    for number, span in enumerate(spans):
        low, high = span.counted
        row = _blank(tables.site.name, None, span)
        mine = [r for r in rows if r["zone_id"] in names and r["period_start"] == row["period_start"]]
        row["looks"] = int(((overpasses >= low) & (overpasses < high)).sum())
        row["usable_looks"] = int(((usable >= low) & (usable < high)).sum())
        row["visits_seen"] = sum(r["visits_seen"] for r in mine)
        known = {name: e for name in names if (e := estimates[name]) and math.isfinite(e.mean[number])}
        notes = [_part_note(span), f"sum of {', '.join(names)}" if names else ""]
        notes.append(_early_note([visit for visit in visits if visit["zone_id"] in names], span))
        if not names:
            notes.append(f"no estimate: no zone of the kinds {', '.join(kinds)}")
        elif absent := [name for name in names if name not in known]:
            notes.append(f"no estimate: there is none for {', '.join(absent)}")
        else:
            row |= _sum([e.draws[:, number] for e in known.values()])
        row["note"] = "; ".join(note for note in notes if note)
        result.append(row)
    return result


def _sum(draws: Sequence[Any]) -> dict[str, float]:
    from detector.loadings.estimate import interval

    mean, low, high = interval(np.sum(draws, axis=0))
    return {"loadings": float(mean), "loadings_low": float(low), "loadings_high": float(high)}


def _distinct(times: Sequence[Any]) -> Any:
    """Times of overpasses, each once, though granules of one reach the zones seconds apart."""
    every = np.sort(np.concatenate(times)) if times else np.zeros(0)
    return every[overpass_starts(every)]


def days_of(text: str | None) -> float:
    """Days of a UTC text; before everything where there is none."""
    return -math.inf if text is None else _days(datetime.fromisoformat(text))
