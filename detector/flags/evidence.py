"""Everything that is known of the vessels of one scene, as facts for the rules: AIS, lists, conflicts, neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.columns import utc_text
from detector.detections import Detections
from detector.flags.aisdata import AisData, Particulars
from detector.flags.coverage import coverage
from detector.flags.identity import country_name, flag_of, mid_of, mmsi_problem, valid_imo
from detector.flags.match import Hulls, Matches, match
from detector.flags.rules import Settings
from detector.flags.tracks import KNOT, Targets, targets_at
from detector.flags.transfers import transfers
from detector.flags.watchlist import Hit, Watchlist
from detector.loadings.sites import Zone
from detector.plane import Plane

_BERTHS = ("berth", "coal_berth")
_MOVING_KN = 3.0  # ships that move faster than this side by side are passing each other


def scene_facts(
    vessels: Detections,
    zones: Sequence[Zone | None],
    sites: Sequence[str | None],
    time: float | None,
    data: AisData | None,
    watchlist: Watchlist,
    settings: Settings,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Facts (names as in rules.FACTS) of each vessel of one scene, and listed ships near it that no vessel matches.

    Args:
        vessels: kept vessels of one scene.
        time: of the scene, seconds since 1970; None: unknown.
        data: AIS near the scene; None: none was given.
    """
    plane = Plane(float(np.mean(_unwrapped(vessels["lon"]))), float(vessels["lat"].mean()))
    x, y = plane.forward(vessels["lon"], vessels["lat"])
    hulls = Hulls(x, y, vessels["length_m"], vessels["width_m"], vessels["heading_deg"] % 180.0)
    facts = [_seen(row, zone, site) for row, zone, site in zip(vessels, zones, sites, strict=True)]
    unseen: list[str] = []
    if data is None or time is None:
        why = "no AIS was given" if data is None else "the time of the scene is not known"
        for fact in facts:
            fact |= {"ais_status": "unknown", "coverage_shown": False, "coverage": why}
    else:
        unseen = _add_ais(facts, hulls, plane, time, data, watchlist, settings)
    _add_transfers(facts, vessels, hulls, plane, settings)
    return facts, unseen


