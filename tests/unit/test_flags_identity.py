"""MMSI, IMO numbers, countries, names, and lists of ships."""

from __future__ import annotations

import json
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.errors import ConfigError, TableError
from detector.flags import identity
from detector.flags.names import edits
from detector.flags.watchlist import Entry, Watchlist
from detector.flags.watchlistfiles import read_watchlist, read_watchlists
from tests.aisscenes import SHARED


@pytest.mark.parametrize(
    ("imo", "valid"), [(9074729, True), (7406784, True), (7406783, False), (123, False), (None, False)]
)
def test_imo_check_digit(imo, valid):
    assert identity.valid_imo(imo) is valid


@given(st.integers(100_000, 999_999))
def test_one_check_digit_in_ten_is_right(head):
    assert sum(identity.valid_imo(head * 10 + digit) for digit in range(10)) == 1


def test_numbers_as_people_write_them():
    assert (
        identity.imo_number("IMO 9074729")
        == identity.imo_number(9074729.0)
        == identity.imo_number("9074729")
        == 9074729
    )
    assert identity.imo_number("0") is identity.imo_number("") is identity.imo_number("Unknown") is None
    assert identity.mmsi_number("445123000.0") == 445123000
    assert identity.mmsi_number("12345") is None


def test_countries():
    assert (
        identity.flag_of(445123000) == "KP"
        and identity.flag_of(413000001) == "CN"
        and identity.flag_of(2190064) is None
    )
    assert len(identity.mid_table()) == 291
    for text in ("KP", "445", "North Korea", "Democratic People's Republic of Korea"):
        assert identity.country_code(text) == "KP"
    assert identity.asked_country("412") == (412, "CN") and identity.asked_country("china") == (None, "CN")
    with pytest.raises(ConfigError, match="Narnia"):
        identity.asked_country("Narnia")
    assert (
        identity.mmsi_problem(999999999)
        and identity.mmsi_problem(299000000)
        and not identity.mmsi_problem(219000001)
    )


def test_names_are_compared_without_ornament():
    same = {
        identity.split_name(n)
        for n in ("KUM SONG 3", "M/V Kum-Song 3", "kum song III", "KÜM SONG NO. 3", "KUMSONG3")
    }
    assert same == {("KUMSONG", "3")}
    assert identity.split_name("") == identity.split_name(None) == ("", "")


WORDS = st.text("ABCDE", max_size=9)


@settings(max_examples=200)
@given(WORDS, WORDS)
def test_edits_agree_with_the_plain_definition(one, other):
    table = {}
    for i in range(len(one) + 1):
        for j in range(len(other) + 1):
            if i == 0 or j == 0:
                table[i, j] = i + j
                continue
            same = one[i - 1] == other[j - 1]
            table[i, j] = min(table[i - 1, j] + 1, table[i, j - 1] + 1, table[i - 1, j - 1] + (not same))
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                table[i, j] = min(table[i, j], table[i - 2, j - 2] + 1)
    assert edits(one, other, 2) == min(table[len(one), len(other)], 3)


# ---- the list that was derived from OFAC's


@pytest.fixture(scope="module")
def listed() -> list[Entry]:
    path = SHARED / "data" / "watchlist" / "dprk_vessels_from_ofac.csv"
    if not path.exists():
        pytest.skip(f"no list in {SHARED}; set BARGEWATCH_SHARED")
    return read_watchlist(path)


def found(watchlist: Watchlist, entry: Entry, **claims) -> bool:
    return any(hit.entry is entry for hit in watchlist.find(**claims))


@pytest.mark.real
def test_all_of_the_list_are_found_by_number_and_by_name(listed):
    assert len(listed) == 105 and all(identity.valid_imo(entry.imo) for entry in listed)
    watchlist = Watchlist(listed)
    assert all(found(watchlist, entry, imo=entry.imo) for entry in listed)
    assert all(found(watchlist, entry, name=entry.names[0]) for entry in listed)
    with_mmsi = [Entry(e.list_name, None, e.names, e.imo, (445000000 + n,)) for n, e in enumerate(listed)]
    watchlist = Watchlist(with_mmsi)
    assert all(found(watchlist, entry, mmsi=entry.mmsi[0]) for entry in with_mmsi)


