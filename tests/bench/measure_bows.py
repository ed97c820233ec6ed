"""Bows given by wakes, against the truth (docs/coal.md).  Run: python -m tests.bench.measure_bows [--part tune|report]

Painted ports of two sets of seeds, 70 vessels each, a dozen or so under way and a few under tow, go through `predict` as a
user's scene would, with four bands and in true colour; then the labelled vessels of Houston, with the bows that were read
by eye (configs/labels/houston-bows.json), and of the labelled ports go through `motion`. A bow is right within 45°.
The thresholds of `detector.wakes` were set on the seeds of `tune`; those of `report` were not looked at before.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from pathlib import Path

import numpy as np

from detector.resources import config_path
from detector.scene import open_scene
from detector.wakes import motion
from tests.bench.painted import TRUTH
from training.composites.samples import read_ports, read_series
from training.labels import Label, LabelledScene

SEEDS = {"tune": range(1001, 1013), "report": range(2001, 2013)}
RIGHT_DEG = 45.0
REACH_M = 150.0


def painted_traffic(folder: Path, seed: int) -> Path:
    """A painted port with much traffic, of the seed's own haze, turbidity and wind; its truth lies beside it."""
    from training.simulate import SceneSpec, paint, truth_geojson, write_geotiff

    place = folder / f"traffic-{seed}"
    if not (place / TRUTH).is_file():  # written last
        place.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([seed, 5])
        spec = SceneSpec(
            seed=seed, size=(1200, 1200), vessel_count=70, haze=float(rng.uniform(0.0, 0.35)),
            turbidity=float(rng.uniform(0.1, 0.9)), wind=float(rng.uniform(1.0, 8.0)),
        )  # fmt: skip
        painted = paint(spec)
        write_geotiff(painted, place / "scene.tif")
        truth_geojson(painted.truth, place / TRUTH)
    return place / "scene.tif"


def true_colour(scene: Path) -> Path:
    """The same scene as 8-bit true colour, beside it."""
    import rasterio

    from training.simulate.product import eight_bit

    out = scene.with_name("colour.tif")
    if not out.is_file():
        with rasterio.open(scene) as source:
            order = [source.descriptions.index(band) + 1 for band in ("B04", "B03", "B02")]
            profile = {"driver": "GTiff", "width": source.width, "height": source.height, "count": 3, "dtype": "uint8",
                       "crs": source.crs, "transform": source.transform, "nodata": 0}  # fmt: skip
            draft = out.with_suffix(".part.tif")
            with rasterio.open(draft, "w", photometric="RGB", **profile) as target:
                target.write(np.stack([eight_bit(source.read(k)) for k in order]))
        draft.replace(out)
    return out


