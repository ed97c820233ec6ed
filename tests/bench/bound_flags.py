"""How well silent ships of docs/flags.md can be told at all: python -m tests.bench.bound_flags [--seeds 10]

Two deciders that know what no analyst knows. The first has the true errors of place, length, width and axis, the true
shares of missed, false and silenced, and expects silent ships where ships with AIS are dense; its posterior over all
one-to-one assignments is the Bayes decision up to that prior of place. The second is also told place, size and heading
of each silent ship, and lacks nothing but which hull is which. All may choose their thresholds afterwards.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import ndtr
from scipy.stats import norm

from detector.assignment import Candidates, marginals
from detector.detections import Detections
from detector.flags import flag_vessels
from detector.plane import Plane
from tests.aisscenes import SimulatedScene, danish_files, simulate

_MISSED, _FALSE, _SILENCED = 0.1, 0.1, 0.05  # as simulate() has them
_SCALES_M = (30.0, 100.0, 300.0, 1000.0)  # of the kernels that say where ships are dense


def ships(path: Path) -> dict[str, np.ndarray]:
    """Columns of the class A and B rows; NaN where empty."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["Type of mobile"].startswith("Class")]
    names = ("MMSI", "Longitude", "Latitude", "Length", "Width", "Heading")
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}


def not_broadcasting(
    scene: SimulatedScene, source: Path, position_error_m: float, *, told: bool
) -> np.ndarray:
    """For each hull the probability that it is no ship with AIS; told: where the silent ships are."""
    everyone, heard = ships(source), ships(scene.ais)
    plane = Plane(everyone["Longitude"].mean(), everyone["Latitude"].mean())
    hulls = np.column_stack(plane.forward(scene.vessels["lon"], scene.vessels["lat"]))
    known = everyone if told else heard
    x, y = plane.forward(known["Longitude"], known["Latitude"])
    all_x, all_y = plane.forward(everyone["Longitude"], everyone["Latitude"])
    area, count = np.ptp(all_x) * np.ptp(all_y), len(all_x)
    alike = _likeness(scene.vessels, everyone, np.arange(len(hulls))[:, None], np.arange(count))
    anyhow = {**everyone, "Heading": np.full(count, np.nan)}
    turned = _likeness(scene.vessels, anyhow, np.arange(len(hulls))[:, None], np.arange(count))
    none = _FALSE * (1 - _MISSED) * count / area * turned.mean(axis=1)
    if not told:
        square = (hulls[:, :1] - x) ** 2 + (hulls[:, 1:] - y) ** 2
        dense = np.mean([_gauss(square, s).sum(axis=1) for s in _SCALES_M], axis=0)
        dense = 0.9 * dense + 0.1 * len(x) / area
        none += (1 - _MISSED) * _SILENCED / (1 - _SILENCED) * dense * alike.mean(axis=1)
    near = cKDTree(hulls).query_ball_point(np.column_stack([x, y]), 6 * position_error_m)
    ship = np.repeat(np.arange(len(x)), [len(rows) for rows in near])
    hull = np.concatenate([np.asarray(rows, np.int64) for rows in near])
    place = _gauss((hulls[hull, 0] - x[ship]) ** 2 + (hulls[hull, 1] - y[ship]) ** 2, position_error_m)
    weight = (1 - _MISSED) / _MISSED * place * _likeness(scene.vessels, known, hull, ship) / none[hull]
    pairs = Candidates(hull, ship, np.log(np.maximum(weight, 1e-300)), (len(hulls), len(x)))
    heard_too = np.isin(known["MMSI"], heard["MMSI"])[ship]
    return 1 - np.bincount(hull, marginals(pairs).pair * heard_too, len(hulls))


def _gauss(square: np.ndarray, scale: float) -> np.ndarray:
    return np.exp(-square / 2 / scale**2) / (2 * np.pi * scale**2)


def _likeness(vessels: Detections, of: dict[str, np.ndarray], hull: np.ndarray, ship: np.ndarray):
    """Density of the measured length, width and axis of hulls, given ships, as simulate() draws them."""
    length = np.where(np.isnan(of["Length"]), 12, of["Length"])
    width = np.where(np.nan_to_num(of["Width"]) == 0, length / 4, of["Width"])
    turn = (vessels["heading_deg"][hull] - of["Heading"][ship] + 90) % 180 - 90
    axis = np.where(np.isnan(turn), 1 / 180, norm.pdf(turn, 0, 10))
    return (
        _at_least(vessels["length_m"][hull], length[ship], 12, 10)
        * _at_least(vessels["width_m"][hull], width[ship], 4, 8)
        * axis
    )


def _at_least(value: np.ndarray, mean: np.ndarray, error: float, least: float) -> np.ndarray:
    """Density of a normal value that is raised to `least`: there, all that lies below."""
    return np.where(value <= least + 1e-6, ndtr((least - mean) / error), norm.pdf(value, mean, error))


def at_best(score: np.ndarray, silent: np.ndarray, heard: np.ndarray) -> str:
    """Recall where precision is 90%, and precision where recall is, at thresholds chosen afterwards."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.diff(score[order]) != 0, True)
    found, wrong = np.cumsum(silent[order])[last], np.cumsum(heard[order])[last]
    recall, precision = found / silent.sum(), found / np.maximum(found + wrong, 1)
    return (
        f"{recall[precision >= 0.9].max(initial=0):.0%} at precision 90% | "
        f"{precision[recall >= 0.9].max(initial=0):.0%} at recall 90%"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10)
    seeds = parser.parse_args().seeds
    first, second = danish_files()
    print("| overpass | place | silent ships | who decides | recall | precision |\n|---|---|---|---|---|---|")
    for error in (20.0, 14.1):
        both: dict[str, list[np.ndarray]] = {}
        for name, source in (("first", first), ("second", second)):
            columns = _columns(source, seeds, error)
            _show(name, error, columns)
            for key, parts in columns.items():
                both.setdefault(key, []).extend(parts)
        _show("both", error, both)


def _columns(source: Path, seeds: int, error: float) -> dict[str, list[np.ndarray]]:
    """Truth and scores of all hulls, an array a seed."""
    out: dict[str, list[np.ndarray]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(seeds):
            scene = simulate(source, Path(folder), seed, position_error_m=error)
            flagged = flag_vessels(scene.vessels, ais=[scene.ais])
            covered = np.array(["ais-unknown" not in flags for flags in flagged.detections["flags"]])
            for key, column in {
                "silent": scene.silenced & (scene.mmsi > 0) & covered,
                "heard": scene.broadcasting,
                "bargewatch": flagged["unmatched_probability"],
                "true errors known": not_broadcasting(scene, source, error, told=False),
                "silent ships' places known too": not_broadcasting(scene, source, error, told=True),
            }.items():
                out.setdefault(key, []).append(column)
    return out


def _show(name: str, error: float, columns: dict[str, list[np.ndarray]]) -> None:
    whole = {key: np.concatenate(parts) for key, parts in columns.items()}
    silent, heard = whole.pop("silent"), whole.pop("heard")
    for who, score in whole.items():
        print(
            f"| {name} | {error:g} m | {silent.sum()} | {who} | {at_best(score, silent, heard)} |", flush=True
        )


if __name__ == "__main__":
    main()
