"""Spectral evidence of coal, and the class that it gives."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from scipy import ndimage

from detector import coal
from detector.boxes import corners_of
from detector.coal import coal_barge, coal_score, model
from detector.errors import MissingDependencyError, WeightsError
from detector.scene import Scene, open_scene

BLUR_M = 5.4  # of the sensor: pixel, optics and one resampling

BANDS = ("B04", "B03", "B02", "B08", "B11")
WATER = (0.05, 0.08, 0.07, 0.02, 0.01)
COAL = (0.043, 0.039, 0.036, 0.053, 0.076)
RUST = (0.12, 0.085, 0.07, 0.145, 0.19)
BOX = corners_of(np.array([[32.0, 32.0, 9.0, 2.4, 0.0]]))  # 90 m x 24 m


def pixels(hold: tuple[float, ...], length_m: float = 90.0, beam_m: float = 20.0) -> np.ndarray:
    """A hull in water, seen through the sensor's blur: 2 m sub-pixels, then 10 m pixels."""
    fine = np.repeat(np.array(WATER, np.float32), 320 * 320).reshape(5, 320, 320)
    half_l, half_b = round(length_m / 4), round(beam_m / 4)
    fine[:, 160 - half_b : 160 + half_b, 160 - half_l : 160 + half_l] = np.array(hold, np.float32)[
        :, None, None
    ]
    optics = np.sqrt(BLUR_M**2 - 10.0**2 / 12) / 2.0
    blurred = np.stack([ndimage.gaussian_filter(band, optics) for band in fine])
    return blurred.reshape(5, 64, 5, 64, 5).mean(axis=(2, 4))


def scene(values: np.ndarray, bands: tuple[str, ...] = BANDS) -> Scene:
    chosen = values[[BANDS.index(band) for band in bands]].astype(np.float32)
    return open_scene(
        chosen, bands=bands, transform=Affine(10, 0, 500_000, 0, -10, 4_300_000), crs="EPSG:32651", scale=1.0
    )


@pytest.mark.parametrize("bands", [BANDS, BANDS[:4], BANDS[:3]])
def test_coal_scores_above_other_decks(bands: tuple[str, ...]) -> None:
    score = {
        name: coal_score(scene(pixels(colour), bands), BOX)[0]
        for name, colour in {
            "coal": COAL, "rust": RUST, "grey": (0.15,) * 5, "green": (0.085, 0.11, 0.066, 0.105, 0.12),
            "white": (0.5,) * 5,
        }.items()
    }  # fmt: skip
    least = model().threshold
    assert score["coal"] > least > max(value for name, value in score.items() if name != "coal")


@pytest.mark.parametrize("beam", [12.0, 14.0, 20.0, 28.0])
def test_water_in_mixed_pixels_is_allowed_for(beam: float) -> None:
    """A rusty hull little wider than a pixel is as dark as coal there, for it is mixed with dark water."""
    box = corners_of(np.array([[32.0, 32.0, 9.0, (beam + 4.0) / 10.0, 0.0]]))
    coaly, rusty = (coal_score(scene(pixels(hold, beam_m=beam), BANDS[:4]), box)[0] for hold in (COAL, RUST))
    assert coaly > model().threshold > rusty


def test_coal_shows_through_haze_and_a_hazy_rusty_hull_is_none() -> None:
    haze = np.array((0.02, 0.026, 0.03, 0.014, 0.004), np.float32)[:, None, None]
    for bands in (BANDS, BANDS[:4], BANDS[:3]):
        coaly, rusty = (coal_score(scene(pixels(hold) + haze, bands), BOX)[0] for hold in (COAL, RUST))
        assert coaly > model().threshold > rusty


def test_brighter_or_more_coloured_is_never_more_like_coal() -> None:
    levels = [coal_score(scene(pixels(tuple(c * f for c in COAL))), BOX)[0] for f in (1.0, 1.5, 2.0, 3.0)]
    assert levels == sorted(levels, reverse=True)


