"""Painted ports for training: quays, rafts, ranks, tows and coal barges, which few real labels show, in all weathers.

They are drawn by `training.simulate` with seeds of their own, never those of the demonstration, the tests or the benchmarks.
Their place is called `painted`: it is trained on in every fold and judged on in none.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from training.config import PaintedConfig
from training.labels import Label, LabelledScene
from training.simulate import PaintedScene, SceneSpec, TrueVessel, paint, write_geotiff
from training.simulate.port import ALL_TRADES

log = logging.getLogger(__name__)

PLACE = "painted"
_FIRST_SEED = 7000
#: Metres. What is shorter, or under cloud, is no label but an area that counts neither way, as at real ports.
_LEAST_LENGTH_M = 25.0


def painted_scenes(config: PaintedConfig, classes: Sequence[str], folder: Path) -> list[LabelledScene]:
    """Paint ports into a folder, and label them; those that are there already are not painted again.

    Args:
        config: how many and how large.
        classes: names that labels may have; a coal barge is a vessel where there is no such class.
        folder: gets a GeoTIFF a port.
    """
    return [_painted(number, config.size, classes, folder) for number in range(config.scenes)]


def _painted(number: int, size: int, classes: Sequence[str], folder: Path) -> LabelledScene:
    path = folder / f"{PLACE}_{number}.tif"
    labels = path.with_suffix(".json")
    if not labels.is_file():
        scene = paint(_spec(number, size))
        folder.mkdir(parents=True, exist_ok=True)
        write_geotiff(scene, path)
        rows = [_label(vessel, scene, classes) for vessel in scene.truth]
        labels.write_text(json.dumps([{**vars(row), "corners": row.corners.tolist()} for row in rows]))
        log.info("%s: %d vessels", path.name, len(rows))
    given = json.loads(labels.read_text())
    return LabelledScene(path, PLACE, [Label(**{**row, "corners": np.asarray(row["corners"])}) for row in given])


def _spec(number: int, size: int) -> SceneSpec:
    """One or two harbours with terminals, weather and traffic of their own."""
    rng = np.random.default_rng(_FIRST_SEED + number)
    return SceneSpec(
        seed=_FIRST_SEED + number,
        size=(size, size),
        haze=float(rng.uniform(0.0, 0.5)),
        cloud_fraction=float(rng.choice([0.0, 0.0, 0.1])),
        wind=float(rng.uniform(1.0, 12.0)),
        turbidity=float(rng.uniform(0.0, 1.0)),
        glint=float(rng.uniform(0.0, 0.04)),
        estuary=bool(rng.random() < 0.6),
        acquired=datetime(2020, 1, 15, 2, 21, 9, tzinfo=UTC) + timedelta(days=int(rng.integers(0, 350))),
        vessel_count=int(50 * (size / 1000.0) ** 2),
        harbours=int(rng.integers(1, 3)),
        rafting=0.25,
        trades=tuple(rng.permutation(ALL_TRADES)),
    )


def _label(vessel: TrueVessel, scene: PaintedScene, classes: Sequence[str]) -> Label:
    ring = np.asarray(vessel.polygon.exterior.coords)[:4]
    corners = np.stack(scene.grid.from_lonlat(ring[:, 0], ring[:, 1]), axis=-1)
    name = vessel.label if vessel.label in classes else "vessel"
    return Label(corners, name, ignore=not vessel.clear or vessel.length_m < _LEAST_LENGTH_M, id=vessel.id)
