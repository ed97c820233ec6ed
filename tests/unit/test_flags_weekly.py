"""The weekly picture against painted ships whose weeks are known."""

from __future__ import annotations

import csv
import json
import sys

import numpy as np
import pytest

from detector.cli import plain, run
from detector.errors import ConfigError, TableError
from detector.flags import FlaggedVessels, flag_vessels
from detector.flags.weekly import COLUMNS, FILE, weekly_picture
from detector.flags.weeklyzone import chance_seen
from tests.timelines import LAT, LON, NORTH, START, Ship, detections, look, site, tables, vessel, when, zone

MONDAY = 5  # START is Wednesday, 1 January 2020: its first Monday is day 5
ROAD = {"zone_id": "road", "kind": "anchorage", "capacity": 50, "size": (6000.0, 6000.0)}


def road():
    return site(zone(**ROAD))


def seen(ships, days, place=None, zone_id="road", clouds=(), **options):
    rows, looks = tables(ships, days, zone_id=zone_id, clouds=clouds, noise=0.3)
    return weekly_picture(detections(rows), looks, place or road(), **options)


def pick(picture, group="all", zone_id=None, name="seen"):
    return [row[name] for row in picture.rows if row["group"] == group and row["zone_id"] == zone_id]


def test_a_ship_seen_three_times_in_a_week_is_one():
    ships = [Ship(4, 30, length=170, x=-1500), Ship(4, 30, length=110, x=1500)]
    picture = seen(ships, [5.1, 7, 9, 12.1, 14])
    assert pick(picture) == [2, 2]
    assert pick(picture, name="seen_low") == [2, 2]
    assert max(pick(picture, name="seen_high")) <= 3  # five looks do not exclude a ship of the same size in the same place
    assert [
        row["week_start"][:10] for row in picture.rows if row["zone_id"] is None and row["group"] == "all"
    ] == [
        "2020-01-06",
        "2020-01-13",
    ]


def test_ships_that_follow_each_other_in_a_week_are_counted_each():
    ships = [
        Ship(5, 6.5, length=100, x=-900),
        Ship(6.6, 8.4, length=180, x=700),
        Ship(8.5, 11, length=140, y=900),
    ]
    picture = seen(ships, [5.5, 7.5, 9.5])
    assert pick(picture) == [3]


def test_two_alike_in_one_look_are_two_whatever_the_links_say():
    ships = [Ship(4, 30, length=120, x=0), Ship(4, 30, length=120, x=40, y=60)]
    picture = seen(ships, [5.1, 7.1])
    assert min(pick(picture, name="seen_low")) >= 2


def test_a_week_of_clouds_has_no_estimate_and_says_so():
    picture = seen([Ship(4, 40)], [5.1, 8, 12.1, 15, 19.1, 22], clouds={12.1, 15})
    assert pick(picture) == [1, 0, 1]
    present = pick(picture, name="present")
    assert np.isfinite([present[0], present[2]]).all() and np.isnan(present[1])
    assert pick(picture, name="usable_looks") == [2, 0, 2] and pick(picture, name="looks") == [2, 2, 2]
    assert "no usable look" in pick(picture, name="note")[1]
    share = pick(picture, name="observed_share")
    assert share[1] == 0 < share[0] < 1


def test_more_looks_make_the_interval_narrower():
    ships = [Ship(4, 30, length=100 + 10 * n, x=-2500 + 500 * n) for n in range(10)]
    few, many = (
        seen(ships, days) for days in ([5.1, 12.1], [*np.arange(5.1, 12, 1), *np.arange(12.1, 18, 1)])
    )
    width = [pick(p, name="present_high")[0] - pick(p, name="present_low")[0] for p in (few, many)]
    assert width[1] < width[0]
    assert pick(few, name="present_low")[0] >= 10


def test_the_interval_holds_the_ships_that_were_there():
    """Ships come by chance and stay for three days on average; some come and go between two looks."""
    rng = np.random.default_rng(4)
    days = 5 + 7 * 30
    ships = [
        Ship(a, a + rng.exponential(3.0), rng.uniform(80, 200), 22.0, *rng.uniform(-2800, 2800, 2).tolist())
        for a in rng.uniform(-10, days, rng.poisson(0.9 * (days + 10)))
    ]
    picture = seen(ships, np.arange(5.05, days, 2.4).tolist(), recall=0.9)
    rows, inside, short = (
        [row for row in picture.rows if row["zone_id"] is None and row["group"] == "all"],
        0,
        0,
    )
    for number, row in enumerate(rows):
        begin = MONDAY + 7 * number - (START.hour * 3600 + START.minute * 60 + START.second) / 86400
        truth = sum(ship.arrives < begin + 7 and ship.leaves > begin for ship in ships)
        inside += row["present_low"] <= truth <= row["present_high"]
        short += row["seen"] < truth
    assert len(rows) == 30 and inside >= 24  # 27 expected
    assert short > 20  # what was seen alone falls short