def _unwrapped(lon: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((lon - lon[0] + 180.0) % 360.0 - 180.0 + lon[0])


def _seen(row: dict[str, Any], zone: Zone | None, site: str | None) -> dict[str, Any]:
    """What the vessel table says; NaN becomes None."""
    names = (
        "scene_id",
        "acquired",
        "class",
        "confidence",
        "coal_score",
        "length_m",
        "width_m",
        "lon",
        "lat",
        "zone_id",
    )
    facts = {name: _known(row[name]) for name in names}
    return facts | {
        "site": site,
        "zone_id": zone.id if zone else row["zone_id"],
        "zone_kind": zone.kind if zone else None,
        "zone_name": zone.name if zone else None,
    }


def _known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def _add_ais(
    facts: list[dict[str, Any]],
    hulls: Hulls,
    plane: Plane,
    time: float,
    data: AisData,
    watchlist: Watchlist,
    settings: Settings,
) -> list[str]:
    targets = targets_at(data, time, plane, settings.matching.window_minutes * 60)
    matches = match(hulls, targets, settings.matching)
    covered = coverage(hulls, targets, matches.unmatched, settings.coverage)
    ships = [data.particulars.get(int(mmsi)) or Particulars() for mmsi in targets.mmsi]
    hits = [
        watchlist.find(imo=s.imo, mmsi=int(m), name=s.name) for s, m in zip(ships, targets.mmsi, strict=True)
    ]
    used = set()
    for row, fact in enumerate(facts):
        number = int(matches.target[row])
        fact |= {
            "ais_status": _status(matches, row, settings),
            "unmatched_probability": float(matches.unmatched[row]),
            "coverage_shown": bool(covered.shown[row]),
            "coverage": covered.reason[row],
        }
        if fact["ais_status"] == "matched":
            used.add(int(targets.mmsi[number]))
            fact |= _matched(targets, ships, matches, row, number)
            fact["watchlist"] = " and ".join(map(str, hits[number])) or None
            fact["watchlist_by"] = hits[number][0].by if hits[number] else None
            fact["conflicts"] = _conflicts(fact, targets, number, hits[number], settings)
        elif fact["ais_status"] == "ambiguous":
            fact["candidates"] = _candidates(targets, ships, matches, hits, row)
    inside = _inside(hulls, targets)
    return sorted(
        {
            f"MMSI {targets.mmsi[n]} was near {facts[0]['scene_id']} and matches no detection: {hit}"
            for n, found in enumerate(hits)
            for hit in found
            if int(targets.mmsi[n]) not in used and inside[n]
        }
    )


def _status(matches: Matches, row: int, settings: Settings) -> str:
    if matches.target[row] >= 0 and matches.probability[row] >= settings.matching.accept:
        return "matched"
    return "unmatched" if matches.unmatched[row] >= settings.matching.accept_none else "ambiguous"


def _matched(
    targets: Targets, ships: Sequence[Particulars], matches: Matches, row: int, number: int
) -> dict[str, Any]:
    ship, mmsi = ships[number], int(targets.mmsi[number])
    flag = flag_of(mmsi)
    return {
        "ais_mmsi": mmsi,
        "ais_mid": mid_of(mmsi),
        "ais_flag": flag,
        "ais_country": country_name(flag),
        "ais_imo": ship.imo,
        "ais_name": ship.name,
        "ais_type": ship.type,
        "ais_length_m": _known(float(targets.length_m[number])),
        "ais_speed_kn": float(targets.speed[number]) / KNOT,
        "ais_gap_minutes": float(targets.gap_s[number]) / 60,
        "ais_distance_m": float(matches.distance_m[row]),
        "match_score": float(matches.probability[row]),
    }


def _conflicts(
    fact: dict[str, Any], targets: Targets, number: int, hits: Sequence[Hit], settings: Settings
) -> str | None:
    """What of the ship's claims does not fit together, or does not fit the image; None if nothing."""
    found = []
    if problem := mmsi_problem(fact["ais_mmsi"]):
        found.append(problem)
    imo = fact["ais_imo"]
    if imo is not None and not valid_imo(imo):
        found.append(f"IMO {imo} fails its check digit")
    if targets.elsewhere_km[number] > 0:
        found.append(
            f"MMSI {fact['ais_mmsi']} reports from {targets.elsewhere_km[number]:.0f} km away at the same time"
        )
    said, seen = fact["ais_length_m"], fact["length_m"]
    if said is not None and seen is not None:
        error = math.hypot(settings.matching.length_error_m, 0.05 * said)
        if abs(said - seen) > 3 * error:
            found.append(
                f"AIS says {said:.0f} m, the image shows {seen:.0f} m, more than 3 sigma ({error:.0f} m) apart"
            )
    for hit in hits:
        listed, claimed = hit.entry.flag, fact["ais_flag"]
        if hit.by == "IMO" and listed and claimed and listed != claimed:
            found.append(
                f"list {hit.entry.list_name} gives the flag {country_name(listed) or listed}, the MMSI claims "
                f"{fact['ais_country']}"
            )
    return " and ".join(found) or None


def _candidates(
    targets: Targets, ships: Sequence[Particulars], matches: Matches, hits: Sequence[Sequence[Hit]], row: int
) -> str:
    texts = []
    for number, probability in (
        (matches.target[row], matches.probability[row]),
        (matches.second[row], matches.second_probability[row]),
    ):
        if number >= 0 and probability >= 0.01:
            name = f" {ships[number].name}" if ships[number].name else ""
            listed = " (on a list)" if hits[number] else ""
            texts.append(f"MMSI {targets.mmsi[number]}{name}{listed} ({probability:.0%})")
    texts.append(f"no AIS ship ({matches.unmatched[row]:.0%})")
    return "may be " + " or ".join(texts) + ", not decided"


def _inside(hulls: Hulls, targets: Targets) -> NDArray[np.bool_]:
    """Which ships lie among the detections: the scene's own outline is not in the table."""
    inside = (targets.x >= hulls.x.min()) & (targets.x <= hulls.x.max())
    return np.asarray(inside & (targets.y >= hulls.y.min()) & (targets.y <= hulls.y.max()))


def _add_transfers(
    facts: list[dict[str, Any]], vessels: Detections, hulls: Hulls, plane: Plane, settings: Settings
) -> None:
    at_berth = np.array([fact["zone_kind"] in _BERTHS for fact in facts], bool)
    found = transfers(list(vessels["geometry"]), hulls, at_berth, plane, settings.transfer)
    for row, fact in enumerate(facts):
        partner = int(found.partner[row])
        pair = [fact] if partner < 0 else [fact, facts[partner]]
        chance = float(found.probability[row])
        if any((member.get("ais_speed_kn") or 0) > _MOVING_KN for member in pair):
            chance *= 0.1
        fact["transfer_probability"] = chance
        if not found.reason[row]:
            continue
        names = [str(m["ais_name"] or m["ais_mmsi"]) for m in pair if m.get("ais_mmsi")]
        known = f", AIS names {' and '.join(names)}" if names else ""
        berth = "" if fact["zone_kind"] else ", and no outline of a berth is known here"
        fact["transfer"] = found.reason[row] + known + berth


def scene_time(acquired: str | None) -> float | None:
    """Seconds since 1970 of the table's time text."""
    from datetime import datetime

    return None if acquired is None else datetime.fromisoformat(utc_text(acquired)).timestamp()