def misspelt(name: str, rng: random.Random) -> str:
    """One letter changed, dropped, doubled or swapped with the next, after the first of its word; other ornament."""
    letters = [i for i in range(1, len(name)) if name[i].isalpha() and name[i - 1].isalpha()]
    if letters:
        i = rng.choice(letters)
        name = rng.choice(
            [
                name[:i] + rng.choice(string.ascii_uppercase) + name[i + 1 :],
                name[:i] + name[i + 1 :],
                name[:i] + name[i] + name[i:],
                name[: i - 1] + name[i] + name[i - 1] + name[i + 1 :],
            ]
        )
    ornament = [
        str.lower,
        str.title,
        lambda n: "M/V " + n,
        lambda n: n.replace(" ", "-"),
        lambda n: n.replace(" ", ""),
    ]
    return rng.choice(ornament)(name)


@pytest.mark.real
def test_all_of_the_list_are_found_under_spelling_changes(listed):
    rng = random.Random(3)
    watchlist = Watchlist(listed)
    missed = [
        (entry.names[0], name)
        for entry in listed
        for name in (misspelt(entry.names[0], rng) for _ in range(10))
        if not found(watchlist, entry, name=name)
    ]
    assert not missed


def random_names(count: int, rng: random.Random) -> list[str]:
    """Names as pronounceable as a ship's: syllables in one or two words, some with a number."""

    def word():
        return "".join(
            rng.choice("BCDFGHJKLMNPRSTVWZ") + rng.choice("AEIOU") + rng.choice(["", "", "N", "R"])
            for _ in range(rng.randint(2, 4))
        )

    return [
        " ".join(word() for _ in range(rng.randint(1, 2))) + rng.choice(["", f" {rng.randint(1, 99)}"])
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("name", "hit"),
    [("YU SOM", True), ("YUSN", True), ("YU SOON", True), ("UY SON", True), ("YU SNO", True), ("GUSON", False),
     ("YU TON", False), ("YU SON", True), ("YU SOLN", False), ("YON", False)],
)  # fmt: skip
def test_short_names_differ_by_slips_of_the_hand_alone(name, hit):
    assert bool(Watchlist([Entry("list", None, ("YU SON",))]).find(name=name)) is hit


@pytest.mark.real
def test_at_most_one_of_ten_thousand_random_names_is_on_the_list(listed):
    watchlist = Watchlist(listed)
    hits = [name for name in random_names(10_000, random.Random(4)) if watchlist.find(name=name)]
    assert len(hits) <= 1, hits


def test_a_name_does_not_outweigh_the_number_of_another_hull():
    watchlist = Watchlist([Entry("list", None, ("LUCKY STAR",), imo=9015278)])
    assert watchlist.find(name="LUCKY STAR")[0].by == "name"
    assert watchlist.find(name="LUCKY STAR", imo=9015278)[0].by == "IMO"
    assert not watchlist.find(name="LUCKY STAR", imo=9074729)
    assert watchlist.find(name="LUCKY STAR", imo=1234568)  # no valid number: contradicts nothing
    assert not watchlist.find(name="LUCKY STAR 2") and not watchlist.find(name="") and not watchlist.find()


# ---- other lists

