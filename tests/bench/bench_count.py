"""Seconds to count 20 berths over 10 years, on one core: python -m tests.bench.bench_count [--berths 20] [--years 10]

Each berth has its own calls, stays of 2 to 4 days, an overpass every 2.5 days of which half are clouded, and measurements
with error (tests/timelines.py). The tables are made first and are not part of what is measured.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import time

import numpy as np

from detector.detections import Detections
from detector.loadings.count import count_loadings
from detector.loadings.sites import Site
from tests.timelines import calls, site, tables, zone


def port(berths: int, years: float) -> tuple[Detections, list[dict[str, object]], Site]:
    """Vessels and looks of a row of berths, 700 m apart."""
    rows, looks, zones = [], [], []
    for number in range(berths):
        rng = np.random.default_rng(number)
        name = f"berth-{number + 1}"
        zones.append(zone(name, at=(700.0 * number, 0.0)))
        ships = calls(
            int(years * 40), seed=number, gap=(1, 12), stay=(1.5, 5.0), y=0.0, heading=90.0 - number % 3
        )
        days = np.arange(0, 365 * years, 2.5) + 0.001 * number
        clouds = set(days[rng.random(len(days)) < 0.5])
        seen, looked = tables(
            [_moved(s, 700.0 * number) for s in ships],
            days,
            zone_id=name,
            clouds=clouds,
            recall=0.9,
            seed=number,
        )
        rows += seen
        looks += looked
    return Detections.from_rows(rows), looks, site(*zones)


def _moved(ship, east):
    from dataclasses import replace

    return replace(ship, x=ship.x + east)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--berths", type=int, default=20)
    parser.add_argument("--years", type=float, default=10.0)
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    given = parser.parse_args()
    vessels, looks, place = port(given.berths, given.years)
    profile = cProfile.Profile()
    begun, cpu = time.perf_counter(), time.process_time()
    if given.profile:
        profile.enable()
    found = count_loadings(vessels, looks, place)
    profile.disable()
    taken, cpu = time.perf_counter() - begun, time.process_time() - cpu
    loadings = sum(e.total[0] for e in found.estimates.values() if e)
    print(
        f"{given.berths} berths, {given.years:g} years, {len(looks)} looks, {len(vessels)} vessels: {cpu:.1f} s of the "
        f"processor, {taken:.1f} s in all; "
        f"{len(found.visit_rows)} visits seen, {loadings:.1f} loadings"
    )
    if given.profile:
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)


if __name__ == "__main__":
    main()
