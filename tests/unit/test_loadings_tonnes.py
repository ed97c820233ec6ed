"""Loadings into tonnes and dollars, against ships whose cargo is known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from detector import count_loadings
from detector.errors import ConfigError
from detector.loadings.payload import load_payload
from detector.loadings.prices import load_prices
from detector.loadings.rows import Span, periods_of
from detector.loadings.tonnage import Fleet, add_tonnes
from detector.resources import config_path
from tests.timelines import Ship, detections, site, tables

DAY_2020 = 18262.0


def document(**changes):
    """A table without doubt: 10 m³ of length cubed a tonne for ships, ten times less for barges, all loaded to the mark."""
    lengths = (60, 100, 150, 200)

    def ships(scale):
        return [
            {"name": f"s{m}", "length_m": m, "tonnes": m**3 / scale, "source": "made up"} for m in lengths
        ]

    classes = {
        "vessel": {"figures": "deadweight", "ships": ships(100)},
        "coal_barge": {"figures": "cargo", "ships": ships(1000)},
    }
    share = [{"name": "a", "cargo_t": 50, "deadweight_t": 100, "source": "made up"}]
    return {
        "classes": classes,
        "fleet_spread": 0.0,
        "share_loaded": share,
        "loads_coal": [0.999, 0.999],
    } | changes


@pytest.fixture
def payload(tmp_path):
    def write(**changes):
        path = tmp_path / "payload.yaml"
        path.write_text(yaml.safe_dump(document(**changes)))
        return load_payload(path)

    return write


def visits(lengths, zone="pier", day=DAY_2020 + 10, kind="vessel", looks=1):
    when = np.datetime_as_string(np.datetime64(int(day * 86400), "s")) + "Z"
    row = {"zone_id": zone, "first_seen": when, "looks_seen": looks, "class": kind}
    return [row | {"length_m": float(length)} for length in lengths]


def filled(
    payload,
    seen,
    draws,
    kinds=None,
    spans=None,
    prices=None,
    error=1e-3,
    loading=("coal_berth", "berth"),
    seed=0,
):
    """Rows by zone (None: the site) after add_tonnes; draws: of each zone, an array (k, periods), or None."""
    kinds = kinds or {"pier": "coal_berth"}
    spans = spans or periods_of(DAY_2020, DAY_2020 + 366, "year")
    zones = {
        name: None
        if d is None
        else SimpleNamespace(draws=np.asarray(d), mean=np.asarray(d, float).mean(axis=0))
        for name, d in draws.items()
    }
    rows = [
        {
            "zone_id": zone,
            "period_start": str(span.start),
            "note": "",
            "tonnes": np.nan,
            "value_usd_low": np.nan,
        }
        for zone in [*kinds, None]
        for span in spans
    ]
    add_tonnes(
        rows, kinds, seen, zones, spans, payload, load_prices(prices),
        loading_kinds=loading, length_error_m=error, seed=seed,
    )  # fmt: skip
    return {zone: [row for row in rows if row["zone_id"] == zone] for zone in [*kinds, None]}


def test_ships_that_were_all_seen_give_what_they_carry(payload):
    lengths = (100, 150, 180)
    (row,) = filled(payload(), visits(lengths), {"pier": [[3]]})["pier"]
    truth = sum(m**3 / 100 for m in lengths) * 0.5
    assert row["tonnes"] == pytest.approx(truth, rel=0.01)
    assert row["tonnes_low"] == pytest.approx(truth, rel=0.02)
    assert row["note"] == ""


def test_ships_that_nobody_saw_are_like_those_seen(payload):
    (row,) = filled(payload(), visits([100] * 5), {"pier": [[20]]})["pier"]
    assert row["tonnes"] == pytest.approx(20 * 10_000 * 0.5, rel=0.01)


def test_barges_have_figures_of_their_own_which_are_cargo_already(payload):
    (row,) = filled(payload(), visits([100] * 4, kind="coal_barge"), {"pier": [[4]]})["pier"]
    assert row["tonnes"] == pytest.approx(4 * 1_000, rel=0.01)


def test_fewer_loadings_than_visits_seen_count_no_more_than_the_loadings(payload):
    (row,) = filled(payload(), visits([100] * 9), {"pier": [[3]]})["pier"]
    assert row["tonnes"] == pytest.approx(3 * 5_000, rel=0.01)
    (row,) = filled(payload(), visits([100] * 9), {"pier": [[0]]})["pier"]
    assert row["tonnes"] == row["tonnes_high"] == row["value_usd_high"] == 0


def test_the_site_is_the_sum_of_draws_and_not_of_quantiles(payload):
    number = np.arange(5, 45)[:, None]
    kinds = {"east": "coal_berth", "west": "coal_berth"}
    seen = visits([100] * 20, "east") + visits([100] * 20, "west")
    rows = filled(payload(), seen, {"east": number, "west": number[::-1]}, kinds)
    (east,), (west,), (whole,) = rows.values()
    assert whole["tonnes"] == pytest.approx(east["tonnes"] + west["tonnes"], rel=0.01)
    assert east["tonnes_high"] - east["tonnes_low"] > 100_000
    assert whole["tonnes_high"] - whole["tonnes_low"] < 10_000  # the two always make 49


def test_doubt_about_all_ships_does_not_average_out_over_berths(payload):
    kinds = {"east": "coal_berth", "west": "coal_berth"}
    seen = visits([100] * 50, "east") + visits([100] * 50, "west")
    table = payload(fleet_spread=0.3)
    (east,), _, (whole,) = filled(table, seen, {"east": [[50]], "west": [[50]]}, kinds).values()
    assert whole["tonnes_high"] / whole["tonnes_low"] == pytest.approx(
        east["tonnes_high"] / east["tonnes_low"], rel=0.05
    )
    assert whole["tonnes_high"] / whole["tonnes_low"] == pytest.approx(np.exp(2 * 1.645 * 0.3), rel=0.1)


def test_only_coal_berths_load_coal(payload):
    kinds = {"pier": "coal_berth", "quay": "berth", "road": "anchorage", "sea": "area"}
    draws = {"pier": [[3]], "quay": [[9]], "road": [[9]], "sea": None}
    rows = filled(payload(), visits([100] * 3) + visits([100], "quay"), draws, kinds)
    assert rows["pier"][0]["tonnes"] == pytest.approx(15_000, rel=0.01)
    assert np.isnan(rows["quay"][0]["tonnes"]) and "only loadings at coal berths" in rows["quay"][0]["note"]
    assert np.isnan(rows["road"][0]["tonnes"]) and rows["road"][0]["note"] == ""
    assert rows[None][0]["tonnes"] == rows["pier"][0]["tonnes"]
    assert rows[None][0]["note"] == "tonnes of pier alone"
    rows = filled(payload(), visits([100]), draws, kinds, loading=("berth",))
    assert np.isnan(rows["pier"][0]["tonnes"]) and np.isnan(rows[None][0]["tonnes"])


def test_nothing_is_made_up_where_nothing_is_known(payload):
    (row,) = filled(payload(), [], {"pier": [[3]]})["pier"]
    assert np.isnan(row["tonnes"]) and "no vessel was seen" in row["note"]
    (row,) = filled(payload(), visits([100]), {"pier": None})["pier"]
    assert np.isnan(row["tonnes"]) and row["note"] == ""
    kinds = {"east": "coal_berth", "west": "coal_berth"}
    rows = filled(payload(), visits([100], "east"), {"east": [[3]], "west": None}, kinds)
    assert rows["east"][0]["tonnes"] > 0 and np.isnan(rows[None][0]["tonnes"])
    refused = [[np.nan, 3.0], [np.nan, 3.0]]
    spans = periods_of(DAY_2020, DAY_2020 + 60, "month")
    first, second = filled(
        payload(), visits([100]), {"pier": np.array(refused)[:, 1:].repeat(2, 1)}, spans=spans
    )["pier"]
    assert first["tonnes"] > 0 and second["tonnes"] > 0


def test_errors_of_length_do_not_add_tonnes(payload):
    """The cube of a length with error is larger than the cube of the length, by 3 (12/130)² or 2.6 %, if nothing is done."""
    rng = np.random.default_rng(0)
    ratio = []
    for seed in range(8):
        true = rng.normal(130, 25, 40)
        seen = visits(true + rng.normal(0, 12, 40))
        (row,) = filled(payload(), seen, {"pier": [[40]]}, error=12.0, seed=seed)["pier"]
        ratio.append(row["tonnes"] / (true**3 / 200).sum())
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.02)


def test_the_interval_holds_the_truth_as_often_as_it_says(payload):
    """Fleets drawn from the shipped table's own doubt: lines, fleet, shares and sizes differ; half of 30 visits are seen."""
    table = load_payload()
    rng = np.random.default_rng(1)
    inside = 0
    for seed in range(60):
        world = Fleet(table, 1, rng)
        true = rng.normal(rng.uniform(110, 170), 20, (1, 30)).clip(60)
        cargo = world.cargo(true, np.zeros((1, 30), bool)).sum()
        seen = visits(true[0, :15] + rng.normal(0, 12, 15))
        (row,) = filled(table, seen, {"pier": [[30]]}, error=12.0, seed=seed)["pier"]
        inside += row["tonnes_low"] <= cargo <= row["tonnes_high"]
    assert 48 <= inside <= 60  # 54 expected; fewer than 48 in one run of a hundred


