"""Visits off Houston by the whole chain, from images to visits, against the labelled visit ids.

    python -m tests.bench.measure_visits --weights runs/d/weights/last.onnx --confidence C

The weights must be those of the fold that leaves Houston out (`bargewatch train --fold d`), and the confidence the one
that `bargewatch evaluate` chose for them on other places. Vessels are found by `detector.prediction.run`, linked by
`count_loadings`. A labelled visit is found when a chain of detections holds all its labelled vessels and no other vessel;
a detection is the labelled vessel within 150 m, one to one, and a chain of false alarms is a false visit.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from detector.detections import Detections
from detector.loadings.count import count_loadings
from detector.prediction import run
from tests.integration.test_houston_visits import SHARED, houston, labelled, links_of, scores
from training.simulate.demo import match_positions

_REACH_M = 150.0


def detected(images: Path, weights: Path, confidence: float) -> tuple[Detections, list[dict[str, Any]]]:
    """Vessels and looks of every date."""
    tables, looks = [], []
    for result in run(sorted(images.glob("*.tif")), weights=weights, confidence=confidence, site=houston()):
        if result.error is not None:
            raise result.error
        assert result.detections is not None
        tables.append(result.detections)
        looks += result.looks
    return Detections.concat(tables), looks


def labels_of(vessels: Detections, truth: Detections) -> np.ndarray:
    """(n,) number of the labelled vessel that each detection is, or a number of its own below 0 for a false alarm."""
    out = -1 - np.arange(len(vessels))
    times = np.asarray(truth["acquired"])
    for time in np.unique(times):
        here, there = np.flatnonzero(np.asarray(vessels["acquired"]) == time), np.flatnonzero(times == time)
        match = match_positions(
            truth["lon"][there], truth["lat"][there], vessels["lon"][here], vessels["lat"][here], _REACH_M
        )
        for label, vessel, _ in match.pairs:
            out[here[vessel]] = there[label]
    return out


def figures(weights: Path, confidence: float) -> dict[str, Any]:
    """Vessels, visits, links (true, found, both, precision, recall, F1); arrivals and departures by pair of dates."""
    truth, visit_ids = labelled()
    vessels, looks = detected(SHARED / "data" / "series" / "houston", weights, confidence)
    site = houston()
    number = {(row["scene_id"], row["lon"], row["lat"]): i for i, row in enumerate(vessels)}
    label = labels_of(vessels, truth)
    count = count_loadings(vessels, looks, site, period="all")
    found = [
        frozenset(int(label[number[row["scene_id"], row["lon"], row["lat"]]]) for row in at.vessels[np.array(chain)])
        for at in count.tables.zones
        for chain in count.links[at.zone.id].chains()
    ]
    true: dict[str, set[int]] = defaultdict(set)
    for i, visit in enumerate(visit_ids):
        true[visit].add(i)
    wanted = {frozenset(visit) for visit in true.values()}
    day = {time: k for k, time in enumerate(sorted(set(truth["acquired"])))}
    linked, known = ({p for p in links_of(visits) if min(p) >= 0} for visits in (found, wanted))
    changes = []
    for k in range(len(day) - 1):
        here, there = (int(sum(day[t] == d for t in truth["acquired"])) for d in (k, k + 1))
        seen_here, seen_there = (int(sum(day[t] == d for t in vessels["acquired"])) for d in (k, k + 1))
        stay = [sum(day[truth["acquired"][a]] == k for a, _ in pairs) for pairs in (known, linked)]
        changes.append(
            {"left": here - stay[0], "left_found": seen_here - stay[1],
             "arrived": there - stay[0], "arrived_found": seen_there - stay[1]}
        )  # fmt: skip
    return {
        "vessels": scores(len(truth), len(vessels), int((label >= 0).sum())),
        "visits": scores(len(wanted), len(found), len(wanted & set(found))),
        "links": scores(len(known), len(linked), len(known & linked)),
        "changes": changes,
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--confidence", type=float, required=True)
    options = parser.parse_args()
    print(json.dumps(figures(options.weights, options.confidence), indent=1))


if __name__ == "__main__":
    main()
