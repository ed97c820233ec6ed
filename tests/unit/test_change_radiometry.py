"""Gains and offsets that are known, through change."""

from __future__ import annotations

import numpy as np
import pytest

from detector.loadings.radiometry import no_change, normalise

BANDS, SIDE = 4, 70
EVERYWHERE = np.ones((SIDE, SIDE), bool)


def land(seed: int = 0) -> np.ndarray:
    """Ground of mixed brightness and colour."""
    rng = np.random.default_rng(seed)
    light = rng.gamma(4, 0.04, (SIDE, SIDE))
    colour = rng.normal(0, 0.02, (BANDS, SIDE, SIDE))
    return np.clip(light + colour, 0.01, 0.6)


def noisy(layers: np.ndarray, seed: int) -> np.ndarray:
    return layers + np.random.default_rng(seed).normal(0, 0.003, layers.shape)


@pytest.mark.parametrize(
    ("gain", "offset"),
    [
        ((1.0, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0, 0.0)),
        ((0.75, 0.8, 0.9, 1.1), (0.05, 0.04, 0.02, 0.0)),  # haze
        ((1.35, 1.3, 1.3, 1.25), (-0.03, -0.02, -0.02, -0.01)),
    ],
)
def test_gain_and_offset_are_found_through_change(gain, offset):
    ground = land()
    later = noisy(ground, 1)
    later[:, :14] = land(9)[:, :14]  # a fifth is built over
    gains, offsets = np.array(gain), np.array(offset)
    later = later * gains[:, None, None] + offsets[:, None, None]
    fit = normalise(noisy(ground, 2), later, EVERYWHERE)
    assert fit.method == "irmad"
    assert fit.gain * gains == pytest.approx(np.ones(BANDS), abs=0.03)
    kept = np.s_[:, 20:]
    assert np.abs(fit.apply(later)[kept] - ground[kept]).mean() < 0.006
    assert (fit.residual < 0.01).all()


def test_what_changed_is_told_from_what_did_not():
    ground = land().reshape(BANDS, -1)
    later = noisy(ground * 1.2 + 0.02, 3)
    changed = np.zeros(ground.shape[1], bool)
    changed[:800] = True
    later[:, changed] = land(4).reshape(BANDS, -1)[:, changed]
    chance = no_change(noisy(ground, 5), later)
    invariant = chance > 0.5
    assert invariant.sum() > 150
    assert changed[invariant].mean() < 0.03


def test_water_alone_fixes_no_gain():
    """Waves of two dates have nothing in common: only the level can be told."""
    rng = np.random.default_rng(1)
    one, other = (0.05 + rng.normal(0, 0.003, (BANDS, SIDE, SIDE)) for _ in range(2))
    fit = normalise(one, other + 0.03, EVERYWHERE)
    assert fit.method == "offset"
    assert (fit.gain == 1).all()
    assert fit.offset == pytest.approx(np.full(BANDS, -0.03), abs=0.001)


def test_unseen_pixels_take_no_part():
    ground = land()
    later = noisy(ground, 1) * 1.1
    later[:, :30] = np.nan
    fit = normalise(ground, later, EVERYWHERE)
    assert fit.gain == pytest.approx(np.full(BANDS, 1 / 1.1), abs=0.02)
    nothing = normalise(ground, np.full_like(ground, np.nan), EVERYWHERE)
    assert nothing.method == "none"
    assert (nothing.gain == 1).all() and nothing.pixels == 0