def test_the_same_seed_gives_the_same_tonnes():
    def run(seed):
        return filled(load_payload(), visits([120, 170]), {"pier": [[5], [9]]}, seed=seed)["pier"][0]

    assert run(1) == run(1) and run(1) != run(2)
    assert run(1)["tonnes"] == pytest.approx(run(2)["tonnes"], rel=0.05)


# ---- prices


def prices(tmp_path, *rows):
    path = tmp_path / "prices.yaml"
    path.write_text(yaml.safe_dump({"prices": list(rows)}))
    return path


PRICE = {"from": "2020-01-01", "to": "2020-07-01", "usd_per_tonne": [100, 100], "source": "made up"}


def test_value_is_tonnes_by_price_where_prices_cover_the_period(payload, tmp_path):
    both = prices(
        tmp_path, PRICE | {"from": "2020-07-01", "to": "2021-01-01", "usd_per_tonne": [300, 300]}, PRICE
    )
    seen = visits([100] * 4)
    (row,) = filled(payload(), seen, {"pier": [[4]]}, prices=both)["pier"]
    assert row["value_usd_low"] == pytest.approx(20_000 * 200.5, rel=0.01)
    (row,) = filled(payload(), seen, {"pier": [[4]]}, prices=prices(tmp_path, PRICE))["pier"]
    assert np.isnan(row["value_usd_low"]) and row["note"] == "no value: no price for all of this period"
    assert row["tonnes"] > 0


