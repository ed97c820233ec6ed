"""Visits off Houston by the whole chain, from images to visits, against the labelled visit ids.

    python -m tests.bench.measure_visits --weights runs/d/weights/last.onnx --confidence C

The weights must be those of the fold that leaves Houston out (`bargewatch train --fold d`), and the confidence the one
that `bargewatch evaluate` chose for them on other places. Vessels are found by `detector.prediction.run`, linked by
`count_loadings`. A labelled visit is found when a chain of detections holds all its labelled vessels and no other vessel;
a detection is the labelled vessel within 150 m, one to one, and a chain of false alarms is a false visit. Objects that the
labels leave open (`ignore`) count neither way.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from detector.detections import Detections
from detector.loadings.count import count_loadings
from detector.loadings.sites import Site
from detector.prediction import run
from tests.integration.test_houston_visits import LABELS, SHARED, houston, labelled, links_of, scores
from training.simulate.demo import match_positions

_REACH_M = 150.0


def covered(images: Path) -> Site:
    """The zones off Houston, as far as every one of the images shows them: beyond, the mosaics are empty."""
    import rasterio
    from pyproj import Transformer
    from rasterio.features import shapes

    site = houston()
    shown = shapely.union_all([zone.polygon for zone in site.zones])
    for path in sorted(images.glob("*.tif")):
        with rasterio.open(path) as image:
            mask = image.dataset_mask()
            parts = [shapely.geometry.shape(part) for part, value in shapes(mask, transform=image.transform) if value]
            to_lonlat = Transformer.from_crs(image.crs, "EPSG:4326", always_xy=True).transform
        footprint = shapely.union_all([part for part in parts if part.area > 1e6]).simplify(20.0)
        shown = shapely.intersection(shown, shapely.transform(footprint, to_lonlat, interleaved=False))
    zones = []
    for zone in site.zones:
        part = shapely.intersection(zone.polygon, shown)
        largest = max(shapely.get_parts(part), key=lambda piece: piece.area)
        zones.append(replace(zone, polygon=largest))
    return Site(site.name, tuple(zones))


def detected(images: Path, site: Site, weights: Path, confidence: float) -> tuple[Detections, list[dict[str, Any]]]:
    """Vessels and looks of every date."""
    tables, looks = [], []
    for result in run(sorted(images.glob("*.tif")), weights=weights, confidence=confidence, site=site):
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


def left_open(vessels: Detections) -> np.ndarray:
    """(n,) whether each detection lies on an object of which the reader of the labels could not tell what it is."""
    document = json.loads(LABELS.read_text(encoding="utf-8"))
    times: dict[str, list[Any]] = defaultdict(list)
    for feature in document["features"]:
        if feature["properties"]["class"] == "ignore":
            times[feature["properties"]["acquired"]].append(shapely.geometry.shape(feature["geometry"]))
    return np.array(
        [any(area.intersects(row["geometry"]) for area in times[row["acquired"]]) for row in vessels], bool
    )


def figures(weights: Path, confidence: float) -> dict[str, Any]:
    """Vessels, visits, links (true, found, both, precision, recall, F1); arrivals and departures by pair of dates."""
    truth, visit_ids = labelled()
    images = SHARED / "data" / "series" / "houston"
    site = covered(images)
    vessels, looks = detected(images, site, weights, confidence)
    number = {(row["scene_id"], row["lon"], row["lat"]): i for i, row in enumerate(vessels)}
    label = labels_of(vessels, truth)
    open_to_doubt = left_open(vessels) & (label < 0)
    count = count_loadings(vessels, looks, site, period="all")
    chains = [
        [number[row["scene_id"], row["lon"], row["lat"]] for row in at.vessels[np.array(chain)]]
        for at in count.tables.zones
        for chain in count.links[at.zone.id].chains()
    ]
    found = [frozenset(int(label[i]) for i in chain if not open_to_doubt[i]) for chain in chains]
    found = [visit for visit in found if visit]
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
        "vessels": scores(len(truth), int((~open_to_doubt).sum()), int((label >= 0).sum())),
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
