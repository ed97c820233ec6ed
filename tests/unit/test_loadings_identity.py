"""The same ship or another: which evidence counts where, and whether the ratios mean what they say."""

from __future__ import annotations

import numpy as np
import pytest

from detector.loadings.identity import LIMIT, Errors, Identity, Sightings

ERRORS = Errors()
AREA = 600.0 * 300.0


def sightings(*rows, gap=2.5, colour=None):
    """Rows of x, y, length, width, axis; a look each."""
    table = np.array(rows, float)
    return Sightings(
        days=np.arange(len(rows)) * gap,
        xy=table[:, :2],
        length_m=table[:, 2],
        width_m=table[:, 3],
        axis_deg=table[:, 4],
        colour=colour,
    )


def ratio(first, second, kind="coal_berth", area=AREA, others=(), **options):
    rows = sightings(first, second, *others, **options)
    return float(Identity(rows, kind, area).log_ratio(np.array([0]), np.array([1]))[0])


SHIP = (0.0, 0.0, 170.0, 28.0, 90.0)


def changed(**changes):
    names = ("x", "y", "length", "width", "axis")
    return tuple(changes.get(name, value) for name, value in zip(names, SHIP, strict=True))


def test_the_same_measurements_speak_for_one_ship_and_other_lengths_against():
    assert ratio(SHIP, SHIP) > 1
    assert ratio(SHIP, changed(length=110.0, width=19.0)) < -1
    assert ratio(SHIP, changed(length=180.0)) > ratio(SHIP, changed(length=200.0))


def test_place_counts_along_the_berth():
    assert ratio(SHIP, changed(x=20.0)) > 0
    assert ratio(SHIP, changed(x=150.0)) < -1


def test_an_anchored_ship_may_swing_and_turn_but_not_move_away():
    turned = changed(x=150.0, y=90.0, axis=10.0)
    assert ratio(SHIP, turned, "anchorage", 2e7) > 2
    assert ratio(SHIP, turned, "coal_berth") < -3
    assert ratio(SHIP, changed(x=1500.0), "anchorage", 2e7) < 0


def test_a_long_ship_swings_further():
    there = {"x": 350.0}
    short = ratio(changed(length=80.0), changed(length=80.0, **there), "anchorage", 2e7)
    long = ratio(changed(length=250.0), changed(length=250.0, **there), "anchorage", 2e7)
    assert long > short + 1


def test_axes_are_compared_around_the_circle():
    assert ratio(changed(axis=179.0), changed(axis=2.0)) == pytest.approx(
        ratio(changed(axis=89.0), changed(axis=92.0)), abs=0.05
    )
    assert ratio(changed(axis=0.0), changed(axis=90.0)) < ratio(changed(axis=0.0), changed(axis=3.0)) - 2


def test_a_place_where_every_ship_lies_says_little():
    rng = np.random.default_rng(0)
    fleet = [(*rng.normal(0, 10, 2), rng.uniform(80, 200), 20.0, 90.0) for _ in range(60)]
    spread = [(*rng.uniform(-250, 250, 2), *ship[2:]) for ship in fleet]
    assert ratio(SHIP, SHIP, others=fleet, gap=10.0) < ratio(SHIP, SHIP, others=spread, gap=10.0) - 1


def test_a_length_that_every_ship_has_says_little():
    rng = np.random.default_rng(0)
    fleet = [(*rng.uniform(-250, 250, 2), 170 + rng.normal(0, 5), 28.0, 90.0) for _ in range(60)]
    mixed = [(*rng.uniform(-250, 250, 2), rng.uniform(60, 250), 28.0, 90.0) for _ in range(60)]
    assert ratio(SHIP, SHIP, others=fleet, gap=10.0) < ratio(SHIP, SHIP, others=mixed, gap=10.0)


def test_unknown_measurements_say_nothing():
    nothing = changed(length=np.nan, width=np.nan, axis=np.nan)
    place_alone = ratio(nothing, nothing)
    assert 0 < place_alone < ratio(SHIP, SHIP)
    assert np.isfinite(ratio(SHIP, nothing))