def test_the_shipped_price_is_that_of_2020(payload):
    (row,) = filled(payload(), visits([100] * 40), {"pier": [[40]]})["pier"]
    assert row["value_usd_low"] == pytest.approx(row["tonnes"] * 81, rel=0.02)
    assert row["value_usd_high"] == pytest.approx(row["tonnes"] * 99, rel=0.02)
    assert load_prices().over(DAY_2020 - 366, DAY_2020 - 300) is None
    assert load_prices().over(DAY_2020 + 300, DAY_2020 + 400) is None


# ---- files


def test_every_row_that_ships_says_where_it_stands():
    shipped = yaml.safe_load(config_path("payload.yaml").read_text(encoding="utf-8"))
    rows = [row for entry in shipped["classes"].values() for row in entry["ships"]] + shipped["share_loaded"]
    assert len(rows) > 50 and all("." in row["source"] or "Wikipedia" in row["source"] for row in rows)
    names = [row["name"] for entry in shipped["classes"].values() for row in entry["ships"]]
    assert len(set(names)) == len(names)


def test_the_shipped_table_gives_sizes_that_ships_have():
    (_, slope), _, variance = load_payload().capacity["vessel"].fit()
    assert (
        3.0 < slope < 3.5 and 0.1 < variance**0.5 < 0.25
    )  # a hull grows with the cube of its length, or a little more
    fleet = Fleet(load_payload(), 4000, np.random.default_rng(0))
    middle = {
        m: np.median(fleet.curves["vessel"].tonnes(np.full((4000, 1), m), np.zeros((4000, 1))))
        for m in (110, 170)
    }
    assert 6_000 < middle[110] < 8_500 and 25_000 < middle[170] < 34_000


