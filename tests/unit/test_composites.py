"""Composites: vessels laid on real water, here on a painted stand-in for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from detector.geometry import Grid
from training.composites import FAMILIES, Port, ceiling, compose, samples
from training.composites.fit import common_threshold, f1, fit, held_out
from training.composites.render import View, draw
from training.composites.samples import Samples, as_drawn
from training.labels import LabelledScene
from training.simulate.hulls import Vessel
from training.simulate.spectra import BANDS

_WATER = np.array((0.05, 0.06, 0.04, 0.02, 0.01), np.float32)


@pytest.fixture(scope="module")
def port() -> Port:
    rng = np.random.default_rng(0)
    pixels = np.broadcast_to(_WATER[:, None, None], (5, 300, 300)).copy()
    pixels += rng.normal(0, 0.001, pixels.shape).astype(np.float32)
    pixels[:, :, :40] = np.array((0.2, 0.2, 0.2, 0.3, 0.3), np.float32)[:, None, None]  # a straight quay
    grid = Grid(CRS.from_epsg(32651), Affine(10, 0, 500_000, 0, -10, 4_300_000), 300, 300)
    return Port("quay", pixels, grid, 10.0, [])


def test_families_share_no_coal() -> None:
    train, test = FAMILIES["train"], FAMILIES["test"]
    assert not set(train.coal) & set(test.coal)
    assert not set(train.barges) & set(test.barges)
    assert not {tuple(row) for row in train.cargo.values()} & {tuple(row) for row in test.cargo.values()}


def test_composites_are_repeatable_and_change_only_what_is_near_vessels(port: Port) -> None:
    first, second = (compose(port, FAMILIES["train"], 6, 3) for _ in range(2))
    assert np.array_equal(first.pixels, second.pixels)
    assert len(first.truth) >= 5
    still = [t for t in first.truth if t.vessel.speed_kn == 0]
    if len(still) == len(first.truth):
        changed = np.abs(first.pixels - port.pixels).max(axis=0) > 1e-4
        rows, cols = np.nonzero(changed)
        near = np.min(
            [np.hypot(cols - c, rows - r) for c, r in (t.corners.mean(axis=0) for t in first.truth)], axis=0
        )
        assert near.max() < 30


def test_truth_lies_where_the_hull_is(port: Port) -> None:
    composite = compose(port, FAMILIES["train"], 8, 5)
    for truth in composite.truth:
        col, row = truth.corners.mean(axis=0).astype(int)
        there = np.abs(composite.pixels[:, row, col] - _WATER).max()
        assert there > 0.004
        assert port.water[row, col]


def test_a_layer_lets_the_real_water_through_at_the_edges() -> None:
    vessel = Vessel("a", "barge", 0.0, 0.0, 80.0, 20.0, 90.0)
    view = View((150.0, 50.0), 1.0, np.zeros(5, np.float32), 0.5, 3.0, 1, 1)
    fitted = ((0.3,) * 5, ())
    layers = draw([(vessel, fitted)], view, (20.0, 20.0), (40, 40), 10.0, np.random.default_rng(0))
    assert layers.through.shape == (len(BANDS), 40, 40)
    assert layers.through[0, 20, 20] < 0.3 and layers.through[0, 2, 2] == pytest.approx(1.0, abs=1e-3)
    edge = layers.through[0, 15:25, 20]
    assert ((edge > 0.1) & (edge < 0.9)).any()  # mixed pixels
    covered = (1.0 - layers.through[0]).sum() * 100.0
    assert covered == pytest.approx(80.0 * 20.0, rel=0.25)  # hull and a little shadow, m²


def test_boxes_as_drawn_are_off_but_near() -> None:
    box = np.array([[[10.0, 10.0], [19.0, 10.0], [19.0, 12.4], [10.0, 12.4]]])
    rng = np.random.default_rng(1)
    drawn = np.concatenate([as_drawn(box, FAMILIES["test"], 10.0, rng) for _ in range(200)])
    wide = np.hypot(*(drawn[:, 2] - drawn[:, 1]).T) * 10.0
    assert 24.0 < wide.mean() < 36.0
    assert np.abs(drawn.mean(axis=(0, 1)) - box.mean(axis=(0, 1))).max() < 0.1


def test_a_port_that_is_done_is_not_made_again(
    port: Port, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def once(*_: object) -> Port:
        made.append(1)
        return port

    monkeypatch.setattr(samples, "read_port", once)
    monkeypatch.setattr(samples, "real_samples", lambda *_: None)
    scene = LabelledScene(Path("quay.tif"), "quay", [])
    first, second, more = (
        samples.port_samples(scene, FAMILIES["train"], count, 3, tmp_path / "kept") for count in (3, 3, 4)
    )
    assert len(made) == 2 and len(list((tmp_path / "kept").iterdir())) == 2
    assert set(first) == {"swir", "nir", "colour"} and len(more["nir"].coal) > len(first["nir"].coal)
    for name, values in first["nir"].values.items():
        np.testing.assert_array_equal(values, second["nir"].values[name])


def test_weights_are_never_negative_and_part_the_classes() -> None:
    rng = np.random.default_rng(2)
    y = np.arange(200) < 100
    values = {"good": rng.normal(0, 1, 200) + 2.0 * y, "wrong": rng.normal(0, 1, 200) - 2.0 * y}
    none, size = np.zeros(200, bool), np.full(200, 80.0)
    model = fit(Samples(values, y, none, size, size / 4, [{}] * 200), ("good", "wrong"))
    assert model.weights[0] > 0.5 and model.weights[1] == 0.0
    assert f1(np.array([True, True]), np.array([True, False])) == {
        "precision": 0.5,
        "recall": 1.0,
        "f1": pytest.approx(2 / 3),
    }


def _ports(rng: np.random.Generator, shift: float = 2.0) -> Samples:
    """Three ports of 100 vessels, half with coal, and 100 real ones."""
    port = [{"port": name} for name in ("a", "b", "c") for _ in range(200)]
    real = np.tile(np.arange(200) >= 100, 3)
    y = np.tile(np.arange(200) < 50, 3)
    size = np.full(600, 80.0)
    return Samples({"dark": rng.normal(0, 1, 600) + shift * y}, y, real, size, size / 4, port)


def test_a_port_is_scored_without_its_own_samples() -> None:
    whole = _ports(np.random.default_rng(3))
    at_a = np.array([row["port"] == "a" for row in whole.about])
    first = held_out(whole, ("dark",))
    whole.coal[at_a] = (
        ~whole.coal[at_a] & ~whole.real[at_a]
    )  # what port a says of itself must not count there
    second = held_out(whole, ("dark",))
    np.testing.assert_allclose(first[at_a], second[at_a])
    assert np.abs(first - second)[~at_a].max() > 0.01


def test_one_threshold_keeps_false_calls_of_real_vessels_few() -> None:
    rng = np.random.default_rng(4)
    sets = [_ports(rng), _ports(rng)]
    held = [(held_out(one, ("dark",)), one) for one in sets]
    level = common_threshold(held)
    false = np.mean([(value >= level)[one.real].mean() for value, one in held])
    looser = np.mean([(value >= 0.5)[one.real].mean() for value, one in held])
    assert false <= 0.025 < looser
    short = [(value, one) for value, one in held]
    for _, one in short:
        one.length_m[:] = 20.0  # no barge is that short: nothing real is called one, and F1 alone decides
    assert common_threshold(short) < level


def test_painted_spectra_are_those_of_deck_and_cargo() -> None:
    from training.simulate.decks import Part

    vessel = Vessel("a", "barge", 0.0, 0.0, 96.0, 20.0, 0.0)
    deck, coal = (0.3,) * 5, (0.04,) * 5
    half = (Part(0.0, 48.0, -5.0, 5.0, coal),)
    image = ceiling.painted(vessel, (deck, half), np.zeros(5, np.float32))
    assert image.shape == (5, 8, 12)
    assert image[0, :4] == pytest.approx(0.3)
    assert image[0, 4:].mean() == pytest.approx((0.3 + 0.04) / 2, abs=0.01)
    hazy = ceiling.painted(vessel, (deck, half), np.full(5, 0.02, np.float32))
    assert hazy[0, 6, 6] == pytest.approx(0.04 * 0.96 + 0.02, abs=1e-4)


def test_the_judge_is_asked_of_ports_that_it_has_not_seen() -> None:
    rng = np.random.default_rng(5)
    y = np.arange(300) % 2 == 0
    group = np.repeat(np.array(["a", "b", "c"]), 100)
    x = np.column_stack([rng.normal(0, 1, 300) + 3.0 * y, rng.normal(0, 1, 300)])
    chance = ceiling.held_out(x, y, group)
    assert ceiling.best_f1(chance, y) > 0.85
    known = x.copy()
    known[0] = np.nan
    assert ceiling.held_out(known, y, group)[0] == 0.0
    noise = ceiling.held_out(rng.normal(0, 1, (300, 2)), y, group)
    assert abs(noise[y].mean() - noise[~y].mean()) < 0.15


def test_ranks_lie_end_on_and_pairs_off_the_quay(port: Port) -> None:
    """The quay runs along column 40: craft of a rank point off it, and a second hull lies farther out than the first."""
    ranks = compose(port, FAMILIES["train"], 12, 4, {"end_on": 1.0}).truth
    assert len(ranks) > 8
    for one in ranks:
        assert abs(np.cos(np.radians(one.vessel.heading))) < 0.1
        assert 39.5 < one.corners[:, 0].min() < 43.0, "the end of a craft is at the quay"
    pairs = compose(port, FAMILIES["train"], 12, 4, {"double_banked": 1.0}).truth
    seaward = [t.corners[:, 0].mean() for t in pairs if t.vessel.id.endswith("b")]
    inner = [t.corners[:, 0].mean() for t in pairs if not t.vessel.id.endswith("b")]
    assert len(inner) == len(seaward) >= 3
    assert (np.array(seaward) > np.array(inner)).all()
