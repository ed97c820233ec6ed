"""Speed, memory and vessels found on a full tile, beside SAHI with the same weights.  README.md says what is compared.

    python -m tests.bench.bench_tile [--size 10980] [--tile PATH] [--weights NAME|FILE.onnx] [--checkpoint FILE.pt]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.bench.painted import truth_places
from tests.bench.report import machine, markdown

_ROOT = Path(__file__).resolve().parents[2]
_SYSTEMS = ("read", "bargewatch", "onnxruntime", "safe", "sahi", "sahi-ours")
_SLICE, _SLICE_INPUT, _SLICE_OVERLAP = 320, 640, 0.2  # Mäyrä et al. 2024, who search Sentinel-2 with SAHI


def job(name: str, threads: int, env: dict[str, str] | None = None, **keywords: Any) -> dict[str, Any]:
    """Do a job of `jobs.py` in a process of its own; its answer, with "seconds" of wall time, imports included."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "answer.json"
        settings = {**os.environ, "OMP_NUM_THREADS": str(threads), **(env or {})}
        command = [sys.executable, "-m", "tests.bench.jobs", name, json.dumps({**keywords, "result": str(target)})]
        begun = time.perf_counter()
        code = subprocess.run(command, cwd=_ROOT, env=settings, stdout=sys.stderr, check=False).returncode
        seconds = time.perf_counter() - begun
        if target.is_file():
            answer: dict[str, Any] = json.loads(target.read_text())
        elif code < 0:
            answer = {"error": f"ended by {signal.Signals(-code).name}; out of memory if that is SIGKILL"}
        else:
            answer = {"error": f"ended with code {code} and no answer"}
    return {**answer, "seconds": round(seconds - answer.get("excluded", 0.0), 3)}


