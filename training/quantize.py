"""Turn an exported network into one of 8-bit integers, faster on processors with VNNI (README.md).

Ranges come from real chips. The two outermost stages stay in floating point: the first two convolutions, whose inputs
span all of reflectance, and the last ones of the head, whose outputs are places and scores: there
rounding costs most and integers save least.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.atomic import replacing
from detector.errors import ConfigError, WeightsError

#: Activations above this percentile are clipped: a rare bright pixel must not coarsen all others.
PERCENTILE = 99.999
_FLOAT = re.compile(r"/model\.(0|1)/|/cv[234]\.\d/cv[234]\.\d\.2/Conv$|/dfl/")


def quantize(network: Path, chips: Path, out: Path, *, samples: int = 48, seed: int = 0) -> None:
    """Write the 8-bit form of an exported network, whole or not at all.

    Static quantisation of the convolutions, weights by channel, as onnxruntime does it (QDQ form, which OpenVINO
    runs in integers too). The metadata are kept.

    Args:
        network: an ONNX file of `export_onnx`.
        chips: a chip folder to take the ranges of activations from.
        out: the ONNX file to write.
        samples: chips to look at.
        seed: decides which, and which of them are shown as true colour.

    Raises:
        ConfigError: the folder holds no chips.
        WeightsError: the file is not an exported network.
    """
    import onnx
    from onnxruntime import quantization

    files = sorted(chips.glob("*.tif"))
    if not files:
        raise ConfigError(f"{chips} holds no chips to take ranges from; name the chip folder of a training run")
    graph = onnx.load(str(network))
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    if "bargewatch" not in metadata:
        raise WeightsError(f"{network} is not an exported network; make one with bargewatch export")
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    rng = np.random.default_rng(seed)
    chosen = [files[i] for i in rng.permutation(len(files))[:samples]]
    with replacing(out) as draft:
        whole = draft.with_suffix(".float.onnx")
        try:
            onnx.save(_in_full_precision(graph), str(whole))
            quantization.quantize_static(
                str(whole), str(draft), _Reader(chosen, rng), quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=["Conv"], per_channel=True, activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                nodes_to_exclude=[name for name in convolutions if _FLOAT.search(name)],
                calibrate_method=quantization.CalibrationMethod.Percentile,
                extra_options={"CalibPercentile": PERCENTILE},
            )  # fmt: skip
        finally:
            whole.unlink(missing_ok=True)
        small = onnx.load(str(draft))
        del small.metadata_props[:]  # ours alone and last in the file, where inference looks for them
        entry = small.metadata_props.add()
        entry.key, entry.value = "bargewatch", metadata["bargewatch"]
        onnx.checker.check_model(small)
        onnx.save(small, str(draft))


class _Reader:
    """Chips one by one, in the form that onnxruntime asks of calibration data."""

    def __init__(self, files: list[Path], rng: np.random.Generator) -> None:
        self._windows = self._read(files, rng)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        return next(self._windows, None)

    @staticmethod
    def _read(files: list[Path], rng: np.random.Generator) -> Iterator[dict[str, NDArray[np.uint8]]]:
        import rasterio

        for file in files:
            with rasterio.open(file) as dataset:
                pixels = dataset.read()
            if rng.random() < 0.3:
                pixels[3] = 0
            yield {"window": pixels[None]}


def _in_full_precision(graph: Any) -> Any:
    """The graph with the weights that `export_onnx` stored as 16-bit numbers turned back into 32-bit ones."""
    from onnx import numpy_helper

    halves = {tensor.name: tensor for tensor in graph.graph.initializer if tensor.name.endswith("_half")}
    nodes = []
    for node in graph.graph.node:
        if node.op_type == "Cast" and node.input[0] in halves:
            tensor = halves[node.input[0]]
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, node.output[0]))
        else:
            nodes.append(node)
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    return graph
