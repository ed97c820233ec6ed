"""The network: which weights there are, whether they are the ones they claim to be, and running them.

Weights are ONNX files, which hold numbers and a graph but no code. Those that ship are listed with their
SHA-256 in `weights/registry.json` and are checked before each use.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import encoding
from detector.enlargement import fold_enlargement
from detector.errors import MissingDependencyError, WeightsError, WeightsNotFoundError
from detector.networkfile import description
from detector.processors import has_vnni, processors
from detector.resources import weights_path

REGISTRY = "registry.json"

Boxes = NDArray[np.float32]

#: Windows that are in the network at once, at most: each needs memory of its own.
_MOST_IN_FLIGHT = 4


def in_flight(threads: int | None = None) -> int:
    """How many windows a network should be given at once: one a thread, up to a few.

    Threads that share one window wait for the slowest of them at every layer, and something else runs on one of the
    processors for much of the time (39 against 27 ms a window on two processors, 81 against 39 beside a busy thread).
    """
    return min(threads or processors(), _MOST_IN_FLIGHT)


@dataclass(frozen=True)
class Weights:
    """Checked weights, ready to be loaded.

    Attributes:
        name: name in the registry, or the file stem.
        path: the ONNX file.
        sha256: of the file, in hexadecimal.
        classes: class names in the order of the scores.
        size: side of the network input in pixels.
        ground_sampling_m: metres on the ground of one network pixel.
        confidence: threshold that goes with these weights, of the network's own scores.
        calibration: table from the network's scores to probabilities (`detector.calibration`), None where none was fitted.
    """

    name: str
    path: Path
    sha256: str
    classes: tuple[str, ...]
    size: int
    ground_sampling_m: float
    confidence: float
    calibration: tuple[tuple[float, float], ...] | None = None


def registry() -> dict[str, Any]:
    """The weights that ship: ``{"default": name, "weights": {name: {"onnx": file, "onnx_sha256": …}}}``."""
    path = weights_path(REGISTRY)
    if not path.is_file():
        raise WeightsNotFoundError(
            f"there is no {path}; install bargewatch again, or pass weights= with an .onnx file"
        )
    try:
        table: dict[str, Any] = json.loads(path.read_bytes())
        assert table["default"] in table["weights"]
        assert all({"onnx", "onnx_sha256"} <= set(entry) for entry in table["weights"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise WeightsError(f"{path} is not a registry of weights, or is damaged; install it again") from error
    return table


def find_weights(weights: str | os.PathLike[str] | None) -> Weights:
    """Find and check weights by registry name or by path.

    Args:
        weights: None for the default (its 8-bit form where the processor has instructions for it), a name of
            the registry, or the path of an .onnx file of `bargewatch export`.

    Raises:
        WeightsNotFoundError: no such name or file.
        WeightsError: the file is not what the registry says, or not an exported bargewatch network.
    """
    path = Path(os.fspath(weights or ""))
    if path.suffix.lower() == ".onnx":
        return _checked(path.stem, path, None)
    known = registry()
    name = str(weights or (known.get("default_vnni") if has_vnni() else None) or known["default"])
    if name in known["weights"]:
        entry = known["weights"][name]
        return _checked(name, weights_path(entry["onnx"]), entry["onnx_sha256"])
    if path.suffix or path.exists():
        raise WeightsError(f"{path} is not an .onnx file; export a checkpoint first (bargewatch export)")
    names = ", ".join(known["weights"])
    raise WeightsNotFoundError(f"there are no weights {name!r}; use {names} or the path of an .onnx file")


def _checked(name: str, path: Path, expected: str | None) -> Weights:
    content = _read(path)
    digest = hashlib.sha256(content).hexdigest()
    if expected is not None and digest != expected:
        raise WeightsError(
            f"{path} is not the file that was released (SHA-256 {digest[:12]}…); install it again"
        )
    told = description(content, path)
    pairs = told["calibration"]
    return Weights(
        name=name,
        path=path,
        sha256=digest,
        classes=tuple(told["classes"]),
        size=told["size"],
        ground_sampling_m=float(told["ground_sampling_m"]),
        confidence=float(told["confidence"]),
        calibration=None if pairs is None else tuple((raw, true) for raw, true in pairs),
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise WeightsNotFoundError(f"there is no weights file {path}") from None
    except OSError as error:
        raise WeightsError(f"the weights {path} cannot be read: {error.strerror}") from error


class Network:
    """Loaded weights: encoded windows in, raw boxes out. Threads may share one.

    Args:
        weights: what to load.
        window: (columns, rows) of every window; the runtime prepares itself for this one shape.
        threads: processor threads; None for all.
        runtime: "openvino" or "onnxruntime"; None takes BARGEWATCH_RUNTIME, else OpenVINO.
    """

    def __init__(
        self,
        weights: Weights,
        window: tuple[int, int],
        threads: int | None = None,
        runtime: str | None = None,
    ) -> None:
        self.weights, self.window = weights, window
        runtime = runtime or runtime_name()
        if runtime not in _RUNTIMES:
            raise WeightsError(f"there is no runtime {runtime!r}; use {' or '.join(_RUNTIMES)}")
        content = _read(weights.path)
        if hashlib.sha256(content).hexdigest() != weights.sha256:
            raise WeightsError(f"{weights.path} was changed since it was checked; start again")
        try:
            self._run = _RUNTIMES[runtime](content, window, threads)
        except ImportError as error:
            raise MissingDependencyError(f"{runtime} is not installed; pip install {runtime}") from error
        except Exception as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise WeightsError(f"{runtime} cannot load {weights.path}: {reason}") from error

    def __call__(self, windows: NDArray[np.uint8]) -> Boxes:
        """(n, 4, rows, columns) encoded windows to (n, 4 + classes + 1, anchors).

        Rows of the result: x, y, sides along and across the angle (network pixels), a score for each class,
        and the angle in radians, clockwise from +x on the image.
        """
        return self._run(windows)


Runner = Callable[[NDArray[np.uint8]], Boxes]


def _openvino(content: bytes, window: tuple[int, int], threads: int | None) -> Runner:
    import openvino

    core = openvino.Core()
    model = core.read_model(content)
    model.reshape([1, len(encoding.BANDS), window[1], window[0]])
    fold_enlargement(model)
    settings: dict[str, Any] = {
        "NUM_STREAMS": in_flight(threads),
        # What the file keeps in floating point is reckoned in 32 bits everywhere.
        "INFERENCE_PRECISION_HINT": "f32",
        # Pinned, the threads of all processes of a machine would share its first processors.
        "ENABLE_CPU_PINNING": False,
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(model, "CPU", settings)
    spare: SimpleQueue[Any] = SimpleQueue()
    for _ in range(in_flight(threads)):
        spare.put(compiled.create_infer_request())

    def run(windows: NDArray[np.uint8]) -> Boxes:
        results = []
        request = spare.get()
        try:
            for one in windows:
                request.infer({0: one[None]}, share_inputs=True)
                results.append(request.get_output_tensor(0).data.copy())
        finally:
            spare.put(request)
        return np.concatenate(results)

    return run


def _onnxruntime(content: bytes, window: tuple[int, int], threads: int | None) -> Runner:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run(windows: NDArray[np.uint8]) -> Boxes:
        return np.concatenate([session.run(None, {"window": one[None]})[0] for one in windows])

    return run


_RUNTIMES: dict[str, Callable[[bytes, tuple[int, int], int | None], Runner]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
}


def network(weights: Weights, window: tuple[int, int], threads: int | None = None) -> Network:
    """A network of this process, kept for the next scene of the same pixel size."""
    with _ASKING:
        loading = _kept(weights, window, threads, runtime_name())
    return loading.result()


def prepare(weights: Weights, threads: int | None = None) -> None:
    """Begin to load the network for 10 m pixels, which takes a second, while the caller opens the first scene."""
    with _ASKING:
        _kept(weights, scene_window(weights, (10.0, 10.0)), threads, runtime_name())


#: Two threads that ask at once must not both start to load, nor may two networks be loaded at once (that of `detector.coal`
#: too): OpenVINO can then wait for Python and Python for OpenVINO, for ever.
_ASKING, LOADING = Lock(), Lock()


@lru_cache(maxsize=4)
def _kept(weights: Weights, window: tuple[int, int], threads: int | None, runtime: str) -> Future[Network]:
    def load() -> Network:
        with LOADING:
            return Network(weights, window, threads, runtime)

    loader = ThreadPoolExecutor(1, thread_name_prefix="bargewatch-load")
    loading = loader.submit(load)
    loader.shutdown(wait=False)
    return loading


def runtime_name() -> str:
    """The runtime that this process is told to use."""
    return os.environ.get("BARGEWATCH_RUNTIME") or "openvino"


def scene_window(weights: Weights, pixel_size: Sequence[float]) -> tuple[int, int]:
    """(columns, rows) of scene pixels that fill a network's input, by the metres of one column and row."""
    span = weights.size * weights.ground_sampling_m
    return max(1, round(span / pixel_size[0])), max(1, round(span / pixel_size[1]))