def test_the_chance_of_being_seen():
    assert chance_seen(np.array([]), 0, 7, 3.0, 0.9) == 0
    assert chance_seen(np.array([6.999]), 0, 7, 1e9, 0.9) == pytest.approx(0.9, abs=1e-3)
    assert chance_seen(np.array([2.0, 4.0]), 0, 7, 1e9, 0.9) == pytest.approx(0.99, abs=1e-3)
    rng = np.random.default_rng(0)
    start = rng.uniform(-60, 7, 400_000)
    end = start + rng.exponential(3.0, len(start))
    there = end > 0
    caught = np.zeros(len(start), bool)
    for time in (1.0, 4.5):
        caught |= (start < time) & (end > time) & (rng.random(len(start)) < 0.8)
    assert chance_seen(np.array([1.0, 4.5]), 0, 7, 3.0, 0.8) == pytest.approx(caught[there].mean(), abs=0.01)


# ---- classes, flags, zones


def test_classes_and_flags_count_ships_and_not_hulls():
    dark, barge = Ship(4, 30, x=-1500, length=150), Ship(4, 30, x=1500, length=80)
    days = [5.1, 7.1, 9.1]
    rows = [vessel(day, dark, "road", flags=["dark"] if day > 6 else []) for day in days]
    rows += [
        vessel(day, barge, "road", **{"class": "coal_barge", "flags": ["coal_barge", "transfer"]})
        for day in days
    ]
    picture = weekly_picture(detections(rows), [look(day, "road") for day in days], road())
    assert pick(picture, "class:vessel") == pick(picture, "class:coal_barge") == [1]
    assert pick(picture, "flag:dark") == pick(picture, "flag:transfer") == [1]
    assert pick(picture) == [2]
    assert {row["group"] for row in picture.rows} == {
        "all",
        "class:vessel",
        "class:coal_barge",
        "flag:dark",
        "flag:transfer",
    }


def test_zones_are_counted_apart_and_the_site_is_their_sum():
    place = site(
        zone(**ROAD),
        zone("pier", at=(0, 9000)),
        zone("sea", "area", 99, at=(0, 20000), size=(9000.0, 9000.0)),
    )
    days = [5.1, 7.1, 9.1]
    rows = [vessel(day, Ship(4, 30), "road") for day in days] + [vessel(5.1, Ship(4, 30, y=20000), "sea")]
    looks = [look(day, name) for day in days for name in ("road", "pier", "sea")]
    picture = weekly_picture(detections(rows), looks, place)
    assert [pick(picture, zone_id=name) for name in ("road", "pier", "sea", None)] == [[1], [0], [1], [2]]
    assert np.isnan(pick(picture, zone_id="sea", name="present")[0])
    assert pick(picture, name="present")[0] >= 2
    assert "changed zones" in pick(picture, name="note")[0]


def test_half_weeks_at_the_ends_say_so():
    picture = seen([Ship(0, 30)], [1, 5.1, 6])
    notes = pick(picture, name="note")
    assert (
        notes[0].startswith("counted from 2020-01-02 to 2020-01-05") and "counted from 2020-01-06" in notes[1]
    )


# ---- AIS


def ais_file(tmp_path, rows, name="ais.csv"):
    """(day, mmsi, east m, north m) each."""
    path = tmp_path / name
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["mmsi", "time", "lat", "lon"])
        for day, mmsi, x, y in rows:
            table.writerow([mmsi, when(day), LAT + y / NORTH, LON + x / (111_320 * np.cos(np.radians(LAT)))])
    return path


