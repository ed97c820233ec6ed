"""The best one-to-one assignment and the probabilities over all of them, against every way to assign."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from detector.assignment import Candidates, best, marginals, propagated

TABLES = arrays(
    float,
    array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=4),
    elements=st.one_of(st.floats(-12, 12), st.just(-np.inf)),
)


def every_way(log_weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Probability of each pair and of each row and column to be alone, and the largest product."""
    rows, columns = log_weight.shape
    weight, total, largest = np.exp(log_weight), 0.0, 0.0
    pair, row_alone, column_alone = np.zeros((rows, columns)), np.zeros(rows), np.zeros(columns)
    for way in itertools.product(range(-1, columns), repeat=rows):
        taken = [c for c in way if c >= 0]
        if len(taken) != len(set(taken)):
            continue
        product = float(np.prod([weight[r, c] for r, c in enumerate(way) if c >= 0]))
        total, largest = total + product, max(largest, product)
        for r, c in enumerate(way):
            if c >= 0:
                pair[r, c] += product
            else:
                row_alone[r] += product
        column_alone[np.setdiff1d(np.arange(columns), taken)] += product
    return pair / total, row_alone / total, column_alone / total, largest


@settings(max_examples=150, deadline=None)
@given(TABLES)
def test_marginals_are_those_of_all_assignments(log_weight):
    found = marginals(Candidates.dense(log_weight))
    pair, row_alone, column_alone, _ = every_way(log_weight)
    np.testing.assert_allclose(found.pair.reshape(pair.shape), pair, atol=2e-5)
    np.testing.assert_allclose(found.row_alone, row_alone, atol=2e-5)
    np.testing.assert_allclose(found.column_alone, column_alone, atol=2e-5)
    assert found.residual == 0


@settings(max_examples=150, deadline=None)
@given(TABLES)
def test_the_best_assignment_has_the_largest_product(log_weight):
    pairs = Candidates.dense(log_weight)
    chosen = best(pairs)
    assert len(set(pairs.row[chosen])) == len(set(pairs.column[chosen])) == len(chosen)
    assert np.exp(log_weight.reshape(-1)[chosen].sum()) == pytest.approx(every_way(log_weight)[3])


@settings(max_examples=50, deadline=None)
@given(TABLES)
def test_belief_propagation_is_near(log_weight):
    found = propagated(Candidates.dense(np.clip(log_weight, -12, 3)))
    exact = every_way(np.clip(log_weight, -12, 3))[0]
    np.testing.assert_allclose(found.pair.reshape(exact.shape), exact, atol=0.2)


def test_belief_propagation_is_too_sure_where_the_exact_marginals_are_not():
    """Two ships and two hulls, all near: three to two for one of the two ways."""
    log_weight = np.array([[15.0, 15.0], [15.0, 15.0 + np.log(1.5)]])
    assert propagated(Candidates.dense(log_weight)).pair[0] > 0.9
    assert marginals(Candidates.dense(log_weight)).pair[0] == pytest.approx(0.6, abs=1e-3)


def test_pairs_are_chosen_together_and_not_one_after_the_other():
    # The best pair alone would take 0 from the only partner of 1: greedy 5.0 + nothing, together 4.5 + 4.5.
    pairs = Candidates(np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([5.0, 4.5, 4.5]), (2, 2))
    assert best(pairs).tolist() == [1, 2]


@pytest.mark.parametrize(("log_weight", "chosen"), [(-0.1, []), (0.1, [0])])
def test_nothing_is_assigned_against_the_odds(log_weight, chosen):
    assert best(Candidates.dense(np.array([[log_weight]]))).tolist() == chosen


def test_a_long_chain_of_neighbours_is_exact():
    """Each row may take the three columns from its own on: sums over windows of it are the whole truth of its middle."""
    rng = np.random.default_rng(0)
    n = 300
    row, step = np.repeat(np.arange(n), 3), np.tile(np.arange(3), n)
    pairs = Candidates(row, row + step, rng.normal(1, 3, 3 * n), (n, n + 2))
    found = marginals(pairs)
    assert found.residual == 0
    middle = (row >= 140) & (row < 160)
    window = (row >= 100) & (row < 200)
    again = marginals(pairs.part(window))
    np.testing.assert_allclose(found.pair[middle], again.pair[middle[window]], atol=1e-3)
    taken = np.bincount(row, found.pair, n)
    np.testing.assert_allclose(found.row_alone, 1 - taken, atol=1e-12)


def test_too_many_at_once_are_propagated_until_nothing_moves():
    log_weight = np.random.default_rng(0).normal(0, 2, (30, 25))
    found = marginals(Candidates.dense(log_weight))
    np.testing.assert_array_equal(found.pair, propagated(Candidates.dense(log_weight)).pair)
    assert 0 < found.residual < 1e-6
    assert found.pair.reshape(30, 25).sum(axis=1) + found.row_alone == pytest.approx(1)


def test_strong_weights_do_not_overflow():
    found = marginals(Candidates.dense(np.full((12, 12), 500.0)))
    assert found.pair == pytest.approx(1 / 12) and found.row_alone == pytest.approx(0)
