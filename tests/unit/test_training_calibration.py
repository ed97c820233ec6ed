"""Calibration: that 0.8 comes to mean 80 %, on detections that the map was not fitted on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.calibration import Table, apply, check, inverse
from detector.errors import ConfigError
from training import calibration
from training.matching import FALSE_ALARM, IGNORED
from training.scores import RADII_M, Matched


def detections(n: int, seed: int, power: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Confidences and hits, where a confidence c means a probability of c ** power."""
    rng = np.random.default_rng(seed)
    confidence = rng.beta(0.8, 1.2, n)
    return confidence, rng.random(n) < confidence**power


def place(confidence: np.ndarray, hit: np.ndarray) -> Matched:
    match = np.where(hit, np.cumsum(hit) - 1, FALSE_ALARM)
    n, labels = len(match), int(hit.sum())
    return Matched(
        confidence, dict.fromkeys(RADII_M, match), match, *np.full((3, n), 100.0), *np.full((3, labels), 100.0)
    )


@pytest.mark.parametrize("power", [0.35, 1.0, 3.0])
def test_calibration_holds_on_detections_that_it_has_not_seen(power: float) -> None:
    table = calibration.fit(*detections(600, 1, power))
    confidence, hit = detections(3000, 2, power)
    found = calibration.reliability(apply(table, confidence), hit)
    assert found["ece"] < 0.05
    assert found["floor"] < found["ece"] + 0.02
    at_80 = np.abs(apply(table, confidence) - 0.8) < 0.05
    assert hit[at_80].mean() == pytest.approx(0.8, abs=0.1)
    if power != 1.0:
        assert calibration.reliability(confidence, hit)["ece"] > 0.15


@settings(deadline=None, max_examples=25)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=80))
def test_a_map_is_a_rising_table_or_nothing(pairs: list[tuple[float, bool]]) -> None:
    confidence, hit = [p[0] for p in pairs], [p[1] for p in pairs]
    table = calibration.fit(confidence, hit)
    if len(pairs) < calibration.FEWEST or all(hit) or not any(hit):
        assert table is None
    else:
        assert check(table) == table
        assert table[0][0] == 0
        assert table[-1][0] == 1


TABLES = [calibration.fit(*detections(80, seed, power)) for seed, power in enumerate((0.4, 1.0, 2.5))]


@settings(deadline=None, max_examples=50)
@given(st.sampled_from(TABLES), st.floats(0, 1))
def test_inverse_is_the_least_confidence_that_is_worth_it(table: Table, wanted: float) -> None:
    raw = inverse(table, wanted)
    worth = apply(table, raw)
    assert worth >= wanted - 1e-9 or raw == 1.0
    if raw > 0:
        assert apply(table, raw - 1e-6) <= wanted + 1e-9


def test_without_a_table_nothing_changes() -> None:
    assert apply(None, [0.2, 0.7]).tolist() == [0.2, 0.7]
    assert inverse(None, 0.3) == 0.3


@pytest.mark.parametrize(
    "table", [[], [[0, 1]], [[0, 0.5], [1, 0.4]], [[0, 0], [0, 1]], [[0, 0], [1, 2]], "x", [[0, 0], [1]], None]
)
def test_a_table_that_is_none_is_refused(table: object) -> None:
    with pytest.raises(ConfigError, match="pairs"):
        check(table)


def test_reliability_by_hand() -> None:
    confidence = np.array([0.05, 0.15, 0.15, 1.0])
    found = calibration.reliability(confidence, np.array([False, True, False, True]))
    assert [(b["n"], b["confidence"], b["vessels"]) for b in found["bins"]] == [(1, 0.05, 0), (2, 0.15, 0.5), (1, 1, 1)]
    assert found["ece"] == pytest.approx((0.05 + 2 * 0.35 + 0) / 4)
    assert calibration.reliability(np.zeros(0), np.zeros(0, bool))["ece"] is None


def test_no_place_calibrates_itself() -> None:
    places = {name: place(*detections(60, seed)) for seed, name in enumerate("abcd")}
    before = calibration.cross_fit(places, lambda other, judged: True)
    places["a"] = place(np.full(500, 0.9), np.arange(500) == 0)
    after = calibration.cross_fit(places, lambda other, judged: True)
    assert before["a"] == after["a"]
    assert before["b"] != after["b"]


def test_networks_of_different_scale_show() -> None:
    """Two folds: one network says 0.8 for 80 %, the other is timid. Only the same network's places calibrate well."""
    fold_of = {"a": "x", "b": "x", "c": "x", "d": "y", "e": "y", "f": "y"}
    places = {p: place(*detections(200, seed, 1.0 if f == "x" else 0.25)) for seed, (p, f) in enumerate(fold_of.items())}
    found = calibration.summary(places, fold_of, dict.fromkeys(places, 0.3))
    assert found["cross_place"]["all"]["ece"] < 0.06 < 0.12 < found["cross_fold"]["all"]["ece"]
    assert found["networks"]["y"]["half"] < 0.2 < 0.4 < found["networks"]["x"]["half"]
    assert found["raw"]["shown"]["n"] < found["raw"]["all"]["n"] == 1200
    assert check(found["table"])


def test_ignored_detections_teach_nothing() -> None:
    confidence, hit = detections(100, 5)
    clean = place(confidence, hit)
    dirty = place(np.append(confidence, np.full(50, 0.95)), np.append(hit, np.zeros(50, bool)))
    for match in dirty.near.values():
        match[100:] = IGNORED
    assert calibration.fit_on([dirty]) == calibration.fit_on([clean])


def test_one_place_alone_cannot_be_cross_fitted() -> None:
    found = calibration.summary({"a": place(*detections(50, 1))}, {"a": "all"}, {"a": 0.3})
    assert found["cross_place"] is found["cross_fold"] is None
    assert found["raw"]["all"]["n"] == 50


def test_the_operating_point_of_a_report(tmp_path: Path) -> None:
    from training.reporting import operating_point

    report = {"labels": {"corrected": {"thresholds": {"single": 0.2}, "calibration": {"table": [[0, 0], [1, 1]]}}}}
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps(report))
    assert operating_point(path) == (0.2, [[0.0, 0.0], [1.0, 1.0]])
    for text in ("", "[]", "{}", json.dumps({"labels": {}})):
        path.write_text(text)
        with pytest.raises(ConfigError, match="no report"):
            operating_point(path)