def test_ships_heard_inside_the_zones_are_counted_by_mmsi(tmp_path):
    fixes = [(5 + h / 24, 445000001, 0, 0) for h in range(30)]
    fixes += [
        (6, 219000001, 100, 0),
        (7, 219000001, 200, 0),
        (6, 219000002, 9000, 0),
    ]  # the last one passes outside
    picture = seen([Ship(4, 30)], [5.1, 8, 12.1, 15], ais=[ais_file(tmp_path, fixes)])
    assert pick(picture, name="ais_seen") == [
        2,
        None,
    ]  # nothing was heard in the second week, which may be silence or deafness
    assert pick(picture, name="ais_hours") == [31, 0]
    assert set(pick(picture, "class:vessel", name="ais_seen")) == {None}
    assert picture.reports[0].kept == 33 and not picture.failed


def test_without_ais_nothing_is_said_of_it():
    picture = seen([Ship(4, 30)], [5.1, 8])
    assert pick(picture, name="ais_seen") == pick(picture, name="ais_hours") == [None]


def test_states_are_told_by_mmsi(tmp_path):
    days = [5.1, 7.1]
    rows = [vessel(day, Ship(4, 30), "road", flags=["flag-KP", "dark"]) for day in days]
    fixes = [(6, 445000001, 0, 0), (6, 445000002, 0, 100), (6, 219000001, 0, 0)]
    picture = weekly_picture(
        detections(rows), [look(d, "road") for d in days], road(), ais=[ais_file(tmp_path, fixes)]
    )
    assert pick(picture, "flag:flag-KP", name="ais_seen") == [2]
    assert pick(picture, "flag:dark", name="ais_seen") == [None]


def flagged(rows, mmsi):
    table = flag_vessels(detections(rows), site=road())
    assert isinstance(table, FlaggedVessels)
    table.extra["ais_mmsi"][:] = mmsi
    return table


def test_the_mmsi_decides_where_it_is_known():
    days = [5.1, 7.1]
    one_place = [vessel(day, Ship(4, 30), "road") for day in days]
    two_places = [vessel(day, Ship(4, 30, x=x), "road") for day, x in zip(days, (-2500, 2500), strict=True)]
    looks = [look(day, "road") for day in days]
    assert pick(weekly_picture(flagged(one_place, [1, 1]), looks, road())) == [1]
    assert pick(weekly_picture(flagged(one_place, [1, 2]), looks, road())) == [2]
    assert pick(weekly_picture(flagged(two_places, [1, 1]), looks, road())) == [1]
    assert pick(weekly_picture(flagged(two_places, [None, None]), looks, road())) == [2]


def test_a_bad_ais_file_is_named_and_the_rest_is_used(tmp_path):
    good = ais_file(tmp_path, [(6, 219000001, 0, 0)])
    picture = seen([Ship(4, 30)], [5.1, 8], ais=[good, tmp_path / "none.csv"])
    assert list(picture.failed) == [str(tmp_path / "none.csv")] and pick(picture, name="ais_seen") == [1]


# ---- what is written


def test_what_is_written(tmp_path):
    picture = seen([Ship(4, 30)], [5.1, 8, 12.1])
    assert picture.write(tmp_path / "out") == tmp_path / "out" / FILE
    rows = list(csv.DictReader(open(tmp_path / "out" / FILE, encoding="utf-8")))
    assert list(rows[0]) == list(COLUMNS) and len(rows) == len(picture.rows)
    assert rows[0]["ais_seen"] == "" and rows[0]["seen"] == "1"
    assert seen([Ship(4, 30)], [5.1, 8, 12.1]).rows == picture.rows
    with pytest.raises(TableError, match="cannot make the folder"):
        picture.write(tmp_path / "out" / FILE)
    with pytest.raises(ConfigError, match="recall"):
        seen([], [1.0], recall=2)


def test_the_picture_is_drawn_and_the_same_each_time(tmp_path):
    pytest.importorskip("matplotlib")
    from detector.flags.weeklyplot import write_weekly_plot

    rows = [vessel(5.1, Ship(4, 30), "road", flags=["dark", "a$b$"])]
    picture = weekly_picture(detections(rows), [look(5.1, "road"), look(20.1, "road", clear=0.0)], road())
    files = [
        write_weekly_plot(picture, folder)
        for folder in (tmp_path / "a", tmp_path / "b")
        if folder.mkdir() is None
    ]
    assert [path.name for path in files[0]] == ["weekly.png", "weekly.svg"]
    for one, other in zip(*files, strict=True):
        assert one.read_bytes() == other.read_bytes() and one.stat().st_size > 5000