def test_colour_tells_ships_apart_where_it_is_given():
    red, white = [0.3, 0.1, 0.1], [0.6, 0.6, 0.6]
    alike = ratio(SHIP, SHIP, colour=np.array([red, red, white, red, white] * 4)[:20], others=[SHIP] * 18)
    unlike = ratio(SHIP, SHIP, colour=np.array([red, white, white, red, white] * 4)[:20], others=[SHIP] * 18)
    assert alike > ratio(SHIP, SHIP, others=[SHIP] * 18) > unlike


def test_ratios_are_symmetric_and_bounded():
    rng = np.random.default_rng(3)
    rows = sightings(*zip(*(rng.uniform(-9e3, 9e3, 40) for _ in range(2)), *(rng.uniform(20, 400, 40) for _ in "lwa"),
                          strict=True))  # fmt: skip
    for kind in ("berth", "anchorage"):
        identity = Identity(rows, kind, AREA)
        one, other = (a.ravel() for a in np.meshgrid(np.arange(40), np.arange(40)))
        ratios = identity.log_ratio(one, other)
        assert np.isfinite(ratios).all()
        assert (np.abs(ratios) <= LIMIT).all()
        np.testing.assert_allclose(ratios, identity.log_ratio(other, one), atol=1e-9)


@pytest.mark.parametrize("kind", ["coal_berth", "anchorage"])
def test_ratios_are_likelihood_ratios(kind):
    """At even odds, the probability given to "the same" is as often wrong for two ships as "another" is for one.

    That holds for every true likelihood ratio r: the mean of r/(1+r) over pairs of different ships is the mean of
    1/(1+r) over pairs of one ship.
    """
    rng = np.random.default_rng(5)
    ships = 400
    spread = 60.0 if kind == "coal_berth" else 2000.0
    true = np.column_stack(
        [
            rng.normal(0, spread, ships),
            rng.normal(0, spread, ships),
            rng.normal(150, 35, ships),
            np.full(ships, 90.0),
        ]
    )
    width = true[:, 2] / 9 + 12 + rng.normal(0, 3, ships)

    def measured():
        radius = true[:, 2] / 2 + ERRORS.scope_m if kind == "anchorage" else 0.0
        angle = rng.uniform(0, 2 * np.pi, ships)
        x = true[:, 0] + radius * np.cos(angle) + rng.normal(0, ERRORS.place_m, ships)
        y = true[:, 1] + radius * np.sin(angle) + rng.normal(0, ERRORS.place_m, ships)
        length = true[:, 2] + rng.normal(0, ERRORS.length_m, ships)
        beam = width + rng.normal(0, ERRORS.width_m, ships)
        return np.column_stack([x, y, length, beam, true[:, 3] + rng.normal(0, ERRORS.axis_deg, ships)])

    again = measured()
    for doubt, columns in (
        (ERRORS.place_doubt, [0, 1]),
        (ERRORS.size_doubt, [2, 3]),
        (ERRORS.axis_doubt, [4]),
    ):
        astray = rng.random(ships) < doubt
        again[np.ix_(astray, columns)] = measured()[rng.permutation(ships)][np.ix_(astray, columns)]
    rows = np.vstack([measured(), again])
    table = Sightings(np.tile(np.arange(ships) * 20.0, 2), rows[:, :2], rows[:, 2], rows[:, 3], rows[:, 4])
    identity = Identity(table, kind, (8 * spread) ** 2)
    one = np.arange(ships)
    same = identity.log_ratio(one, one + ships)
    different = identity.log_ratio(one, ships + (one + 7) % ships)
    wrong, missed = (1 / (1 + np.exp(-different))).mean(), (1 / (1 + np.exp(same))).mean()
    assert wrong == pytest.approx(missed, abs=0.04)
    assert wrong < (0.25 if kind == "coal_berth" else 0.1)
