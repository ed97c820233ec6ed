"""The enlargement folded into the first convolution gives the numbers of the two one after the other."""

from __future__ import annotations

import numpy as np
import pytest

from detector.enlargement import fold_enlargement, folded

openvino = pytest.importorskip("openvino")
ops = pytest.importorskip("openvino.opset13")


def model(size: int, *, window: int, stride: int = 2) -> object:
    """A window enlarged to a size, scaled and convolved, as exported networks begin."""
    rng = np.random.default_rng(0)
    given = ops.parameter([1, 4, window, window], np.uint8, name="window")
    large = ops.interpolate(
        ops.convert(given, np.float32), ops.constant(np.array([1, 4, size, size])), mode="linear_onnx",
        shape_calculation_mode="sizes", coordinate_transformation_mode="half_pixel",
        axes=ops.constant(np.array([0, 1, 2, 3])),
    )  # fmt: skip
    kernel = ops.constant(rng.normal(size=(5, 4, 3, 3)).astype(np.float32))
    scaled = ops.divide(large, ops.constant(np.float32(255.0)))
    out = ops.convolution(scaled, kernel, [stride, stride], [1, 1], [1, 1], [1, 1])
    return openvino.Model([out], [given], "begin")


def run(network: object, window: np.ndarray) -> np.ndarray:
    request = openvino.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    request.infer({0: window})
    return np.array(request.get_output_tensor(0).data)


def test_same_numbers_but_at_the_edge() -> None:
    window = np.random.default_rng(1).integers(0, 256, (1, 4, 40, 40), dtype=np.uint8)
    plain, fused = model(80, window=40), model(80, window=40)
    assert fold_enlargement(fused)
    assert not any(op.get_type_name() == "Interpolate" for op in fused.get_ops())  # type: ignore[attr-defined]
    before, after = run(plain, window), run(fused, window)
    assert before.shape == after.shape == (1, 5, 40, 40)
    assert np.allclose(before[..., 1:-1, 1:-1], after[..., 1:-1, 1:-1], atol=1e-5)
    assert np.abs(before).max() > 1.0


@pytest.mark.parametrize(("size", "window", "stride"), [(80, 50, 2), (80, 40, 1)])
def test_other_beginnings_stay_as_they_are(size: int, window: int, stride: int) -> None:
    network = model(size, window=window, stride=stride)
    assert not fold_enlargement(network)
    pixels = np.full((1, 4, window, window), 7, np.uint8)
    assert np.array_equal(run(network, pixels), run(model(size, window=window, stride=stride), pixels))


def test_kernel_keeps_its_sum() -> None:
    """On an even image every linear step gives the same."""
    kernel = np.random.default_rng(2).normal(size=(3, 4, 3, 3)).astype(np.float32)
    assert np.allclose(folded(kernel).sum(axis=(2, 3)), kernel.sum(axis=(2, 3)), atol=1e-5)


def test_the_shipped_network_is_folded() -> None:
    from detector.model import find_weights, scene_window

    weights = find_weights(None)
    columns, rows = scene_window(weights, (10.0, 10.0))
    network = openvino.Core().read_model(weights.path)
    network.reshape([1, 4, rows, columns])
    assert fold_enlargement(network)
