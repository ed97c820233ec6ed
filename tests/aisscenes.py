"""Detections simulated from real AIS: what an image would show of ships whose places and sizes are known."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import shapely

from detector.detections import Detections
from detector.plane import Plane

SHARED = Path(os.environ.get("BARGEWATCH_SHARED", Path(__file__).resolve().parents[2] / "shared"))
TIMES = {"20220812": "2022-08-12T10:30:31Z", "20220825": "2022-08-25T10:36:41Z"}


def danish_files() -> list[Path]:
    """The two files of real AIS, or skip."""
    found = sorted((SHARED / "data" / "ais").glob("*.csv"))
    if not found:
        pytest.skip(f"no real AIS in {SHARED}; set BARGEWATCH_SHARED")
    return found


@dataclass
class SimulatedScene:
    """Detections with their truth: mmsi of each (0: a false detection), whether its AIS was silenced, and the AIS left."""

    vessels: Detections
    mmsi: np.ndarray
    silenced: np.ndarray
    ais: Path

    @property
    def broadcasting(self) -> np.ndarray:
        return (self.mmsi > 0) & ~self.silenced


def simulate(
    source: Path,
    folder: Path,
    seed: int,
    *,
    position_error_m: float = 20.0,
    length_error_m: float = 12.0,
    missed: float = 0.1,
    false: float = 0.1,
    silenced: float = 0.05,
    shortest_m: float = 0.0,
) -> SimulatedScene:
    """A scene as the issue asks for it; errors are standard deviations on each axis, the others shares."""
    rng = np.random.default_rng(seed)
    with open(source, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    ships = [row for row in rows if row["Type of mobile"].startswith("Class")]
    silent = {row["MMSI"] for row in ships if rng.random() < silenced}
    folder.mkdir(parents=True, exist_ok=True)
    ais = folder / source.name
    with open(ais, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(row for row in rows if row["MMSI"] not in silent)

    lon = np.array([float(row["Longitude"]) for row in ships])
    lat = np.array([float(row["Latitude"]) for row in ships])
    plane = Plane(lon.mean(), lat.mean())
    x, y = plane.forward(lon, lat)
    length = np.array([float(row["Length"] or 12) for row in ships])
    width = np.array([float(row["Width"] or 0) or float(row["Length"] or 12) / 4 for row in ships])
    heading = np.array([float(row["Heading"] or rng.uniform(0, 360)) for row in ships])
    mmsi = np.array([int(float(row["MMSI"])) for row in ships])
    seen = (rng.random(len(ships)) >= missed) & (length >= shortest_m)
    x, y, length, width, heading, mmsi = (column[seen] for column in (x, y, length, width, heading, mmsi))
    count = round(false * len(x))
    model = rng.integers(len(x), size=count)
    x = np.append(x, rng.uniform(x.min(), x.max(), count))
    y = np.append(y, rng.uniform(y.min(), y.max(), count))
    length, width = np.append(length, length[model]), np.append(width, width[model])
    heading = np.append(heading, rng.uniform(0, 360, count))
    mmsi = np.append(mmsi, np.zeros(count, int))
    n = len(x)
    vessels = boxes(
        plane,
        x + rng.normal(0, position_error_m, n),
        y + rng.normal(0, position_error_m, n),
        np.maximum(length + rng.normal(0, length_error_m, n), 10),
        np.maximum(width + rng.normal(0, 4, n), 8),
        heading + rng.normal(0, 10, n),
        acquired=next(time for stamp, time in TIMES.items() if stamp in source.name),
    )
    return SimulatedScene(vessels, mmsi, np.isin(mmsi, [int(float(m)) for m in silent]), ais)


def boxes(
    plane: Plane, x, y, length, width, heading, *, acquired: str | None = "2022-08-25T10:36:41Z", **columns
) -> Detections:
    """A vessel table of oriented boxes given in metres of a plane."""
    x, y, length, width, heading = (
        np.atleast_1d(np.asarray(v, float)) for v in (x, y, length, width, heading)
    )
    angle = np.radians(heading)
    along = np.column_stack([np.sin(angle), np.cos(angle)]) * length[:, None] / 2
    across = np.column_stack([np.cos(angle), -np.sin(angle)]) * width[:, None] / 2
    corners = [along + across, along - across, -along - across, -along + across]
    rings = np.stack([np.column_stack(plane.inverse(x + c[:, 0], y + c[:, 1])) for c in corners], axis=1)
    lon, lat = plane.inverse(x, y)
    n = len(x)
    return Detections.from_columns(
        **{
            "scene_id": ["scene"] * n,
            "acquired": [acquired] * n,
            "class": ["vessel"] * n,
            "confidence": [0.8] * n,
            "lon": lon,
            "lat": lat,
            "length_m": length,
            "width_m": width,
            "heading_deg": heading % 180,
            "heading_ambiguous": [True] * n,
            "geometry": shapely.polygons(rings),
            **columns,
        }
    )
