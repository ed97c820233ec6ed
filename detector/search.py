"""Search a scene window by window: read, encode, detect, and say which boxes the masks reject."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detector import clutter, filters, hulls, masks
from detector.boxes import Boxes, Floats, corners_of, decode, merge
from detector.coal import coal_score
from detector.encoding import BANDS, decode_reflectance, encode
from detector.errors import EmptySceneError
from detector.geometry import Window
from detector.model import Weights, in_flight, network, scene_window
from detector.scene import Scene
from detector.tiles import Tiling
from detector.wakes import motion

Progress = Callable[[int, int], None]

#: Metres that neighbouring windows share: the longest ship and a margin on both sides.
OVERLAP_M = 480.0
#: Windows read at once; a wide mosaic is read in several parts, so memory does not grow with its width.
_READ = 32
#: Pixels (of 10 m) by which the parts that windows answer for overlap; see `Tiling.owns`.
_SLACK = 6.0


@dataclass
class Found:
    """What the windows of a scene show.

    Attributes:
        boxes: in scene pixels; a hull may still be there once for each of two windows.
        reasons: why the masks reject each box, "" for those they do not.
        bow_deg: where the bow of each points by its wake (`wakes.motion`), NaN where none tells it.
        coal: score of each (`coal.coal_score`), NaN where the pixels cannot tell.
        windows, skipped: windows of the scene, and those without water or data that the network did not see.
    """

    boxes: Boxes
    reasons: NDArray[np.str_]
    bow_deg: Floats
    coal: Floats
    windows: int = 0
    skipped: int = 0

    @classmethod
    def concat(cls, parts: Sequence[Found]) -> Found:
        """All boxes of some windows."""
        return cls(
            Boxes.concat([part.boxes for part in parts]),
            np.concatenate([np.zeros(0, "<U9"), *(part.reasons for part in parts)]),
            np.concatenate([np.zeros(0), *(part.bow_deg for part in parts)]),
            np.concatenate([np.zeros(0), *(part.coal for part in parts)]),
        )


@dataclass
class _Piece:
    """A window, its encoded pixels (4, rows, columns) and its water."""

    window: Window
    pixels: NDArray[np.uint8]
    water: NDArray[np.bool_]


def search(
    scene: Scene, weights: Weights, confidence: float, threads: int | None, progress: Progress | None
) -> Found:
    """Every box of a scene from a confidence on.

    Raises:
        EmptySceneError: no pixel holds data.
    """
    pixel_m = scene.grid.pixel_size()
    shape = scene_window(weights, pixel_m)
    overlap = (math.ceil(OVERLAP_M / pixel_m[0]), math.ceil(OVERLAP_M / pixel_m[1]))
    tiling = Tiling(scene.grid.width, scene.grid.height, shape, overlap)

    def net(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        return network(weights, shape, threads)(pixels)  # while it is loaded, the first windows are read

    parts: list[Found] = []
    windows = skipped = 0
    any_data = False
    # The network works in threads of its own, so that its processors do not wait while boxes are sorted out.
    at_once = in_flight(threads)
    with ThreadPoolExecutor(at_once, thread_name_prefix="bargewatch-net") as pool:
        pending: deque[tuple[_Piece, Future[NDArray[np.float32]]]] = deque()

        def collect(at_most: int) -> None:
            while len(pending) > at_most:
                piece, raw = pending.popleft()
                mine = _boxes_of(raw.result()[0], piece, tiling, weights, confidence, pixel_m)
                if len(mine):
                    parts.append(_examined(scene, mine, piece, pixel_m))

        for window, pixels in _read_ahead(scene, tiling):
            windows += 1
            water = _water(pixels)
            any_data |= water is not None
            if water is not None and water.any():
                piece = _Piece(window, np.ascontiguousarray(pixels), water)
                pending.append((piece, pool.submit(net, piece.pixels[None])))
            else:
                skipped += 1
            collect(at_once + 1)
            if progress is not None:
                progress(windows, len(tiling))
        collect(0)
    if not any_data:
        raise EmptySceneError(
            f"{scene.name} holds no data: every pixel is no-data or NaN; check the file or its bands"
        )
    found = Found.concat(parts)
    found.windows, found.skipped = windows, skipped
    return found


def _read_ahead(scene: Scene, tiling: Tiling) -> Iterator[tuple[Window, NDArray[np.uint8]]]:
    """Every window with its encoded pixels; the next part of the scene is read meanwhile."""
    reads = [strip[i : i + _READ] for strip in tiling.strips() for i in range(0, len(strip), _READ)]
    with ThreadPoolExecutor(1, thread_name_prefix="bargewatch-read") as pool:
        ahead = pool.submit(_encoded, scene, reads[0])
        for number, windows in enumerate(reads):
            pixels = ahead.result()
            if number + 1 < len(reads):
                ahead = pool.submit(_encoded, scene, reads[number + 1])
            for window in windows:
                start = window.col - windows[0].col
                yield window, pixels[:, :, start : start + window.width]


def _encoded(scene: Scene, windows: list[Window]) -> NDArray[np.uint8]:
    """Encoded channels (4, rows, columns) of neighbouring windows of one strip; 0 for a missing band."""
    first, last = windows[0], windows[-1]
    whole = Window(first.col, first.row, last.col + last.width - first.col, first.height)
    bands = [band for band in BANDS if band in scene.bands]
    stored = scene.read(whole, bands)
    pixels = encode(stored, [scene.radiometry[band] for band in bands], scene.fill)
    if stored.dtype == np.uint8:  # a dark channel of an 8-bit picture is 0 although the pixel is there
        pixels[(pixels == 0) & masks.valid(stored, scene.fill)] = 1
    if len(bands) == len(BANDS):
        return pixels
    out = np.zeros((len(BANDS), whole.height, whole.width), np.uint8)
    out[[BANDS.index(band) for band in bands]] = pixels
    return out


def _water(pixels: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Water mask of an encoded window, None where it holds no data at all."""
    if not pixels.any():
        return None
    if pixels[3].any():
        return masks.water_encoded(pixels[1], pixels[3])
    return masks.water(decode_reflectance(pixels[:3]), BANDS[:3])


