"""Change on real pixels: ten dates off Houston, what arrived and left between them against the labels.

Thresholds were chosen on the piece "west" (Bolivar Roads); "east", a piece of the anchorage offshore that they were not
chosen on, is the test. One place and one labeller: see docs/change.md.

`python -m tests.integration.test_change_houston [west|east]` prints the figures.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
import shapely

from detector.detections import Detections
from detector.loadings.change import apply_changes
from detector.loadings.chips import write_chips
from detector.loadings.chipseries import RECOVERED
from detector.loadings.looks import look_rows
from detector.loadings.sites import Site, Zone
from detector.scene import open_scene
from tests.integration.test_houston_visits import LABELS, SHARED

IMAGES = SHARED / "data" / "series"
pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.skipif(not LABELS.is_file(), reason=f"the labelled series is not there: {LABELS}"),
]

# UTM 15N: west, south, east, north.
PIECES = {"west": (326300, 3247400, 334500, 3249000), "east": (346000, 3241000, 352000, 3244500)}


@dataclass
class Label:
    date: int
    kind: str
    visit: str
    confidence: str
    length_m: float
    hull: shapely.Polygon


def zone(piece: str) -> Zone:
    from pyproj import Transformer

    west, south, east, north = PIECES[piece]
    to_lonlat = Transformer.from_crs("EPSG:32615", "EPSG:4326", always_xy=True).transform
    ring = [to_lonlat(x, y) for x, y in ((west, south), (east, south), (east, north), (west, north))]
    return Zone(piece, "anchorage", piece, 60, "drawn on the mosaics", 100.0, None, shapely.Polygon(ring))


def labels(of: Zone) -> tuple[list[Path], list[Label]]:
    features = json.loads(LABELS.read_text(encoding="utf-8"))["features"]
    files = sorted({feature["properties"]["image"] for feature in features})
    found = []
    for feature in features:
        own, hull = feature["properties"], shapely.geometry.shape(feature["geometry"])
        if of.polygon.buffer(0.01).contains(hull.centroid):
            found.append(
                Label(
                    files.index(own["image"]), own["class"], own["visit_id"] or "", own["confidence"],
                    own["length_m"] or 0.0, hull,
                )
            )  # fmt: skip
    return [IMAGES / name for name in files], found


def table_of(chosen: list[Label], files: list[Path], times: list[str]) -> Detections:
    """Labels as a table that `predict` could have written."""
    return Detections.from_rows(
        {
            "scene_id": files[label.date].stem, "acquired": times[label.date], "class": "vessel", "confidence": 0.9,
            "lon": label.hull.centroid.x, "lat": label.hull.centroid.y, "length_m": label.length_m, "width_m": 30.0,
            "heading_deg": 0.0, "heading_ambiguous": True, "geometry": label.hull,
        }
        for label in chosen
    )  # fmt: skip


def overlaps(hull: shapely.Polygon, other: shapely.Polygon) -> bool:
    return bool(hull.intersection(other).area > 0.3 * min(hull.area, other.area))


def figures(piece: str, dates: int = 10) -> dict[str, Any]:
    """Arrivals and departures against labels, and what comes back of every third label that is taken away."""
    place = zone(piece)
    site = Site("houston", (place,))
    files, known = labels(place)
    files, known = files[:dates], [label for label in known if label.date < dates]
    looks, times = [], []
    with TemporaryDirectory() as folder:
        for file in files:
            with open_scene(str(file)) as scene:
                looks += look_rows(scene, site)
                write_chips(scene, site, folder)
                times.append(looks[-1]["acquired"])
        vessels = [
            label for label in known if label.kind == "vessel" and place.polygon.contains(label.hull.centroid)
        ]
        missed = vessels[::3]
        given = [label for label in known if label not in missed and label.kind in ("vessel", "fixed")]
        changes = apply_changes(table_of(given, files, times), looks, site, folder)
    out: dict[str, Any] = {"looks": len(files), "vessels": len(vessels)}
    for kind, step in (("left", 0), ("arrived", 1)):
        out[kind] = _against(changes.objects, kind, step, vessels, known, times, place)
    back = changes.vessels[np.array([RECOVERED in flags for flags in changes.vessels["flags"]], bool)]
    every = [(times.index(row["acquired"]), row["geometry"]) for row in back]
    out["taken away"] = len(missed)
    out["came back"] = sum(any(d == m.date and overlaps(hull, m.hull) for d, hull in every) for m in missed)
    others = [label for label in known if label not in missed]
    good = sum(any(d == m.date and overlaps(hull, m.hull) for m in missed) for d, hull in every)
    doubtful = sum(
        any(d == o.date and hull.intersects(o.hull) for o in others if o.kind != "vessel")
        and not any(d == m.date and overlaps(hull, m.hull) for m in missed)
        for d, hull in every
    )
    out |= {"recovered": len(every), "recovered on a label": good, "recovered on ignore": doubtful}
    marked = [given[row] for row in np.flatnonzero(changes.vessels["status"][: len(given)] == "fixed")]
    for status in ("fixed", "vessel"):
        out[f"labelled {status}"] = sum(label.kind == status for label in given)
        out[f"labelled {status}, marked fixed"] = sum(label.kind == status for label in marked)
    return out


def _against(
    objects: Any,
    kind: str,
    step: int,
    vessels: list[Label],
    known: list[Label],
    times: list[str],
    place: Zone,
) -> dict[str, Any]:
    """Objects of one kind against the labelled vessels that are on one date of a pair and not on the other."""
    out = {"labelled": 0, "hit": 0, "objects": 0, "on a vessel": 0, "on ignore or fixed": 0}
    for pair in range(len(times) - 1):
        here, there = pair + step, pair + 1 - step
        stay = {label.visit for label in vessels if label.date == there}
        true = [label for label in vessels if label.date == here and label.visit not in stay]
        hulls = [
            o["geometry"]
            for o in objects
            if o["kind"] == kind
            and o["earlier"] == times[pair]
            and place.polygon.contains(o["geometry"].centroid)
        ]
        mine = [label for label in known if label.date == here]
        on_vessel = [
            any(label.kind == "vessel" and h.intersects(label.hull) for label in mine) for h in hulls
        ]
        on_any = [any(h.intersects(label.hull) for label in mine) for h in hulls]
        out["labelled"] += len(true)
        out["hit"] += sum(any(overlaps(h, label.hull) for h in hulls) for label in true)
        out["objects"] += len(hulls)
        out["on a vessel"] += sum(on_vessel)
        out["on ignore or fixed"] += sum(a and not v for a, v in zip(on_any, on_vessel, strict=True))
    judged = out["objects"] - out["on ignore or fixed"]
    return {
        **out,
        "recall": out["hit"] / max(out["labelled"], 1),
        "precision": out["on a vessel"] / max(judged, 1),
    }


def test_arrivals_and_departures_offshore() -> None:
    measured = figures("east", dates=3)
    for kind in ("arrived", "left"):
        assert measured[kind]["labelled"] > 5
        assert measured[kind]["recall"] >= 0.8
        assert measured[kind]["precision"] >= 0.6
    assert measured["came back"] >= 0.7 * measured["taken away"]


if __name__ == "__main__":
    print(json.dumps(figures(sys.argv[1] if len(sys.argv) > 1 else "east"), indent=1))
