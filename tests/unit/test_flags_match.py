"""Where AIS ships were, which detection is which, and whether silence means anything."""

from __future__ import annotations

import numpy as np
import pytest

from detector.errors import ConfigError
from detector.flags.aisdata import AisData, Particulars
from detector.flags.coverage import Covering, coverage
from detector.flags.match import Hulls, Matching, match
from detector.flags.tracks import KNOT, targets_at
from detector.plane import Plane

PLANE = Plane(10.5, 56.0)


def ais(rows, particulars=None) -> AisData:
    """Reports (mmsi, time s, x m, y m, sog kn, cog) or with heading as a seventh."""
    rows = sorted(rows)
    columns = {name: [] for name in ("mmsi", "time", "lon", "lat", "sog", "cog", "heading", "moored")}
    for mmsi, time, x, y, sog, cog, *heading in rows:
        lon, lat = PLANE.inverse(x, y)
        for name, value in zip(
            columns, (mmsi, time, lon, lat, sog, cog, heading[0] if heading else np.nan, False), strict=True
        ):
            columns[name].append(value)
    dtypes = {"mmsi": np.int64, "moored": bool}
    return AisData({n: np.array(v, dtypes.get(n, float)) for n, v in columns.items()}, particulars or {}, [])


def hulls(x, y, length=None, axis=None) -> Hulls:
    x, y = np.asarray(x, float), np.asarray(y, float)
    nan = np.full(len(x), np.nan)
    return Hulls(
        x,
        y,
        nan if length is None else np.asarray(length, float),
        nan.copy(),
        nan if axis is None else np.asarray(axis, float),
    )


# ---- tracks


def test_a_ship_on_a_straight_course_is_put_between_its_reports():
    v = 10 * KNOT
    t = targets_at(ais([(1, 0, 0, 0, 10, 90), (1, 60, 60 * v, 0, 10, 90)]), 45, PLANE, 600)
    assert t.x[0] == pytest.approx(45 * v, abs=0.5) and t.y[0] == pytest.approx(0, abs=0.5)
    assert t.speed[0] == pytest.approx(v) and t.axis_deg[0] == pytest.approx(90, abs=0.1) and t.gap_s[0] == 15


def test_a_turning_ship_follows_its_courses():
    radius, v, turn = 500.0, 5.0, np.radians(60)  # a sixth of a circle, eastwards and then to port
    duration = radius * turn / v
    end = (radius * np.sin(turn), radius * (1 - np.cos(turn)))
    data = ais([(1, 0, 0, 0, v / KNOT, 90), (1, duration, *end, v / KNOT, 90 - 60)])
    t = targets_at(data, duration / 2, PLANE, 600)
    true = radius * np.sin(turn / 2), radius * (1 - np.cos(turn / 2))
    assert np.hypot(t.x[0] - true[0], t.y[0] - true[1]) < 3  # the chord passes 67 m away


@pytest.mark.parametrize("at", [-300, 300])
def test_carried_on_the_error_grows(at):
    data = ais([(1, 0, 0, 0, 10, 0)])
    near, far = targets_at(data, at / 10, PLANE, 600), targets_at(data, at, PLANE, 600)
    assert far.y[0] == pytest.approx(at * 10 * KNOT, abs=1)
    assert far.covariance[0, 0, 0] > 100 * near.covariance[0, 0, 0] > 100


def test_a_ship_lying_still_stays_sure_for_an_hour():
    t = targets_at(ais([(1, 0, 0, 0, 0.1, 200)]), 3000, PLANE, 3600)
    assert t.speed[0] == 0 and np.sqrt(t.covariance[0, 0, 0]) < 70


def test_reports_beyond_the_window_do_not_count():
    assert len(targets_at(ais([(1, 0, 0, 0, 0, 0)]), 3601, PLANE, 3600)) == 0