def test_unknown_stays_unknown() -> None:
    far = corners_of(np.array([[500.0, 500.0, 9.0, 2.4, 0.0], [-40.0, 5.0, 9.0, 2.4, 0.0]]))
    narrow = corners_of(np.array([[32.0, 32.0, 6.0, 0.8, 0.0]]))
    short = corners_of(np.array([[32.0, 32.0, 3.2, 1.6, 0.0]]))
    water = corners_of(np.array([[10.0, 12.0, 9.0, 2.4, 0.4]]))
    with scene(pixels(COAL)) as here:
        assert np.isnan(coal_score(here, far)).all()
        assert np.isnan(coal_score(here, narrow)).all()
        assert np.isnan(coal_score(here, short)).all()
        assert np.isnan(coal_score(here, water)).all()  # nothing stands out there: no hull to judge
        assert coal_score(here, np.zeros((0, 4, 2))).shape == (0,)
    assert np.isnan(coal_score(scene(np.full((5, 64, 64), np.nan)), BOX)).all()


def test_boxes_keep_their_order() -> None:
    values = pixels(COAL)
    values[:, 44:64, 0:64] = pixels((0.3,) * 5)[:, 22:42, :]
    two = corners_of(np.array([[32.0, 54.0, 9.0, 2.4, 0.0], [32.0, 32.0, 9.0, 2.4, 0.0]]))
    bright, black = coal_score(scene(values), two)
    assert bright < 0.1 < 0.8 < black


def test_class_needs_evidence_and_the_size_of_a_barge() -> None:
    scores = np.array([0.99, 0.99, 0.05, np.nan, 0.99, 0.99])
    length = np.array([90.0, 180.0, 90.0, 90.0, 120.0, 60.0])
    width = np.array([24.0, 30.0, 24.0, 24.0, 11.0, 30.0])
    assert coal_barge(scores, BANDS, length, width).tolist() == [True, False, False, False, False, False]
    assert not coal_barge(scores, ("B04", "B03"), length, width).any()


def test_the_best_set_of_bands_is_used() -> None:
    assert coal.band_set(BANDS) == "swir"
    assert coal.band_set(BANDS[:4]) == "nir"
    assert coal.band_set(BANDS[:3]) == "colour"
    assert coal.band_set(("B03", "B04", "B08", "B11")) is None


@pytest.mark.parametrize(("length", "beam"), [(225.0, 32.0), (290.0, 45.0), (330.0, 55.0)])
@pytest.mark.parametrize("bands", [BANDS, BANDS[:4], BANDS[:3]])
def test_coal_on_a_large_ship_is_seen_as_well(length: float, beam: float, bands: tuple[str, ...]) -> None:
    box = corners_of(np.array([[32.0, 32.0, length / 10.0, beam / 10.0 + 0.5, 0.0]]))
    coaly, grey = (coal_score(scene(pixels(h, length, beam), bands), box)[0] for h in (COAL, (0.15,) * 5))
    assert coaly > model().threshold > grey


def test_either_runtime_gives_the_same_score(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime")
    first = coal_score(scene(pixels(RUST)), BOX)
    monkeypatch.setenv("BARGEWATCH_RUNTIME", "onnxruntime")
    assert coal_score(scene(pixels(RUST)), BOX) == pytest.approx(first, abs=1e-4)
    coal._loaded.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match="pip install onnxruntime"):
        coal_score(scene(pixels(RUST)), BOX)
    coal._loaded.cache_clear()


def test_small_boxes_cost_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    small = corners_of(np.array([[32.0, 32.0, 3.0, 1.2, 0.0], [20.0, 20.0, 6.0, 0.9, 0.0]]))
    here = scene(pixels(COAL))
    monkeypatch.setattr(coal.patches, "cut", lambda *_: pytest.fail("read"))
    assert np.isnan(coal_score(here, small)).all()


def test_only_the_network_that_was_released_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "coal.onnx"
    other.write_bytes(model().path.read_bytes() + b"x")
    for path in (other, tmp_path / "none.onnx"):
        changed = replace(model(), path=path)
        monkeypatch.setattr(coal, "model", lambda changed=changed: changed)
        coal._loaded.cache_clear()
        with pytest.raises(WeightsError, match=path.name):
            coal_score(scene(pixels(COAL)), BOX)
    monkeypatch.undo()
    coal._loaded.cache_clear()
    assert coal_score(scene(pixels(COAL)), BOX)[0] > 0.5


def test_many_boxes_score_as_each_alone() -> None:
    here = scene(pixels(COAL))
    many = np.concatenate([BOX + 0.01 * k for k in range(70)])
    together = coal_score(here, many)
    alone = [coal_score(here, many[k : k + 1])[0] for k in (0, 31, 32, 69)]
    assert together[[0, 31, 32, 69]] == pytest.approx(alone, abs=1e-5)