def _boxes_of(
    raw: NDArray[np.float32], piece: _Piece, tiling: Tiling, weights: Weights, confidence: float,
    pixel_m: tuple[float, float],
) -> Boxes:  # fmt: skip
    """The boxes that one window answers for, in scene pixels; the confidence of clutter is lowered."""
    window = piece.window
    xyabr, scores, classes = decode(raw, confidence)
    corners = corners_of(xyabr) * np.array([window.width, window.height]) / weights.size
    corners += np.array([window.col, window.row])
    boxes = Boxes(corners, scores, classes)
    centre = boxes.centres
    mine = tiling.owns(window, centre[:, 0], centre[:, 1], _SLACK * 20.0 / sum(pixel_m))
    mine &= (centre >= 0).all(axis=1) & (centre < [tiling.width, tiling.height]).all(axis=1)
    boxes = boxes[mine]
    local = boxes.corners - np.array([window.col, window.row])
    boxes.scores = boxes.scores * clutter.plausibility(local, piece.pixels, piece.water)
    return merge(boxes[boxes.scores >= confidence])


def _examined(scene: Scene, boxes: Boxes, piece: _Piece, pixel_m: tuple[float, float]) -> Found:
    """What the pixels around the boxes of a window say of them, while those pixels are still at hand."""
    reasons = _rejected(scene, boxes, piece, pixel_m)
    afloat = reasons == ""
    corners = boxes.corners.copy()
    origin = np.array([piece.window.col, piece.window.row])
    corners[afloat] = hulls.fit(corners[afloat] - origin, piece.pixels, pixel_m) + origin
    moving = motion(scene, corners[afloat])
    corners[afloat] = moving.hulls
    bow_deg = np.full(len(boxes), np.nan)
    bow_deg[afloat] = moving.bow_deg
    return Found(Boxes(corners, boxes.scores, boxes.classes), reasons, bow_deg, coal_score(scene, corners))


def _rejected(scene: Scene, boxes: Boxes, piece: _Piece, pixel_m: tuple[float, float]) -> NDArray[np.str_]:
    """The reasons that the masks of a window give against its boxes; "" for none."""
    reasons = np.full(len(boxes), "", dtype="<U9")
    reasons[filters.land_rejected(boxes.corners, piece.water, piece.window, sum(pixel_m) / 2)] = "land"
    cloudy = filters.cloud_rejected(boxes.corners, masks.cloud(scene, piece.window), piece.window)
    reasons[(reasons == "") & cloudy] = "cloud"
    return reasons
