"""Visits: sightings of one ship at one zone, and what is known of its arrival and departure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.geometry import metres_per_degree
from detector.loadings.identity import Errors, Identity, Sightings
from detector.loadings.links import Links
from detector.loadings.series import ZoneSeries
from detector.loadings.tables import ZoneLooks
from detector.plane import Plane
from detector.textformats import Kind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

SCHEMA: dict[str, Kind] = {
    "visit_id": "text",
    "site": "text",
    "zone_id": "text",
    "first_seen": "text",
    "last_seen": "text",
    "arrived_after": "text",
    "arrived_before": "text",
    "left_after": "text",
    "left_before": "text",
    "looks_seen": "int",
    "class": "text",
    "length_m": "float",
    "width_m": "float",
    "coal_score_first": "float",
    "coal_score_last": "float",
    "confidence": "float",
}
COLUMNS = (*SCHEMA, "geometry")


def sightings_of(looks: ZoneLooks) -> Sightings:
    """The vessels of a zone as measurements, in metres about the middle of the zone."""
    vessels = looks.vessels
    centre = looks.zone.polygon.centroid
    return Sightings(
        days=looks.times[looks.look],
        xy=np.column_stack(Plane(centre.x, centre.y).forward(vessels["lon"], vessels["lat"])),
        length_m=vessels["length_m"],
        width_m=vessels["width_m"],
        axis_deg=vessels["heading_deg"] % 180,
    )


def identity_of(looks: ZoneLooks, errors: Errors | None = None) -> Identity:
    """Same-ship ratios of the vessels of a zone."""
    east, north = metres_per_degree(looks.zone.polygon.centroid.y)
    area = looks.zone.polygon.area * east * north
    return Identity(sightings_of(looks), looks.zone.kind, area, errors)


def zone_series(looks: ZoneLooks, identity: Identity, start: float, end: float) -> ZoneSeries:
    """What the usable looks saw of a zone, for the estimate.

    Of more vessels than the zone holds, the surest are taken.
    """
    usable = np.flatnonzero(looks.usable)
    seen = [_surest(looks, index) for index in usable.tolist()]
    pairs = [np.meshgrid(*both, indexing="ij") for both in zip(seen[:-1], seen[1:], strict=True)]
    one, other = (np.concatenate([np.empty(0, np.int64), *(p[i].ravel() for p in pairs)]) for i in (0, 1))
    parts = np.split(identity.log_ratio(one, other), np.cumsum([p[0].size for p in pairs])[:-1])
    ratios = [part.reshape(p[0].shape) for part, p in zip(parts, pairs, strict=True)] if pairs else []
    last = _last_ratio(seen, identity) if looks.zone.capacity == 1 else None
    return ZoneSeries(
        zone_id=looks.zone.id,
        kind=looks.zone.kind,
        capacity=looks.zone.capacity,
        stay_days=looks.zone.stay_days,
        times=looks.times[usable],
        count=np.array([len(rows) for rows in seen], np.int64),
        same_log_ratio=tuple(ratios),
        start=start,
        end=end,
        last_log_ratio=last,
    )


def _last_ratio(seen: list[Ints], identity: Identity) -> Floats:
    """For each look with a ship, the ratio of it and the ship seen last before, empty looks passed over."""
    ratio = np.zeros(len(seen))
    shown = [look for look, rows in enumerate(seen) if len(rows)]
    if len(shown) > 1:
        ships = np.array([seen[look][0] for look in shown])
        ratio[shown[1:]] = identity.log_ratio(ships[:-1], ships[1:])
    return ratio


def _surest(looks: ZoneLooks, index: int) -> Ints:
    rows = np.flatnonzero(looks.look == index)
    if len(rows) <= looks.zone.capacity:
        return rows
    best = np.argsort(-looks.vessels["confidence"][rows], kind="stable")[: looks.zone.capacity]
    return np.sort(rows[best])


# ---- table


def visit_rows(looks: ZoneLooks, links: Links, site: str) -> list[dict[str, Any]]:
    """One row a visit, in order of the first sighting; see the contract's Visits table.

    arrived_after and left_before are the neighbouring usable looks that did not see the ship, None where the
    series begins or ends. `confidence` is the chance that the visit is as stated: the surest detection is a
    vessel, its sightings are of one ship, and no neighbouring sighting is of it too.
    """
    rows = []
    for number, members in enumerate(links.chains(), 1):
        first, last = members[0], members[-1]
        vessels = looks.vessels[np.array(members)]
        began, ended = int(looks.look[first]), int(looks.look[last])
        before = np.flatnonzero(looks.usable[:began])
        later = ended + 1 + np.flatnonzero(looks.usable[ended + 1 :])
        confidence = vessels["confidence"]
        coal = confidence[vessels["class"] == "coal_barge"].sum()
        sure = float(confidence.max() * links.began[first] * links.probability[members].prod())
        rows.append(
            {
                "visit_id": f"{site}/{looks.zone.id}/{number:05d}",
                "site": site,
                "zone_id": looks.zone.id,
                "first_seen": looks.acquired[began],
                "last_seen": looks.acquired[ended],
                "arrived_after": looks.acquired[before[-1]] if len(before) else None,
                "arrived_before": looks.acquired[began],
                "left_after": looks.acquired[ended],
                "left_before": looks.acquired[later[0]] if len(later) else None,
                "looks_seen": len(members),
                "class": "coal_barge" if 2 * coal > confidence.sum() else "vessel",
                "length_m": _median(vessels["length_m"]),
                "width_m": _median(vessels["width_m"]),
                "coal_score_first": float(vessels["coal_score"][0]),
                "coal_score_last": float(vessels["coal_score"][-1]),
                "confidence": round(sure, 4),
                "geometry": vessels["geometry"][0],
            }
        )
    return rows


def _median(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return round(float(np.median(known)), 1) if len(known) else float("nan")
