"""The count as a whole: rows of the Loadings table, what is written, and what a row says of itself.

The estimate has tests of its own; most tests here put a stand-in that is quick and whose numbers are known.
"""

from __future__ import annotations

import csv
import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

import detector
import detector.loadings.estimate as estimation
from detector import count_loadings
from detector.errors import ConfigError, TableError
from detector.loadings.count import LOADINGS_FILE, VISITS_FILE
from detector.loadings.rows import COLUMNS
from detector.loadings.visits import COLUMNS as VISIT_COLUMNS
from tests.timelines import Ship, detections, look, site, tables, vessel, zone

CONTRACT = (
    "site zone_id period_start period_end looks usable_looks visits_seen loadings loadings_low loadings_high mean_stay_days "
    "stay_source detection_probability tonnes tonnes_low tonnes_high value_usd_low value_usd_high note"
).split()
VISITS_CONTRACT = (
    "visit_id site zone_id first_seen last_seen arrived_after arrived_before left_after left_before looks_seen class "
    "length_m width_m coal_score_first coal_score_last confidence geometry"
).split()


@pytest.fixture
def quick(monkeypatch):
    """A stand-in for the estimate: zone "refused" has none, others have draws of 10, 11, … in every period."""
    calls = []

    def estimate(series, periods, *, seed, **options):
        calls.append((series, periods, options))
        n = len(periods)
        refused = series.zone_id == "refused"
        draws = np.zeros((0, n), int) if refused else np.arange(10, 20)[:, None] + np.zeros((1, n), int)
        mean, low, high = estimation.interval(draws)
        nothing = np.full(n, np.nan)
        return estimation.ZoneEstimate(
            zone_id=series.zone_id, periods=np.array(periods), looks=np.full(n, 9), mean=mean, low=low, high=high,
            draws=draws, total=(0.0, 0.0, 0.0), mean_stay_days=np.nan if refused else 3.0, mean_stay_low=2.0,
            mean_stay_high=4.0, stay_source="" if refused else "site", recall=0.85, detection_probability=nothing,
            unobserved_share=np.full(n, 0.25), littles_law=np.full(n, 12.0), sensitivity=np.full((2, n), 9.0),
            vessel_days=np.zeros((3, n)), notes=("3 usable looks" if refused else None,) * n,
            note="3 usable looks" if refused else None,
        )  # fmt: skip

    monkeypatch.setattr(estimation, "estimate", estimate)
    return calls


SHIPS = [Ship(2, 7), Ship(27, 36, length=110, width=18), Ship(50, 55, length=140, width=22)]
DAYS = range(0, 70, 3)  # 2020-01-01 to 2020-03-10


def counted(place=None, period="month", **options):
    rows, looks = tables(SHIPS, DAYS, noise=0.4)
    return count_loadings(detections(rows), looks, place or site(), period=period, **options)


def test_the_tables_have_the_columns_of_the_contract(quick):
    count = counted()
    assert list(COLUMNS) == list(count.table.columns) == CONTRACT
    assert list(VISIT_COLUMNS) == list(count.visits.columns) == VISITS_CONTRACT
    assert count.visits.crs == "EPSG:4326"


def test_a_row_a_zone_and_month_and_one_for_the_site(quick):
    table = counted().table
    assert table["zone_id"].tolist() == ["pier"] * 3 + [None] * 3
    assert table["period_start"].str[:10].tolist() == ["2020-01-01", "2020-02-01", "2020-03-01"] * 2
    assert table["period_end"].str[:10].tolist() == ["2020-02-01", "2020-03-01", "2020-04-01"] * 2
    assert table["visits_seen"].tolist() == [2, 1, 0] * 2
    assert table["looks"].tolist() == [11, 9, 4] * 2
    assert (table["loadings"] == 14.5).all()
    assert (table["tonnes_low"] < table["tonnes"]).all()
    assert "counted from 2020-03-01 to 2020-03-10" in table["note"][2]
    assert "counted" not in table["note"][0]


