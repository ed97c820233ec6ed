"""Windows cover the raster, and each place is answered for once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from detector.errors import ConfigError
from detector.geometry import Window
from detector.tiles import Tiling


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    window = draw(st.tuples(st.integers(9, 60), st.integers(9, 60)))
    overlap = tuple(draw(st.integers(0, size - 8)) for size in window)
    return Tiling(draw(st.integers(1, 120)), draw(st.integers(1, 120)), window, overlap)


def windows_of(tiling: Tiling) -> list[Window]:
    return [window for strip in tiling.strips() for window in strip]


@settings(max_examples=150, deadline=None)
@given(tilings())
def test_windows_of_one_shape_cover_the_raster(tiling: Tiling) -> None:
    windows = windows_of(tiling)
    assert len(windows) == len(tiling) == len(set(windows))
    assert {(w.width, w.height) for w in windows} == {tiling.window}
    covered = np.zeros((tiling.height, tiling.width), bool)
    for w in windows:
        assert w.col >= 0 and w.row >= 0
        covered[w.row : w.row + w.height, w.col : w.col + w.width] = True
    assert covered.all()


@settings(max_examples=150, deadline=None)
@given(tilings())
def test_windows_stick_out_of_small_rasters_only_and_share_the_overlap(tiling: Tiling) -> None:
    for origins, length, size, overlap in (
        (tiling.columns, tiling.width, tiling.window[0], tiling.overlap[0]),
        (tiling.rows, tiling.height, tiling.window[1], tiling.overlap[1]),
    ):
        assert length <= size or origins[-1] + size == length
        assert all(0 < b - a <= size - overlap for a, b in zip(origins, origins[1:], strict=False))
        fewest = max(1, -(-(length - overlap) // (size - overlap)))
        assert len(origins) == fewest


@settings(max_examples=60, deadline=None)
@given(tilings())
def test_every_place_has_exactly_one_owner(tiling: Tiling) -> None:
    x, y = np.meshgrid(np.arange(0, tiling.width, 0.5), np.arange(0, tiling.height, 0.5))
    owners = sum(tiling.owns(window, x, y, 0.0).astype(int) for window in windows_of(tiling))
    assert (owners == 1).all()


@settings(max_examples=60, deadline=None)
@given(tilings(), st.floats(0, 8))
def test_slack_adds_owners_and_takes_none(tiling: Tiling, slack: float) -> None:
    x, y = np.meshgrid(np.arange(tiling.width) + 0.5, np.arange(tiling.height) + 0.5)
    for window in windows_of(tiling):
        assert (tiling.owns(window, x, y, slack) >= tiling.owns(window, x, y, 0.0)).all()


@settings(max_examples=150, deadline=None)
@given(tilings(), st.floats(0, 6), st.data())
def test_the_owner_of_a_centre_sees_the_hull_whole(tiling: Tiling, slack: float, data: st.DataObject) -> None:
    """A hull inside the raster, no longer than the overlap less the slack on both sides."""
    spans = [max(0.0, shared - 2 * slack) for shared in tiling.overlap]
    assume(all(span <= length for span, length in zip(spans, (tiling.width, tiling.height), strict=True)))
    x = data.draw(st.floats(spans[0] / 2, tiling.width - spans[0] / 2))
    y = data.draw(st.floats(spans[1] / 2, tiling.height - spans[1] / 2))
    assume(x < tiling.width and y < tiling.height)
    owners = [w for w in windows_of(tiling) if tiling.owns(w, np.array([x]), np.array([y]), slack)[0]]
    assert owners
    for w in owners:
        if spans[0] > 0:
            assert w.col - 1e-9 <= x - spans[0] / 2 and x + spans[0] / 2 <= w.col + w.width + 1e-9
        if spans[1] > 0:
            assert w.row - 1e-9 <= y - spans[1] / 2 and y + spans[1] / 2 <= w.row + w.height + 1e-9


def test_a_full_tile() -> None:
    tiling = Tiling(10980, 10980, (384, 384), (48, 48))
    assert len(tiling) == 33**2
    assert tiling.columns[-1] == 10980 - 384


@pytest.mark.parametrize("overlap", [(10, 0), (0, 11), (-1, 0)])
def test_an_overlap_that_cannot_be(overlap: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="overlap"):
        Tiling(100, 100, (10, 10), overlap)


def test_a_raster_without_pixels() -> None:
    with pytest.raises(ConfigError, match="0 x 5"):
        Tiling(0, 5, (10, 10), (0, 0))
