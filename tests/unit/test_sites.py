"""Site files: what ships, what is refused and how it is named, and which hull lies in which zone."""

from __future__ import annotations

import json

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from detector.errors import SiteError
from detector.loadings.sites import KINDS, Site, Zone, list_sites, load_site


def feature(bounds=(125.0, 38.0, 125.1, 38.1), geometry=None, **properties):
    known = {"id": "a", "kind": "berth", "name": "A", "capacity": 2, "source": "chart", "accuracy_m": 50}
    merged = {k: v for k, v in {**known, **properties}.items() if v is not ...}
    geometry = geometry or shapely.geometry.mapping(shapely.box(*bounds))
    return {"type": "Feature", "properties": merged, "geometry": geometry}


def write(path, *features, **members):
    path.write_text(json.dumps({"type": "FeatureCollection", "features": list(features), **members}))
    return path


def test_the_shipped_sites_are_sound():
    names = {"nampo", "ningbo-zhoushan", "songnim", "taean", "lianyungang", "gulf-of-tonkin"}
    assert names <= set(list_sites())
    for name in list_sites():
        site = load_site(name)
        assert site.name == name
        assert site.note
        assert all(len(zone.source) > 20 and zone.note and zone.accuracy_m > 0 for zone in site.zones)
        assert all(shapely.is_ccw(zone.polygon.exterior) for zone in site.zones)


def test_places_are_read_and_a_bad_one_is_named(tmp_path):
    assert [place.name for place in load_site("gulf-of-tonkin").places] == ["Fangchenggang"]
    assert load_site(write(tmp_path / "a.geojson", feature())).places == ()
    for bad in ({"name": "A", "lon": 10}, {"name": "A", "lon": 10, "lat": 91}, {"name": "A", "lon": "x", "lat": 1}, "A"):
        path = write(tmp_path / "a.geojson", feature(), places=[{"name": "B", "lon": 10, "lat": 50}, bad])
        with pytest.raises(SiteError, match="place 2 .*give a name, and lon and lat"):
            load_site(path)


def test_nampo_is_where_the_sources_say():
    site = load_site("nampo")
    coal, port = site.zone("coal-terminal"), site.zone("container-port")
    assert coal.kind == "coal_berth"
    assert coal.capacity == 2
    assert coal.stay_days == (2.0, 4.0)
    assert port.polygon.contains(shapely.Point(125.4169, 38.7281))
    assert coal.polygon.contains(shapely.Point(125.3889, 38.7162))
    west = (port.polygon.centroid.x - coal.polygon.centroid.x) * 86_900
    assert 1600 <= west <= 1800


def test_a_path_and_a_site_are_taken_too(tmp_path):
    site = load_site(write(tmp_path / "my port.geojson", feature(stay_days=[1, 2.5])))
    assert site.name == "my port"
    assert site.zones[0].stay_days == (1.0, 2.5)
    assert site.bounds == (125.0, 38.0, 125.1, 38.1)
    assert load_site(site) is site


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(SiteError, match=r"'nmapo'.*nampo.*ningbo-zhoushan"):
        load_site("nmapo")
    with pytest.raises(SiteError, match="no such site file"):
        load_site("./nowhere.geojson")


def test_what_qgis_writes_is_taken(tmp_path):
    ring = [[125.0, 38.0], [125.1, 38.0], [125.1, 38.1], [125.0, 38.0]]
    several = {"type": "MultiPolygon", "coordinates": [[ring]]}
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:OGC:1.3:CRS84"}}
    drawn = feature(id=1, geometry=several, stay_days="[1, 3]", note=None, fid=7)
    [zone] = load_site(write(tmp_path / "p.geojson", drawn, name="p", crs=crs)).zones
    assert (zone.id, zone.stay_days, zone.note) == ("1", (1.0, 3.0), "")
    assert shapely.get_coordinates(zone.polygon).tolist() == ring


def test_all_faults_of_a_feature_are_said_at_once(tmp_path):
    path = write(tmp_path / "p.geojson", feature(kind="quay", capacity=0, name=..., geometry=BOWTIE))
    with pytest.raises(SiteError, match="name is missing") as caught:
        load_site(path)
    assert all(text in str(caught.value) for text in ("kind is 'quay'", "capacity is 0", "Self-intersection"))


