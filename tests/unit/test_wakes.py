"""Bow directions from wakes, on painted ships."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine

from detector.scene import Scene, open_scene
from detector.wakes import _ends, _trimmed, motion, underway
from training.simulate.canvas import Canvas
from training.simulate.drawing import HullDrawing
from training.simulate.hulls import Vessel
from training.simulate.sensor import fine_to_pixels
from training.simulate.spectra import BANDS
from training.simulate.wakes import WakeDrawing

_SIDE = 150
_PIXEL = np.array([10.0, 10.0])
_WATER = (0.06, 0.07, 0.05, 0.02, 0.01)


def painted(vessel: Vessel, seed: int = 1) -> Scene:
    """A ship, with its wake if it moves, on open water with the sensor's noise."""
    canvas = Canvas(
        np.repeat(np.array(_WATER, np.float32), (_SIDE * 5) ** 2).reshape(5, _SIDE * 5, -1).copy(), 0.0, 0.0
    )
    if vessel.speed_kn:
        WakeDrawing(vessel, 0.5, 3.0).draw(canvas)
    HullDrawing(vessel, (150.0, 45.0)).draw(canvas)
    pixels = fine_to_pixels(canvas.data)
    pixels += np.random.default_rng(seed).normal(0, 0.0015, pixels.shape).astype(np.float32)
    place = Affine(10, 0, 500_000, 0, -10, 4_300_000)  # on the central meridian: grid north is true north
    return open_scene(pixels, bands=BANDS, transform=place, crs="EPSG:32651", scale=1.0)


def ship(heading: float, speed: float) -> Vessel:
    return Vessel("a", "general_cargo", 750.0, 750.0, 110.0, 18.0, heading, "underway", speed, paint=3)


def box(vessel: Vessel) -> np.ndarray:
    return np.asarray(vessel.box.exterior.coords)[None, :4] / 10.0


@pytest.mark.parametrize("heading", [97.0, 315.0])
def test_bow_is_opposite_to_the_wake(heading: float) -> None:
    vessel = ship(heading, 12.0)
    found = motion(painted(vessel), box(vessel))
    assert abs((found.bow_deg[0] - heading + 180.0) % 360.0 - 180.0) < 2.0
    assert underway(found.bow_deg).all()


def test_a_box_turned_round_gives_the_same_bow() -> None:
    vessel = ship(140.0, 12.0)
    scene = painted(vessel)
    bows = [motion(scene, np.roll(box(vessel), turn, axis=1)).bow_deg[0] for turn in (1, 2)]
    assert np.ptp(bows) < 1.0


@pytest.mark.parametrize("seed", range(2))
def test_no_wake_no_bow(seed: int) -> None:
    vessel = ship(80.0 * seed, 0.0)
    found = motion(painted(vessel, seed), box(vessel))
    assert np.isnan(found.bow_deg[0]) and not underway(found.bow_deg).any()
    assert np.array_equal(found.hulls, box(vessel))


def test_a_faint_wake_is_cut_off_the_box() -> None:
    surface = np.zeros((60, 60))
    surface[28:32, 20:31] = 12.0  # a hull of 110 m
    surface[28:32, 8:20] = 3.0  # and its wake
    drawn = np.array([[10.0, 28.0], [31.0, 28.0], [31.0, 32.0], [10.0, 32.0]])
    stern = 0 if _ends(drawn, _PIXEL)[0][0] < 20 else 1
    assert np.ptp(_trimmed(surface, drawn, _PIXEL, stern)[:, 0]) == pytest.approx(11.0, abs=1.5)
    hull = np.array([[20.0, 28.0], [31.0, 28.0], [31.0, 32.0], [20.0, 32.0]])
    assert np.array_equal(_trimmed(surface, hull, _PIXEL, stern), hull)


def test_ships_at_anchor_in_one_current_do_not_move() -> None:
    rng = np.random.default_rng(0)
    bows = np.r_[60.0 + rng.normal(0, 4, 9), 240.0, 359.0, np.nan]
    assert underway(bows).tolist() == [False] * 9 + [True] * 2 + [False]
    assert underway(np.array([358.0, 2.0, 180.0, np.nan])).tolist() == [True, True, True, False]


def test_nothing_to_see() -> None:
    with painted(ship(0.0, 0.0)) as scene:
        assert motion(scene, np.zeros((0, 4, 2))).bow_deg.shape == (0,)
        far = box(ship(0.0, 0.0)) + 4000.0
        assert np.isnan(motion(scene, far).bow_deg).all()