WRONG = {
    "loads_coal": ([0.9], "loads_coal: give"),
    "fleet_spread": ("much", "fleet_spread is 'much'"),
    "share_loaded": ([{"name": "a", "cargo_t": 5, "deadweight_t": 4, "source": "x"}], "5 t of cargo in 4 t"),
    "classes": ({"vessel": {}}, "classes: give vessel and coal_barge"),
}


@pytest.mark.parametrize("key", WRONG)
def test_payload_files_that_are_wrong_are_told(payload, key):
    value, message = WRONG[key]
    with pytest.raises(ConfigError, match=message.replace("[", r"\[")) as error:
        payload(**{key: value})
    assert "payload.yaml" in str(error.value)


def test_ships_without_source_or_too_few_are_told(payload):
    classes = document()["classes"]
    classes["vessel"]["ships"][1]["source"] = " "
    with pytest.raises(ConfigError, match="vessel: ships, row 2: say in source"):
        payload(classes=classes)
    classes = document()["classes"]
    del classes["coal_barge"]["ships"][2:]
    with pytest.raises(ConfigError, match="coal_barge: 2 ships; at least 4"):
        payload(classes=classes)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prices: [", "not YAML"),
        ("prices: 5", "give a list"),
        ("cost: []", "'cost' is not known"),
        ("[]", "not a mapping"),
        ("prices: [{from: 2020-01-01}]", "row 1: give from, source, to, usd_per_tonne"),
        (
            "prices: [{from: 2020-02-01, to: 2020-01-01, usd_per_tonne: [1, 2], source: x}]",
            "before it begins",
        ),
        ("prices: [{from: soon, to: 2020-01-01, usd_per_tonne: [1, 2], source: x}]", "'soon', use a date"),
        ("prices: [{from: 2020-01-01, to: 2021-01-01, usd_per_tonne: [2, 1], source: x}]", "use .low, high."),
        ("prices: [{from: 2020-01-01, to: 2021-01-01, usd_per_tonne: 90, source: x}]", "use .low, high."),
        (
            "prices: [{from: 2020-01-01, to: 2021-01-01, usd_per_tonne: [1, 2], source: x},"
            " {from: 2020-06-01, to: 2022-01-01, usd_per_tonne: [1, 2], source: x}]",
            "two prices hold on 2020-06-01",
        ),
    ],
)
def test_price_files_that_are_wrong_are_told(tmp_path, text, message):
    path = tmp_path / "prices.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_prices(path)
    with pytest.raises(ConfigError, match="check the path"):
        load_prices(tmp_path / "none.yaml")


# ---- the count


def test_a_count_has_tonnes():
    ships = [Ship(2 + 6 * n, 5 + 6 * n, length=150) for n in range(10)]
    rows, looks = tables(ships, range(0, 62, 2))
    count = count_loadings(
        detections(rows), looks, site(), period="all", payload=load_payload(), prices=load_prices()
    )
    for row in count.loading_rows:
        assert 0 < row["tonnes_low"] < row["tonnes"] < row["tonnes_high"]
        assert (
            80 * row["tonnes_low"] * 0.9
            < row["value_usd_low"]
            < row["value_usd_high"]
            < 100 * row["tonnes_high"] * 1.1
        )
    again = count_loadings(detections(rows), looks, site(), period="all")
    assert again.loading_rows == count.loading_rows
    assert isinstance(periods_of(0, 1, "all")[0], Span)


def test_a_file_that_is_not_there_is_told_before_anything_is_counted():
    with pytest.raises(ConfigError, match="nowhere.yaml"):
        count_loadings("none.csv", "none.csv", site(), payload="nowhere.yaml")
