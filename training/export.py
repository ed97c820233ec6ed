"""Export a trained network to ONNX and to a lean checkpoint, and check that both say the same.

The exported graph takes the encoded pixels of a scene window as they are (uint8, any window size), enlarges them to the
fixed input of the network, and returns its raw output. So inference needs no image library, and the enlargement is the
same in every runtime.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from detector.atomic import replacing
from detector.encoding import BANDS, GROUND_SAMPLING_M
from detector.errors import ConfigError, WeightsError
from detector.networkfile import FORMAT
from training.checkpoints import load_network

__all__ = ["Enlarged", "check_agreement", "export_onnx", "load_network", "sha256"]

OPSET = 17


class Enlarged(nn.Module):
    """A network behind the enlargement of its input.

    Args:
        network: the fused YOLO oriented-box network.
        size: side of the network input in pixels.
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size

    def forward(self, window: torch.Tensor) -> torch.Tensor:
        """(n, 4, h, w) uint8 to (n, 4 + classes + 1, anchors): x, y, long side, short side, scores, angle."""
        image = nn.functional.interpolate(
            window.float(), size=(self.size, self.size), mode="bilinear", align_corners=False
        )
        out = self.network(image / 255.0)
        return out[0] if isinstance(out, tuple | list) else out


def export_onnx(
    checkpoint: Path, out: Path, *, size: int = 768, confidence: float = 0.25, extra: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Write the ONNX network, whole or not at all, and return its metadata.

    Args:
        checkpoint: a checkpoint of training.
        out: the .onnx file to write.
        size: side of the network input; a multiple of 32.
        confidence: the threshold that `predict` uses unless told otherwise.
        extra: more metadata to keep in the file.

    Raises:
        WeightsError: the checkpoint is no such network, or the exported one differs from it by more than rounding.
        ConfigError: the size is no multiple of 32.
    """
    import onnx

    if size % 32 or size < 64:
        raise ConfigError(f"the network input cannot be {size} pixels wide; use a multiple of 32 from 64 on")
    network = load_network(checkpoint)
    names = list(network.names.values())
    network.model[-1].end2end = False  # of a YOLO26 the branch that says all boxes: `detector` merges them itself
    network = network.fuse(verbose=False).half().float()  # the file keeps weights in half precision
    network.model[-1].export = True
    network.model[-1].format = "onnx"
    wrapped = Enlarged(network, size).eval()
    window = int(round(size * GROUND_SAMPLING_M / 10.0))
    example = torch.zeros(1, len(BANDS), window, window, dtype=torch.uint8)
    metadata = {
        "format": FORMAT, "classes": names, "bands": list(BANDS), "size": size,
        "ground_sampling_m": GROUND_SAMPLING_M, "confidence": confidence, **(extra or {}),
    }  # fmt: skip
    with replacing(out) as draft:
        with torch.no_grad():
            wrapped(example)
            torch.onnx.export(
                wrapped, (example,), str(draft), opset_version=OPSET, input_names=["window"], output_names=["boxes"],
                dynamic_axes={"window": {0: "n", 2: "h", 3: "w"}, "boxes": {0: "n"}}, dynamo=False,
            )  # fmt: skip
        graph = onnx.load(str(draft))
        _store_in_half_precision(graph)
        del graph.metadata_props[:]
        entry = graph.metadata_props.add()
        entry.key, entry.value = "bargewatch", json.dumps(metadata)
        onnx.checker.check_model(graph)
        onnx.save(graph, str(draft))
        check_agreement(wrapped, draft, window)
    return metadata


def _store_in_half_precision(graph: Any) -> None:
    """Keep large weights as 16-bit numbers that the graph turns into 32-bit ones: half the file, the same arithmetic."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < 256 or not np.array_equal(values.astype(np.float16).astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)


def check_agreement(wrapped: nn.Module, onnx_file: Path, window: int, tolerance: float = 2e-3) -> float:
    """Largest difference between the ONNX file and torch on noise, relative to the input size for places.

    Raises:
        WeightsError: it is above the tolerance.
    """
    import onnxruntime

    rng = np.random.default_rng(0)
    worst = 0.0
    session = onnxruntime.InferenceSession(str(onnx_file), providers=["CPUExecutionProvider"])
    for sides in ((window, window), (window + 37, window - 21)):
        image = rng.integers(0, 256, (2, len(BANDS), *sides), dtype=np.uint8)
        image[1, 3] = 0
        with torch.no_grad():
            ours = wrapped(torch.from_numpy(image)).numpy()
        theirs = session.run(None, {"window": image})[0]
        scale = np.ones((1, ours.shape[1], 1), np.float32)
        scale[:, :4] = wrapped.size
        worst = max(worst, float(np.abs((ours - theirs) / scale).max()))
    if not worst <= tolerance:
        raise WeightsError(f"{onnx_file} differs from the trained network by {worst:.2g}; above {tolerance:.2g}")
    return worst


def sha256(path: Path) -> str:
    """SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()
