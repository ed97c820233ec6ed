"""The check of site files: every fault and every warning, each with the zone that it is about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

import detector.cli
from detector.loadings.sitecheck import area_m2, check_site, sides_m
from detector.loadings.sites import list_sites
from tests.unit.test_sites import BOWTIE, feature, write

# A berth of 870 x 1110 m, so that an accuracy of 50 m is nothing to warn of.
PLACE = (125.0, 38.0, 125.01, 38.01)


def checked(tmp_path: Path, *features, **members):
    return check_site(write(tmp_path / "port.geojson", *features, **members))


def test_a_good_file_has_nothing_to_say(tmp_path):
    report = checked(tmp_path, feature(PLACE))
    assert (report.faults, report.warnings) == ((), ())
    assert [zone.id for zone in report.zones] == ["a"]


def test_every_faulty_feature_is_named_and_the_others_are_still_checked(tmp_path):
    report = checked(
        tmp_path,
        feature(PLACE, kind="quay"),
        feature(PLACE, id="b", source="?"),
        feature(id="c", geometry=BOWTIE),
    )
    assert len(report.faults) == 2
    assert "feature 1 (a): kind is 'quay'" in report.faults[0]
    assert "feature 3 (c): its Polygon is not valid (Self-intersection" in report.faults[1]
    assert [zone.id for zone in report.zones] == ["b"]
    assert [warning for warning in report.warnings if warning.startswith("b: its source is '?'")]


def test_a_bad_place_is_a_fault(tmp_path):
    [fault] = checked(tmp_path, feature(PLACE), places=[{"name": "A", "lon": 10, "lat": 500}]).faults
    assert "place 1 is" in fault


def test_a_file_that_is_none(tmp_path):
    assert "no such site file" in check_site(tmp_path / "none.geojson").faults[0]
    assert "unknown site" in check_site("nmapo").faults[0]
    (tmp_path / "p.geojson").write_text("{")
    assert "not JSON" in check_site(tmp_path / "p.geojson").faults[0]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"bounds": (125.0, 38.0, 125.0005, 38.0006), "accuracy_m": 5},
            "a: 67 x 44 m is smaller than the ships",
        ),
        ({"accuracy_m": 900}, "a: its outline may be off by 900 m and it is only 87[78] m wide"),
        ({"source": "TODO."}, "a: its source is 'TODO.'"),
        ({"kind": "stockpile", "stay_days": [1, 2]}, "a: stay_days is not used for a zone of kind stockpile"),
    ],
)
def test_what_is_probably_not_meant(tmp_path, changes, said):
    report = checked(tmp_path, feature(**{"bounds": PLACE, **changes}))
    assert report.faults == ()
    [warning] = report.warnings
    import re

    assert re.match(said, warning), warning


@pytest.mark.parametrize(
    ("bounds", "kind", "said"),
    [
        ((125.005, 38.0, 125.015, 38.01), "berth", "a and b: they share 50% of the smaller one"),
        (PLACE, "anchorage", "a and b: they are the same place"),
        ((125.002, 38.002, 125.008, 38.008), "coal_berth", None),  # a berth in a port
        ((125.01, 38.0, 125.02, 38.01), "berth", None),  # side by side
        ((124.9, 37.9, 125.005, 38.1), "area", None),
        ((125.005, 38.0, 125.015, 38.01), "stockpile", None),
        ((128.0, 38.0, 128.01, 38.01), "berth", "a: it lies 263 km from the other zones"),
    ],
)
def test_zones_beside_each_other(tmp_path, bounds, kind, said):
    warnings = checked(tmp_path, feature(PLACE), feature(bounds, id="b", kind=kind)).warnings
    assert (warnings[0] if warnings else None) == said or (said is not None and warnings[0].startswith(said))


def test_shipped_sites_have_no_fault_and_no_warning_but_the_one_known():
    for name in list_sites():
        report = check_site(name)
        assert report.faults == ()
        # The yard's place is known less well than it is wide, and its note says so.
        assert [w.split(":")[0] for w in report.warnings] == ["container-port-coal-yard"] * (name == "nampo")


@settings(deadline=None, max_examples=50)  # the first map to metres loads PROJ
@given(st.floats(-60, 60), st.floats(-170, 170), st.floats(0.2, 20), st.floats(0.2, 20))
def test_sizes_are_those_on_the_ground(lat, lon, wide_km, high_km):
    from pyproj import Geod

    geod = Geod(ellps="WGS84")
    east, _, _ = geod.fwd(lon, lat, 90, wide_km * 1000)
    _, north, _ = geod.fwd(lon, lat, 0, high_km * 1000)
    box = shapely.box(lon, lat, east, north)
    assert area_m2(box) == pytest.approx(abs(geod.geometry_area_perimeter(box)[0]), rel=1e-3)
    assert sides_m(box) == pytest.approx(sorted((wide_km * 1000, high_km * 1000))[::-1], rel=0.01)


# ---- the command


def sites(*arguments) -> int:
    return detector.cli.run(["sites", *map(str, arguments)])


def test_check_says_and_exits(tmp_path, capsys):
    good = write(tmp_path / "good.geojson", feature(PLACE))
    doubtful = write(tmp_path / "doubtful.geojson", feature(PLACE, accuracy_m=5000))
    bad = write(
        tmp_path / "bad.geojson", feature(PLACE, id="x", capacity=0), feature(PLACE, id="y", kind="z")
    )
    assert sites("check", good) == 0
    assert capsys.readouterr().out == f"{good}: good, 1 zone\n"
    assert sites("check", doubtful) == 0
    said = capsys.readouterr()
    assert "good, 1 zone, 1 warning" in said.out
    assert "warning" in said.err
    assert "off by 5000 m" in said.err
    assert sites("check", "--strict", doubtful) == 1
    assert sites("check", good, bad) == 1
    said = capsys.readouterr().err
    assert "feature 1 (x)" in said
    assert "feature 2 (y)" in said
    assert sites("check") == 2
    capsys.readouterr()
    assert sites("check", "--json", good, bad) == 1
    first, second = json.loads(capsys.readouterr().out)
    assert (first["zones"], first["faults"]) == (["a"], [])
    assert len(second["faults"]) == 2


def test_show_tells_size_source_and_note(tmp_path, capsys):
    path = write(
        tmp_path / "port.geojson", feature(PLACE, note="a guess", stay_days=[1, 2]), note="all of it"
    )
    assert sites("show", path) == 0
    said = capsys.readouterr().out
    for text in (
        "all of it",
        "a (berth): A",
        "1.11 x 0.88 km, 0.975 km2",
        "to 50 m",
        "note: a guess",
        "source: chart",
    ):
        assert text in said
    assert sites("show", path, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["note"] == "all of it"
    assert answer["zones"][0]["area_km2"] == pytest.approx(0.975, abs=0.001)
    assert answer["zones"][0]["note"] == "a guess"


def test_list_is_a_table_and_json(capsys):
    assert sites("list") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["SITE", "WHERE", "ZONES"]
    assert [row.split()[0] for row in rows] == list_sites()
    assert sites("list", "--json") == 0
    [nampo] = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "nampo"]
    assert nampo["kinds"]["coal_berth"] == 1
