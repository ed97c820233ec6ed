"""Visits in a real series: the labelled vessels of ten dates off Houston, against the visit ids of the labels.

The labels are by one reader who compared places, sizes and deck patterns by eye over gaps of 5 to 20 days; a
link there is "looks the same and lies where it lay". What is tested here sees no deck patterns.

`python -m tests.integration.test_houston_visits` prints the figures.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import shapely

from detector.detections import Detections
from detector.loadings.count import LoadingCount, count_loadings
from detector.loadings.sites import Site, Zone

SHARED = Path(os.environ.get("BARGEWATCH_SHARED", Path(__file__).resolve().parents[3] / "shared"))
LABELS = SHARED / "data" / "series" / "labels.geojson"

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not LABELS.is_file(), reason=f"the labelled series is not there: {LABELS}"),
]

# Drawn by us round where ships lie at anchor in the mosaics (UTM 15N: west, south, east, north), away from
# the ferry and the channel; everything else is one area that vessels pass through.
ANCHORAGES = {
    "bolivar-roads": (326300, 3247400, 334500, 3249000),
    "offshore": (342000, 3234500, 361000, 3246500),
}
EVERYTHING = (324000, 3234000, 361000, 3250500)
CAPACITY = 60


def labelled() -> tuple[Detections, list[str]]:
    """The labelled vessels as a table that `predict` could have written, and the visit id of each."""
    document = json.loads(LABELS.read_text(encoding="utf-8"))
    chosen = [f for f in document["features"] if f["properties"]["class"] == "vessel"]
    labels = [feature["properties"] for feature in chosen]
    outlines = [shapely.geometry.shape(feature["geometry"]) for feature in chosen]
    columns = {
        "scene_id": [Path(label["image"]).stem for label in labels],
        "acquired": [label["acquired"] for label in labels],
        "class": ["vessel"] * len(labels),
        "confidence": [0.9] * len(labels),
        "lon": [outline.centroid.x for outline in outlines],
        "lat": [outline.centroid.y for outline in outlines],
        "length_m": [label["length_m"] for label in labels],
        "width_m": [label["width_m"] for label in labels],
        "heading_deg": [label["heading_deg"] for label in labels],
        "heading_ambiguous": [True] * len(labels),
        "geometry": outlines,
    }
    return Detections.from_columns(**columns), [label["visit_id"] for label in labels]


def houston() -> Site:
    """A site of our own for the place."""
    from pyproj import Transformer

    lonlat = Transformer.from_crs("EPSG:32615", "EPSG:4326", always_xy=True).transform

    def outlined(zone_id: str, kind: str, bounds: tuple[float, ...]) -> Zone:
        west, south, east, north = bounds
        ring = [lonlat(x, y) for x, y in ((west, south), (east, south), (east, north), (west, north))]
        return Zone(
            zone_id, kind, zone_id, CAPACITY, "drawn on the mosaics", 200.0, None, shapely.Polygon(ring)
        )

    zones = [outlined(zone_id, "anchorage", bounds) for zone_id, bounds in ANCHORAGES.items()]
    return Site("houston", (*zones, outlined("approaches", "area", EVERYTHING)))


def counted(clear: float = 1.0) -> tuple[LoadingCount, dict[str, set[int]], list[set[int]]]:
    """The count, and labelled and found visits as sets of labels; `clear` is what each look is said to show of the zones."""
    vessels, visit_ids = labelled()
    site = houston()
    scenes = sorted({(row["scene_id"], row["acquired"]) for row in vessels})
    looks = [
        {"scene_id": scene, "acquired": time, "site": site.name, "zone_id": zone.id, "clear_fraction": clear}
        for scene, time in scenes
        for zone in site.zones
    ]
    count = count_loadings(vessels, looks, site, period="all")
    number = {(row["scene_id"], row["lon"], row["lat"]): i for i, row in enumerate(vessels)}
    found = [
        {number[row["scene_id"], row["lon"], row["lat"]] for row in at.vessels[np.array(chain)]}
        for at in count.tables.zones
        for chain in count.links[at.zone.id].chains()
    ]
    true: dict[str, set[int]] = defaultdict(set)
    for i, visit_id in enumerate(visit_ids):
        true[visit_id].add(i)
    return count, true, found


def scores(true: int, found: int, both: int) -> dict[str, float]:
    precision, recall = both / max(found, 1), both / max(true, 1)
    f1 = 2 * precision * recall / max(precision + recall, 1e-9)
    return {"true": true, "found": found, "both": both, "precision": precision, "recall": recall, "f1": f1}


def links_of(visits) -> set[tuple[int, int]]:
    """Labels follow each other in time, so numbers in order are sightings in order."""
    return {pair for visit in visits for pair in pairwise(sorted(visit))}


def figures(clear: float = 1.0) -> dict[str, dict[str, float]]:
    _, true, found = counted(clear)
    labelled_visits, found_visits = {frozenset(v) for v in true.values()}, {frozenset(v) for v in found}
    labelled_links, found_links = links_of(labelled_visits), links_of(found_visits)
    vessels, _ = labelled()
    day = np.unique(vessels["acquired"], return_inverse=True)[1]
    result = {
        "visits": scores(len(labelled_visits), len(found_visits), len(labelled_visits & found_visits)),
        "links": scores(len(labelled_links), len(found_links), len(labelled_links & found_links)),
    }
    for before in range(day.max()):
        here, there = int((day == before).sum()), int((day == before + 1).sum())
        stayed = [sum(int(day[a]) == before for a, _ in links) for links in (labelled_links, found_links)]
        result[f"dates {before + 1}-{before + 2}"] = {
            "left": here - stayed[0], "left_found": here - stayed[1],
            "arrived": there - stayed[0], "arrived_found": there - stayed[1],
        }  # fmt: skip
    return result


@pytest.fixture(scope="module")
def measured():
    return figures()


def test_every_labelled_vessel_is_in_one_visit():
    _, true, found = counted()
    assert sorted(i for visit in found for i in visit) == sorted(i for visit in true.values() for i in visit)


def test_visits_are_those_of_the_labels(measured):
    assert measured["visits"]["f1"] >= 0.92


def test_links_are_those_of_the_labels(measured):
    """Only 12 of 370 vessels were seen on a second date: links are where a count of visits can go wrong."""
    assert measured["links"]["precision"] >= 0.6
    assert measured["links"]["recall"] >= 0.6


def test_arrivals_and_departures_between_dates(measured):
    pairs = [row for name, row in measured.items() if name.startswith("dates")]
    assert len(pairs) == 9
    for row in pairs:
        assert row["left_found"] == pytest.approx(row["left"], abs=4)
        assert row["arrived_found"] == pytest.approx(row["arrived"], abs=4)


def test_zones_without_a_usable_look_give_the_same_visits():
    """Zones of which the images show half: no look can miss a ship, and only the stay parts the visits."""
    unusable = figures(clear=0.5)
    assert unusable["visits"]["f1"] >= 0.95
    assert unusable["links"]["precision"] >= 0.6
    assert unusable["links"]["recall"] >= 0.6


if __name__ == "__main__":
    print(json.dumps({"all looks usable": figures(), "no look usable": figures(clear=0.5)}, indent=1))
