"""Composites: vessels laid on real water, here on a painted stand-in for it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from rasterio.crs import CRS

from detector import coal, patches
from detector.geometry import Grid
from detector.patches import ACROSS, ALONG, BANDS, Patches
from training.composites import FAMILIES, Port, compose, samples
from training.composites.render import View, draw
from training.composites.samples import Samples, as_drawn
from training.labels import LabelledScene
from training.simulate.hulls import Vessel

onnxruntime = pytest.importorskip("onnxruntime")
torch = pytest.importorskip("torch")
from training.composites import network  # noqa: E402
from training.composites.fit import common_threshold, f1, held_out, report, trained  # noqa: E402

_WATER = np.array((0.05, 0.06, 0.04, 0.02, 0.01), np.float32)


@pytest.fixture(scope="module")
def port() -> Port:
    rng = np.random.default_rng(0)
    pixels = np.broadcast_to(_WATER[:, None, None], (5, 300, 300)).copy()
    pixels += rng.normal(0, 0.001, pixels.shape).astype(np.float32)
    pixels[:, :, :40] = np.array((0.2, 0.2, 0.2, 0.3, 0.3), np.float32)[:, None, None]  # a straight quay
    grid = Grid(CRS.from_epsg(32651), Affine(10, 0, 500_000, 0, -10, 4_300_000), 300, 300)
    return Port("quay", pixels, grid, 10.0, [])


@pytest.mark.parametrize("name", ["train", "wide"])
def test_families_share_no_coal(name: str) -> None:
    train, test = FAMILIES[name], FAMILIES["test"]
    for part in ("coal", "cargo"):
        here, there = getattr(train, part), getattr(test, part)
        assert not {tuple(row) for row in here.values()} & {tuple(row) for row in there.values()}
    assert not set(train.coal) & set(test.coal)
    assert not set(train.barges) & set(test.barges)


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
    scene = LabelledScene(Path("quay.tif"), "quay", [])
    first, second, more = (
        samples.port_samples(scene, FAMILIES["train"], count, 3, tmp_path / "kept") for count in (3, 3, 4)
    )
    assert first is not None and second is not None and more is not None
    assert len(made) == 2 and len(list((tmp_path / "kept").iterdir())) == 2
    assert len(more) > len(first) == len(second)
    np.testing.assert_array_equal(first.patches.reflectance, second.patches.reflectance)
    assert set(first.port) == {"quay"} and first.patches.reflectance.dtype == np.float16


def test_bands_of_a_set_are_all_that_is_seen() -> None:
    whole = _ports()
    whole.patches.reflectance[:5, 4] = np.nan  # no B11
    whole.patches.reflectance[5:9, 3:] = np.nan  # true colour
    assert [len(whole.with_bands(name)) for name in ("swir", "nir", "colour")] == [291, 296, 300]
    assert np.isnan(whole.with_bands("colour").patches.reflectance[:, 3:]).all()
    assert np.isfinite(whole.patches.reflectance[20, 3:]).all()  # the whole set stays as it was


def _ports(seed: int = 3) -> Samples:
    """Three ports of 50 composites, half with coal, and 50 real vessels; coal is darker."""
    rng = np.random.default_rng(seed)
    y = np.tile(np.arange(100) < 25, 3)
    real = np.tile(np.arange(100) >= 50, 3)
    pixels = rng.normal(0.05, 0.003, (300, len(BANDS), ALONG, ACROSS))
    hull = np.where(y, 0.015, 0.2) * np.exp(rng.normal(0, 0.2, 300))
    pixels[:, :, 3:-3, 6:-6] = hull[:, None, None, None]
    size = np.full(300, 80.0)
    about = [{"port": name} for name in ("busan", "genoa", "klang") for _ in range(100)]
    return Samples(Patches(pixels.astype(np.float16), size, size / 4), y, real, about)


def test_the_network_parts_coal_from_other_hulls_with_any_bands(tmp_path: Path) -> None:
    whole = _ports()
    net = network.fit(whole, 25)
    for chosen in coal.BAND_SETS:
        value = network.score(net, whole, chosen)
        assert value[whole.coal].min() > 0.5 > value[~whole.coal].max()
    small = Samples(Patches(whole.patches.reflectance, whole.patches.length_m / 4, whole.patches.width_m), *_rest(whole))
    assert np.isnan(network.score(net, small, "swir")).all()

    path = tmp_path / "coal.onnx"
    digest = network.export(net, path)
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    told = whole.where(np.arange(300) % 10 == 0).patches
    told.reflectance = told.reflectance.astype(np.float32)
    given = patches.inputs(told)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    theirs = session.run(None, {"patches": given})[0]
    ours = network.score(net, whole, "swir")[::10]
    assert theirs == pytest.approx(ours, abs=1e-4)
    for turned in (given[:, :, ::-1], given[:, :, :, ::-1]):
        assert session.run(None, {"patches": np.ascontiguousarray(turned)})[0] == pytest.approx(theirs, abs=1e-4)


def _rest(whole: Samples) -> tuple[np.ndarray, np.ndarray, list[dict[str, object]]]:
    return whole.coal, whole.real, whole.about


def test_training_is_repeatable_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _ports()
    first = trained(whole, 1, "all", tmp_path)
    again = network.fit(whole, 1)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    monkeypatch.setattr(network, "fit", lambda *args, **named: pytest.fail("trained a second time"))
    kept = trained(whole, 1, "all", tmp_path)
    assert torch.equal(kept.weigh[4].weight, first.weigh[4].weight)


def test_a_port_is_scored_without_its_own_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, seen = _ports(), []

    def fit(part: Samples, epochs: int, seed: int = 0, name: str = "") -> network.CoalNet:
        seen.append(set(part.port))
        return network.CoalNet().eval()

    monkeypatch.setattr(network, "fit", fit)
    found = list(held_out(whole, 1, tmp_path))
    assert seen == [{"klang"}, {"busan", "genoa"}]
    assert len(found) == 3
    for value, part in found:
        assert len(value) == len(part) == 300 and set(part.port) == {"busan", "genoa", "klang"}


def test_one_threshold_keeps_false_calls_of_real_vessels_few() -> None:
    rng = np.random.default_rng(4)
    whole = _ports()
    held = [(1 / (1 + np.exp(-rng.normal(2.0 * whole.coal, 1.0))), whole) for _ in range(2)]
    level = common_threshold(held)
    false = np.mean([(value >= level)[one.real].mean() for value, one in held])
    looser = np.mean([(value >= 0.5)[one.real].mean() for value, one in held])
    assert false <= 0.025 < looser
    whole.patches.length_m[:] = 20.0  # no barge is that short: nothing real is called one, and F1 alone decides
    assert common_threshold(held) < level


def test_precision_and_recall() -> None:
    found = f1(np.array([True, True]), np.array([True, False]))
    assert found == {"precision": 0.5, "recall": 1.0, "f1": pytest.approx(2 / 3)}


def test_a_report_counts_unknown_scores_as_not_coal() -> None:
    whole = _ports()
    for row in whole.about:
        row["label"] = "coal_barge"
    value = np.where(whole.coal, 0.9, 0.1)
    value[np.flatnonzero(whole.coal)[:15]] = np.nan
    value[np.flatnonzero(whole.real)[:3]] = 0.9
    found = report(value, whole, 0.5)
    assert found["composites"] == 150 and found["with_coal"] == 75 and found["real"] == 150
    assert found["coal"] == {"precision": 1.0, "recall": 0.8, "f1": pytest.approx(1.6 / 1.8)}
    assert found["unknown"] == 0.1 and found["real_called"] == found["real_coal_barge"] == 0.02
    assert found["auc"] == 1.0


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