@pytest.mark.parametrize(
    ("period", "starts"),
    [("quarter", ["2020-01-01"]), ("year", ["2020-01-01"]), ("all", ["2020-01-01"]), ("month", 3)],
)
def test_periods_are_calendar_periods(quick, period, starts):
    table = counted(period=period).table
    mine = table[table["zone_id"] == "pier"]
    assert len(mine) == (starts if isinstance(starts, int) else len(starts))
    assert mine["visits_seen"].sum() == 3
    (_, periods, _), *_ = quick
    assert periods[0][0] == 18262.0  # 2020-01-01
    assert periods[-1][1] == 18262.0 + 70
    if period == "all":
        assert mine["period_end"].tolist() == ["2020-03-11T00:00:00Z"]


def test_a_visit_that_may_have_begun_before_the_period_is_said_to():
    rows, looks = tables([Ship(29, 36)], (0, 28, 32, 40), noise=0.4)
    table = count_loadings(detections(rows), looks, site()).table
    assert table["visits_seen"].tolist() == [0, 1] * 2
    assert "1 of the visits seen may have begun before the period" in table["note"][1]


def test_too_few_looks_give_no_estimate_but_the_visits():
    rows, looks = tables([Ship(1, 5)], (0, 2, 4, 6), noise=0.4)
    row = count_loadings(detections(rows), looks, site(), period="all").loading_rows[0]
    assert np.isnan(row["loadings"])
    assert row["visits_seen"] == 1
    assert "no estimate: 4 usable looks" in row["note"]
    assert row["stay_source"] is None


def test_a_zone_without_an_estimate_leaves_the_site_without_one(quick):
    place = site(zone(), zone("refused", "berth", at=(2000, 0)))
    rows, looks = tables(SHIPS, DAYS, noise=0.4)
    looks += [look(day, "refused") for day in DAYS]
    count = count_loadings(detections(rows), looks, place, period="all")
    pier, refused, whole = count.loading_rows
    assert pier["loadings"] == 14.5
    assert np.isnan(refused["loadings"])
    assert np.isnan(whole["loadings"])
    assert whole["visits_seen"] == 3
    assert "there is none for refused" in whole["note"]


def test_the_interval_of_the_site_is_that_of_the_sum_of_draws(quick):
    place = site(zone(), zone("quay", "berth", at=(2000, 0)))
    looks = [look(day, name) for day in DAYS for name in ("pier", "quay")]
    whole = count_loadings(detections([]), looks, place, period="all").loading_rows[-1]
    assert (whole["loadings"], whole["loadings_low"], whole["loadings_high"]) == (29.0, 20.0, 38.0)
    assert whole["looks"] == len(DAYS)
    assert whole["note"].startswith("sum of pier, quay; no tonnes: no vessel was seen")


def test_anchorages_give_visits_and_areas_no_estimate(quick):
    place = site(zone(), zone("road", "anchorage", 40, at=(0, 3000)), zone("sea", "area", 99, at=(0, 9000)))
    looks = [look(day, name) for day in DAYS for name in ("pier", "road", "sea")]
    rows = [vessel(0, Ship(0, 9, y=3000), "road"), vessel(3, Ship(0, 9, y=9000), "sea")]
    pier, road, sea, whole = count_loadings(detections(rows), looks, place, period="all").loading_rows
    assert road["loadings"] == 14.5
    assert "not loadings" in road["note"]
    assert (sea["visits_seen"], road["visits_seen"], pier["visits_seen"]) == (1, 1, 0)
    assert np.isnan(sea["loadings"])
    assert whole["visits_seen"] == 0
    assert whole["loadings"] == 14.5


def test_kinds_choose_what_is_a_loading(quick):
    place = site(zone(), zone("quay", "berth", at=(2000, 0)))
    looks = [look(day, name) for day in DAYS for name in ("pier", "quay")]
    rows = count_loadings(detections([]), looks, place, period="all", kinds=["coal_berth"]).loading_rows
    assert rows[-1]["loadings"] == 14.5
    assert "not loadings" in rows[1]["note"]


def test_what_was_done_with_the_input_is_told(quick):
    rows = [vessel(0, Ship(0, 9)), vessel(0, Ship(0, 9, y=9000), zone_id=None), vessel(3, Ship(0, 9))]
    looks = [look(0), look(3, clear=0.3), look(6)]
    place = site(zone(), zone("jetty", "berth", at=(2000, 0)))
    count = count_loadings(detections(rows), looks, place)
    text = "\n".join(count.remarks)
    assert "lie in no zone of port: 1 vessel" in text
    assert "no look at jetty" in text
    assert "looks too cloudy to show an empty berth: 1 vessel" in text
    assert "no look at this zone" in count.table.set_index("zone_id").loc["jetty"]["note"]


