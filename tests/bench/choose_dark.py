"""How accept_none was chosen: python -m tests.bench.choose_dark [--seeds 15]

Recall and precision of `dark` over its threshold, on the first overpass alone: as it is, with all distances halved, and
with headings made up for two ships in five besides. Other seeds than those of the figures in docs/flags.md.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from detector.flags import flag_vessels
from detector.flags.rules import load_settings
from tests.aisscenes import danish_files, simulate

_THRESHOLDS = np.arange(4, 12) / 20
_FIRST_SEED = 100


def variant(source: Path, folder: Path, *, closer: float, pointed: float) -> Path:
    """A copy of AIS with distances divided by `closer` and headings for a share `pointed` of those without."""
    with open(source, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rng = np.random.default_rng(5)
    for name in ("Latitude", "Longitude"):
        middle = np.mean([float(row[name]) for row in rows])
        for row in rows:
            row[name] = str(middle + (float(row[name]) - middle) / closer)
    for row in rows:
        if not row["Heading"] and rng.random() < pointed:
            row["Heading"] = f"{rng.uniform(0, 360):.0f}"
    folder.mkdir()
    with open(folder / source.name, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return folder / source.name


def scores(source: Path, folder: Path, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of having no AIS, of all hulls without a match where coverage is shown: of silent ships (NaN: matched)
    and of ships with AIS."""
    settings = load_settings(None)
    settings = replace(settings, matching=replace(settings.matching, accept_none=1e-9))
    silent, heard = [], []
    for seed in range(_FIRST_SEED, _FIRST_SEED + seeds):
        scene = simulate(source, folder, seed)
        flagged = flag_vessels(scene.vessels, ais=[scene.ais], rules=settings)
        known = np.array(["ais-unknown" not in flags for flags in flagged.detections["flags"]])
        chance = np.where(flagged["ais_status"] == "matched", np.nan, flagged["unmatched_probability"])
        silent.append(chance[known & scene.silenced & (scene.mmsi > 0)])
        heard.append(chance[known & scene.broadcasting])
    return np.concatenate(silent), np.concatenate(heard)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=15)
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case, closer, pointed in (("as it is", 1, 0), ("halved", 2, 0), ("halved, headings", 2, 0.4)):
            source = variant(danish_files()[0], folder / case, closer=closer, pointed=pointed)
            silent, heard = scores(source, folder / "scenes", seeds)
            print(f"{case}: {len(silent)} silent ships; recall, precision of dark from")
            for threshold in _THRESHOLDS:
                found, wrong = int((silent >= threshold).sum()), int((heard >= threshold).sum())
                print(
                    f"  {threshold:.2f}  {found / len(silent):.1%}  {found / max(found + wrong, 1):.1%}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
