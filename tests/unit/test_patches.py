"""Patches: what a box shows, in the frame of its hull."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from scipy import ndimage

from detector import patches
from detector.boxes import corners_of
from detector.patches import ACROSS, ALONG, BANDS
from detector.scene import Scene, open_scene

WATER, HULL = 0.03, 0.25
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 4_300_000)


def painted(angle: float, length_m: float = 120.0, beam_m: float = 30.0) -> np.ndarray:
    """A hull about the middle of 80 x 80 pixels of 10 m, its fore half brighter, without blur but for 2 m sub-pixels."""
    at = (np.arange(400) + 0.5) * 2.0 - 400.0
    x, y = np.meshgrid(at, at)
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    u, v = x * c + y * s, -x * s + y * c
    fine = np.full((400, 400), WATER, np.float32)
    inside = (np.abs(u) < length_m / 2) & (np.abs(v) < beam_m / 2)
    fine[inside] = np.where(u[inside] > 0, 2 * HULL, HULL)
    return ndimage.gaussian_filter(fine, 2.0).reshape(80, 5, 80, 5).mean(axis=(1, 3))


def scene(plane: np.ndarray, bands: tuple[str, ...] = BANDS) -> Scene:
    stack = np.repeat(plane[None], len(bands), axis=0).astype(np.float32)
    return open_scene(stack, bands=bands, transform=TRANSFORM, crs="EPSG:32651", scale=1.0)


def box(angle: float, length: float = 12.0, width: float = 3.0) -> np.ndarray:
    return corners_of(np.array([[40.0, 40.0, length, width, np.radians(angle)]]))


@pytest.mark.parametrize("angle", [0.0, 30.0, 90.0, 147.0])
def test_a_patch_lies_along_its_hull_however_it_points(angle: float) -> None:
    found = patches.cut(scene(painted(angle)), box(angle), BANDS)
    assert found.reflectance.shape == (1, 5, ALONG, ACROSS)
    assert (found.length_m[0], found.width_m[0]) == pytest.approx((120.0, 30.0), rel=0.01)
    plane = found.reflectance[0, 0]
    middle = plane[:, ACROSS // 2]
    fore, aft = sorted((middle[4:11].mean(), middle[-11:-4].mean()), reverse=True)
    assert (fore, aft) == pytest.approx((2 * HULL, HULL), rel=0.08)
    assert plane[:, [0, 1, 2, -3, -2, -1]] == pytest.approx(WATER, abs=0.01)  # 30 m and more from the axis
    assert np.abs(middle[[0, -1]] - WATER).max() < 0.15  # beyond the ends


def test_bands_that_a_scene_lacks_are_unknown_and_said_so() -> None:
    found = patches.cut(scene(painted(0.0), BANDS[:4]), box(0.0), BANDS[:3])
    assert np.isfinite(found.reflectance[0, :3]).all() and np.isnan(found.reflectance[0, 3:]).all()
    given = patches.inputs(found)
    assert (given[0, 3:5] == 0).all() and (given[0, 9:] == 0).all() and (given[0, 5] == 1).all()
    full = patches.inputs(patches.cut(scene(painted(0.0)), box(0.0), BANDS))
    assert (full[0, 9:] == 1).all()


def test_no_data_is_left_out_of_the_neighbours() -> None:
    plane = painted(0.0)
    plane[:, 43:] = np.nan
    found = patches.cut(scene(plane), box(0.0), BANDS)
    there = np.isfinite(found.reflectance[0, 0])
    assert 0.4 < there.mean() < 0.8
    assert found.reflectance[0, 0][there].min() > WATER - 0.005  # 0 of the file is not mixed in
    given = patches.inputs(found)
    assert np.isfinite(given).all() and ((given[0, 5] == 1) == there).all()
    outside = patches.cut(scene(painted(0.0)), box(0.0) + 500.0, BANDS)
    assert np.isnan(outside.reflectance).all() and np.isnan(patches.contrast(outside)).all()


def test_contrast_is_that_of_hull_and_water() -> None:
    found = patches.cut(scene(painted(25.0)), np.concatenate([box(25.0), box(25.0) + [[20.0, -20.0]]]), BANDS)
    contrast = patches.contrast(found)
    assert contrast[0] == pytest.approx(1.5 * HULL - WATER, rel=0.4)
    assert contrast[1] < 0.001


def test_a_turned_or_mirrored_hull_gives_turned_or_mirrored_inputs() -> None:
    ring = box(0.0)
    first = patches.inputs(patches.cut(scene(painted(0.0)), ring, BANDS))
    again = patches.inputs(patches.cut(scene(painted(0.0)), np.roll(ring, 2, axis=1), BANDS))
    assert again == pytest.approx(first[:, :, ::-1, ::-1], abs=1e-4)
    mirrored = patches.inputs(patches.cut(scene(painted(0.0)[::-1]), ring, BANDS))
    assert mirrored == pytest.approx(first[:, :, :, ::-1], abs=1e-4)


def test_a_box_without_a_side_shows_nothing() -> None:
    point = np.full((1, 4, 2), 40.0)
    found = patches.cut(scene(painted(0.0)), point, BANDS)
    assert np.isnan(found.reflectance).all()
    assert np.isfinite(patches.inputs(found)).all()
