"""Pictures of a count: what is in them, and that they are made again the same."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from detector.detections import Detections
from detector.errors import TableError
from detector.loadings import loadingsplot, plots
from detector.loadings.count import count_loadings
from tests.timelines import Ship, detections, look, site, tables, zone


@pytest.fixture(scope="module")
def count():
    ships = [Ship(2, 7), Ship(20, 36, length=110, width=18, coal=(0.2, 0.9))]
    rows, looks = tables(ships, range(0, 27, 3), clouds={12, 15}, noise=0.3)
    looks += [look(400.0)]
    return count_loadings(detections(rows), looks, site())


def test_each_zone_and_year_has_a_timeline_in_two_formats(count, tmp_path):
    files = plots.write_plots(count, tmp_path / "plots")
    names = ["loadings", "timeline-pier-2020", "timeline-pier-2021"]
    assert [path.name for path in files] == [
        f"{name}{suffix}" for name in names for suffix in (".png", ".svg")
    ]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in files[1].read_bytes()
    again = plots.write_plots(count, tmp_path / "again")
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in files]


def test_the_timeline_shows_looks_visits_and_the_intervals_of_their_ends(count):
    figure = plots.timeline_figure(count, "pier", 2020)
    first = figure.axes[0]
    lines = [(line.get_color(), np.asarray(line.get_xdata(), float)) for line in first.get_lines()]
    start = count.tables.zones[0].times[0]
    intervals = [
        tuple(np.round(x - start).astype(int))
        for colour, x in lines
        if colour == plots.ORANGE and len(x) == 2
    ]
    assert (0, 3) in intervals  # arrived after day 0, first seen on day 3
    assert (6, 9) in intervals
    hollow = [
        line
        for line in first.get_lines()
        if line.get_marker() == "o" and line.get_markeredgecolor() == plots.GREY
    ]
    assert len(hollow) == 2  # clouds
    assert "pier" in figure.get_suptitle()


def test_visits_that_may_overlap_lie_in_rows_of_their_own():
    visit = {"first_seen": "2020-01-05T00:00:00Z", "arrived_after": "2020-01-03T00:00:00Z",
             "last_seen": "2020-01-05T00:00:00Z", "left_before": "2020-01-08T00:00:00Z"}  # fmt: skip
    later = visit | {
        "first_seen": "2020-01-08T00:00:00Z",
        "arrived_after": "2020-01-08T00:00:00Z",
        "left_before": None,
    }
    assert plots._lanes([visit, visit, later], 18000.0, 19000.0) == [0, 1, 0]


def test_many_ships_at_once_are_drawn_as_numbers():
    ships = [Ship(-1, 30, y=-600.0 + 80 * i, length=90) for i in range(16)]
    rows, looks = tables(ships, range(0, 12, 3), zone_id="road", noise=0.2)
    at = zone("road", "anchorage", 40, size=(2000.0, 2000.0))
    figure = plots.timeline_figure(count_loadings(detections(rows), looks, site(at)), "road", 2020)
    assert figure.axes[0].get_ylabel() == "vessels seen"


def test_loadings_show_interval_and_visits_seen(count):
    figure = loadingsplot.loadings_figure(count)
    assert len(figure.axes) == 1
    colours = {line.get_color() for line in figure.axes[0].get_lines()}
    assert plots.ORANGE in colours


def month(start, end, loadings=0.0):
    return {"period_start": f"{start}T00:00:00Z", "period_end": f"{end}T00:00:00Z", "visits_seen": 0,
            "loadings": loadings, "loadings_low": 0.0, "loadings_high": loadings}  # fmt: skip


def test_a_year_is_named_where_it_begins():
    rows = [
        month("2020-11-01", "2020-12-01"),
        month("2020-12-01", "2021-01-01"),
        month("2021-01-01", "2021-02-01"),
    ]
    assert loadingsplot._period_names(rows) == ["Nov\n2020", "Dec", "Jan\n2021"]
    assert loadingsplot._period_names(rows[::2]) == ["Nov\n2020", "Jan\n2021"]
    assert loadingsplot._period_names([month("2020-04-01", "2020-07-01")]) == ["Q2\n2020"]
    assert loadingsplot._period_names([month("2020-01-01", "2021-01-01")]) == ["2020"]
    assert loadingsplot._period_names([month("2020-04-05", "2020-05-01")]) == ["2020-04-05\nto 2020-04-30"]


@pytest.mark.parametrize("loadings", [0.0, 0.05, 2.4, 60.0])
def test_loadings_are_counted_in_whole_numbers_from_nought_to_one_at_least(loadings):
    axis = Figure().subplots()
    loadingsplot._draw_periods(axis, [month("2020-03-01", "2020-04-01", loadings)], most_ticks=26)
    low, high = axis.get_ylim()
    assert low == 0 and high >= max(1, loadings)
    shown = [tick for tick in axis.get_yticks() if low <= tick <= high]
    assert len(shown) >= 2 and all(float(tick).is_integer() for tick in shown)


@pytest.mark.parametrize(("zones", "columns"), [(1, 1), (4, 1), (5, 2), (9, 3)])
def test_many_zones_stand_in_columns(zones, columns):
    places = [zone(f"z{i}", "anchorage", at=(3000.0 * i, 0.0)) for i in range(zones)]
    looks = [look(day, place.id) for place in places for day in (0, 5)]
    figure = loadingsplot.loadings_figure(count_loadings(Detections.empty(), looks, site(*places)))
    assert len(figure.axes) == zones
    assert figure.axes[0].get_gridspec().ncols == columns


def test_names_are_not_formulas_and_a_bad_folder_is_named(count, tmp_path):
    assert plots.plain("pier $x^2$") == r"pier \$x^2\$"
    (tmp_path / "plots").write_text("")
    with pytest.raises(TableError, match="cannot make the folder"):
        plots.write_plots(count, tmp_path / "plots")
