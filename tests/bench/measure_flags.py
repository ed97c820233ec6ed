"""The figures of docs/flags.md: python -m tests.bench.measure_flags [--seeds 10]

Simulated detections of the ships in real AIS (tests/aisscenes.py), names against the list derived from OFAC's, and simulated
pairs of hulls (tests/transferscenes.py).
"""

from __future__ import annotations

import argparse
import random
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from detector.flags import flag_vessels
from detector.flags.watchlist import Watchlist
from detector.flags.watchlistfiles import read_watchlist
from detector.plane import Plane
from tests.aisscenes import SHARED, danish_files, simulate
from tests.transferscenes import hulls
from tests.unit.test_flags_identity import misspelt, random_names


def matches(source: Path, seeds: int, shortest_m: float, position_error_m: float) -> Counter[str]:
    """Counts over all seeds."""
    count: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            scene = simulate(
                source, Path(folder), seed, shortest_m=shortest_m, position_error_m=position_error_m
            )
            flagged = flag_vessels(scene.vessels, ais=[scene.ais])
            status = flagged["ais_status"]
            right = np.array([m or 0 for m in flagged["ais_mmsi"]]) == scene.mmsi
            dark = np.array(["dark" in flags for flags in flagged.detections["flags"]])
            covered = np.array(["ais-unknown" not in flags for flags in flagged.detections["flags"]])
            silent = scene.silenced & (scene.mmsi > 0)
            lonely = _distance_to_broadcasters(scene) > 100
            count["broadcasting"] += int(scene.broadcasting.sum())
            count["decided"] += int((status == "matched").sum())
            count["right"] += int(((status == "matched") & right).sum())
            count["silent"] += int((silent & covered).sum())
            count["silent found"] += int((silent & covered & dark).sum())
            count["silent undecided"] += int((silent & covered & (status == "ambiguous")).sum())
            count["silent alone"] += int((silent & covered & lonely).sum())
            count["silent alone found"] += int((silent & covered & lonely & dark).sum())
            count["dark wrong"] += int((dark & scene.broadcasting).sum())
            count["dark false detections"] += int((dark & (scene.mmsi == 0)).sum())
    return count


def _distance_to_broadcasters(scene) -> np.ndarray:
    """Metres from each detection to the nearest place of a ship that still broadcasts."""
    import csv

    with open(scene.ais, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["Type of mobile"].startswith("Class")]
    plane = Plane(float(scene.vessels["lon"].mean()), float(scene.vessels["lat"].mean()))
    ships = np.column_stack(
        plane.forward([float(r["Longitude"]) for r in rows], [float(r["Latitude"]) for r in rows])
    )
    places = np.column_stack(plane.forward(scene.vessels["lon"], scene.vessels["lat"]))
    return cKDTree(ships).query(places)[0]


def _show(case: str, c: Counter[str]) -> None:
    print(
        f"| {case} | {c['right'] / c['decided']:.1%} of {c['decided']} | {c['decided'] / c['broadcasting']:.0%} | "
        f"{c['silent found'] / c['silent']:.0%} of {c['silent']} ({c['silent undecided']} left undecided) | "
        f"{c['silent alone found'] / c['silent alone']:.0%} of {c['silent alone']} | "
        f"{c['dark wrong'] / max(c['dark wrong'] + c['silent found'], 1):.1%} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    print(
        "| overpass | hulls | place | assigned right | assigned at all | dark found | … 100 m from AIS | dark, AIS on |"
    )
    print("|---|---|---|---|---|---|---|---|")
    # accept_none was chosen on the first overpass: tests/bench/choose_dark.py.
    cases = ((0.0, 20.0), (20.0, 20.0), (0.0, 14.1))
    each = {
        name: [matches(source, seeds, *case) for case in cases]
        for name, source in zip(("first", "second"), danish_files(), strict=True)
    }
    each["both"] = [one + other for one, other in zip(each["first"], each["second"], strict=True)]
    for overpass, counts in each.items():
        for (shortest, error), c in zip(cases, counts, strict=True):
            _show(f"{overpass} | {'all' if not shortest else f'from {shortest:g} m'} | {error:g} m", c)
    listed = read_watchlist(SHARED / "data" / "watchlist" / "dprk_vessels_from_ofac.csv")
    watchlist, rng = Watchlist(listed), random.Random(0)
    tried = [(entry, misspelt(entry.names[0], rng)) for entry in listed for _ in range(20)]
    found = sum(any(hit.entry is entry for hit in watchlist.find(name=name)) for entry, name in tried)
    false = sum(bool(watchlist.find(name=name)) for name in random_names(50_000, rng))
    print(f"misspelt names found: {found} of {len(tried)}; random names found: {false} of 50000")
    right = wrong = missed = 0
    for seed in range(seeds):
        table, truth = hulls(seed)
        flagged = np.array(["transfer" in flags for flags in flag_vessels(table).detections["flags"]])
        right += int((flagged & truth).sum())
        wrong += int((flagged & ~truth).sum())
        missed += int((~flagged & truth).sum())
    print(
        f"transfer: precision {right / (right + wrong):.2f}, recall {right / (right + missed):.2f}, "
        f"F1 {2 * right / (2 * right + wrong + missed):.2f}"
    )


if __name__ == "__main__":
    main()