def test_the_bars_of_a_week_stand_under_each_other():
    pytest.importorskip("matplotlib")
    from detector.flags.weeklyplot import weekly_figure

    rows = [vessel(5.1, Ship(4, 30), "road", flags=["dark"])]
    figure = weekly_figure(weekly_picture(detections(rows), [look(5.1, "road")], road()))
    assert len(figure.axes) == 4  # vessels, flags, looks, and the share of time over these
    assert len({axis.get_xlim() for axis in figure.axes}) == 1
    bars = [bar for axis in figure.axes[:3] for bar in axis.patches if bar.get_height() > 0]
    # Thursday noon of the week that begins on 6 January 2020, day 18267 since 1970.
    assert {round(bar.get_x() + bar.get_width() / 2, 6) for bar in bars} == {18267 + 3.5}


def written(tmp_path):
    """Rows of a vessel table, and the call that makes weeks of the files in a folder."""
    from detector.loadings.looks import write_looks
    from tests.integration.test_count_cli import write_site

    rows, looks = tables([Ship(4, 30)], [5.1, 8], zone_id="road", noise=0.3)
    detections(rows).write(tmp_path / "vessels.geojson")
    write_looks(tmp_path / "looks.csv", looks)
    write_site(tmp_path / "port.geojson", zone(**ROAD))
    arguments = [
        "weekly",
        "--vessels",
        "vessels.geojson",
        "--looks",
        "looks.csv",
        "--site",
        "port.geojson",
        "--out",
        "out",
    ]
    return rows, [str(tmp_path / a) if "." in a or a == "out" else a for a in arguments]


def test_the_command(tmp_path):
    rows, arguments = written(tmp_path)
    assert run([*arguments, "--no-plot", "--quiet"]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [FILE]
    assert run([*arguments, "--no-plot", "--quiet", "--ais", str(tmp_path / "none.csv")]) == 1
    assert run([*arguments, "--no-plot", "--recall", "7"]) == 2
    flag_vessels(detections(rows), site=road()).write(tmp_path / "vessels.geojson")
    assert run([*arguments, "--no-plot", "--quiet"]) == 0
    groups = {row["group"] for row in csv.DictReader(open(tmp_path / "out" / FILE, encoding="utf-8"))}
    assert "flag:ais-unknown" in groups


def without_matplotlib(monkeypatch):
    for name in ("matplotlib", "matplotlib.figure"):
        monkeypatch.setitem(sys.modules, name, None)


def test_without_matplotlib_there_is_the_table_and_one_warning(tmp_path, monkeypatch, capsys):
    _, arguments = written(tmp_path)
    without_matplotlib(monkeypatch)
    assert run([*arguments, "--quiet"]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == [FILE]
    (line,) = capsys.readouterr().err.splitlines()
    assert "no picture" in line and "pip install 'bargewatch[plots]'" in line and "--no-plot" in line
    assert run([*arguments, "--no-plot", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


def test_a_picture_that_was_asked_for_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    _, arguments = written(tmp_path)
    without_matplotlib(monkeypatch)
    assert run([*arguments, "--plot"]) == 2
    error = capsys.readouterr().err
    assert "need matplotlib" in error and "'bargewatch[plots]'" in error and "--no-plot" in error
    assert not (tmp_path / "out").exists()


def test_the_error_is_that_of_the_table_as_it_is(tmp_path, capsys):
    """A flagged table with a fault is not blamed as one that was never flagged, nor the other way round."""
    rows, arguments = written(tmp_path)
    table, arguments = tmp_path / "vessels.geojson", [*arguments, "--no-plot"]
    bare = json.loads(table.read_text())
    flag_vessels(detections(rows), site=road()).write(table)
    flagged = json.loads(table.read_text())
    for document, damage, said, other in (
        (bare, lambda p: p.pop("length_m"), "lacks the column 'length_m'", "ais_status"),
        (flagged, lambda p: p.pop("ais_imo"), "lacks the column 'ais_imo'", "ignored"),
        (flagged, lambda p: p.update({"class": "submarine"}), "vessels.geojson: column 'class', row 0", "ignored"),
    ):
        features = [{**f, "properties": dict(f["properties"])} for f in document["features"]]
        for feature in features:
            damage(feature["properties"])
        table.write_text(json.dumps({**document, "features": features}))
        assert run(arguments) == 2
        error = capsys.readouterr().err
        assert said in error and other not in error, error


def test_json_is_plain():
    assert json.dumps([plain(v) for v in (np.nan, 1.5, None, "x")], allow_nan=False)
