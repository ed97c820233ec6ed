"""Stored numbers become what the network sees, the same way by table and by arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.encoding import (
    NO_DATA,
    REFLECTANCE_MAX,
    decode_reflectance,
    encode,
    encode_reflectance,
    encoding_table,
)

GAINS = [(1e-4, 0.0), (1e-4, -0.1), (0.3558 / 255, 0.0), (2e-5, 0.01)]


def every(dtype: str) -> np.ndarray:
    """Every number of a type, (1, rows, columns)."""
    info = np.iinfo(dtype)
    return np.arange(info.min, info.max + 1).astype(dtype).reshape(1, 16, -1)


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", ">u2", ">i2"])
@pytest.mark.parametrize("gain", GAINS)
@pytest.mark.parametrize("fill", [0.0, 100.0, -99.0])
def test_the_table_says_what_arithmetic_says(dtype: str, gain: tuple[float, float], fill: float) -> None:
    stored = every(dtype)
    reflectance = stored.astype(np.float64) * gain[0] + gain[1]
    expected = encode_reflectance(np.where(stored == fill, np.nan, reflectance))
    assert np.array_equal(encode(stored, [gain], fill), expected)


@pytest.mark.parametrize("dtype", ["i4", "f4", "f8"])
def test_types_without_a_table_differ_by_rounding_at_most(dtype: str) -> None:
    assert encoding_table(np.dtype(dtype), 1e-4, -0.1, 0.0) is None
    stored = every("u2")
    by_table = encode(stored, [(1e-4, -0.1)], 0.0).astype(int)
    by_number = encode(stored.astype(dtype), [(1e-4, -0.1)], 0.0).astype(int)
    assert np.abs(by_table - by_number).max() <= 1
    assert np.array_equal(by_table == NO_DATA, by_number == NO_DATA)


def test_each_band_has_its_own_scale() -> None:
    stored = np.full((2, 3, 4), 2000, np.uint16)
    out = encode(stored, [(1e-4, 0.0), (1e-4, -0.1)], 0.0)
    assert (out[0] == round(255 * (0.2 / 0.5) ** 0.5)).all()
    assert (out[1] == round(255 * (0.1 / 0.5) ** 0.5)).all()


def test_a_view_that_is_not_contiguous() -> None:
    stored = every("u2").repeat(2, axis=2)[:, ::2, ::-2]
    assert np.array_equal(encode(stored, [GAINS[1]], 0.0), encode(stored.copy(), [GAINS[1]], 0.0))


def test_only_missing_pixels_are_no_data() -> None:
    reflectance = np.array([np.nan, np.inf, -np.inf, -0.05, 0.0, 1e-9, 0.5, 7.0], np.float32)
    assert encode_reflectance(reflectance).tolist() == [0, 0, 0, 1, 1, 1, 255, 255]


def test_fill_of_floats() -> None:
    stored = np.array([[[np.nan, -9999.0, 0.1, 0.0]]], np.float32)
    assert (encode(stored, [(1.0, 0.0)], float("nan")) == 0).tolist() == [[[True, False, False, False]]]
    assert (encode(stored, [(1.0, 0.0)], -9999.0) == 0).tolist() == [[[True, True, False, False]]]


@given(st.lists(st.floats(-0.2, 2.0), min_size=2, max_size=50))
def test_brighter_is_never_darker(values: list[float]) -> None:
    encoded = encode_reflectance(np.sort(np.array(values)))
    assert (np.diff(encoded.astype(int)) >= 0).all()
    assert (encoded > NO_DATA).all()


@given(st.floats(0.0, REFLECTANCE_MAX))
def test_decoding_undoes_encoding_to_half_a_step(reflectance: float) -> None:
    encoded = encode_reflectance(np.array([reflectance]))
    step = 2 * REFLECTANCE_MAX / 255  # of the square, at its steepest
    assert abs(float(decode_reflectance(encoded)[0]) - reflectance) <= step / 2 + 1e-6


def test_every_number_survives_decoding_and_encoding() -> None:
    numbers = np.arange(256, dtype=np.uint8)
    assert np.isnan(decode_reflectance(numbers)[0])
    assert np.array_equal(encode_reflectance(decode_reflectance(numbers)), numbers)