def test_the_middle_of_the_hull_lies_ahead_of_an_antenna_at_the_stern():
    ship = {1: Particulars(a=100, b=20, c=5, d=15)}
    t = targets_at(ais([(1, 0, 0, 0, 0, 0, 90.0)], ship), 0, PLANE, 60)
    assert (t.x[0], t.y[0]) == pytest.approx(
        (40, -5), abs=0.1
    )  # 40 m ahead, to the east; 5 m to starboard, the south
    assert (t.length_m[0], t.width_m[0]) == (120, 20)
    unknown = targets_at(ais([(1, 0, 0, 0, 0, 0, 90.0)], {1: Particulars(length=120)}), 0, PLANE, 60)
    assert unknown.covariance[0, 0, 0] > 5 * unknown.covariance[0, 1, 1]  # blurred along the hull alone


def test_one_mmsi_in_two_places_is_two_ships():
    rows = [(1, 60 * i, 100 * i, 0, 3, 90) for i in range(4)] + [
        (1, 60 * i + 30, 50_000, 100 * i, 3, 0) for i in range(4)
    ]
    t = targets_at(ais(rows), 100, PLANE, 600)
    assert len(t) == 2 and t.elsewhere_km == pytest.approx([50, 50], abs=1)
    one_stray = rows[:4] + [(1, 90, 50_000, 0, 3, 90)]
    assert targets_at(ais(one_stray), 100, PLANE, 600).elsewhere_km[0] == 0


# ---- the match


def still(points) -> AisData:
    return ais([(100 + i, 0, x, y, 0, 0) for i, (x, y) in enumerate(points)])


def test_a_clear_case():
    spots = [(0, 0), (3000, 0), (0, 3000), (5000, 5000)]
    t = targets_at(still(spots), 0, PLANE, 60)
    m = match(hulls([10, 3010, 9000], [5, 0, 9000]), t, Matching())
    assert t.mmsi[m.target[:2]].tolist() == [100, 101] and m.target[2] == -1
    assert (
        m.probability[:2].min() > 0.95
        and m.unmatched[2] == 1
        and m.distance_m[0] == pytest.approx(11, abs=0.5)
    )


def test_one_hull_between_two_ships_is_not_decided():
    t = targets_at(still([(-15, 0), (15, 0), *((5000 * i, 9000) for i in range(4))]), 0, PLANE, 60)
    m = match(hulls([0, 0, 5000, 10000], [0, 9000, 9000, 9000]), t, Matching())
    assert max(m.probability[0], m.second_probability[0]) < 0.7 and m.unmatched[0] < 0.2


def test_length_tells_two_ships_apart():
    ships = {100: Particulars(length=180), 101: Particulars(length=40)}
    t = targets_at(AisData(still([(-20, 0), (20, 0)]).columns, ships, []), 0, PLANE, 60)
    m = match(hulls([-4, 4], [0, 0], length=[42, 175]), t, Matching())
    assert t.mmsi[m.target].tolist() == [101, 100]


def test_a_common_shift_of_ships_under_way_is_found():
    rng = np.random.default_rng(0)
    spots, courses = rng.uniform(-20_000, 20_000, (30, 2)), rng.uniform(0, 360, 30)
    t = targets_at(
        ais([(100 + i, 0, x, y, 15, c) for i, ((x, y), c) in enumerate(zip(spots, courses, strict=True))]),
        0,
        PLANE,
        60,
    )
    late = 12.0  # seconds after the nominal time of the scene: 93 m at 15 knots
    m = match(
        hulls(t.x + late * t.vx + rng.normal(0, 10, 30), t.y + late * t.vy + rng.normal(0, 10, 30)),
        t,
        Matching(),
    )
    assert m.shift_s == pytest.approx(late, abs=1)
    assert (m.target == np.arange(30)).all() and (m.probability > 0.8).all()


@pytest.mark.parametrize("error", [8.0, 20.0, 40.0])
def test_the_error_of_places_is_asked_of_the_scene(error):
    """A hull 90 m from a lone ship: whether it may be that ship depends on how far the other hulls lie from theirs."""
    rng = np.random.default_rng(3)
    spots = [(0, 0), *((3000 * i, 9000) for i in range(60))]
    t = targets_at(still(spots), 0, PLANE, 60)
    x, y = t.x + rng.normal(0, error, 61), t.y + rng.normal(0, error, 61)
    x[0], y[0] = 90.0, 0.0
    alone = match(hulls(x, y), t, Matching()).unmatched[0]
    assert alone > 0.9 if error == 8.0 else alone < 0.5


