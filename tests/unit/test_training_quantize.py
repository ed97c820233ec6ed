"""8-bit networks: the form of the file, its agreement with the floating-point one, and the gate."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

from detector.errors import ConfigError, WeightsError  # noqa: E402
from detector.model import Network, find_weights, registry  # noqa: E402
from training import gate  # noqa: E402
from training.quantize import quantize  # noqa: E402
from training.registry import register  # noqa: E402


def write_chips(folder: Path, count: int) -> None:
    """Calm sea with bright rectangles, in the form of training chips."""
    import rasterio

    folder.mkdir()
    rng = np.random.default_rng(3)
    for number in range(count):
        pixels = rng.integers(55, 75, (4, 128, 128), dtype=np.uint8)
        row, col = rng.integers(10, 100, 2)
        pixels[:, row : row + 4, col : col + 20] = rng.integers(120, 220)
        profile = {"driver": "GTiff", "count": 4, "dtype": "uint8", "width": 128, "height": 128}
        with rasterio.open(folder / f"{number}.tif", "w", **profile) as out:
            out.write(pixels)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quantize")
    write_chips(folder / "chips", 6)
    out = folder / "small.onnx"
    quantize(find_weights(registry()["default"]).path, folder / "chips", out, samples=6)
    return out


def test_the_file_is_smaller_and_keeps_what_it_says_of_itself(small: Path) -> None:
    whole, found = find_weights(registry()["default"]), find_weights(small)
    assert small.stat().st_size < 0.7 * whole.path.stat().st_size
    assert (found.classes, found.size, found.confidence) == (whole.classes, whole.size, whole.confidence)
    assert not list(small.parent.glob("*.float.onnx"))


def test_the_registry_says_the_same_of_both_forms(small: Path, tmp_path: Path) -> None:
    whole = shutil.copy(find_weights(registry()["default"]).path, tmp_path / "net.onnx")
    eight = shutil.copy(small, tmp_path / "net-int8.onnx")
    register(tmp_path, "net", whole)
    known = register(tmp_path, "net-int8", eight, made_from=whole, default="vnni")["weights"]
    one, other = ({k: v for k, v in known[name].items() if "onnx" not in k} for name in ("net", "net-int8"))
    assert one == other and one["card"] == "net.md" and {"classes", "size", "confidence", "calibration"} < set(one)
    assert register(tmp_path, "alone", eight)["weights"]["alone"]["card"] == "alone.md"


def test_the_outermost_stages_stay_in_floating_point(small: Path) -> None:
    graph = onnx.load(str(small)).graph
    made_by = {output: node for node in graph.node for output in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    quantised = [node for node in convolutions if made_by[node.input[0]].op_type == "DequantizeLinear"]
    assert 0.7 < len(quantised) / len(convolutions) < 0.95
    assert not any("/model.0/" in node.name or "/dfl/" in node.name for node in quantised)


def test_both_forms_see_the_same_ship(small: Path) -> None:
    window = np.full((1, 4, 384, 384), 62, np.uint8)
    window += np.random.default_rng(0).integers(0, 6, window.shape, dtype=np.uint8)
    window[:, :, 180:184, 150:176] = 190
    outputs = [Network(find_weights(w), (384, 384), 1)(window)[0] for w in (registry()["default"], small)]
    best = int(outputs[0][4].argmax())
    assert outputs[0][4, best] > 0.3
    assert abs(outputs[0][4, best] - outputs[1][4, best]) < 0.25  # ranges of two chips only
    assert np.abs(outputs[0][:4, best] - outputs[1][:4, best]).max() < 6  # network pixels of 5 m


def test_no_chips(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no chips"):
        quantize(find_weights(None).path, tmp_path, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()


def test_the_gate_refuses_a_loss_and_what_was_not_measured() -> None:
    gate.require(gate.Loss(0.2, 0.80, 0.795, 4))
    gate.require(gate.Loss(0.2, 0.80, 0.83, 4))
    with pytest.raises(WeightsError, match=r"more than 0\.01 worse"):
        gate.require(gate.Loss(0.2, 0.80, 0.78, 4))
    with pytest.raises(WeightsError):
        gate.require(gate.Loss(0.2, float("nan"), float("nan"), 0))
