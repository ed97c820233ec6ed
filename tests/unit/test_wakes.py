"""Bow directions from wakes, on painted ships."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine

from detector.scene import Scene, open_scene
from detector.wakelines import fades
from detector.wakes import _without, motion, underway
from training.simulate.canvas import Canvas
from training.simulate.drawing import HullDrawing
from training.simulate.hulls import Vessel
from training.simulate.sensor import fine_to_pixels
from training.simulate.spectra import BANDS
from training.simulate.wakes import WakeDrawing

_SIDE = 150
_PIXEL = np.array([10.0, 10.0])
_WATER = (0.06, 0.07, 0.05, 0.02, 0.01)


def painted(*vessels: Vessel, seed: int = 1) -> Scene:
    """Ships, with their wakes if they move, on open water with the sensor's noise."""
    canvas = Canvas(
        np.repeat(np.array(_WATER, np.float32), (_SIDE * 5) ** 2).reshape(5, _SIDE * 5, -1).copy(), 0.0, 0.0
    )
    for vessel in vessels:
        if vessel.speed_kn:
            WakeDrawing(vessel, 0.5, 3.0).draw(canvas)
    for vessel in vessels:
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
    found = motion(painted(vessel, seed=seed), box(vessel))
    assert np.isnan(found.bow_deg[0]) and not underway(found.bow_deg).any()
    assert np.array_equal(found.hulls, box(vessel))


@pytest.mark.parametrize("boxes", ["barge alone", "tug too"])
def test_the_wake_of_a_tug_ahead_is_not_the_barges(boxes: str) -> None:
    barge = Vessel(
        "b", "barge", 700.0, 750.0, 50.0, 12.0, 90.0, "tow", 0.0, paint=3
    )  # leaves none of its own
    tug = Vessel("t", "tug", 700.0 + 25.0 + 140.0 + 15.0, 750.0, 30.0, 9.0, 90.0, "tow", 6.5, paint=5)
    corners = np.concatenate([box(barge), box(tug)])[: 1 if boxes == "barge alone" else 2]
    bows = motion(painted(barge, tug), corners).bow_deg
    given = bows[np.isfinite(bows)]
    assert (np.abs(given - 90.0) < 10.0).all()


def line(profile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A surface with a profile along a line towards larger columns, from a hull's end at (10, 20), and that end."""
    surface = np.zeros((40, 60))
    surface[18:22, 10 : 10 + len(profile)] = profile
    return surface, np.array([10.0, 20.0])


def test_a_wake_fades_and_a_line_to_another_hull_does_not() -> None:
    steps = np.arange(30.0)
    for profile, wake in (
        (10.0 * np.exp(-steps / 20.0), True),
        (-10.0 * np.exp(-steps / 20.0), True),
        (3.0 * np.exp(steps / 12.0), False),
        (np.where((steps > 11) & (steps < 15), 25.0, 2.0), False),
    ):
        surface, end = line(profile)
        assert fades(surface, surface, end, 0.0, _PIXEL) is wake


def test_behind_the_next_hull_nothing_is_looked_at() -> None:
    profile = 10.0 * np.exp(-np.arange(30.0) / 10.0)
    profile[14:18] = 40.0
    surface, end = line(profile)
    other = np.array([[[24.0, 18.5], [28.0, 18.5], [28.0, 21.5], [24.0, 21.5]]])
    assert not fades(surface, surface, end, 0.0, _PIXEL)
    assert fades(surface, _without(surface, other, _PIXEL), end, 0.0, _PIXEL)
    near = other - [10.0, 0.0]
    assert not fades(surface, _without(surface, near, _PIXEL), end, 0.0, _PIXEL)


def test_other_hulls_are_taken_out_of_the_surface() -> None:
    surface = np.ones((40, 60))
    boxes = np.array(
        [
            [[20.0, 18.0], [30.0, 18.0], [30.0, 20.0], [20.0, 20.0]],
            [[90.0, 5.0], [99.0, 5.0], [99.0, 7.0], [90.0, 7.0]],
        ]
    )
    hidden = np.isnan(_without(surface, boxes, _PIXEL))
    assert hidden[19, 20:30].all() and hidden[17:21, 19].all()
    assert not hidden[:, :18].any() and not hidden[:16].any() and hidden.sum() < 80
    assert not np.isnan(surface).any()


def test_a_box_that_holds_the_wake_is_cut_at_the_stern() -> None:
    craft = Vessel("t", "fishing", 750.0, 750.0, 45.0, 9.0, 97.0, "underway", 11.0, paint=3)
    both = replace(
        craft,
        length=105.0,
        x=750.0 - 30.0 * np.sin(np.radians(97.0)),
        y=750.0 + 30.0 * np.cos(np.radians(97.0)),
    )
    hull = motion(painted(craft), box(both)).hulls[0]
    ahead = (hull - 75.0) @ np.array([np.sin(np.radians(97.0)), -np.cos(np.radians(97.0))]) * 10.0
    assert ahead.max() == pytest.approx(22.5, abs=1.0)  # the bow stays
    assert ahead.min() == pytest.approx(-22.5, abs=10.0)


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
