"""Rules in YAML, transfers, and how flags come to the table."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from detector.detections import COLUMNS, EXTRA, Detections
from detector.errors import ConfigError
from detector.flags import FlaggedVessels, flag_vessels
from detector.flags.rules import load_settings
from detector.flags.transfers import beam_m
from detector.loadings.sites import load_site
from tests.aisscenes import boxes
from tests.transferscenes import PLANE, hulls

TIME = "2022-08-25T10:36:41Z"


def own(tmp_path, text):
    path = tmp_path / "rules.yaml"
    path.write_text(text)
    return path


def vessels(*spots, length=100.0, width=16.0, **columns) -> Detections:
    x, y = np.array(spots, float).T
    n = len(spots)
    return boxes(PLANE, x, y, [length] * n, [width] * n, [90] * n, acquired=TIME, **columns)


def ais_file(tmp_path, *rows):
    """Rows (mmsi, x, y, and whatever follows: imo, name, length)."""
    lines = ["mmsi,time,lat,lon,sog,cog,heading,imo,name,length"]
    for mmsi, x, y, *rest in rows:
        lon, lat = PLANE.inverse(x, y)
        imo, name, length = [*rest, *[""] * (3 - len(rest))]
        lines.append(f"{mmsi},{TIME},{float(lat)!r},{float(lon)!r},0,0,90,{imo},{name},{length}")
    path = tmp_path / "ais.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_shipped_rules_load_and_name_the_flags_of_the_contract():
    names = {rule.flag for rule in load_settings().rules}
    assert names >= {
        "watchlist",
        "flag-KP",
        "identity-conflict",
        "dark",
        "ais-unknown",
        "transfer",
        "coal_barge",
        "sts-area",
    }


def test_a_rule_is_added_without_code(tmp_path):
    rules = own(
        tmp_path,
        """
        matching: {accept: 0.7}
        disable: [ais-unknown]
        rules:
          - flag: long
            when: [{field: length_m, more_than: 150}, {field: zone_id, known: false}]
            reason: "{length_m:.0f} m long; AIS {ais_name}"
        """,
    )
    table = vessels((0, 0), (5000, 0)).with_columns(length_m=[200.0, 100.0])
    flagged = flag_vessels(table, rules=rules)
    assert flagged.detections["flags"].tolist() == [["long"], []]
    assert flagged["flag_reasons"][0] == ["long: 200 m long, AIS unknown"]
    assert load_settings(rules).matching.accept == 0.7


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rules: [", "not YAML"),
        ("- 1", "not a mapping"),
        ("colour: red", "unknown part 'colour'"),
        ("matching: {hope: 1}", "unknown setting 'hope'"),
        ("matching: {accept: 2}", "accept is 2"),
        ("coverage: {ships: 0}", "ships is 0"),
        ("transfer: {gap_m: far}", "gap_m is 'far'"),
        ("disable: [drak]", "'drak'"),
        ("rules: {a: b}", "must be a list"),
        ("rules: [{flag: x}]", "flag, when and reason"),
        ("rules: [{flag: x, when: [], reason: y}]", "list of conditions"),
        ("rules: [{flag: x, when: [{field: nope, is: 1}], reason: y}]", "unknown fact 'nope'"),
        ("rules: [{flag: x, when: [{field: class, like: 1}], reason: y}]", "no condition"),
        ("rules: [{flag: x, when: [{field: length_m, more_than: long}], reason: y}]", "needs a number"),
        ("rules: [{flag: x, when: [{field: class, in: vessel}], reason: y}]", "needs a list"),
        ("rules: [{flag: x, when: [{field: class, is: vessel}], reason: '{class.__init__}'}]", "asks for"),
        ("rules: [{flag: x, when: [{field: class, is: vessel}], reason: '{'}]", "rule 'x'"),
    ],
)
def test_bad_rules_say_why(tmp_path, text, says):
    with pytest.raises(ConfigError, match=says):
        load_settings(own(tmp_path, text))


def test_a_comparison_of_different_kinds_says_why(tmp_path):
    rules = own(tmp_path, "rules: [{flag: x, when: [{field: class, more_than: 3}], reason: y}]")
    with pytest.raises(ConfigError, match="cannot be compared"):
        flag_vessels(vessels((0, 0)), rules=rules)


def test_without_ais_nothing_is_dark():
    flagged = flag_vessels(vessels((0, 0), (5000, 0)))
    assert flagged.detections["flags"].tolist() == [["ais-unknown"], ["ais-unknown"]]
    assert flagged["flag_reasons"][0] == ["ais-unknown: no statement about AIS: no AIS was given"]


AROUND = [
    (219000010 + i, x, y) for i, (x, y) in enumerate([(5000, 0), (-5000, 3000), (0, -4000), (2000, 6000)])
]


def test_dark_only_where_ais_was_received(tmp_path):
    table = vessels((0, 0), (300_000, 0), *((x, y) for _, x, y in AROUND))
    flagged = flag_vessels(table, ais=[ais_file(tmp_path, *AROUND)])
    assert flagged.detections["flags"][0] == ["dark"] and flagged.detections["flags"][1] == ["ais-unknown"]
    assert flagged["ais_status"].tolist() == ["unmatched", "unmatched", *["matched"] * 4]
    assert "AIS of 4 other ships was received" in flagged["flag_reasons"][0][0]
    unknown = flag_vessels(table.with_columns(acquired=[None] * 6), ais=[ais_file(tmp_path, *AROUND)])
    assert {flag for flags in unknown.detections["flags"] for flag in flags} == {"ais-unknown"}


def test_who_it_is_and_what_does_not_fit(tmp_path):
    (tmp_path / "list.csv").write_text("imo,name,flag\n9020003,HUA FU,Panama\n,KUM SONG 3,\n")
    ais = ais_file(
        tmp_path,
        (445000001, 0, 0, 9020003, "HUA FU", 100),
        (413000001, 3000, 0, 1234568, "KUM SNOG 3", 100),
        (299000001, 0, 3000, "", "X", 250),
        (219000001, 3000, 3000, 9074729, "FINE", 100),
        (219000099, 1500, 1500, "", "KUM SONG 3", 100),
    )
    table = vessels((0, 0), (3000, 0), (0, 3000), (3000, 3000))
    flagged = flag_vessels(table, ais=[ais], watchlists=[tmp_path / "list.csv"], flag_states=["CN", "219"])
    assert flagged.detections["flags"].tolist() == [
        ["watchlist", "flag-KP", "identity-conflict"],
        ["watchlist", "identity-conflict", "flag-CN"],
        ["identity-conflict"],
        ["flag-DK"],
    ]
    reasons = [" ".join(r) for r in flagged["flag_reasons"]]
    assert "HUA FU on list list of" in reasons[0] and "found by IMO" in reasons[0]
    assert "gives the flag Panama, the MMSI claims North Korea" in reasons[0]
    assert (
        "found by name, one letter apart" in reasons[1] and "IMO 1234568 fails its check digit" in reasons[1]
    )
    assert "299, which no country has" in reasons[2] and "AIS says 250 m, the image shows 100 m" in reasons[2]
    assert flagged["ais_mmsi"].tolist() == [445000001, 413000001, 299000001, 219000001]
    assert flagged["ais_flag"].tolist() == ["KP", "CN", None, "DK"]
    (unseen,) = flagged.unseen
    assert unseen.startswith("MMSI 219000099 was near scene") and "KUM SONG 3" in unseen


def test_coal_barges_and_waters_of_a_site():
    lon, lat = np.array([122.2]), np.array([29.95])
    table = boxes(PLANE, *PLANE.forward(lon, lat), [60], [14], [0], **{"class": ["coal_barge"]})
    flagged = flag_vessels(table, site="ningbo-zhoushan")
    assert flagged.detections["flags"][0] == ["ais-unknown", "coal_barge", "sts-area"]
    assert "Zhoushan waters" in flagged["flag_reasons"][0][2]


def test_rejected_rows_pass_through_and_foreign_flags_stay():
    table = vessels((0, 0), (5000, 0), status=["land", "kept"], flags=[["mine"], ["mine", "dark"]])
    flagged = flag_vessels(table)
    assert flagged.detections["flags"].tolist() == [["mine"], ["mine", "ais-unknown"]]
    assert flagged["ais_status"].tolist() == [None, "unknown"]
    again = flag_vessels(flagged.detections)
    assert again.detections["flags"].tolist() == flagged.detections["flags"].tolist()
    assert len(flag_vessels(Detections.empty())) == 0


def test_flags_of_other_parts_of_bargewatch_say_what_they_rest_on():
    [reasons] = flag_vessels(vessels((0, 0), flags=[["underway", "recovered", "mine"]]))["flag_reasons"]
    assert reasons[0] == "underway: a wake shows that it moves"
    assert reasons[1].startswith("recovered: the pixels of two looks") and reasons[2] == "mine: flagged before"


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".parquet", ".csv"])
def test_every_format_keeps_the_extra_columns(tmp_path, suffix):
    table = vessels((0, 0), (300_000, 0), *((x, y) for _, x, y in AROUND))
    flagged = flag_vessels(
        table, ais=[ais_file(tmp_path, *AROUND[:3], (445000001, 2000, 6000, 9020003, "=EVIL()"))]
    )
    flagged.write(tmp_path / f"out{suffix}")
    back = FlaggedVessels.read(tmp_path / f"out{suffix}")
    for name in EXTRA:
        if EXTRA[name] == "float":
            np.testing.assert_allclose(back[name], flagged[name], err_msg=name)
        else:
            assert back[name].tolist() == flagged[name].tolist(), name
    assert back["ais_name"][5] == "=EVIL()" and back["ais_mmsi"][0] is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # columns of its own are no surprise
        plain = Detections.read(tmp_path / f"out{suffix}")
    assert tuple(plain.columns) == COLUMNS and plain["flags"].tolist() == flagged.detections["flags"].tolist()
    frame = flagged.to_geodataframe()
    assert list(frame.columns) == [*COLUMNS[:-1], *EXTRA, "geometry"]


# ---- transfers


def test_side_by_side_but_not_at_a_berth_nor_under_way(tmp_path):
    pair = ((0, 0), (0, 30))
    assert flag_vessels(vessels(*pair))["transfer_probability"].min() > 0.8
    assert flag_vessels(vessels((0, 0), (0, 100)))["transfer_probability"].max() < 0.1
    assert flag_vessels(vessels((0, 0), (115, 0)))["transfer_probability"].max() < 0.3  # bow to stern
    site = load_site("ningbo-zhoushan")
    middle = site.zone("beilun").polygon.representative_point()
    x, y = PLANE.forward(middle.x, middle.y)
    berthed = boxes(PLANE, [x, x], [y, y + 30], [100, 100], [16, 16], [90, 90])
    assert flag_vessels(berthed)["transfer_probability"].min() > 0.8
    assert flag_vessels(berthed, site=site)["transfer_probability"].max() == 0


def test_ships_under_way_side_by_side_are_passing(tmp_path):
    moving = ais_file(tmp_path, (219000001, 0, 0), (219000002, 0, 40))
    moving.write_text(moving.read_text().replace(",0,0,90,", ",12,90,90,"))
    flagged = flag_vessels(vessels((0, 0), (0, 40)), ais=[moving])
    assert flagged["ais_status"].tolist() == ["matched"] * 2 and flagged["transfer_probability"].max() < 0.2


def test_one_blob_too_wide_for_its_length():
    beam = float(beam_m(np.array(120.0)))
    wide = flag_vessels(vessels((0, 0), (5000, 0), length=120.0, width=2.2 * beam))
    assert wide["transfer_probability"].min() > 0.6 and "times the usual beam" in wide["flag_reasons"][0][1]
    assert flag_vessels(vessels((0, 0), length=120.0, width=1.3 * beam))["transfer_probability"].max() == 0


def test_transfers_are_told_from_ships_merely_close():
    right = wrong = missed = 0
    for seed in range(3):
        table, truth = hulls(seed)
        flagged = np.array(["transfer" in flags for flags in flag_vessels(table).detections["flags"]])
        right += int((flagged & truth).sum())
        wrong += int((flagged & ~truth).sum())
        missed += int((~flagged & truth).sum())
    assert 2 * right / (2 * right + wrong + missed) >= 0.8