SDN = """<?xml version="1.0" standalone="yes"?>
<sdnList xmlns="https://sanctionslistservice.ofac.treas.gov/api/PublicationPreview/exports/XML">
 <publshInformation><Publish_Date>09/16/2026</Publish_Date><Record_Count>2</Record_Count></publshInformation>
 <sdnEntry><uid>1</uid><lastName>EBANO</lastName><sdnType>Vessel</sdnType><programList><program>CUBA</program></programList>
  <idList><id><uid>2</uid><idType>Vessel Registration Identification</idType><idNumber>IMO 7406784</idNumber></id>
  <id><uid>3</uid><idType>MMSI</idType><idNumber>572469210</idNumber></id></idList>
  <akaList><aka><uid>4</uid><type>f.k.a.</type><lastName>OLD NAME</lastName></aka></akaList>
  <vesselInfo><callSign>X</callSign><vesselFlag>Panama</vesselFlag></vesselInfo></sdnEntry>
 <sdnEntry><uid>9</uid><lastName>A COMPANY</lastName><sdnType>Entity</sdnType></sdnEntry>
</sdnList>"""


def test_ofac_xml(tmp_path):
    (tmp_path / "sdn.xml").write_text(SDN)
    (entry,) = read_watchlist(tmp_path / "sdn.xml")
    assert entry == Entry(
        "OFAC SDN", "2026-09-16", ("EBANO", "OLD NAME"), 7406784, (572469210,), "PA", "CUBA"
    )
    assert "on list OFAC SDN of 2026-09-16, found by name" in str(Watchlist([entry]).find(name="OLD NAME")[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]>' + SDN[SDN.index("<sdnList") :], "document type"),
        (SDN[:700], "not well-formed"),
        ("", "no ship|no column"),
        ("{]", "OpenSanctions JSON"),
        ('{"schema": "Person"}', "no ship"),
        ("colour,size\nred,3\n", "no column imo, mmsi or name"),
        ("imo,name\nabc,X\n", "no IMO number"),
        ("imo,name\n\0\0", "UTF-8"),
    ],
)
def test_a_bad_list_says_why(tmp_path, text, says):
    (tmp_path / "list").write_text(text)
    with pytest.raises(TableError, match=says):
        read_watchlist(tmp_path / "list")
    _, failed = read_watchlists([tmp_path / "list", tmp_path / "none.csv"])
    assert len(failed) == 2


def test_opensanctions_csv_and_json(tmp_path):
    (tmp_path / "maritime.csv").write_text(
        "type,caption,imo,risk,countries,flag,mmsi,id,url,datasets,aliases\n"
        'VESSEL,"KAPITAN, THE",IMO9427366,sanction,ru,ru,273123456;273999888,x1,https://x,eu_fsf,OLD ONE;OLDER\n'
        "ORGANIZATION,A FIRM,IMO6000000,sanction,ru,,,x2,https://x,eu_fsf,\n"
    )
    (entry,) = read_watchlist(tmp_path / "maritime.csv")
    assert entry.names == ("KAPITAN, THE", "OLD ONE", "OLDER") and entry.mmsi == (273123456, 273999888)
    assert (entry.imo, entry.flag, entry.programs) == (9427366, "RU", "eu_fsf")
    entity = {
        "schema": "Vessel",
        "caption": "TIGER",
        "datasets": ["us_ofac_sdn"],
        "last_change": "2025-02-03T00:00:00",
        "properties": {
            "name": ["TIGER"],
            "previousName": ["CAT"],
            "imoNumber": ["IMO9307841"],
            "mmsi": ["636092140"],
            "flag": ["lr"],
        },
    }
    (tmp_path / "e.json").write_text(
        "\n".join(map(json.dumps, [entity, {"schema": "Person", "properties": {}}]))
    )
    (entry,) = read_watchlist(tmp_path / "e.json")
    assert entry == Entry(
        "OpenSanctions us_ofac_sdn", "2025-02-03", ("TIGER", "CAT"), 9307841, (636092140,), "LR", None
    )


def test_a_list_in_an_old_encoding_and_with_ship_types(tmp_path):
    (tmp_path / "l.csv").write_bytes(
        "name;type;imo\nSØHUND;Crude Oil Tanker;\n=1+1;Tug;9074729\n".encode("cp1252")
    )
    entries = read_watchlist(tmp_path / "l.csv")
    assert [entry.names[0] for entry in entries] == ["SØHUND", "=1+1"]
