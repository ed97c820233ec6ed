"""Shifts of painted ground that are known to a quarter of a pixel."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from detector.loadings.registration import Shift, find_shift, shifted

SIDE, FINE = 120, 4


def ground(seed: int = 0) -> np.ndarray:
    """Fields and roads, four times finer than pixels, with room to move."""
    rng = np.random.default_rng(seed)
    side = (SIDE + 20) * FINE
    fields = ndimage.gaussian_filter(rng.normal(size=(side, side)), 12) * 1.6
    fields[:, side // 2 : side // 2 + 8] += 0.08
    fields[side // 3 : side // 3 + 6] += 0.06
    return 0.15 + fields


def seen(fine: np.ndarray, rows: float = 0.0, cols: float = 0.0) -> np.ndarray:
    """Pixels of the ground moved by so many pixels down and right."""
    top, left = (10 * FINE - round(v * FINE) for v in (rows, cols))
    part = fine[top : top + SIDE * FINE, left : left + SIDE * FINE]
    return part.reshape(SIDE, FINE, SIDE, FINE).mean(axis=(1, 3))


def noisy(image: np.ndarray, seed: int, level: float = 0.003) -> np.ndarray:
    return image + np.random.default_rng(seed).normal(0, level, image.shape)


EVERYWHERE = np.ones((SIDE, SIDE), bool)


@settings(max_examples=6, deadline=None)
@given(st.integers(-10, 10), st.integers(-10, 10), st.floats(0.7, 1.4), st.floats(-0.03, 0.05))
def test_a_known_shift_is_found_whatever_the_gain(rows, cols, gain, offset):
    fine = ground()
    image = gain * noisy(seen(fine, rows / 4, cols / 4), 2) + offset
    found = find_shift(noisy(seen(fine), 1), image, EVERYWHERE)
    assert found.found
    assert (found.rows, found.cols) == pytest.approx((rows / 4, cols / 4), abs=0.08)
    assert found.error < 0.1


def test_ships_on_the_water_do_not_pull():
    """Half of the image is water on which everything moved the other way; only land is to be followed."""
    fine = ground(3)
    one, other = seen(fine), seen(fine, 0.75, -0.5)
    land = EVERYWHERE.copy()
    land[:, 60:] = False
    for image, place in ((one, 70), (other, 73)):
        image[:, 60:] = 0.05
        image[40:46, place : place + 20] = 0.4
    found = find_shift(noisy(one, 1), noisy(other, 2), land)
    assert (found.rows, found.cols) == pytest.approx((0.75, -0.5), abs=0.1)


def test_the_shifted_image_lies_on_the_reference():
    fine = ground(5)
    one, other = seen(fine), seen(fine, 1.25, -0.75)
    back = shifted(other[None], Shift(1.25, -0.75, 0.02))[0]
    inner = np.s_[5:-5, 5:-5]
    assert np.abs(back - one)[inner].mean() < 0.15 * np.abs(other - one)[inner].mean()


def test_no_shift_is_made_up():
    rng = np.random.default_rng(0)
    few = np.zeros((SIDE, SIDE), bool)
    few[:15, :15] = True
    assert not find_shift(seen(ground()), seen(ground()), few).found  # too few pixels
    flat = np.full((SIDE, SIDE), 0.05)
    assert not find_shift(flat, flat, EVERYWHERE).found  # no structure
    noise = rng.normal(size=(2, SIDE, SIDE))
    assert not find_shift(noise[0], noise[1], EVERYWHERE).found  # nothing in common
    assert not find_shift(seen(ground(1)), seen(ground(2)), EVERYWHERE).found  # other ground


def test_holes_stay_holes():
    fine = ground(6)
    one, other = seen(fine), seen(fine, 0.5, 0.5)
    other[50:60, 50:60] = np.nan
    found = find_shift(one, other, EVERYWHERE)
    assert (found.rows, found.cols) == pytest.approx((0.5, 0.5), abs=0.08)
    moved = shifted(other[None], found)[0]
    assert np.isnan(moved[51:58, 51:58]).all()
    assert np.isfinite(moved[5:45, 5:45]).all()
    assert np.nanmax(np.abs(moved)) < 1