def test_more_vessels_than_the_capacity_are_told(quick):
    rows = [vessel(0, Ship(0, 9)), vessel(0, Ship(0, 9, x=200))]
    row = count_loadings(detections(rows), [look(0), look(3)], site()).loading_rows[0]
    assert "more vessels than the capacity of 1 in 1 look:" in row["note"]
    assert row["visits_seen"] == 2


def test_something_that_lies_for_months_is_told(quick):
    rows, looks = tables([Ship(-1, 100)], range(0, 90, 3), noise=0.4)
    rows = count_loadings(detections(rows), looks, site(zone(stay_days=(20.0, 60.0)))).loading_rows
    assert "may be of fixed objects" in rows[0]["note"]


def test_looks_without_any_vessel_count_nothing():
    rows = count_loadings(detections([]), [look(day) for day in range(0, 120, 2)], site(), period="all")
    pier, whole = rows.loading_rows
    assert pier["visits_seen"] == 0
    assert pier["loadings_low"] == 0
    assert pier["loadings"] < 4
    assert whole["loadings"] == pytest.approx(pier["loadings"])


def test_a_cloudy_look_changes_nothing_but_effort():
    rows, looks = tables(SHIPS, DAYS, noise=0.4)
    plain = count_loadings(detections(rows), looks, site(), period="all").loading_rows[0]
    cloudy = count_loadings(
        detections(rows), [*looks, look(10.5, clear=0.2)], site(), period="all"
    ).loading_rows[0]
    assert cloudy == plain | {"looks": plain["looks"] + 1} | {
        name: pytest.approx(value, nan_ok=True) for name, value in plain.items() if isinstance(value, float)
    }


def test_both_files_are_written(quick, tmp_path):
    count = counted()
    visits, loadings = count.write(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [LOADINGS_FILE, VISITS_FILE]
    document = json.loads(visits.read_text())
    assert len(document["features"]) == 3
    first = document["features"][0]
    assert list(first["properties"]) == VISITS_CONTRACT[:-1]
    assert first["properties"]["arrived_before"] == first["properties"]["first_seen"]
    assert first["geometry"]["type"] == "Polygon"
    rows = list(csv.DictReader(loadings.open(encoding="utf-8")))
    assert list(rows[0]) == CONTRACT
    assert rows[0]["loadings"] == "14.5"
    assert rows[-1]["zone_id"] == "" and float(rows[0]["tonnes"]) > 0


def test_nothing_half_done_is_left(quick, tmp_path, monkeypatch):
    count = counted()
    count.write(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    monkeypatch.setattr("detector.loadings.count.plain_cell", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        counted(period="all").write(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_same_input_gives_the_same_bytes(tmp_path):
    rows, looks = tables(SHIPS, DAYS, noise=0.4)
    for name in ("a", "b"):
        count_loadings(detections(rows), looks, site()).write(tmp_path / name)
        rows, looks = rows[::-1], looks[::-1]
    for file in (VISITS_FILE, LOADINGS_FILE):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_folder_that_cannot_be_is_refused(quick, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TableError, match="is a file"):
        counted().write(tmp_path / "file")
    with pytest.raises(TableError, match="cannot make the folder"):
        counted().write(tmp_path / "no" / "where")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"period": "week"}, "'week'; use month, quarter, year, all"),
        ({"kinds": "berth"}, "kinds is 'berth'"),
        ({"kinds": ["area"]}, "use some of coal_berth, berth, anchorage"),
        ({"min_clear": 0.0}, "min_clear is 0.0"),
        ({"recall": 1.0}, "recall is 1.0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        counted(**options)


def test_the_function_is_found_at_the_top_and_costs_nothing_until_used():
    assert detector.count_loadings is count_loadings
    assert list(inspect.signature(count_loadings).parameters)[:3] == ["vessels", "looks", "site"]
    code = "import sys, detector.loadings.count; print([m for m in ('matplotlib', 'pandas', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
