"""Sightings linked into visits, on painted timelines whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.loadings.count import count_loadings
from detector.loadings.links import MOST_MISSED, Pairs, fit_stay, link, pairs_of, still_there
from detector.loadings.tables import read_tables
from detector.loadings.visits import COLUMNS, identity_of, visit_rows, zone_series
from tests.timelines import LON, Ship, calls, detections, look, scene_id, site, tables, vessel, when, zone


def zone_looks(rows, looks, at=None):
    return read_tables(detections(rows), looks, site(at or zone()), 0.7).zones[0]


def visits(rows, looks, at=None, stay=3.0, recall=0.85):
    found = zone_looks(rows, looks, at)
    return visit_rows(found, link(found, pairs_of(found, identity_of(found)), stay, recall), "port")


def test_one_ship_at_three_looks_is_one_visit():
    rows, looks = tables([Ship(4, 11, coal=(0.1, 0.8))], range(0, 21, 2), noise=0.4)
    (visit,) = visits(rows, looks, stay=6)
    assert tuple(visit) == COLUMNS
    assert (visit["first_seen"], visit["last_seen"], visit["looks_seen"]) == (when(4), when(10), 4)
    assert (visit["arrived_after"], visit["arrived_before"]) == (when(2), when(4))
    assert (visit["left_after"], visit["left_before"]) == (when(10), when(12))
    assert visit["coal_score_first"] == pytest.approx(0.1)
    assert visit["coal_score_last"] == pytest.approx(0.7)
    assert visit["length_m"] == pytest.approx(170, abs=15)
    assert 0.5 < visit["confidence"] <= 0.9
    assert visit["geometry"].equals(rows[0]["geometry"])


def test_another_ship_in_its_place_is_another_visit():
    ships = [Ship(1, 4.5), Ship(4.6, 8, length=110, width=17)]
    rows, looks = tables(ships, range(0, 11, 2), noise=0.4)
    first, second = visits(rows, looks)
    assert first["left_before"] == second["first_seen"] == when(6)
    assert second["arrived_after"] == first["last_seen"] == when(4)


def test_a_missed_look_does_not_split_a_visit_but_a_long_absence_does():
    rows, looks = tables([Ship(1, 16)], range(0, 19, 2), noise=0.4)
    assert len(visits([row for row in rows if row["scene_id"] != scene_id(8)], looks, stay=8)) == 1
    gone = {scene_id(day) for day in range(6, 6 + 2 * (MOST_MISSED + 1), 2)}
    assert len(visits([row for row in rows if row["scene_id"] not in gone], looks, stay=8)) == 2


def test_a_month_of_cloud_between_two_sightings_parts_them():
    days = (0, 2, 4, 34, 36)
    rows, looks = tables([Ship(0, 100)], days, noise=0.4)
    assert len(visits(rows, looks, stay=3)) == 2


def test_unusable_looks_do_not_carry_a_visit_over_months():
    """Ten clouded looks between two sightings that are very much alike: over a month two ships, over two days one."""
    for days, number in ((np.linspace(0, 33, 12), 2), (np.linspace(0, 2, 12), 1)):
        rows, looks = tables([Ship(-1, 100)], days, clouds=set(days[1:-1]), noise=0.0)
        found = zone_looks(rows, looks)
        pairs = replace(pairs_of(found, identity_of(found)), log_ratio=np.array([14.0]))
        assert len(visit_rows(found, link(found, pairs, 3.0, 0.85), "port")) == number
        count = count_loadings(detections(rows), looks, site(zone(kind="area")), period="all")
        assert count.loading_rows[0]["visits_seen"] == len(count.visit_rows) == number


@pytest.mark.parametrize("stay_days", [(2.0, 4.0), None])
def test_ships_of_a_zone_without_a_usable_look_are_not_linked_across_weeks(stay_days):
    """A zone that reaches beyond the images: each look shows its ships, none is clear enough to miss one."""
    rng = np.random.default_rng(0)
    days = range(0, 80, 8)
    crowd = [Ship(day - 1, day + 1, rng.uniform(120, 180), 25, *rng.uniform(-700, 700, 2))
             for day in days for _ in range(10)]  # fmt: skip
    rows, looks = tables(crowd, days)
    for row in looks:
        row["clear_fraction"] = 0.5
    at = zone(kind="anchorage", capacity=20, stay_days=stay_days, size=(4000.0, 4000.0))
    count = count_loadings(detections(rows), looks, site(at), period="all")
    assert count.loading_rows[0]["visits_seen"] == len(count.visit_rows) >= 0.95 * len(crowd)


def test_the_chance_to_be_still_there_falls_with_the_gap():
    gaps = np.array([0.0, 1.0, 5.0, 30.0, 3000.0])
    chance = still_there(gaps, 3.0)
    assert chance[0] == pytest.approx(1.0)
    assert (np.diff(chance) < 0).all() and chance[-2] < 1e-6 and chance[-1] > 0
    rng = np.random.default_rng(0)
    stays = rng.gamma(rng.integers(1, 4, 200_000), 1.5)  # one, two or three phases: three days on average
    left = np.maximum(stays - 4.0, 0).mean() / stays.mean()  # seen at any time of the stay
    assert still_there(np.array([4.0]), 3.0)[0] == pytest.approx(left, abs=0.01)


def test_ships_side_by_side_keep_their_places():
    ships = [Ship(1, 9, x=-150), Ship(3, 13, x=150), Ship(9.5, 15, x=-150, length=120, width=19)]
    rows, looks = tables(ships, range(0, 19, 2), noise=0.4)
    found = visits(rows, looks, zone(capacity=2), stay=5)
    places = sorted((visit["first_seen"], visit["geometry"].centroid.x > LON) for visit in found)
    assert places == [(when(2), False), (when(4), True), (when(10), False)]


def links_of_painted_berths(series):
    """Of each sighting: the probability stated for its successor, whether that is right, and whether there was a
    link and should have been one. All ships lie at one place, so that size alone tells them apart."""
    stated, right, linked, again = [], [], [], []
    for seed in range(series):
        ships = calls(40, seed=seed, gap=(0.2, 4.0))
        days = np.arange(0, ships[-1].leaves, 2.5)
        clouds = set(days[np.random.default_rng(seed).random(len(days)) < 0.4])
        rows, looks = tables(ships, days, clouds=clouds, recall=0.9, seed=seed)
        found = zone_looks(rows, looks)
        pairs = pairs_of(found, identity_of(found))
        links = link(found, pairs, fit_stay(found, pairs, 0.85), 0.85)
        seen = found.times[found.look] - found.times[0]
        owner = np.array([next(i for i, s in enumerate(ships) if s.leaves > day + 1e-6) for day in seen])
        stays = np.append(owner[1:] == owner[:-1], False)
        stated += links.probability.tolist()
        right += np.where(stays, links.after == np.arange(1, len(owner) + 1), links.after < 0).tolist()
        linked += (links.after >= 0).tolist()
        again += stays.tolist()
    return np.array(stated), np.array(right), np.array(linked), np.array(again)


def test_link_probabilities_mean_what_they_say():
    """Of links given 70 %, about 70 % are right."""
    stated, right, _, _ = links_of_painted_berths(4)
    assert right.mean() == pytest.approx(stated.mean(), abs=0.04)
    doubtful = (stated > 0.45) & (stated < 0.85)
    assert doubtful.sum() > 20
    assert right[doubtful].mean() == pytest.approx(stated[doubtful].mean(), abs=0.15)
    assert right[stated > 0.95].mean() > 0.97


def test_the_stay_fitted_to_the_links_follows_the_ships():
    fitted = []
    for stay in ((1.0, 1.5), (9.0, 14.0)):
        rows, looks = tables(calls(25, stay=stay, gap=(1, 5)), np.arange(0, 180, 2.0), noise=0.4)
        found = zone_looks(rows, looks, zone(stay_days=None))
        fitted.append(fit_stay(found, pairs_of(found, identity_of(found)), 0.9))
    assert fitted[0] < 2.5
    assert fitted[1] > 5


def test_a_vessel_in_a_cloudy_look_is_in_the_visits_and_not_in_the_series():
    rows, looks = tables([Ship(1, 7)], range(0, 11, 2), noise=0.4)
    looks[2]["clear_fraction"] = 0.4
    found = zone_looks(rows, looks)
    (visit,) = visits(rows, looks, stay=6)
    assert visit["looks_seen"] == 3
    series = zone_series(found, identity_of(found), np.floor(found.times[0]), np.ceil(found.times[-1]))
    assert len(series) == 5
    assert series.count.tolist() == [0, 1, 1, 0, 0]


def test_a_cloudy_look_that_shows_nothing_says_nothing_about_arrival():
    rows, looks = tables([Ship(3, 7)], range(0, 11, 2), clouds={2}, noise=0.4)
    (visit,) = visits(rows, looks)
    assert visit["arrived_after"] == when(0)


def test_a_visit_at_the_edge_of_the_series_has_an_open_end():
    rows, looks = tables([Ship(-5, 50)], (0, 2, 4), noise=0.4)
    (visit,) = visits(rows, looks)
    assert visit["arrived_after"] is None
    assert visit["left_before"] is None


def test_the_series_takes_the_surest_of_more_vessels_than_fit():
    rows = [vessel(0, Ship(0, 9)), vessel(0, Ship(0, 9, x=200), confidence=0.3), vessel(5, Ship(0, 9))]
    found = zone_looks(rows, [look(0), look(5)])
    series = zone_series(found, identity_of(found), found.times[0], found.times[-1] + 1)
    assert series.count.tolist() == [1, 1]
    assert series.same_log_ratio[0].shape == (1, 1)
    assert series.same_log_ratio[0][0, 0] > 0


def test_the_ratio_to_the_ship_seen_last_passes_over_empty_looks():
    rows, looks = tables([Ship(-1, 1), Ship(5, 9)], (0, 3, 6, 8), noise=0.4)
    found = zone_looks(rows, looks)
    series = zone_series(found, identity_of(found), found.times[0], found.times[-1] + 1)
    assert series.count.tolist() == [1, 0, 1, 1]
    assert (series.last_log_ratio[[0, 1]] == 0).all()
    assert (series.last_log_ratio[[2, 3]] != 0).all()


def test_the_class_is_what_most_of_the_confidence_says():
    days = (0, 2, 4)
    rows = [vessel(day, Ship(0, 9)) | {"class": "coal_barge" if day else "vessel"} for day in days]
    (visit,) = visits(rows, [look(day) for day in days], stay=8)
    assert visit["class"] == "coal_barge"


def test_no_vessel_no_visit():
    found = read_tables(detections([]), [look(0), look(2)], site(), 0.7).zones[0]
    pairs = pairs_of(found, identity_of(found))
    assert visit_rows(found, link(found, pairs, 3.0, 0.85), "port") == []
    assert fit_stay(found, pairs, 0.85) > 0
    assert isinstance(pairs, Pairs)


# ---- properties


@st.composite
def timelines(draw):
    """Rows, looks and days of a few ships at a berth for two, seen at uneven times."""
    days = sorted(draw(st.sets(st.integers(0, 60), min_size=2, max_size=10)))
    ships = [
        Ship(start, start + stay, length, length / 6, x)
        for start, stay, length, x in draw(
            st.lists(
                st.tuples(
                    st.integers(-5, 60), st.integers(1, 15), st.integers(40, 250), st.integers(-250, 250)
                ),
                max_size=6,
            )
        )
    ]
    rows, looks = tables(ships, days, seed=draw(st.integers(0, 9)))
    return rows, looks, days


PAIR = zone(capacity=2)


@given(timelines())
@settings(deadline=None, max_examples=20)
def test_every_vessel_is_in_exactly_one_visit(timeline):
    rows, looks, _ = timeline
    found = zone_looks(rows, looks, PAIR)
    links = link(found, pairs_of(found, identity_of(found)), 3.0, 0.85)
    members = sorted(member for chain in links.chains() for member in chain)
    assert members == list(range(len(rows)))
    rows_out = visit_rows(found, links, "port")
    assert sum(visit["looks_seen"] for visit in rows_out) == len(rows)
    for chain in links.chains():
        assert (np.diff(found.look[chain]) > 0).all()
    for visit in rows_out:
        assert visit["first_seen"] <= visit["last_seen"]
        assert visit["arrived_after"] is None or visit["arrived_after"] < visit["first_seen"]
        assert visit["left_before"] is None or visit["left_before"] > visit["last_seen"]
        assert 0 <= visit["confidence"] <= 1


@given(timelines(), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=15)
def test_the_order_of_rows_does_not_matter(timeline, random):
    rows, looks, _ = timeline
    expected = _plain(visits(rows, looks, PAIR))
    rows, looks = list(rows), list(looks)
    random.shuffle(rows)
    random.shuffle(looks)
    assert _plain(visits(rows, looks, PAIR)) == expected


@given(timelines(), st.floats(0.01, 0.99), st.floats(0, 0.6))
@settings(deadline=None, max_examples=15)
def test_a_cloudy_look_changes_nothing(timeline, share, clear):
    rows, looks, days = timeline
    between = days[0] + share * (days[-1] - days[0])
    if min(abs(between - day) for day in days) < 0.05:
        return
    assert _plain(visits(rows, [*looks, look(between, clear=clear)], PAIR)) == _plain(
        visits(rows, looks, PAIR)
    )


def _plain(rows):
    return [{name: str(value) for name, value in row.items()} for row in rows]


if __name__ == "__main__":  # python -m tests.unit.test_loadings_visits: the figures of docs/counting.md
    stated, right, linked, again = links_of_painted_berths(20)
    print(f"precision {right[linked].mean():.2f}, recall {right[again].mean():.2f}")
    for low, high in ((0.4, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.95), (0.95, 1.01)):
        mine = (stated >= low) & (stated < high)
        print(
            f"stated {low} to {high}: {mine.sum()} of mean {stated[mine].mean():.2f}, right {right[mine].mean():.2f}"
        )
