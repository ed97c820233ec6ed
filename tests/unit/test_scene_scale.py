"""Spellings of scales, bands and times."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import UnknownScaleError
from detector.scene.bands import band_name
from detector.scene.scale import parse_scale
from detector.scene.times import parse_time, time_in_name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("reflectance = DN / 65535", (1 / 65535, 0)),
        ("DN / 10000 - 0.1", (1e-4, -0.1)),
        ("DN * 0.0001 + -0.1", (1e-4, -0.1)),
        ("0.0001 * DN - 0.1", (1e-4, -0.1)),
        ("(DN - 1000) / 10000", (1e-4, -0.1)),
        ("0.0001,-0.1", (1e-4, -0.1)),
        ("1e-4", (1e-4, 0)),
        (0.0001, (1e-4, 0)),
        ((0.0001, -0.1), (1e-4, -0.1)),
        ([1.0, 0.0], (1, 0)),
    ],
)
def test_scale_forms(text, expected) -> None:
    assert parse_scale(text, "x") == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "DN", "10000", "DN / 0", "B04 / 10000", "DN ** 2", 10000, (1, 2, 3), None, "nan", -1e-4]
)
def test_scale_nonsense(text) -> None:
    if text == "DN":
        assert parse_scale(text, "x") == (1, 0)
        return
    with pytest.raises(UnknownScaleError, match="scale="):
        parse_scale(text, "x")


@given(st.floats(1e-6, 1, allow_nan=False), st.floats(-1, 1, allow_nan=False))
def test_scale_text_says_what_the_pair_says(gain, offset) -> None:
    assert parse_scale(f"reflectance = DN * {gain!r} + {offset!r}", "x") == pytest.approx((gain, offset))
    assert parse_scale((gain, offset), "x") == (gain, offset)


@pytest.mark.parametrize(
    ("text", "band"),
    [
        ("B2", "B02"), ("B02", "B02"), ("b8", "B08"), ("B8A", "B8A"), ("B08A", "B8A"), ("Band 4", "B04"),
        ("nir", "B08"),
        ("NIR08", "B8A"), ("swir16", "B11"), ("Scene Classification", "SCL"),
        ("B4, central wavelength 665 nm", "B04"),
        ("B11_20m", "B11"), ("4", None), ("B13", None), ("B0", None), ("ndvi", None),
        (None, None), ("B4A", None),
    ],
)  # fmt: skip
def test_band_names(text, band) -> None:
    assert band_name(text) == band


@given(st.text(max_size=12))
def test_band_name_never_fails(text) -> None:
    name = band_name(text)
    assert name is None or band_name(name) == name


def test_times() -> None:
    want = datetime(2020, 3, 1, 2, 21, 9, tzinfo=UTC)
    for value in (
        "2020-03-01T02:21:09Z",
        "2020-03-01T11:21:09+09:00",
        "2020-03-01 02:21:09",
        datetime(2020, 3, 1, 2, 21, 9),
    ):
        assert parse_time(value) == want
    assert parse_time(date(2020, 3, 1)) == datetime(2020, 3, 1, tzinfo=UTC)
    assert parse_time("yesterday") is None
    assert time_in_name("S2A_MSIL2A_20200301T022109_N0214_R003_T51SYC_20200301T050000") == want
    assert time_in_name("T99999999T999999") is None
