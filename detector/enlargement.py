"""The enlargement of the input, folded into the first convolution of a network.

An exported network enlarges its window twice by bilinear interpolation and then convolves every second pixel (3 x 3, stride
2, padding 1). Both are linear, and together they see three by three pixels of the window: with stride 1 one convolution of
the window itself gives the same numbers, and the enlarged image, four times the window in 32 bits, is never made. Only the
outermost pixels of a window differ, where the enlargement repeats the edge and a convolution sees zeros. What the network
says of the rest of the window changes with them by less than a hundredth.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Row k: what the pixels i - 1, i, i + 1 of the window give to pixel 2i - 1 + k of the enlarged one (half-pixel centres).
_TAPS = np.array([[0.75, 0.25, 0.0], [0.25, 0.75, 0.0], [0.0, 0.75, 0.25]])


def folded(kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """The kernel (out, in, 3, 3) for stride 2 on the enlarged window as one for stride 1 on the window."""
    return np.asarray(np.einsum("oikl,kr,lc->oirc", kernel, _TAPS, _TAPS), np.float32)


def fold_enlargement(model: Any) -> bool:
    """Fold the enlargement of an OpenVINO model of fixed input shape; False, and no change, where it is none of this kind.

    Args:
        model: openvino.Model; a factor other than two (scene pixels that are not 10 m) is left as it is.
    """
    import openvino.opset13 as ops

    for resize in model.get_ordered_ops():
        if resize.get_type_name() != "Interpolate":
            continue
        scaling = _only_consumer(resize)
        convolution = scaling and _only_consumer(scaling)
        divisor = scaling and scaling.get_type_name() == "Divide" and _constant(scaling.input_value(1))
        kernel = convolution and convolution.get_type_name() == "Convolution" and _constant(convolution.input_value(1))
        if not (
            isinstance(divisor, np.ndarray)
            and divisor.size == 1
            and isinstance(kernel, np.ndarray)
            and _doubles(resize)
            and _halves(convolution, kernel)
        ):
            return False
        filters = ops.constant(folded(kernel) / divisor.reshape(()))
        one = [1, 1]
        replacement = ops.convolution(resize.input_value(0), filters, one, one, one, one)
        replacement.set_friendly_name(convolution.get_friendly_name())
        convolution.output(0).replace(replacement.output(0))
        return True
    return False


def _doubles(resize: Any) -> bool:
    how = resize.get_attributes()
    before, after = list(resize.input_value(0).get_shape()), list(resize.output(0).get_shape())
    return (
        how["mode"] in ("linear_onnx", "linear")
        and how["coordinate_transformation_mode"] == "half_pixel"
        and after == [*before[:2], 2 * before[2], 2 * before[3]]
    )


def _halves(convolution: Any, kernel: NDArray[np.float32]) -> bool:
    how = convolution.get_attributes()
    return kernel.shape[2:] == (3, 3) and (
        [how["strides"], how["pads_begin"], how["pads_end"], how["dilations"]] == [[2, 2], [1, 1], [1, 1], [1, 1]]
    )


def _only_consumer(node: Any) -> Any:
    targets = list(node.output(0).get_target_inputs())
    return targets[0].get_node() if len(targets) == 1 else None


def _constant(output: Any) -> NDArray[np.float32] | None:
    """The numbers of a constant, which may be kept in half precision; None for anything else."""
    node = output.get_node()
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return np.asarray(node.get_data(), np.float32) if node.get_type_name() == "Constant" else None
