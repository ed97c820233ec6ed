"""What an exported network says of itself: JSON in the metadata of the ONNX file, found without an ONNX library."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from detector import calibration, encoding
from detector.errors import ConfigError, WeightsError

FORMAT = "bargewatch-obb-1"
# A protobuf string field (1) of ten bytes, and the tag of the string field (2) that follows it.
_KEY = b"\x0a\x0abargewatch\x12"
_WANTED = {"format", "classes", "bands", "size", "ground_sampling_m", "confidence"}


def description(content: bytes, path: Path) -> dict[str, Any]:
    """The checked metadata of a file's content: classes, size, ground_sampling_m, confidence, and calibration or None.

    Args:
        path: of the file, for the messages.

    Raises:
        WeightsError: no network of bargewatch, of another form, or one whose metadata cannot be.
    """
    found = _metadata(content, path)
    classes, size = found["classes"], found["size"]
    sampling, confidence = found["ground_sampling_m"], found["confidence"]
    if not (
        isinstance(classes, list)
        and classes
        and all(isinstance(label, str) for label in classes)
        and isinstance(size, int)
        and size > 0
        and isinstance(sampling, int | float)
        and 0 < sampling < math.inf
        and isinstance(confidence, int | float)
        and 0 <= confidence <= 1
    ):
        raise WeightsError(f"{path} describes itself wrongly; make it again with bargewatch export")
    pairs = None
    if found.get("calibration") is not None:
        try:
            pairs = calibration.check(found["calibration"])
        except ConfigError as error:
            raise WeightsError(f"{path} describes itself wrongly ({error})") from error
    return {**found, "calibration": pairs}


def _metadata(content: bytes, path: Path) -> dict[str, Any]:
    """metadata_props is the last field that the exporter writes: a protobuf string of known key whose value is JSON."""
    start = content.rfind(_KEY)
    found: Any = None
    if start >= 0:
        try:
            length, at = _varint(content, start + len(_KEY))
            found = json.loads(content[at : at + length])
        except (ValueError, RecursionError):
            found = None
    if not isinstance(found, dict) or not set(found) >= _WANTED:
        raise WeightsError(
            f"{path} is not a network of bargewatch, or is damaged; make one with bargewatch export"
        )
    if found["format"] != FORMAT or found["bands"] != list(encoding.BANDS):
        raise WeightsError(
            f"{path} is of form {found['format']} with bands {found['bands']}; this version reads {FORMAT}"
        )
    return found


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """A protobuf number of at most ten bytes, and where it ends; ValueError where there is none."""
    value = 0
    for shift, byte in enumerate(content[at : at + 10]):
        value |= (byte & 127) << (7 * shift)
        if byte < 128:
            return value, at + shift + 1
    raise ValueError("the number does not end")
