"""Evidence of coal on a hull, and the class that it gives.

Coal is dark and nearly flat: it rises a little from blue to near infrared and further into short-wave infrared (Mao et al.
2014, IEEE J-STARS; Song et al. 2017). Water is as dark, but falls towards near infrared; paint, rust, sand and most ores are
brighter or coloured. A hull of two pixels shows none of it purely: its pixels hold water, deck and cargo, blurred, under
haze. A small network, trained on rendered hulls of known cargo, reads the spectra along and across the hull together with
those of what lies beside it (`detector.patches`), so it can allow for all of these. Shadow, dark paint, wet hatch covers and
magnetite are not told from coal with certainty: the score is evidence, not proof. What it was trained and tested on, and how
well it does: docs/coal.md.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import patches
from detector.boxes import Floats, measure
from detector.errors import MissingDependencyError, WeightsError
from detector.model import LOADING, runtime_name
from detector.patches import Patches
from detector.scene import Scene

#: Sets of bands, the best first; the scene's own bands decide which is used.
BAND_SETS: Mapping[str, tuple[str, ...]] = {
    "swir": ("B02", "B03", "B04", "B08", "B11"),
    "nir": ("B02", "B03", "B04", "B08"),
    "colour": ("B02", "B03", "B04"),
}
#: Metres. Narrower boxes get no score: most of their pixels is water.
LEAST_WIDTH_M = 10.0
#: Metres. Nor do shorter ones: no barge that carries coal is that small, and dark tugs and fishing boats look like it.
LEAST_LENGTH_M = 35.0
#: Reflectance. A box whose pixels differ less from what lies beside it shows no hull.
LEAST_CONTRAST = 0.008
#: Metres. Longest box that is called a barge: the largest coal barges are 100 m to 130 m (330 ft and more); a laden bulk
#: carrier keeps the class `vessel` and shows its cargo in `coal_score`.
BARGE_LENGTH_M = (LEAST_LENGTH_M, 135.0)
#: Length over width of a barge's box: barges are 3.5 to 6.2 times as long as wide, boxes of narrow ones are drawn too wide;
#: stubbier ones are two hulls or a part of one.
BARGE_SLENDER = (2.4, 8.5)
#: Boxes that are in the network at once.
_BATCH = 32
_MODEL = Path(__file__).with_name("coal.json")


@dataclass(frozen=True)
class CoalModel:
    """The shipped network of the score.

    Attributes:
        path: ONNX file: `patches.inputs` in, scores (n,) out.
        sha256: of the file, in hexadecimal.
        threshold: score from which a hull shows coal, for every set of bands.
    """

    path: Path
    sha256: str
    threshold: float


@lru_cache(maxsize=1)
def model() -> CoalModel:
    """The model that ships (made by ``python -m training.composites.fit``)."""
    try:
        table = json.loads(_MODEL.read_text())
        return CoalModel(_MODEL.with_name(table["network"]), table["sha256"], float(table["threshold"]))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise WeightsError(f"{_MODEL} is absent or damaged; install bargewatch again") from error


def band_set(bands: tuple[str, ...]) -> str | None:
    """The name of the best set whose bands are all there; None for none."""
    return next((name for name, needed in BAND_SETS.items() if set(needed) <= set(bands)), None)


def coal_score(scene: Scene, corners: Floats) -> NDArray[np.float64]:
    """How much the hull in each box (n, 4, 2 in scene pixels) looks as if it shows coal, 0–1.

    NaN where the pixels cannot tell: a box narrower than `LEAST_WIDTH_M`, shorter than `LEAST_LENGTH_M` or some 80 m wide, a
    hull that does not stand out, no data, or red, green or blue missing.
    A scene of true colour alone gets a score too (docs/coal.md).

    Raises:
        WeightsError: the network that ships is absent or not the one that was released.
        MissingDependencyError: the runtime that was asked for is not installed.
    """
    scores = np.full(len(corners), np.nan)
    chosen = band_set(scene.bands)
    if chosen is None:
        return scores
    sides = measure(corners, scene.grid)
    todo = np.flatnonzero(_large(sides.length_m, sides.width_m))
    for first in range(0, len(todo), _BATCH):
        part = todo[first : first + _BATCH]
        found = patches.cut(scene, corners[part], BAND_SETS[chosen])
        told = known(found)
        if told.any():
            scores[part[told]] = _network()(patches.inputs(found.where(told)))
    return scores


def known(found: Patches) -> NDArray[np.bool_]:
    """Which patches get a score: large enough, with a hull that stands out."""
    with np.errstate(invalid="ignore"):
        return np.asarray(_large(found.length_m, found.width_m) & (patches.contrast(found) >= LEAST_CONTRAST))


def _large(length_m: Floats, width_m: Floats) -> NDArray[np.bool_]:
    return np.asarray((width_m >= LEAST_WIDTH_M) & (length_m >= LEAST_LENGTH_M))


def coal_barge(
    scores: NDArray[np.float64], bands: tuple[str, ...], length_m: Floats, width_m: Floats
) -> NDArray[np.bool_]:
    """Which boxes the class `coal_barge` fits: enough evidence of coal, and the size of a barge.

    A barge that is empty or carries something else is not told from other hulls at 10 m, so it stays a `vessel`;
    so does a sea-going ship with coal in its holds.
    """
    if band_set(bands) is None:
        return np.zeros(len(scores), bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(barge_sized(length_m, width_m) & (scores >= model().threshold))


def barge_sized(length_m: Floats, width_m: Floats) -> NDArray[np.bool_]:
    """Which boxes have the size of a barge, whatever they show."""
    size = (length_m >= BARGE_LENGTH_M[0]) & (length_m <= BARGE_LENGTH_M[1])
    return np.asarray(
        size & (length_m >= BARGE_SLENDER[0] * width_m) & (length_m <= BARGE_SLENDER[1] * width_m)
    )


Scorer = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def _network() -> Scorer:
    """The network of this process; threads may share it."""
    with LOADING:
        return _loaded(runtime_name())


@lru_cache(maxsize=2)
def _loaded(runtime: str) -> Scorer:
    shipped = model()
    try:
        content = shipped.path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{shipped.path} cannot be read; install bargewatch again") from error
    if hashlib.sha256(content).hexdigest() != shipped.sha256:
        raise WeightsError(f"{shipped.path} is not the file that was released; install bargewatch again")
    try:
        return _onnxruntime(content) if runtime == "onnxruntime" else _openvino(content)
    except ImportError as error:
        raise MissingDependencyError(f"{runtime} is not installed; pip install {runtime}") from error
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise WeightsError(f"{runtime} cannot load {shipped.path}: {reason}") from error


def _openvino(content: bytes) -> Scorer:
    import openvino

    core = openvino.Core()
    # One thread: patches are small, and the windows of the detector keep the other processors busy meanwhile.
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "ENABLE_CPU_PINNING": False,
    }  # fmt: skip
    compiled = core.compile_model(core.read_model(content), "CPU", settings)

    def run(given: NDArray[np.float32]) -> NDArray[np.float64]:
        request = compiled.create_infer_request()
        request.infer({0: given}, share_inputs=True)
        return np.asarray(request.get_output_tensor(0).data, np.float64)

    return run


def _onnxruntime(content: bytes) -> Scorer:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(given: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.asarray(session.run(None, {"patches": given})[0], np.float64)

    return run
