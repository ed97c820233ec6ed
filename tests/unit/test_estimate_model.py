"""The tables, filter, sampler and sums behind the estimate, against slow and simple versions of themselves."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.loadings.berth import UNSEEN, Cells, forward, make_nodes, sample_starts
from detector.loadings.littles_law import detection_probability, littles_law, unobserved_share
from detector.loadings.matchings import _bethe, log_sums
from detector.loadings.stays import LEVEL_STEP, LEVELS, QUEUES, SHAPES, TICK, remaining, stay_tables, survival

STAYS = np.array([1.5, 4.0, 4.0])
KINDS = np.array([0, 1, 2])


@pytest.fixture(scope="module")
def tables():
    return stay_tables(STAYS, KINDS, counted=True)


def generator(rate: float, mean: float, shape: int) -> np.ndarray:
    phases = 1 / (SHAPES[shape] @ [3, 2, 1]) * mean
    q = np.diag([-rate, *[-1 / phases] * 3])
    q[0, 1:] = rate * SHAPES[shape]
    at_once = QUEUES[shape] * min(rate * mean, 0.9)
    q[1, 2] = q[2, 3] = 1 / phases
    q[3, 0] = (1 - at_once) / phases
    q[3, 1:] += at_once / phases * SHAPES[shape]
    return q


def staying(mean: float, shape: int) -> np.ndarray:
    return (np.eye(3, k=1) - np.eye(3)) * (SHAPES[shape] @ [3, 2, 1]) / mean


def test_tables_are_matrix_exponentials(tables):
    from scipy.linalg import expm

    for ticks, level, stay in [(1, 3, 0), (17, 20, 1), (60, 23, 2), (60, 0, 2)]:
        days = ticks * TICK
        q = generator(LEVELS[level], STAYS[stay], KINDS[stay])
        column = level * 3 + stay
        np.testing.assert_allclose(tables.total[ticks, :, :, column], expm(q * days), atol=1e-9)
        np.testing.assert_allclose(
            tables.same[ticks, :, :, column], expm(staying(STAYS[stay], KINDS[stay]) * days), atol=1e-9
        )
        np.testing.assert_allclose(tables.stationary[:, column] @ q, 0, atol=1e-12)


def test_counted_starts_sum_to_the_transition(tables):
    origin, target = np.array([0, 0, 2, 3]), np.array([0, 1, 2, 0])
    column = np.array([15 * 3, 18 * 3 + 1, 20 * 3 + 2, 5])
    weights = tables.started(40, origin, target, column)
    np.testing.assert_allclose(weights.sum(axis=1), tables.total[40, origin, target, column], atol=1e-5)
    assert weights[1, 0] == pytest.approx(0, abs=1e-6), "an empty berth fills by an arrival only"
    same = tables.same[40, 1, 1, column[2]]
    assert weights[2, 0] == pytest.approx(same, abs=1e-5), "without an arrival the ship is the same"


def test_stays_have_the_mean_that_they_are_given():
    days = np.linspace(0, 80, 80_001)
    for shape in range(len(SHAPES)):
        lasting = survival(days, 3.0, shape)
        assert lasting.sum() * (days[1] - days[0]) == pytest.approx(3.0, abs=2e-3)
        beyond = remaining(np.float64(2.0), np.array([3.0]), np.array([shape]))[0]
        assert beyond == pytest.approx(lasting[days >= 2.0].sum() * (days[1] - days[0]), abs=2e-3)


def dense_evidence(nodes, mean, shape, volatility, recall, false) -> float:
    """The likelihood by multiplying matrices of all levels x (empty, same x 3, other x 3)."""
    from scipy.linalg import expm

    levels = len(LEVELS)
    vector = np.zeros((levels, 7))
    for level in range(levels):
        q = generator(LEVELS[level], mean, shape)
        pi = np.linalg.lstsq(np.vstack([q.T, np.ones(4)]), np.r_[np.zeros(4), 1], rcond=None)[0]
        vector[level, 0], vector[level, 4:] = pi[0] / levels, pi[1:] / levels
    for step, seen, ratio in zip(nodes.step, nodes.seen, nodes.ratio, strict=True):
        moved = np.zeros_like(vector)
        for level in range(levels):
            q = generator(LEVELS[level], mean, shape)
            p, u = expm(q * step * TICK), expm(staying(mean, shape) * step * TICK)
            full = np.zeros((7, 7))
            full[0, 0], full[0, 4:] = p[0, 0], p[0, 1:]
            full[1:4, 0] = full[4:, 0] = p[1:, 0]
            full[1:4, 1:4], full[1:4, 4:], full[4:, 4:] = u, p[1:, 1:] - u, p[1:, 1:]
            moved[level] = vector[level] @ full
        hop = volatility**2 * TICK / 30 / (2 * LEVEL_STEP**2) * step
        walk = np.diag(np.full(levels, 1 - 2 * hop)) + hop * (np.eye(levels, k=1) + np.eye(levels, k=-1))
        walk[0, 0] += hop
        walk[-1, -1] += hop
        vector = walk @ moved
        if seen == 0:
            vector *= np.array([1 - false, *[1 - recall] * 6])
        elif seen == 1:
            vector *= np.array([false, *[recall * ratio] * 3, *[recall] * 3])
            vector[:, 1:4] += vector[:, 4:]
            vector[:, 4:] = 0
    return float(np.log(vector.sum()))


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.2, 9.0), st.booleans(), st.floats(-4, 4)), min_size=2, max_size=6),
    st.floats(0.6, 0.99),
    st.floats(0.001, 0.1),
)
def test_filter_agrees_with_dense_matrices(looks, recall, false):
    times = np.cumsum([gap for gap, _, _ in looks])
    seen = np.array([int(ship) for _, ship, _ in looks])
    nodes = make_nodes(times, seen, np.array([r for _, _, r in looks]), np.array([0.0, times[-1] + 3]))
    mean, shape = np.array([2.7]), np.array([2])
    cells = Cells(stay_tables(mean, shape), np.array([0]), *np.array([0.3, recall, false])[:, None, None])
    evidence, _, _ = forward(nodes, cells)
    assert evidence[0, 0] == pytest.approx(dense_evidence(nodes, 2.7, 2, 0.3, recall, false), abs=1e-7)


def test_nodes_hold_every_look_and_no_step_is_too_long():
    nodes = make_nodes(
        np.array([1.0, 1.01, 40.0]), np.array([1, 0, 1]), np.zeros(3), np.array([0.0, 31.0, 60.0])
    )
    assert (nodes.step <= 60).all() and nodes.tick[0] == 0 and nodes.tick[-1] == 600
    assert nodes.seen[nodes.seen != UNSEEN].tolist() == [1, 0, 1]
    assert 310 in nodes.tick


def test_without_looks_draws_follow_the_prior():
    """Arrivals in a step that nobody sees: rate x share of time empty, averaged over the levels."""
    nodes = make_nodes(np.empty(0), np.empty(0, int), np.empty(0), np.array([0.0, 30.0]))
    tables = stay_tables(np.array([3.0]), np.array([0]), counted=True)
    cells = Cells(tables, np.array([0]), *np.array([0.03, 0.9, 0.02])[:, None, None])
    _, _, filtered = forward(nodes, cells, keep=True)
    starts, present = sample_starts(
        nodes, cells, filtered, np.zeros(6000, dtype=int), np.random.default_rng(0)
    )
    expected = 30 * np.mean(1 / (1 / LEVELS + 3.0))
    assert starts.sum(axis=1).mean() == pytest.approx(expected, rel=0.05)
    assert present.mean() == pytest.approx(np.mean(3.0 / (1 / LEVELS + 3.0)), rel=0.05)


def test_draws_keep_to_what_was_seen():
    """Two sure looks at two different ships: at least one start between them; at one ship: none."""
    times, edges = np.array([10.0, 12.0]), np.array([0.0, 10.0, 12.0, 20.0])
    tables = stay_tables(np.array([3.0]), np.array([0]), counted=True)
    cells = Cells(tables, np.array([0]), *np.array([0.1, 0.95, 1e-9])[:, None, None])
    between = {}
    for ratio in (-40.0, 40.0):
        nodes = make_nodes(times, np.array([1, 1]), np.array([0.0, ratio]), edges)
        _, _, filtered = forward(nodes, cells, keep=True)
        starts, present = sample_starts(
            nodes, cells, filtered, np.zeros(400, dtype=int), np.random.default_rng(0)
        )
        between[ratio] = starts[:, (nodes.tick > 100) & (nodes.tick <= 120)].sum(axis=1)
        assert present[:, np.isin(nodes.tick, [100, 120])].all()
    assert (between[40.0] == 0).all()
    # Outliers of the measurement leave a few per cent for one ship that was measured badly.
    assert 0.9 < (between[-40.0] >= 1).mean() <= 1


def test_littles_law_of_hand_made_counts():
    counts = np.array([1, 0, 1, 1, 0, 0, 0, 1, 0, 0])
    assert littles_law(counts, 300, 3.0, recall=1.0, false_rate=0.0) == pytest.approx(40.0)
    assert littles_law(counts, 300, 3.0, recall=0.8, false_rate=0.0) == pytest.approx(50.0)
    assert littles_law(np.array([4, 6]), 100, 5.0, recall=1.0, false_rate=0.0, capacity=9) == pytest.approx(
        100.0
    )
    assert np.isnan(littles_law(np.empty(0, int), 100, 5.0, recall=0.9, false_rate=0.01))


def test_detection_probability_agrees_with_drawn_visits():
    rng = np.random.default_rng(3)
    times = np.sort(rng.uniform(0, 100, 25))
    begin = rng.uniform(0, 90, 40_000)
    end = begin + rng.gamma(3, 1.0, len(begin))
    looks = np.searchsorted(times, end) - np.searchsorted(times, begin)
    caught = (rng.random(len(begin)) > 0.3**looks).mean()
    assert detection_probability(times, 0, 90, 3.0, 0, 0.7, points=2000) == pytest.approx(caught, abs=0.01)


def test_unobserved_share():
    assert unobserved_share(np.array([10.0]), 0, 20, 4.0) == pytest.approx(16 / 20)
    assert unobserved_share(np.arange(0, 30, 2.0), 0, 20, 4.0) == pytest.approx(0.0)
    assert unobserved_share(np.empty(0), 0, 20, 4.0) == pytest.approx(1.0)


def all_matchings(log_ratio: np.ndarray) -> np.ndarray:
    rows, columns = log_ratio.shape
    sums = np.zeros(min(rows, columns) + 1)
    for size in range(len(sums)):
        for some in itertools.combinations(range(rows), size):
            for others in itertools.permutations(range(columns), size):
                sums[size] += np.exp(log_ratio[list(some), list(others)].sum())
    return np.log(sums)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 1000))
def test_sums_over_matchings_are_exact_for_few_vessels(rows, columns, seed):
    log_ratio = np.random.default_rng(seed).normal(0, 3, (rows, columns))
    np.testing.assert_allclose(log_sums(log_ratio), all_matchings(log_ratio), atol=1e-9)


def test_belief_propagation_is_close_where_both_can_be_had():
    rng = np.random.default_rng(1)
    log_ratio = rng.normal(-3, 1, (9, 8))
    log_ratio[np.arange(6), np.arange(6)] = 4.0
    close, exact = _bethe(log_ratio), log_sums(log_ratio)
    # What matters is the number of links at the weight of one link that a model gives.
    for weight in (-3.0, 0.0, 2.0):
        means = []
        for sums in (close, exact):
            terms = sums + weight * np.arange(9)
            share = np.exp(terms - terms.max())
            means.append((share * np.arange(9)).sum() / share.sum())
        assert means[0] == pytest.approx(means[1], abs=0.25)
