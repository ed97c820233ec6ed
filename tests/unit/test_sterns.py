"""Where a hull ends and its wake begins, on profiles of known make."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from detector.sterns import Lengthwise, hull_length

_SIZE = np.array([10.0, 10.0])
_WATER = np.array([0.06, 0.05, 0.04, 0.02])
_FOAM = np.array([0.05, 0.05, 0.05, 0.045])
_DECK = np.array([0.05, 0.06, 0.11, 0.12])
_FAINT = 0.3 * _FOAM


def moving(
    parts: Mapping[tuple[int, int], np.ndarray], bow: int, aft: int, *, infrared: bool = True
) -> Lengthwise:
    """A box from column `bow` back to column `aft` on light (over water) by ranges of columns."""
    light = np.zeros((4, 60, 60))
    for (first, last), colour in parts.items():
        light[:, 28:32, first:last] = colour[:, None, None]
    pixels = (light + _WATER[:, None, None]).astype(np.float32)
    wet = np.ones((60, 60), bool)
    wet[28:32] = False
    ends = np.array([bow, 30.0]), np.array([aft, 30.0])
    surface = light.mean(axis=0) / 0.002
    return Lengthwise(pixels, surface, wet, *ends, (bow - aft) * 10.0, 40.0, _SIZE, infrared)


def test_a_faint_wake_is_no_hull() -> None:
    parts = {(5, 30): _FAINT, (30, 41): _DECK}
    assert hull_length(moving(parts, 41, 20, infrared=False)) == pytest.approx(110.0, abs=15.0)
    assert hull_length(moving(parts, 41, 30, infrared=False)) == 110.0


def test_foam_as_bright_as_the_deck_is_told_by_its_colour() -> None:
    parts = {(5, 36): _FOAM, (36, 41): _DECK}
    assert hull_length(moving(parts, 41, 31)) == pytest.approx(50.0, abs=8.0)
    assert hull_length(moving(parts, 41, 36)) == 50.0


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({(5, 31): _FOAM, (31, 36): 4.0 * _FOAM, (36, 41): _DECK}, "a white house aft"),
        ({(5, 31): _FOAM, (31, 41): 1.2 * _FOAM}, "a white deck"),
        ({(5, 31): _FOAM, (31, 40): 1.2 * _FOAM, (40, 41): _DECK}, "a hatch cover of another colour"),
        ({(31, 36): _FOAM, (36, 41): _DECK}, "no wake to compare with"),
    ],
)
def test_what_may_be_hull_stays(parts: Mapping[tuple[int, int], np.ndarray], why: str) -> None:
    assert hull_length(moving(parts, 41, 31)) == 100.0, why


def test_a_large_ship_and_true_colour_keep_their_length() -> None:
    large = {(2, 30): _FOAM, (30, 45): _DECK}
    assert hull_length(moving(large, 45, 25)) == 200.0
    small = {(5, 36): _FOAM, (36, 41): _DECK}
    assert hull_length(moving(small, 41, 31, infrared=False)) == 100.0
