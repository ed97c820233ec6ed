"""What counting does with tables that are not as they should be: a stated treatment or a clear error."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from detector.detections import Detections
from detector.errors import SiteError, TableError
from detector.loadings.looks import write_looks
from detector.loadings.sites import load_site
from detector.loadings.tables import read_tables
from tests.timelines import Ship, detections, look, scene_id, site, vessel, when, zone

SHIP = Ship(0.0, 100.0)
OTHER = Ship(0.0, 100.0, length=110.0, width=18.0, x=150.0)


def read(vessels, looks, place=None, min_clear=0.7):
    table = detections(vessels) if isinstance(vessels, list) else vessels
    return read_tables(table, looks, place or site(), min_clear)


def test_vessels_and_looks_of_a_zone_come_in_order_of_time():
    tables = read([vessel(day, SHIP) for day in (5, 0, 10)], [look(day) for day in (10, 0, 5, 15)])
    (pier,) = tables.zones
    assert (np.diff(pier.times) == 5).all()
    assert pier.acquired[0] == when(0)
    assert pier.look.tolist() == [0, 1, 2]
    assert pier.vessels["scene_id"].tolist() == [scene_id(day) for day in (0, 5, 10)]
    assert tables.end - tables.start == 16  # whole days, first and last included


def test_tables_are_read_from_files(tmp_path):
    detections([vessel(0, SHIP)]).write(tmp_path / "v.geojson")
    write_looks(tmp_path / "looks.csv", [look(0), look(5)])
    tables = read_tables(tmp_path / "v.geojson", tmp_path / "looks.csv", site(), 0.7)
    assert len(tables.zones[0].vessels) == 1
    assert len(tables.zones[0].times) == 2


def test_looks_may_be_a_data_frame():
    pandas = pytest.importorskip("pandas")
    tables = read([vessel(0, SHIP)], pandas.DataFrame([look(0), look(5)]))
    assert len(tables.zones[0].times) == 2


def test_a_time_without_zone_is_utc():
    rows = [look(0) | {"acquired": when(0).removesuffix("Z")}, look(5)]
    tables = read(Detections.empty(), rows)
    assert tables.zones[0].acquired == (when(0), when(5))


def test_granules_of_one_overpass_are_one_look_and_a_hull_in_both_counts_once():
    seconds = 20 / 86400
    north, south = "S2_north", "S2_south"
    looks = [look(0, clear=0.4, scene=north), look(seconds, clear=0.9, scene=south), look(5)]
    vessels = [
        vessel(0, SHIP, scene=north, confidence=0.6),
        vessel(seconds, SHIP, scene=south, confidence=0.8, noise=(8, 0, 0, 0, 0)),
        vessel(0, OTHER, scene=north),
    ]
    tables = read(vessels, looks)
    (pier,) = tables.zones
    assert len(pier.times) == 2
    assert pier.clear.tolist() == [0.9, 1.0]
    assert sorted(pier.vessels["confidence"]) == [0.8, 0.9]
    assert tables.doubles == 1


def test_rafted_hulls_of_one_scene_are_two_but_a_row_given_twice_is_one():
    rafted = vessel(0, SHIP, noise=(0, 12, 0, 0, 0))
    tables = read([vessel(0, SHIP), rafted], [look(0)])
    assert len(tables.zones[0].vessels) == 2
    tables = read([vessel(0, SHIP), vessel(0, SHIP)], [look(0), look(0)])
    assert len(tables.zones[0].vessels) == 1
    assert len(tables.zones[0].times) == 1


def test_an_overpass_is_not_longer_than_half_an_hour():
    minutes = 10 / 1440
    tables = read(Detections.empty(), [look(i * minutes, scene=f"s{i}") for i in range(7)])
    assert len(tables.zones[0].times) == 2


def test_rejected_vessels_and_vessels_outside_do_not_count():
    vessels = [vessel(0, SHIP, status="cloud"), vessel(0, OTHER, zone_id=None), vessel(0, SHIP)]
    tables = read(vessels, [look(0)])
    assert len(tables.zones[0].vessels) == 1
    assert tables.outside == 1


def test_vessels_of_no_site_get_their_zone_from_their_outline():
    far = Ship(0, 100, x=5000.0)
    vessels = [vessel(0, SHIP, site=None, zone_id=None), vessel(0, far, site=None, zone_id=None)]
    tables = read(vessels, [look(0)])
    assert len(tables.zones[0].vessels) == 1
    assert tables.outside == 1


def test_a_vessel_across_two_berths_belongs_to_the_one_that_holds_more_of_it():
    berths = site(zone("west", at=(-150, 0), size=(300, 300)), zone("east", at=(150, 0), size=(300, 300)))
    across = vessel(0, Ship(0, 100, x=-30.0), site=None, zone_id=None)
    west, east = read([across], [look(0, "west"), look(0, "east")], berths).zones
    assert (len(west.vessels), len(east.vessels)) == (1, 0)


def test_stockpiles_have_no_vessels_and_zones_without_looks_stay_in_sight():
    place = site(zone(), zone("yard", kind="stockpile", at=(0, 600)), zone("jetty", at=(2000, 0)))
    tables = read([vessel(0, SHIP)], [look(0), look(0, "yard")], place)
    assert [at.zone.id for at in tables.zones] == ["pier", "jetty"]
    assert len(tables.zones[1].times) == 0


def test_the_time_of_a_vessel_without_one_is_that_of_its_scene():
    tables = read([vessel(0, SHIP, acquired=None)], [look(0), look(5)])
    assert tables.zones[0].look.tolist() == [0]


def test_looks_of_another_tool_match_by_time():
    tables = read([vessel(5, SHIP, scene="other name")], [look(0), look(5)])
    assert tables.zones[0].look.tolist() == [1]


def test_rows_of_other_sites_are_left_out_with_a_warning():
    with pytest.warns(UserWarning, match="ningbo"):
        tables = read([vessel(0, SHIP)], [look(0), look(0, "quay", site="ningbo")])
    assert len(tables.zones) == 1
    with pytest.warns(UserWarning, match="ningbo"):
        tables = read([vessel(0, SHIP), vessel(0, OTHER, site="ningbo", zone_id="quay")], [look(0)])
    assert len(tables.zones[0].vessels) == 1


@pytest.mark.parametrize(
    ("vessels", "looks", "said"),
    [
        ([], [], "the looks table is empty"),
        ([], [look(0, "quay")], "zone 'quay'.*port does not have"),
        ([vessel(0, SHIP, zone_id="quay")], [look(0)], "zone 'quay'.*port does not have"),
        ([], [look(0) | {"acquired": None}], "has no time"),
        ([], [look(0) | {"acquired": "yesterday"}], "row 1, acquired.*yesterday"),
        ([], [look(0) | {"clear_fraction": 1.2}], "row 1: clear_fraction is 1.2"),
        ([], [look(0) | {"clear_fraction": None}], "clear_fraction is None"),
        ([], [look(0) | {"scene_id": None}], "scene_id and zone_id are needed"),
        ([], [{k: v for k, v in look(0).items() if k != "zone_id"}], "'zone_id' is missing"),
        ([vessel(5, SHIP)], [look(0)], "1 vessel in the zone 'pier' without a look.*S2_0005.00"),
        ([vessel(5, SHIP, acquired=None)], [look(0)], "S2_0005.00.*no time and no look"),
        ([vessel(0, SHIP, acquired=when(3))], [look(0)], "S2_0000.00.*another time"),
        ([], [look(0, site="nampo")], "of the site nampo, not of port"),
        ([vessel(0, SHIP, site="nampo")], [look(0)], "of the site nampo, not of port"),
    ],
)
def test_tables_that_would_give_a_wrong_count_are_refused(vessels, looks, said):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(TableError, match=said):
            read(vessels, looks)


def test_a_vessel_at_a_zone_that_no_look_mentions_is_refused():
    place = site(zone(), zone("jetty", at=(2000, 0)))
    with pytest.raises(TableError, match="'jetty' without a look"):
        read([vessel(0, SHIP, zone_id="jetty")], [look(0)], place)


def test_what_is_no_table_at_all_is_named():
    table = detections([vessel(0, SHIP)])
    for wrong in (None, table.to_geodataframe(), list(table)):
        with pytest.raises(TableError, match="vessels must be Detections"):
            read_tables(wrong, [look(0)], site(), 0.7)
    with pytest.raises(TableError, match="looks must be rows"):
        read_tables(table, None, site(), 0.7)
    for wrong in (None, {"name": "port"}, 5):
        with pytest.raises(SiteError, match="a site is a name"):
            load_site(wrong)