def must(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer of a job that nothing works without."""
    if "error" in answer:
        sys.exit(f"bench_tile: {answer['error']}")
    return answer


def scored(row: dict[str, Any], truth: Any) -> dict[str, Any]:
    """A row with the vessels that it found, missed and made up, instead of where they are."""
    lon, lat = row.pop("lon", None), row.pop("lat", None)
    if lon is None:
        return row
    row["detections"] = len(lon)
    if truth is not None:
        from training.simulate.demo import REACH_M, match_positions

        match = match_positions(truth[0], truth[1], lon, lat, REACH_M)
        row |= {"found": len(match.pairs), "missed": len(match.missed), "false": len(match.false), "total": len(truth[0])}
    return row


def agreement(ours: tuple[list[float], list[float]], row: dict[str, Any]) -> float | None:
    """Share of our vessels that another system puts within 30 m: with the same weights it should be nearly all."""
    from training.simulate.demo import match_positions

    if not ours[0] or not row.get("lon"):
        return None
    return round(len(match_positions(*ours, row["lon"], row["lat"], 30.0).pairs) / len(ours[0]), 3)


class Rows:
    """The rows of the table, measured one after the other."""

    def __init__(self, options: argparse.Namespace, truth: Any) -> None:
        self.rows: list[dict[str, Any]] = []
        self._options, self._truth = options, truth
        self._ours: tuple[list[float], list[float]] = ([], [])

    def add(self, key: str, system: str, name: str, runtime: str = "openvino", **keywords: Any) -> None:
        """Measure a job, if its key is wanted, and add it under the name of a system."""
        if key not in self._options.only:
            return
        print(f"{system} ...", file=sys.stderr, flush=True)
        answer = job(name, self._options.threads, {"BARGEWATCH_RUNTIME": runtime}, **keywords)
        row = {"system": system, "key": key, **answer}
        if key == "bargewatch":
            self._ours = (row.get("lon", []), row.get("lat", []))
        elif key.startswith("sahi"):
            row["agreement"] = agreement(self._ours, row)
        self.rows.append(scored(row, self._truth))


def measure(
    options: argparse.Namespace, weights: Any, checkpoint: Path | None
) -> tuple[list[dict[str, Any]], str, list[int]]:  # fmt: skip
    """All rows of the table, the name of the scene, and its (width, height)."""
    threads, out = options.threads, options.out
    safe = None
    if options.tile:
        scene = options.tile
    else:
        plan = {"folder": str(out), "seed": options.seed, "size": options.size}
        scene = Path(must(job("paint", threads, form="tif", **plan))["scene"])
        if "safe" in options.only:
            safe = Path(must(job("paint", threads, form="safe", **plan))["scene"])
    form = "SAFE" if scene.suffix.lower() == ".safe" else "GeoTIFF"
    here = {"scene": str(scene), "weights": options.weights}
    image = out / "encoded.npy"
    table = Rows(options, truth_places(scene))
    table.add("read", f"rasterio alone, {form}", "read", scene=str(scene))
    table.add("bargewatch", f"bargewatch, {form}", "bargewatch", **here)
    table.add("onnxruntime", f"bargewatch, {form}, onnxruntime", "bargewatch", "onnxruntime", **here)
    if safe is not None:
        table.add("safe", "rasterio alone, SAFE (JPEG 2000)", "read", scene=str(safe))
        table.add("safe", "bargewatch, SAFE (JPEG 2000)", "bargewatch", scene=str(safe), weights=options.weights)
    try:
        encoded = must(job("encode", threads, **here, image=str(image)))
        table.rows.append({"system": "reading and encoding into the array for SAHI", "key": "encode", **encoded})
        if checkpoint is None:
            print("bench_tile: no checkpoint (.pt) of these weights, so no SAHI; pass --checkpoint", file=sys.stderr)
        else:
            _add_sahi(table, scene, image, weights, checkpoint, encoded)
    finally:
        image.unlink(missing_ok=True)
    return table.rows, scene.name, [encoded["width"], encoded["height"]]


def _add_sahi(table: Rows, scene: Path, image: Path, weights: Any, checkpoint: Path, encoded: dict[str, Any]) -> None:
    """SAHI as it is used on Sentinel-2, and SAHI with our windows; both enlarge a pixel twice."""
    same = {"scene": str(scene), "image": str(image), "checkpoint": str(checkpoint), "confidence": weights.confidence}
    table.add(
        "sahi", f"SAHI + ultralytics, {_SLICE} -> {_SLICE_INPUT}, overlap {_SLICE_OVERLAP:g}", "sahi",
        **same, window=[_SLICE, _SLICE], input_size=_SLICE_INPUT, overlap=[_SLICE_OVERLAP, _SLICE_OVERLAP],
    )  # fmt: skip
    window, overlap = encoded["window"], encoded["overlap"]
    shares = [(pixels + 0.01) / size for pixels, size in zip(overlap, window, strict=True)]  # SAHI truncates
    table.add(
        "sahi-ours", f"SAHI + ultralytics, our {window[0]} -> {weights.size}, overlap {overlap[0]} px", "sahi",
        **same, window=window, input_size=weights.size, overlap=shares,
    )  # fmt: skip


def small_times(options: argparse.Namespace) -> dict[str, float]:
    """Median seconds of processes that start cold: the import, and the command line on a crop of 1000 x 1000."""

    def median(times: int, *command: str) -> float:
        spent = []
        for _ in range(times):
            begun = time.perf_counter()
            subprocess.run(
                [sys.executable, *command], cwd=_ROOT, check=True, stdout=subprocess.DEVNULL,
                env={**os.environ, "OMP_NUM_THREADS": str(options.threads)},
            )  # fmt: skip
            spent.append(time.perf_counter() - begun)
        return round(statistics.median(spent), 3)

    port = must(job("port", options.threads, folder=str(options.out), seed=options.seed, size=1000))["scene"]
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "detector.cli", "predict", port, "--quiet", "--threads", str(options.threads)]
        command += ["--out", str(Path(folder) / "vessels.geojson")]
        if options.weights:
            command += ["--weights", options.weights]
        return {
            "python -c pass": median(7, "-c", "pass"),
            "python -c 'import detector'": median(7, "-c", "import detector"),
            "python -c 'from detector import predict'": median(7, "-c", "from detector import predict"),
            "bargewatch predict, 1000 x 1000 GeoTIFF": median(3, *command),
        }


def arguments(given: list[str] | None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="bench_tile", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--size", type=int, default=10980, help="pixels a side of the painted tile")
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--tile", type=Path, help="another scene; its vessels in truth.geojson beside it, if known")
    parser.add_argument("--weights", help="name or .onnx file; default: those that ship")
    parser.add_argument("--checkpoint", type=Path, help="the same weights as .pt, for ultralytics; default: the registry's")
    parser.add_argument("--out", type=Path, default=_ROOT / ".cache" / "bench", help="where scenes and results are kept")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="for every system alike")
    parser.add_argument("--only", nargs="+", choices=_SYSTEMS, default=list(_SYSTEMS), help="only these systems")
    parser.add_argument("--json", action="store_true", help="print the results as JSON instead of a table")
    options = parser.parse_args(given)
    options.out = options.out.resolve()
    options.tile = options.tile and options.tile.resolve()
    if options.weights and Path(options.weights).suffix:
        options.weights = str(Path(options.weights).resolve())
    return options


def shipped_checkpoint(name: str | None) -> Path | None:
    """The .pt of weights in the registry, None where there is none."""
    from detector.model import registry
    from detector.resources import weights_path

    if name and Path(name).suffix:
        return None
    table = registry()
    file = table["weights"].get(name or table["default"], {}).get("pt")
    return weights_path(file) if file and weights_path(file).is_file() else None


def main(given: list[str] | None = None) -> int:
    """Measure, print, and keep the results in OUT/bench_tile.json."""
    options = arguments(given)
    from detector.errors import BargewatchError
    from detector.model import find_weights

    try:
        weights = find_weights(options.weights)
        checkpoint = options.checkpoint.resolve() if options.checkpoint else shipped_checkpoint(options.weights)
    except BargewatchError as error:
        sys.exit(f"bench_tile: {error}")
    if checkpoint is not None and not checkpoint.is_file():
        sys.exit(f"bench_tile: there is no checkpoint {checkpoint}")
    options.out.mkdir(parents=True, exist_ok=True)
    box = machine(options.threads)
    if box["load_before"] > 0.5:
        print(f"bench_tile: the machine is busy (load {box['load_before']}); times will not hold", file=sys.stderr)
    rows, scene, size = measure(options, weights, checkpoint)
    results = {
        "machine": box,
        "scene": {"name": scene, "width": size[0], "height": size[1]},
        "weights": {"name": weights.name, "sha256": weights.sha256, "confidence": weights.confidence},
        "rows": rows,
        "cold starts": small_times(options),
    }
    path = options.out / "bench_tile.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1) if options.json else markdown(results))
    print(f"kept in {path}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
