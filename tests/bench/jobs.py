"""What the benchmark measures, each in a process of its own: python -m tests.bench.jobs JOB JSON.

The JSON holds the keywords of the job and "result", the file that the answer goes to: {"phases": seconds of the parts,
"excluded": seconds that only the benchmark needs, "peak_mb": largest resident memory, "lon"/"lat" of what was found},
or {"error": …}. Nothing heavy is imported at the top: importing is part of what is measured.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.painted import painted_port, painted_tile, steps

_ROWS = 512  # of a block of the painted GeoTIFF
_NEEDED = ("B04", "B03", "B02", "B08")


def peak_mb() -> float:
    """Largest resident memory of this process in MB (10^6 bytes)."""
    status = Path("/proc/self/status")
    if status.is_file():  # Linux hands ru_maxrss on to the next program of a process; VmHWM begins anew
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if found:
            return int(found[1]) * 1024 / 1e6
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else most * 1024) / 1e6


def threads() -> int:
    """Processor threads that every system gets."""
    return int(os.environ["OMP_NUM_THREADS"])


class Clock:
    """Seconds of the parts of a job: `lap("name")` ends a part and begins the next."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self._since = time.perf_counter()

    def lap(self, name: str) -> float:
        """End a part; its seconds."""
        now = time.perf_counter()
        spent, self._since = now - self._since, now
        self.phases[name] = round(self.phases.get(name, 0.0) + spent, 3)
        return spent


def paint(folder: str, seed: int, size: int, form: str) -> dict[str, Any]:
    """Build the tile, or find it."""
    return {"scene": str(painted_tile(Path(folder), seed, size, form))}


def port(folder: str, seed: int, size: int) -> dict[str, Any]:
    """Build the small scene, or find it."""
    return {"scene": str(painted_port(Path(folder), seed, size))}


def read(scene: str) -> dict[str, Any]:
    """Every pixel of the four bands, strip by strip, by rasterio alone."""
    import rasterio
    from rasterio.windows import Window

    clock, path = Clock(), Path(scene)
    if path.is_dir():
        files = [next(path.rglob(f"*_{band}*.jp2")) for band in _NEEDED]
    else:
        files = [path]
    pixels = 0
    with rasterio.Env(GDAL_NUM_THREADS=str(threads())):
        sources = [rasterio.open(file) for file in files]
        first = sources[0]
        bands = [1 + first.descriptions.index(band) for band in _NEEDED] if len(files) == 1 else [1]
        rows = min(max(_ROWS, first.block_shapes[0][0]), 2048)
        for top in range(0, first.height, rows):
            strip = Window(0, top, first.width, min(rows, first.height - top))
            pixels += sum(source.read(bands, window=strip).size for source in sources)
    clock.lap("reading")
    assert pixels == 4 * first.width * first.height
    return {"phases": clock.phases}


def bargewatch(scene: str, weights: str | None) -> dict[str, Any]:
    """`detector.predict`, with a progress callback as the command line has it."""
    clock = Clock()
    from detector.prediction import run

    clock.lap("importing")
    (result,) = run([scene], weights=weights, threads=threads(), progress=steps("bargewatch"), looks=False)
    clock.lap("all else")
    if result.error is not None:
        raise result.error
    assert result.detections is not None
    return {
        "phases": clock.phases, "windows": result.windows, "skipped": result.skipped, "rejected": result.rejected,
        "lon": [float(x) for x in result.detections["lon"]], "lat": [float(y) for y in result.detections["lat"]],
    }  # fmt: skip


def encode(scene: str, weights: str | None, image: str) -> dict[str, Any]:
    """The whole scene as the image that SAHI gets; saved for its jobs, which is not counted."""
    import math

    import numpy as np

    from detector.encoding import BANDS
    from detector.encoding import encode as encoded
    from detector.geometry import Window
    from detector.model import find_weights, scene_window
    from detector.scene import open_scene
    from detector.search import OVERLAP_M

    clock = Clock()
    with open_scene(scene) as opened:
        grid = opened.grid
        # SAHI turns the channels round, as if every picture were RGB and every network wanted BGR; so they are handed
        # over the other way round and reach the network in the order that it was trained on.
        picture = np.empty((grid.height, grid.width, len(BANDS)), np.uint8)
        radiometry = [opened.radiometry[band] for band in BANDS]
        for top in range(0, grid.height, _ROWS):
            strip = Window(0, top, grid.width, min(_ROWS, grid.height - top))
            pixels = encoded(opened.read(strip, BANDS), radiometry, opened.fill)
            picture[top : top + strip.height] = np.moveaxis(pixels, 0, -1)[..., ::-1]
        clock.lap("reading and encoding")
        pixel = grid.pixel_size()
        window = scene_window(find_weights(weights), pixel)
        overlap = [math.ceil(OVERLAP_M / size) for size in pixel]
    most = peak_mb()
    clock.lap("all else")
    np.save(image, picture)
    excluded = clock.lap("saving")
    return {
        "phases": clock.phases, "excluded": excluded, "peak_mb": most, "window": window, "overlap": overlap,
        "width": grid.width, "height": grid.height,
    }  # fmt: skip


def sahi(
    scene: str, image: str, checkpoint: str, confidence: float, window: list[int], input_size: int, overlap: list[float]
) -> dict[str, Any]:  # fmt: skip
    """SAHI with ultralytics on the encoded image: slices of `window` (columns, rows) shown at `input_size`."""
    clock = Clock()
    import numpy as np

    picture = np.load(image)
    excluded = clock.lap("loading the image")  # an array in memory is where SAHI begins
    os.environ["YOLO_OFFLINE"] = "true"
    import torch
    from sahi import AutoDetectionModel
    from sahi.predict import get_sliced_prediction

    torch.set_num_threads(threads())
    clock.lap("importing")
    model = AutoDetectionModel.from_pretrained(
        model_type="ultralytics", model_path=checkpoint, confidence_threshold=confidence, device="cpu", image_size=input_size
    )
    clock.lap("loading the network")
    result = get_sliced_prediction(
        picture, model, slice_width=window[0], slice_height=window[1], overlap_width_ratio=overlap[0],
        overlap_height_ratio=overlap[1], perform_standard_pred=False, postprocess_type="NMS",
        postprocess_class_agnostic=True, verbose=0,
        progress_callback=steps(f"SAHI {window[0]} -> {input_size}"),
    )  # fmt: skip
    total = clock.lap("slicing")
    clock.phases.update({name: round(spent, 3) for name, spent in result.durations_in_seconds.items()})
    clock.phases["slicing"] = round(total - sum(result.durations_in_seconds.values()), 3)

    from detector.scene import open_scene

    boxes = np.array([one.bbox.to_xyxy() for one in result.object_prediction_list], float).reshape(-1, 4)
    with open_scene(scene) as opened:  # the middle of an oriented box is that of the box round it
        lon, lat = opened.grid.to_lonlat((boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2)
    excluded += clock.lap("to longitude and latitude")
    return {"phases": clock.phases, "excluded": excluded, "lon": lon.tolist(), "lat": lat.tolist()}


JOBS = {job.__name__: job for job in (paint, port, read, bargewatch, encode, sahi)}


def main(name: str, keywords: str) -> int:
    """Do one job and write its answer; 1 if it failed."""
    given = json.loads(keywords)
    target = Path(given.pop("result"))
    try:
        answer = JOBS[name](**given)
    except Exception as error:  # noqa: BLE001 - a system that fails at this size is a row of the table
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    answer.setdefault("peak_mb", peak_mb())
    target.write_text(json.dumps(answer))
    return int("error" in answer)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
