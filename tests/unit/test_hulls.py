"""Ends of hulls on painted windows: known length, place, heading and pixel size."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from detector.boxes import corners_of
from detector.hulls import fit

SIDE = 120  # pixels


def painted(
    centre: tuple[float, float], length: float, width: float, angle: float, pixel_m: tuple[float, float] = (10.0, 10.0),
    water: float = 60.0, deck: float = 150.0, noise: float = 1.5,
) -> np.ndarray:  # fmt: skip
    """A window (4, rows, columns) with one hull, in metres from the window's corner, blurred as the sensor does."""
    fine = 5
    step = np.array(pixel_m) / fine
    cols, rows = np.meshgrid(np.arange(SIDE * fine) + 0.5, np.arange(SIDE * fine) + 0.5)
    x, y = cols * step[0] - centre[0], rows * step[1] - centre[1]
    along, across = x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)
    hull = ((np.abs(along) <= length / 2) & (np.abs(across) <= width / 2)).astype(float)
    hull = ndimage.gaussian_filter(hull, (4.5 / step[1], 4.5 / step[0]))
    share = hull.reshape(SIDE, fine, SIDE, fine).mean(axis=(1, 3))
    rng = np.random.default_rng(1)
    bands = water + (deck - water) * share + rng.normal(0, noise, (4, SIDE, SIDE))
    return np.clip(np.rint(bands), 1, 255).astype(np.uint8)


def box(centre: tuple[float, float], length: float, width: float, angle: float, pixel_m: tuple[float, float]) -> np.ndarray:
    """Corners (1, 4, 2) in pixels."""
    return corners_of(np.array([[*centre, length, width, angle]])) / np.array(pixel_m)


def length_of(corners: np.ndarray, pixel_m: tuple[float, float]) -> float:
    sides = np.hypot(*((corners - np.roll(corners, 1, axis=1)) * np.array(pixel_m))[0].T)
    return float(sides.max())


@settings(deadline=None, max_examples=25)
@given(
    length=st.floats(90, 380), angle=st.floats(0, 3.14), off=st.floats(-25, 25), stretch=st.floats(-25, 25),
    turn=st.floats(-9, 9), pixel=st.sampled_from([(10.0, 10.0), (7.8, 7.8), (7.8, 10.0)]),
)  # fmt: skip
def test_a_hull_in_open_water_is_measured(
    length: float, angle: float, off: float, stretch: float, turn: float, pixel: tuple[float, float]
) -> None:
    """A box that is askew by up to 9 degrees, too long or too short, comes to lie on its hull."""
    centre, axis = (SIDE * pixel[0] / 2, SIDE * pixel[1] / 2), np.array([np.cos(angle), np.sin(angle)])
    window = painted(centre, length, 32.0, angle, pixel)
    given_box = box(tuple(centre + off * axis), length + stretch, 40.0, angle + np.radians(turn), pixel)
    fitted = fit(given_box, window, pixel)
    assert length_of(fitted, pixel) == pytest.approx(length, abs=4.0)
    sides = np.roll(fitted[0], -1, axis=0) * pixel - fitted[0] * pixel
    along = sides[np.hypot(*sides.T).argmax()]
    turned = np.degrees(np.arcsin((along @ [-axis[1], axis[0]]) / np.hypot(*along)))
    assert abs(turned) < 2.0  # 1.5 for a hull of 90 m nearly upright
    middle = fitted[0].mean(axis=0) * np.array(pixel)
    assert np.hypot(*(middle - centre)) < 4.0


def test_the_long_side_may_be_either() -> None:
    window = painted((600.0, 600.0), 200.0, 30.0, 0.4)
    one = box((600.0, 600.0), 230.0, 40.0, 0.4, (10.0, 10.0))
    for turn in range(4):
        fitted = fit(np.roll(one, turn, axis=1), window, (10.0, 10.0))
        assert length_of(fitted, (10.0, 10.0)) == pytest.approx(200.0, abs=4.0)
        same = shapely.Polygon(fitted[0]).symmetric_difference(
            shapely.Polygon(fit(one, window, (10.0, 10.0))[0])
        )
        assert same.area < 0.1


def test_a_hull_that_hardly_stands_out_is_left() -> None:
    window = painted((600.0, 600.0), 200.0, 30.0, 0.0, deck=68.0)
    given_box = box((600.0, 600.0), 240.0, 40.0, 0.0, (10.0, 10.0))
    assert np.array_equal(fit(given_box, window, (10.0, 10.0)), given_box)


def test_an_end_against_a_quay_is_left() -> None:
    window = painted((600.0, 600.0), 200.0, 30.0, 0.0)
    window[:, :, 70:] = 150  # bright land from the right end of the ship on
    given_box = box((600.0, 600.0), 240.0, 40.0, 0.0, (10.0, 10.0))
    fitted = fit(given_box, window, (10.0, 10.0))[0] * 10
    assert fitted[:, 0].max() == pytest.approx(720.0, abs=0.5)
    assert fitted[:, 0].min() == pytest.approx(500.0, abs=4.0)


def test_no_boxes_no_data_and_the_edge_of_the_window() -> None:
    window = painted((0.0, 0.0), 200.0, 30.0, 0.0)
    assert fit(np.zeros((0, 4, 2)), window, (10.0, 10.0)).shape == (0, 4, 2)
    at_the_edge = box((0.0, 0.0), 150.0, 40.0, 0.0, (10.0, 10.0))
    assert np.isfinite(fit(at_the_edge, window, (10.0, 10.0))).all()
    assert np.array_equal(fit(at_the_edge, np.zeros_like(window), (10.0, 10.0)), at_the_edge)


@pytest.mark.parametrize("angle", [0.0, 0.6, 1.9])
def test_a_box_does_not_slide_on_to_the_hull_beside_it(angle: float) -> None:
    aside = 30.0 * np.array([-np.sin(angle), np.cos(angle)])
    first = np.array([600.0, 600.0])
    window = np.maximum(painted(tuple(first), 170.0, 26.0, angle), painted(tuple(first + aside), 160.0, 26.0, angle))
    boxes = np.concatenate([box(tuple(at), 150.0, 40.0, angle, (10.0, 10.0)) for at in (first, first + aside)])
    fitted = fit(boxes, window, (10.0, 10.0)) * 10.0
    for at, one in zip((first, first + aside), fitted, strict=True):
        assert abs((one.mean(axis=0) - at) @ aside / 30.0) < 10.5