BOWTIE = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"id": ...}, "id is missing"),
        ({"id": " "}, "id is"),
        ({"kind": "quay"}, "coal_berth, berth, anchorage, stockpile, area"),
        ({"kind": ...}, "kind is missing"),
        ({"name": ...}, "name is missing"),
        ({"source": ""}, "source"),
        ({"capacity": 0}, "capacity is 0"),
        ({"capacity": 1.5}, "capacity is 1.5"),
        ({"capacity": True}, "capacity is True"),
        ({"capacity": ...}, "capacity is None"),
        ({"accuracy_m": -1}, "accuracy_m is -1"),
        ({"accuracy_m": "10 m"}, "accuracy_m is '10 m'"),
        ({"stay_days": [4, 2]}, "low must be above 0 and below high"),
        ({"stay_days": [0, 2]}, "low must be above 0"),
        ({"stay_days": 3}, r"give \[low, high\]"),
        ({"geometry": BOWTIE}, "Self-intersection"),
        ({"geometry": {"type": "Point", "coordinates": [1, 2]}}, "geometry is Point"),
        ({"geometry": {"type": "Polygon", "coordinates": [[[1, 2]]]}}, "cannot be read"),
        ({"geometry": {"type": "MultiPolygon", "coordinates": []}}, "geometry is MultiPolygon"),
        ({"stay_days": "a week"}, r"give \[low, high\]"),
        ({"bounds": (38.0, 125.0, 38.1, 125.1)}, "look swapped"),
        ({"bounds": (710096, 4289377, 710196, 4289477)}, "not WGS84.*look projected"),
        ({"bounds": (190.0, 10.0, 191.0, 11.0)}, "not WGS84.*order and the CRS"),
    ],
)
def test_a_bad_feature_is_named_with_file_and_fault(tmp_path, changes, said):
    path = write(tmp_path / "port.geojson", feature(id="fine"), feature(**changes))
    with pytest.raises(SiteError, match=said) as caught:
        load_site(path)
    assert "port.geojson" in str(caught.value)
    assert "feature 2" in str(caught.value)


def test_two_features_of_one_id_are_refused(tmp_path):
    with pytest.raises(SiteError, match=r"feature 2 \(a\).*twice"):
        load_site(write(tmp_path / "p.geojson", feature(), feature()))


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "not JSON"), ("[1]", "FeatureCollection"), ('{"features": []}', "no feature"), ("{" * 3, "not JSON")],
)
def test_a_file_that_is_no_site(tmp_path, text, said):
    path = tmp_path / "p.geojson"
    path.write_text(text)
    with pytest.raises(SiteError, match=said):
        load_site(path)


def test_another_crs_is_refused(tmp_path):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32651"}}
    with pytest.raises(SiteError, match="32651"):
        load_site(write(tmp_path / "p.geojson", feature(), crs=crs))


def zone(id, kind, *bounds):
    return Zone(id, kind, id, 1, "test", 1.0, None, shapely.box(*bounds))


PORT = Site(
    "port",
    (
        zone("all", "area", 0, 0, 10, 10),
        zone("roads", "anchorage", 0, 0, 5, 5),
        zone("quay", "berth", 4, 4, 6, 6),
        zone("yard", "stockpile", 6, 4, 8, 6),
        zone("pier", "coal_berth", 1, 1, 2, 2),
    ),
)


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ((0.1, 0.1, 0.9, 0.9), "roads"),
        ((4.6, 4.6, 5.6, 5.6), "quay"),  # more in the berth than in the roads
        ((3.0, 3.0, 4.2, 4.2), "roads"),
        ((1.2, 1.2, 1.8, 1.8), "pier"),  # wholly in both: the finer one
        ((8.5, 8.5, 9, 9), "all"),
        ((5.9, 5.0, 7, 5.5), "quay"),  # a sliver of a finer zone goes before the area; land takes nothing
        ((6.5, 4.5, 7.5, 5.5), "all"),
        ((20, 20, 21, 21), None),
        ((10, 10, 11, 11), None),  # touching is not overlapping
    ],
)
def test_assign_takes_the_largest_overlap(bounds, expected):
    assert PORT.assign([shapely.box(*bounds)]) == [expected]


@given(st.lists(st.tuples(st.floats(-1, 11), st.floats(-1, 11)), max_size=12))
def test_assign_in_bulk_is_assign_one_by_one(corners):
    hulls = [shapely.box(x, y, x + 0.3, y + 0.7) for x, y in corners]
    assert PORT.assign(hulls) == [PORT.assign([hull])[0] for hull in hulls]


def test_kinds_are_those_of_the_contract():
    assert KINDS == ("coal_berth", "berth", "anchorage", "stockpile", "area")
