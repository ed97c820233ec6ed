"""Weights to test with: those that ship, else the .onnx file that BARGEWATCH_TEST_WEIGHTS names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from detector.resources import weights_path


def weights_to_test() -> Path | None:
    """Path of an .onnx file, or None for the default of the registry; skips the test without either."""
    if weights_path("registry.json").is_file():
        return None
    path = os.environ.get("BARGEWATCH_TEST_WEIGHTS")
    if not path or not Path(path).is_file():
        pytest.skip("no weights: export a network, or set BARGEWATCH_TEST_WEIGHTS to an .onnx file")
    return Path(path)
