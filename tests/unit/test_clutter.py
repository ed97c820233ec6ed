"""Small boxes against a calm and a rough sea."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from detector.boxes import corners_of
from detector.clutter import _filtered, plausibility

BOX = corners_of(np.array([[60.5, 60.5, 5.0, 3.0, 0.0]]))
LONG = corners_of(np.array([[60.0, 60.0, 12.0, 2.0, 0.0]]))


def sea(roughness: float, seed: int = 2) -> np.ndarray:
    """A window (4, 120, 120) of water with crests of that height, in encoded numbers."""
    rng = np.random.default_rng(seed)
    crests = rng.normal(0, roughness, (120, 120))
    return np.clip(70 + crests + rng.normal(0, 0.7, (4, 120, 120)), 1, 255).astype(np.uint8)


def judged(window: np.ndarray, box: np.ndarray = BOX, water: bool = True) -> float:
    mask = np.full(window.shape[1:], water)
    [factor] = plausibility(box, window, mask)
    return float(factor)


def with_ship(window: np.ndarray, height: int) -> np.ndarray:
    window = window.astype(int)
    window[:, 59:62, 58:63] += height
    return window.clip(1, 255).astype(np.uint8)


@pytest.mark.parametrize("height", [40, -40])
def test_a_ship_on_a_calm_sea_stands_out_brighter_or_darker(height: int) -> None:
    assert judged(with_ship(sea(0.5), height)) == 1.0


def test_a_crest_among_crests_does_not() -> None:
    assert judged(sea(8.0)) == 0.0
    assert judged(with_ship(sea(8.0), 12)) == 0.0


def test_the_same_ship_counts_less_the_rougher_the_sea() -> None:
    factors = [judged(with_ship(sea(r), 40)) for r in (5.0, 10.0, 14.0, 25.0)]
    assert factors == sorted(factors, reverse=True)
    assert factors[0] == 1.0 and factors[-1] == 0.0


def test_two_crests_among_many_make_no_ship_but_a_hull_between_them_does() -> None:
    window = sea(3.0).astype(int)
    for row, col in np.random.default_rng(3).integers(0, 118, (250, 2)):
        window[:, row : row + 2, col : col + 2] += 25
    window[:, 57:63, 52:68] = 70
    window[:, 59:61, 54:56] += 40
    window[:, 59:61, 64:66] += 40
    assert judged(window.clip(1, 255).astype(np.uint8), LONG) < 0.5
    window[:, 59:61, 56:64] += 40
    assert judged(window.clip(1, 255).astype(np.uint8), LONG) == 1.0


def test_land_around_and_no_data_are_not_judged() -> None:
    rough = sea(8.0)
    assert judged(rough, water=False) == 1.0
    assert judged(np.zeros_like(rough)) == 1.0


def test_no_boxes_and_boxes_at_the_edge() -> None:
    window = sea(1.0)
    mask = np.ones(window.shape[1:], bool)
    assert plausibility(np.zeros((0, 4, 2)), window, mask).shape == (0,)
    outside = BOX - 61.0
    assert np.isfinite(plausibility(outside, window, mask)).all()


def test_sums_over_boxes_are_those_of_the_library() -> None:
    rng = np.random.default_rng(5)
    values = rng.normal(size=(2, 40, 31)).astype(np.float32)
    kernel = rng.random((7, 4)).astype(np.float32)
    expected = [signal.correlate(band, kernel, mode="valid") for band in values]
    assert np.allclose(_filtered(values, kernel), expected, atol=1e-4)
    assert _filtered(values[0], kernel).shape == (34, 28)
