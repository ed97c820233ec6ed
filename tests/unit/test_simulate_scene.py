"""Painted scenes: repeatable, seamless, and true."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from pyproj import Proj
from scipy import ndimage

from detector.geometry import Window
from training.simulate import PaintedScene, Painter, SceneSpec, Vessel, paint, truth_geojson
from training.simulate.sensor import MTF_NYQUIST, SUB, NoiseModel, blur_pixels, blur_sigma, fine_to_pixels
from training.simulate.spectra import BANDS
from training.simulate.sun import sun_position

SMALL = SceneSpec(seed=2, size=(400, 400), vessel_count=14, haze=0.1)


@pytest.fixture(scope="module")
def small() -> PaintedScene:
    return paint(SMALL)


def test_same_seed_same_bytes(small: PaintedScene) -> None:
    again = paint(SMALL)
    for band in BANDS:
        assert small.bands[band].tobytes() == again.bands[band].tobytes()
    assert small.scl.tobytes() == again.scl.tobytes()
    assert truth_geojson(small.truth) == truth_geojson(again.truth)


def test_another_seed_is_another_scene_of_the_same_port(small: PaintedScene) -> None:
    other = paint(replace(SMALL, seed=9, port_seed=2))
    assert [v.lon for v in other.truth] != [v.lon for v in small.truth]
    land = small.scl[:60] == 4
    assert land.any()
    assert (other.scl[:60] == 4)[land].mean() > 0.95


def test_blocks_do_not_depend_on_how_the_scene_is_cut() -> None:
    painter = Painter(replace(SMALL, noise=False))
    whole, _ = painter.block(Window(0, 0, 400, 400))
    part, _ = painter.block(Window(122, 86, 150, 130))
    difference = np.abs(whole[:, 86:216, 122:272].astype(int) - part.astype(int))
    assert difference.max() <= 1


def test_values_look_like_reflectance(small: PaintedScene) -> None:
    r = small.reflectance()
    assert np.isfinite(r).all()
    assert small.bands["B02"].min() >= 1  # 0 means no data
    assert -0.02 < r.min() < r.max() < 1.2
    assert small.bands["B11"].shape == (400, 400)
    assert (small.bands["B11"][::2, ::2] == small.bands["B11"][1::2, 1::2]).all()  # 20 m pixels


@pytest.mark.parametrize("changes", [{}, {"trades": ("repair", "general"), "rafting": 0.5}])
@pytest.mark.parametrize("seed", [0, 3, 11])
def test_vessels_float_and_do_not_overlap(seed: int, changes: dict[str, object]) -> None:
    painter = Painter(replace(SceneSpec(seed=seed, size=(700, 700), vessel_count=45), **changes))  # type: ignore[arg-type]
    assert len(painter.vessels) > 20
    hulls = [v.outline for v in painter.vessels]
    solid = [s.outline for f in painter.facilities for s in f.structures if s.height_m < 20]
    for k, hull in enumerate(hulls):
        ring = np.asarray(hull.segmentize(5.0).exterior.coords)
        assert (painter.relief.height_at(ring[:, 0], ring[:, 1]) < 0).all()
        assert not any(hull.intersects(s) for s in solid)
        assert not any(hull.intersects(other) for other in hulls[:k])
    assert len({v.id for v in painter.vessels}) == len(painter.vessels)
    assert {"alongside", "anchored"} <= {v.status for v in painter.vessels}


def test_ships_of_a_repair_quay_lie_end_on_and_in_ranks() -> None:
    painter = Painter(SceneSpec(seed=0, size=(700, 700), vessel_count=45, trades=("repair",), rafting=0.5))
    (harbour,) = painter.relief.harbours
    ranked = [v for v in painter.vessels if v.status == "alongside"]
    assert len(ranked) >= 5
    for vessel in ranked:
        away = (vessel.heading - harbour.heading(along=False)) % 180.0
        assert min(away, 180.0 - away) < 1e-6  # across the quay, bow either way
        _, v = harbour.local(np.array([vessel.x]), np.array([vessel.y]))
        assert 0.0 < float(v[0]) - vessel.length / 2 < 5.0
    assert any(v.status == "rafted" for v in painter.vessels)


def test_rafted_pairs_lie_close() -> None:
    rafted = [
        v
        for v in Painter(SceneSpec(seed=5, size=(700, 700), vessel_count=45)).vessels
        if v.status == "rafted"
    ]
    assert rafted
    for v in rafted:
        gaps = [v.outline.distance(o.outline) for o in rafted if o is not v]
        assert 1.0 < min(gaps) < 6.0


def _open_sea(vessels: tuple[Vessel, ...], **changes: object) -> PaintedScene:
    spec = SceneSpec(
        seed=1,
        size=(200, 200),
        harbours=0,
        estuary=True,
        haze=0.0,
        glint=0.001,
        wind=0.0,
        turbidity=0.1,
        noise=False,
        parity=1,
        vessels=vessels,
    )
    return paint(replace(spec, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("heading", [0.0, 30.0, 75.0, 90.0, 140.0])
@pytest.mark.parametrize("length", [60.0, 90.0, 160.0])
def test_length_and_heading_can_be_measured_from_the_pixels(length: float, heading: float) -> None:
    vessel = Vessel("a", "barge", 1003.0, 1131.0, length, length / 4, heading, load=0.0, paint=5)
    seen, empty = _open_sea((vessel,)), _open_sea(())
    rise = (seen.reflectance(("B08",)) - empty.reflectance(("B08",)))[0]
    truth = seen.truth[0]
    s, c = np.sin(np.radians(heading)), np.cos(np.radians(heading))
    t = np.arange(-150, 150, 0.25)
    profile = ndimage.map_coordinates(
        rise, ((1131.0 - t * c) / 10 - 0.5, (1003.0 + t * s) / 10 - 0.5), order=1
    )
    inside = profile > 0.5 * np.median(profile[np.abs(t) < length / 3])
    assert np.ptp(t[inside]) == pytest.approx(truth.length_m, abs=10.0)
    rows, cols = np.nonzero(rise > 0.3 * rise.max())
    spread = np.cov(cols, -rows, aweights=rise[rows, cols])
    axis = np.linalg.eigh(spread)[1][:, 1]
    measured = np.degrees(np.arctan2(axis[0], axis[1]))
    assert (measured - heading + 90) % 180 - 90 == pytest.approx(0, abs=3.0)
    assert (cols.mean() + 0.5, rows.mean() + 0.5) == pytest.approx((truth.col, truth.row), abs=0.7)


def test_truth_is_in_true_north_and_ground_metres() -> None:
    scene = _open_sea((Vessel("a", "tanker", 1000.0, 1200.0, 150.0, 25.0, 350.0),))
    truth = scene.truth[0]
    factors = Proj(32651).get_factors(truth.lon, truth.lat)
    # Convergence is the angle from true to grid north, clockwise: true heading = grid heading + convergence.
    assert truth.heading_deg == pytest.approx((350.0 + factors.meridian_convergence) % 360, abs=0.05)
    assert truth.length_m == pytest.approx(150.0 / factors.meridional_scale, rel=1e-4)


def test_moving_ship_leaves_a_wake_behind_it() -> None:
    vessel = Vessel("a", "fishing", 1000.0, 1000.0, 40.0, 8.0, 90.0, "underway", speed_kn=10.0)
    rise = np.abs(_open_sea((vessel,)).reflectance(("B03",)) - _open_sea(()).reflectance(("B03",)))[0]
    astern, ahead = rise[96:105, 60:96].sum(), rise[96:105, 104:140].sum()
    assert astern > 20 * ahead


def test_cloud_hides_and_is_marked() -> None:
    clear = paint(replace(SMALL, cloud_fraction=0.0))
    cloudy = paint(replace(SMALL, cloud_fraction=0.5))
    assert not np.isin(clear.scl, (3, 8, 9, 10)).any()
    assert 0.2 < np.isin(cloudy.scl, (8, 9, 10)).mean() < 0.85
    assert (cloudy.scl == 3).any()
    bright = np.isin(cloudy.scl, (9,))
    assert (
        cloudy.reflectance(("B02",))[0][bright].mean() > clear.reflectance(("B02",))[0][bright].mean() + 0.2
    )
    assert all(v.clear for v in clear.truth)
    for v in cloudy.truth:
        assert v.clear or cloudy.scl[int(v.row), int(v.col)] in (8, 9)


def test_haze_lifts_the_blue_most() -> None:
    rise = (
        paint(replace(SMALL, haze=0.6, noise=False)).reflectance()
        - paint(replace(SMALL, haze=0.0, noise=False)).reflectance()
    )
    water = paint(SMALL).scl == 6
    means = [float(rise[k][water].mean()) for k in range(len(BANDS))]
    assert means[0] > means[2] > means[3] > means[4] > 0


def test_level_1c_is_brighter_in_the_blue() -> None:
    low = paint(replace(SMALL, level="L2A", noise=False)).reflectance()
    top = paint(replace(SMALL, level="L1C", noise=False)).reflectance()
    assert 0.04 < (top[0] - low[0]).mean() < 0.08
    assert abs((top[4] - low[4]).mean()) < 0.002


def test_blur_gives_the_specified_mtf_at_nyquist() -> None:
    for k, band in enumerate(BANDS):
        x = (np.arange(40 * SUB) + 0.5) / SUB
        wave = np.cos(np.pi * (x - 0.5)).astype(np.float32)  # a period of two pixels, in phase with them
        fine = np.broadcast_to(wave, (len(BANDS), 40 * SUB, 40 * SUB)).copy()
        seen = fine_to_pixels(fine)[k, 20, 10:30]
        assert np.abs(seen).mean() == pytest.approx(MTF_NYQUIST[band], rel=0.03)
        assert blur_sigma(band) > 0.3


def test_both_ways_of_blurring_agree() -> None:
    coarse = np.random.default_rng(0).random((len(BANDS), 30, 30), dtype=np.float32)
    fine = fine_to_pixels(np.repeat(np.repeat(coarse, SUB, 1), SUB, 2))
    assert np.abs(fine - blur_pixels(coarse))[:, 4:-4, 4:-4].max() < 1e-5


def test_noise_has_the_specified_ratio_before_resampling() -> None:
    model = NoiseModel.of(45.0)
    flat = np.full((len(BANDS), 400, 400), 0.1, np.float32)
    noise = model.add(flat, np.random.default_rng(1)) - flat
    sigma = np.sqrt(model.floor + model.slope * 0.1)
    # The resampling kernel (0.14, 0.72, 0.14) in both directions leaves 0.5584 of the standard deviation.
    np.testing.assert_allclose(noise.std(axis=(1, 2)), sigma * (0.14**2 * 2 + 0.72**2), rtol=0.02)


def test_sun_over_nampo() -> None:
    azimuth, elevation = sun_position(125.4, 38.7, datetime(2020, 6, 21, 3, 40, tzinfo=UTC))
    assert elevation == pytest.approx(74.7, abs=0.5)  # near noon at the solstice: 90 - 38.7 + 23.4
    assert azimuth == pytest.approx(180, abs=6)


@pytest.mark.parametrize(
    "wrong",
    [{"size": (63, 64)}, {"size": (101, 100)}, {"level": "L3"}, {"acquired": datetime(2020, 1, 1)}, {"trades": ("circus",)}],
)
def test_wrong_specifications_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        replace(SMALL, **wrong)  # type: ignore[arg-type]