def boats_in_pairs(axis_error: float) -> float:
    """Probability of the right one of two boats 15 m apart, told by their axes alone, in a scene of boats that lie
    `axis_error` degrees off what AIS says."""
    rng = np.random.default_rng(4)
    spots = [(0, 0), (15, 0), *((3000 * i, 9000) for i in range(60))]
    said = np.append([0.0, 90.0], rng.uniform(0, 180, 60))
    rows = [(100 + i, 0, x, y, 0, 0, a) for i, ((x, y), a) in enumerate(zip(spots, said, strict=True))]
    t = targets_at(ais(rows, {100 + i: Particulars(length=12) for i in range(62)}), 0, PLANE, 60)
    x, y = t.x + rng.normal(0, 15, 62), t.y + rng.normal(0, 15, 62)
    x[:2], y[:2] = 7.5, (3.0, -3.0)
    seen = said + rng.normal(0, axis_error, 62)
    seen[:2] = 2.0, 88.0
    m = match(hulls(x, y, length=np.full(62, 12.0), axis=seen % 180), t, Matching())
    assert m.target[:2].tolist() in ([0, 1], [1, 0])
    return float(m.probability[0] if m.target[0] == 0 else 1 - m.probability[0])


def test_how_much_the_axes_of_boats_say_is_asked_of_the_scene():
    assert boats_in_pairs(axis_error=8) > 0.95
    assert boats_in_pairs(axis_error=90) < 0.65


def test_nothing_to_match():
    t = targets_at(still([]), 0, PLANE, 60)
    assert match(hulls([0], [0]), t, Matching()).target.tolist() == [-1]
    assert len(match(hulls([], []), targets_at(still([(0, 0)]), 0, PLANE, 60), Matching()).target) == 0


@pytest.mark.parametrize(
    "bad", [{"accept": 1.5}, {"position_error_m": -1}, {"time_error_s": "x"}, {"window_minutes": True}]
)
def test_settings_are_checked(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        Matching(**bad)


# ---- coverage


def shown(spots, unmatched=(1.0,), at=((0, 0),), gap=0, settings=None):
    rows = [(100 + i, -gap, x, y, 0, 0) for i, (x, y) in enumerate(spots)]
    found = coverage(
        hulls(*zip(*at, strict=True)),
        targets_at(ais(rows), 0, PLANE, 3600),
        np.asarray(unmatched, float),
        settings or Covering(),
    )
    return bool(found.shown[0]), found.reason[0]


def test_coverage_is_shown_by_ships_all_around():
    assert shown([(5000, 0), (-5000, 3000), (0, -4000)])[0]


def test_coverage_is_not_shown_otherwise():
    around = [(5000, 0), (-5000, 3000), (0, -4000)]
    assert shown([]) == (False, "no AIS was received within 20 km and 20 min")
    assert "too few" in shown(around[:2])[1]
    assert "edge of a receiver" in shown([(5000, 0), (6000, 3000), (5000, -4000)])[1]
    assert shown([(500, 0), (600, 300), (500, -400)])[0]  # on one side, but very near
    assert shown(around, gap=3000)[1].startswith("no AIS")
    assert shown([(9 * x, 9 * y) for x, y in around])[1].startswith("no AIS")


def test_a_crowd_of_silent_hulls_shows_nothing():
    around = [(5000, 0), (-5000, 3000), (0, -4000)]
    crowd = [(0, 0), (300, 0), (0, 300), (300, 300)]
    covered, reason = shown(around, unmatched=[1, 1, 1, 1], at=crowd)
    assert not covered and "silent together" in reason
    assert shown(around, unmatched=[1, 0, 0, 0], at=crowd)[0]
