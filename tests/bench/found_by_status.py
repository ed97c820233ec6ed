"""Vessels found on the painted tile by how they lie (README.md): python -m tests.bench.found_by_status [--weights W]"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from detector import predict
from tests.bench.painted import TRUTH, painted_tile
from training.simulate.demo import REACH_M, match_positions

LEAST_M = 50.0


def main() -> None:
    """Predict and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", help="name or .onnx file")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--out", type=Path, default=Path(".cache/bench"))
    options = parser.parse_args()
    scene = painted_tile(options.out, options.seed, options.size, "tif")
    truth = [feature["properties"] for feature in json.loads((scene.parent / TRUTH).read_text())["features"]]
    found = predict(scene, weights=options.weights)
    places = [one["lon"] for one in truth], [one["lat"] for one in truth]
    got = {pair[0] for pair in match_positions(*places, found["lon"], found["lat"], REACH_M).pairs}
    print(f"{len(truth)} vessels, {len(found)} boxes")
    for status in sorted({one["status"] for one in truth}):
        for text, least in (("all", 0.0), (f"{LEAST_M:.0f} m and over", LEAST_M)):
            mine = [k for k, one in enumerate(truth) if one["status"] == status and one["length_m"] >= least]
            print(f"{status:10s} {text:14s} {len(got.intersection(mine)):4d} of {len(mine)}")


if __name__ == "__main__":
    main()
