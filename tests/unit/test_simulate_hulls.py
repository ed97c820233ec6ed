"""Hull outlines and the drawing of vessels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.simulate import KINDS, Vessel
from training.simulate.canvas import Canvas
from training.simulate.drawing import HullDrawing
from training.simulate.hulls import KNOT
from training.simulate.sensor import BAND_LAG_S
from training.simulate.spectra import BANDS

kinds = st.sampled_from(sorted(KINDS))


@given(kinds, st.floats(12, 320), st.floats(2.6, 7.5), st.floats(0, 360), st.floats(-5000, 5000))
def test_outline_is_a_hull(kind: str, length: float, slender: float, heading: float, x: float) -> None:
    vessel = Vessel("a", kind, x, -x / 2, length, length / slender, heading)
    outline, box = vessel.outline, vessel.box
    assert outline.is_valid
    assert box.buffer(1e-3).contains(outline)
    assert 0.55 * box.area < outline.area <= box.area * (1 + 1e-6)
    s, c = np.sin(np.radians(heading)), np.cos(np.radians(heading))
    xy = np.asarray(outline.exterior.coords) - (vessel.x, vessel.y)
    along, across = xy @ (s, -c), xy @ (c, s)
    assert np.ptp(along) == pytest.approx(length, rel=1e-4)
    assert np.ptp(across) == pytest.approx(vessel.width, rel=0.04)
    assert along.max() == pytest.approx(-along.min(), rel=1e-4)  # amidships is the origin
    assert across.max() == pytest.approx(-across.min(), rel=1e-3)  # port and starboard alike


@given(kinds, st.floats(0, 360))
def test_bow_is_sharper_than_stern(kind: str, heading: float) -> None:
    if kind == "barge":
        return
    vessel = Vessel("a", kind, 0.0, 0.0, 80.0, 14.0, heading)
    s, c = np.sin(np.radians(heading)), np.cos(np.radians(heading))
    xy = np.asarray(vessel.outline.exterior.coords)
    along, across = xy @ (s, -c), np.abs(xy @ (c, s))
    assert across[along > 39.9].max() < across[along < -39.9].max()


def _drawn(vessel: Vessel, parity: int = 1) -> np.ndarray:
    canvas = Canvas(np.full((len(BANDS), 200, 200), 5.0, np.float32), 0.0, 0.0)
    HullDrawing(vessel, (150.0, 80.0), parity).draw(canvas)
    return canvas.data


@pytest.mark.parametrize("parity", [1, -1])
@pytest.mark.parametrize("heading", [0.0, 77.0, 200.0])
def test_bands_see_a_moving_ship_one_after_the_other(heading: float, parity: int) -> None:
    vessel = Vessel("a", "tanker", 200.0, 200.0, 120.0, 20.0, heading, "underway", speed_kn=14.0)
    data = _drawn(vessel, parity)
    y, x = np.mgrid[0:200, 0:200] * 2.0 + 1.0
    s, c = np.sin(np.radians(heading)), np.cos(np.radians(heading))
    for k, band in enumerate(BANDS):
        hull = data[k] < 1.0  # paint, where the water was set to 5 and its shade stays above 3
        ahead = (x[hull].mean() - 200.0) * s - (y[hull].mean() - 200.0) * c
        still = _drawn(Vessel("a", "tanker", 200.0, 200.0, 120.0, 20.0, heading))[k] < 1.0
        ahead -= (x[still].mean() - 200.0) * s - (y[still].mean() - 200.0) * c
        assert ahead == pytest.approx(parity * 14.0 * KNOT * BAND_LAG_S[band], abs=0.9)  # 2 m sub-pixels


def test_moored_ship_has_no_offset() -> None:
    data = _drawn(Vessel("a", "tanker", 200.0, 200.0, 120.0, 20.0, 33.0))
    hulls = data < 1.0
    assert (hulls == hulls[0]).all()


def test_coal_darkens_a_loaded_barge() -> None:
    empty = _drawn(Vessel("a", "barge", 200.0, 200.0, 80.0, 18.0, 0.0, load=0.0, paint=3))
    half = _drawn(Vessel("a", "barge", 200.0, 200.0, 80.0, 18.0, 0.0, load=0.5, paint=3))
    full = _drawn(Vessel("a", "barge", 200.0, 200.0, 80.0, 18.0, 0.0, load=1.0, paint=3))
    deck = (slice(None), slice(85, 115), slice(97, 103))
    red = BANDS.index("B04")
    assert full[red][deck[1:]].mean() < 0.06 < empty[red][deck[1:]].mean()
    dark = [(d[red][80:120, 95:105] < 0.06).mean() for d in (empty, half, full)]
    assert dark[0] < dark[1] < dark[2]
