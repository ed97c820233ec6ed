"""Spectral evidence of coal."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from detector.boxes import corners_of
from detector.coal import coal_score
from detector.scene import Scene, open_scene

BANDS = ("B04", "B03", "B02", "B08")
WATER = (0.05, 0.08, 0.07, 0.02)
COAL = (0.05, 0.05, 0.05, 0.055)
HOLD = (slice(28, 36), slice(22, 42))  # rows and columns of a hull of 20 x 8 pixels
BOX = corners_of(np.array([[32.0, 32.0, 20.0, 8.0, 0.0]]))


def scene(hold: tuple[float, ...], bands: tuple[str, ...] = BANDS) -> Scene:
    pixels = np.repeat(np.array(WATER, np.float32), 64 * 64).reshape(4, 64, 64).copy()
    pixels[(slice(None), *HOLD)] = np.array(hold, np.float32)[:, None, None]
    chosen = [BANDS.index(band) for band in bands]
    place = Affine(10, 0, 500_000, 0, -10, 4_300_000)
    return open_scene(pixels[chosen], bands=bands, transform=place, crs="EPSG:32651")


@pytest.mark.parametrize(
    ("cargo", "low", "high"),
    [
        (COAL, 0.95, 1.0),
        (WATER, 0.0, 0.05),
        ((0.30, 0.30, 0.30, 0.30), 0.0, 0.0),  # bright deck
        ((0.14, 0.06, 0.04, 0.10), 0.0, 0.1),  # rusty red hull
        ((0.04, 0.07, 0.03, 0.20), 0.0, 0.05),  # green deck
    ],
)
def test_coal_is_dark_and_flat(cargo: tuple[float, ...], low: float, high: float) -> None:
    assert low <= coal_score(scene(cargo), BOX)[0] <= high


def test_half_a_hold_of_coal_scores_half() -> None:
    pixels = np.repeat(np.array((0.3,) * 4, np.float32), 64 * 64).reshape(4, 64, 64).copy()
    pixels[:, :, :32] = 0.05
    place = Affine(10, 0, 500_000, 0, -10, 4_300_000)
    with open_scene(pixels, bands=BANDS, transform=place, crs="EPSG:32651") as half:
        assert coal_score(half, BOX)[0] == pytest.approx(0.5)


def test_boxes_keep_their_order() -> None:
    rows = [[32.0, 32.0, 20.0, 8.0, 0.0], [10.0, 8.0, 12.0, 6.0, 0.3], [32.0, 32.0, 12.0, 6.0, 0.0]]
    low, sea, high = coal_score(scene(COAL), corners_of(np.array(rows)))
    assert low > 0.9 and high > 0.9
    assert sea < 0.1


def test_true_colour_cannot_tell() -> None:
    assert np.isnan(coal_score(scene(COAL, BANDS[:3]), BOX)).all()


def test_no_data_and_places_off_the_scene_are_unknown() -> None:
    far = corners_of(np.array([[500.0, 500.0, 20.0, 8.0, 0.0], [-40.0, 5.0, 20.0, 8.0, 0.0]]))
    assert np.isnan(coal_score(scene(COAL), far)).all()
    assert np.isnan(coal_score(scene((np.nan,) * 4), BOX)).all()


def test_no_boxes() -> None:
    assert coal_score(scene(COAL), np.zeros((0, 4, 2))).shape == (0,)


def test_a_box_without_a_pixel_centre_is_unknown() -> None:
    assert np.isnan(coal_score(scene(COAL), corners_of(np.array([[32.0, 32.0, 0.2, 0.2, 0.0]])))).all()