def off(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Degrees between directions."""
    return np.abs((a - b + 180.0) % 360.0 - 180.0)


def painted_bows(scene: Path) -> list[dict[str, object]]:
    """One row a painted vessel that was found, and one a false detection with a bow."""
    from detector import predict
    from training.simulate.demo import match_positions

    truth = [feature["properties"] for feature in json.loads((scene.parent / TRUTH).read_text())["features"]]
    found = predict(scene)
    pairs = match_positions(
        [one["lon"] for one in truth], [one["lat"] for one in truth], found["lon"], found["lat"], REACH_M
    )
    given = ~np.asarray(found["heading_ambiguous"], bool)
    headings = np.asarray(found["heading_deg"], float)
    rows: list[dict[str, object]] = [
        {"status": truth[t]["status"], "kind": truth[t]["kind"], "length": truth[t]["length_m"],
         "given": bool(given[d]), "off": float(off(headings[d], truth[t]["heading_deg"])),
         "too_long": float(found["length_m"][d] - truth[t]["length_m"])}
        for t, d, _ in pairs.pairs
    ]  # fmt: skip
    rows += [{"status": "no vessel", "given": True, "off": 180.0} for d in pairs.false if given[d]]
    return rows


def table(name: str, rows: list[dict[str, object]]) -> None:
    """Print how many bows were given and right, by what the vessels do."""
    total: Counter[str] = Counter()
    for status in sorted({str(row["status"]) for row in rows}):
        mine = [row for row in rows if row["status"] == status]
        given = [row for row in mine if row["given"]]
        right = sum(float(str(row["off"])) <= RIGHT_DEG for row in given)
        print(f"{name:24s} {status:10s} {len(mine):5d} vessels {len(given):4d} bows {right:4d} right")
        total.update(vessels=len(mine), given=len(given), right=right)
    share = total["right"] / max(total["given"], 1)
    counts = f"{total['vessels']:5d} vessels {total['given']:4d} bows {total['right']:4d} right"
    print(f"{name:24s} {'all':10s} {counts} {share:.3f}")


def lengths(name: str, rows: list[dict[str, object]]) -> None:
    """Print the error of the length of what is under way or under tow and was given a bow, by true length."""
    for low, high in ((0.0, 60.0), (60.0, 130.0), (130.0, 500.0)):
        wrong = np.array(
            [
                float(str(row["too_long"]))
                for row in rows
                if row["status"] in ("underway", "tow")
                and row["given"]
                and low <= float(str(row["length"])) < high
            ]
        )
        if len(wrong):
            print(
                f"{name:24s} {low:.0f} to {high:.0f} m: {len(wrong)} given a bow, length error {np.mean(wrong):+.1f} m"
                f" mean, {np.abs(wrong).mean():.1f} m mean absolute"
            )


def bows(scene: LabelledScene) -> np.ndarray | None:
    """Bows (degrees) that the wakes of a scene's labelled vessels give, NaN for none; None without true colour."""
    with open_scene(scene.path, require=()) as source:
        if not {"B02", "B03", "B04"} <= set(source.bands):
            return None
        return motion(source, np.array([label.corners for label in vessels(scene)]).reshape(-1, 4, 2)).bow_deg


def vessels(scene: LabelledScene) -> list[Label]:
    return [label for label in scene.labels if not label.ignore]


def houston(shared: Path) -> None:
    """Real vessels, true colour: those under way against bows read by eye; how many at anchor are given one."""
    read = {
        int(k): v
        for k, v in json.loads(config_path("labels/houston-bows.json").read_text())["bow_deg"].items()
    }
    rows: list[dict[str, object]] = []
    others: list[str] = []
    for scene in read_series(shared):
        found = bows(scene)
        assert found is not None  # true colour
        for label, bow in zip(vessels(scene), found, strict=True):
            if label.id in read:
                far = float(off(bow, np.array(read[label.id])))
                rows.append({"status": "underway", "given": bool(np.isfinite(bow)), "off": far})
            elif np.isfinite(bow):
                others.append(f"{scene.name} {label.id}: {bow:.0f}")
    table("Houston", rows)
    print(
        f"Houston, bows of {len(others)} others (date, label: degrees), to be read by eye:",
        *others,
        sep="\n  ",
    )


def ports(shared: Path) -> None:
    """Real vessels of the labelled ports that are given a bow, to be read by eye."""
    given, total = [], 0
    for name, scene in read_ports(shared).items():
        if (found := bows(scene)) is None:
            continue
        total += len(found)
        given += [
            f"{name} {label.id}: {bow:.0f}"
            for label, bow in zip(vessels(scene), found, strict=True)
            if bow == bow
        ]
    print(
        f"Ports, bows of {len(given)} of {total} vessels (port, label: degrees), to be read by eye:",
        *given,
        sep="\n  ",
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", choices=sorted(SEEDS), default="report")
    parser.add_argument("--cache", type=Path, default=Path(".cache/bench"))
    parser.add_argument("--shared", type=Path, default=Path(os.environ.get("BARGEWATCH_SHARED", "../shared")))
    options = parser.parse_args()
    scenes = [painted_traffic(options.cache, seed) for seed in SEEDS[options.part]]
    for name, of in (("four bands", lambda scene: scene), ("true colour", true_colour)):
        rows = [row for scene in scenes for row in painted_bows(of(scene))]
        table(f"painted, {name}", rows)
        lengths(f"painted, {name}", rows)
    houston(options.shared)
    ports(options.shared)


if __name__ == "__main__":
    main()
