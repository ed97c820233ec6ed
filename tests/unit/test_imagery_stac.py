"""The free catalogue: real clients against a STAC API and COGs on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.warp

from detector.errors import FetchError, UnknownScaleError, UnreadableSceneError
from detector.imagery import mosaic, stac
from detector.imagery.fetching import Fetched, fetch, plan
from detector.imagery.granules import overpasses
from detector.imagery.sources import open_source
from detector.loadings.sites import Site, load_site
from detector.scene import open_scene
from tests.loopback.catalogue import Catalogue
from tests.loopback.world import BANDS, Pass, box, centres, write_site

WHEN = datetime(2020, 3, 1, 2, 27, 13, tzinfo=UTC)
WEST = Pass(WHEN, box(0, 0, 6000, 4200))
EAST = Pass(WHEN + timedelta(seconds=7), box(4800, 0, 7200, 4200), tile="51SZC")
BOTH = {"west": box(1500, 1500, 800, 600), "east": box(9000, 1500, 800, 600)}


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mosaic, "WAIT_S", 0.02)
    monkeypatch.setattr(stac, "BACKOFF_S", 0.02)
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.02")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "2")


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue(tmp_path / "cogs") as server:
        yield server


@pytest.fixture
def port(tmp_path: Path) -> Site:
    return load_site(write_site(tmp_path / "port.geojson", BOTH))


def run(server: Catalogue, site: Site, out: Path, **options: object) -> list[Fetched]:
    source = open_source(server.url, scale=options.pop("scale", None))
    return list(fetch(plan(site, "2020-02-01", "2020-03-31", out, source, **options)))  # type: ignore[arg-type]


def expected(path: Path, granules: list[Pass], band: str) -> np.ndarray:
    """What the granules hold at the pixels of a file, the first that holds data on top."""
    with rasterio.open(path) as file:
        x, y = centres(file.transform, file.width, file.height)
    out = np.zeros(x.shape, np.uint16)
    for granule in granules:
        values = granule.classes(x, y) if band == "SCL" else granule.numbers(band, x, y)
        out = np.where(out == 0, values, out)
    return out


def check_pixels(path: Path, granules: list[Pass]) -> None:
    with rasterio.open(path) as file:
        assert file.descriptions == (*BANDS, "SCL")
        for i, band in enumerate(file.descriptions, 1):
            np.testing.assert_array_equal(file.read(i), expected(path, granules, band), err_msg=band)


def test_granules_of_one_overpass_are_one_image(catalogue: Catalogue, port: Site, tmp_path: Path) -> None:
    catalogue.add(WEST)
    catalogue.add(EAST)
    (result,) = run(catalogue, port, tmp_path / "out")
    assert result.error is None
    path = tmp_path / "out" / f"{result.scene_id}.tif"
    check_pixels(path, [WEST, EAST])
    with open_scene(path) as scene:
        assert scene.id == "S2A_MSIL2A_20200301T022109_port"
        assert scene.acquired == WHEN
        assert scene.level == "L2A"
        assert {scene.radiometry[band] for band in BANDS} == {(1e-4, 0.0)}
    assert result.record is not None
    assert result.record["products"] == [WEST.product(), EAST.product()]


def test_only_the_window_is_read(catalogue: Catalogue, tmp_path: Path) -> None:
    big = replace(WEST, box=box(0, 0, 12000, 12000))
    catalogue.add(big)
    small = load_site(write_site(tmp_path / "quay.geojson", {"west": BOTH["west"]}))
    run(catalogue, small, tmp_path / "out")
    whole = sum((catalogue.folder / f).stat().st_size for f in catalogue.folder.rglob("B0*.tif"))
    assert sum(entry[3] for entry in catalogue.asked("B0")) < 0.25 * whole
    assert not catalogue.asked("jp2")


def test_a_neighbour_that_adds_nothing_is_not_read(catalogue: Catalogue, tmp_path: Path) -> None:
    site = load_site(write_site(tmp_path / "quay.geojson", {"west": BOTH["west"]}))
    catalogue.add(WEST)
    catalogue.add(replace(WEST, tile="51SXC", box=box(-3000, 0, 9000, 4200)))
    (result,) = run(catalogue, site, tmp_path / "out")
    assert result.record is not None
    assert len(result.record["products"]) == 1
    assert len({entry[1].split("/")[2] for entry in catalogue.asked(r"B08")}) == 1


def test_zones_under_cloud_are_looks_but_no_download(
    catalogue: Catalogue, port: Site, tmp_path: Path
) -> None:
    catalogue.add(replace(WEST, box=box(0, 0, 12000, 4200), cloud=(box(7000, 0, 5000, 4200),)))
    hidden = replace(WEST, acquired=WHEN + timedelta(days=5), cloud=(box(0, 0, 12000, 4200),))
    catalogue.add(replace(hidden, box=box(0, 0, 12000, 4200)))
    half, none = run(catalogue, port, tmp_path / "out")
    assert half.record and none.record
    assert (half.record["zones"], half.record["status"]) == (["west"], "fetched")
    assert (none.record["zones"], none.record["status"]) == ([], "clouded")
    assert not (tmp_path / "out" / f"{none.scene_id}.tif").exists()
    assert not catalogue.asked("20200306.*B0")
    looks = (tmp_path / "out" / "looks.csv").read_text().splitlines()
    assert looks[1:] == [
        f"{half.scene_id},2020-03-01T02:27:13Z,port,west,1.0",
        f"{half.scene_id},2020-03-01T02:27:13Z,port,east,0.0",
        f"{none.scene_id},2020-03-06T02:27:13Z,port,west,0.0",
        f"{none.scene_id},2020-03-06T02:27:13Z,port,east,0.0",
    ]


@pytest.mark.parametrize(
    ("baseline", "shift", "flag", "offset"),
    [
        ("02.14", 0, None, 0.0),  # before the offset
        ("05.09", 0, True, 0.0),  # taken off by the catalogue, although raster:bands says -0.1
        ("05.09", 1000, False, -0.1),  # still in the pixels
        ("03.01", 0, False, 0.0),
    ],
)
def test_offset_of_baseline_4(
    catalogue: Catalogue,
    port: Site,
    tmp_path: Path,
    baseline: str,
    shift: int,
    flag: bool | None,
    offset: float,
) -> None:
    stated = {} if flag is None else {"earthsearch:boa_offset_applied": flag}
    catalogue.add(replace(WEST, baseline=baseline, shift=shift, box=box(0, 0, 12000, 4200)), stated=stated)
    (result,) = run(catalogue, port, tmp_path / "out")
    assert result.error is None
    with open_scene(tmp_path / "out" / f"{result.scene_id}.tif") as scene:
        assert scene.radiometry["B08"] == pytest.approx((1e-4, offset))
    plain = replace(WEST, box=box(0, 0, 12000, 4200), shift=shift)
    check_pixels(tmp_path / "out" / f"{result.scene_id}.tif", [plain])


def test_a_wrong_offset_flag_is_refused_and_can_be_overruled(
    catalogue: Catalogue, port: Site, tmp_path: Path
) -> None:
    """Element84/earth-search issue 66: the flag says no, the pixels say yes."""
    wrong = {"earthsearch:boa_offset_applied": False}
    catalogue.add(replace(WEST, baseline="04.00", box=box(0, 0, 12000, 4200)), stated=wrong)
    (result,) = run(catalogue, port, tmp_path / "out")
    assert isinstance(result.error, UnknownScaleError)
    assert not list((tmp_path / "out").glob("*.tif"))
    (again,) = run(catalogue, port, tmp_path / "out", scale="DN / 10000")
    assert again.error is None
    with open_scene(tmp_path / "out" / f"{again.scene_id}.tif") as scene:
        assert scene.radiometry["B04"] == (1e-4, 0.0)


def test_granules_of_different_baselines_are_brought_together(
    catalogue: Catalogue, port: Site, tmp_path: Path
) -> None:
    shifted = replace(EAST, baseline="05.00", shift=1000)
    catalogue.add(WEST)
    catalogue.add(shifted, stated={"earthsearch:boa_offset_applied": False})
    (result,) = run(catalogue, port, tmp_path / "out")
    path = tmp_path / "out" / f"{result.scene_id}.tif"
    with open_scene(path) as scene:
        assert scene.radiometry["B02"] == pytest.approx((1e-4, -0.1))
    with rasterio.open(path) as file:
        raised = replace(WEST, shift=1000)
        np.testing.assert_array_equal(file.read(4), expected(path, [raised, shifted], "B08"))


def test_a_product_made_anew_replaces_the_old(catalogue: Catalogue, port: Site) -> None:
    catalogue.add(WEST)
    catalogue.add(replace(WEST, baseline="05.00", created="20230101T000000"), number=1)
    source = open_source(catalogue.url)
    (overpass,) = plan(port, "2020-03-01", "2020-03-01", "nowhere", source).todo
    assert [granule.baseline for granule in overpass.granules] == [5.0]


def test_a_granule_of_the_next_utm_zone_is_warped(catalogue: Catalogue, port: Site, tmp_path: Path) -> None:
    move = rasterio.warp.transform("EPSG:32651", "EPSG:32652", [WEST.box[0]], [WEST.box[3]])
    left, top = (round(part[0] / 20) * 20.0 for part in move)
    far = replace(WEST, epsg=32652, box=(left - 800, top - 6000, left + 13_000, top + 800), tile="52SBH")
    catalogue.add(far)
    (result,) = run(catalogue, port, tmp_path / "out")
    assert result.error is None
    with open_scene(tmp_path / "out" / f"{result.scene_id}.tif") as scene:
        assert scene.grid.crs.to_epsg() == 32651
        with rasterio.open(catalogue.folder / "S2A_52SBH_20200301_0_L2A" / "B08.tif") as file:
            middle = scene.grid.to_lonlat(scene.grid.width / 2, scene.grid.height / 2)
            x, y = rasterio.warp.transform("EPSG:4326", file.crs, [float(middle[0])], [float(middle[1])])
            there = next(file.sample([(x[0], y[0])]))[0]
    with rasterio.open(tmp_path / "out" / f"{result.scene_id}.tif") as file:
        here = file.read(
            4, window=((file.height // 2, file.height // 2 + 1), (file.width // 2, file.width // 2 + 1))
        )
        assert file.read(5).max() == 6
    assert abs(float(here[0, 0]) - float(there)) < 110  # bilinear among neighbours of a steep pattern


def test_all_pages_are_read(tmp_path: Path, port: Site) -> None:
    with Catalogue(tmp_path / "cogs", page=2) as server:
        for days in range(5):
            server.add(replace(WEST, acquired=WHEN + timedelta(days=days)))
        assert len(plan(port, "2020-02-01", "2020-03-31", "nowhere", open_source(server.url)).todo) == 5
        assert len(server.asked("/search")) == 3
        assert len(plan(port, "2020-03-02", "2020-03-04", "nowhere", open_source(server.url)).todo) == 3


def test_l1c_has_no_classes(catalogue: Catalogue, port: Site, tmp_path: Path) -> None:
    whole = replace(WEST, box=box(0, 0, 12000, 4200))
    catalogue.add(whole, level="L1C")
    source = open_source(catalogue.url, collection="sentinel-2-l1c")
    (result,) = fetch(plan(port, "2020-03-01", "2020-03-01", tmp_path / "out", source))
    assert result.error is None and result.record is not None
    with open_scene(tmp_path / "out" / f"{result.scene_id}.tif") as scene:
        assert (scene.level, scene.bands) == ("L1C", BANDS)
    assert [row["clear_fraction"] for row in result.record["looks"]] == [1.0, 1.0]


@pytest.mark.parametrize(
    ("where", "kind"),
    [
        ("^/$", "503"),
        *(("search", kind) for kind in ("429", "500", "truncate", "slow", "redirect")),
        *(("SCL", kind) for kind in ("truncate", "html", "500")),
        *(("B0[38]", kind) for kind in ("429", "500", "truncate", "html", "slow", "redirect")),
    ],
)
def test_faults_that_pass(catalogue: Catalogue, port: Site, tmp_path: Path, kind: str, where: str) -> None:
    catalogue.add(WEST)
    catalogue.add(EAST)
    headers = {"Retry-After": "0"} if kind == "429" else {}
    catalogue.fault(where, kind, times=2, headers=headers)
    (result,) = run(catalogue, port, tmp_path / "out")
    assert result.error is None
    check_pixels(tmp_path / "out" / f"{result.scene_id}.tif", [WEST, EAST])


@pytest.mark.parametrize("kind", ["short", "long"])
def test_a_wrong_length_never_damages_pixels(
    catalogue: Catalogue, port: Site, tmp_path: Path, kind: str
) -> None:
    catalogue.add(WEST)
    catalogue.add(EAST)
    catalogue.fault("B04", kind, times=2)
    (result,) = run(catalogue, port, tmp_path / "out")
    assert result.error is None
    check_pixels(tmp_path / "out" / f"{result.scene_id}.tif", [WEST, EAST])


@pytest.mark.parametrize("kind", ["500", "truncate", "html", "404", "short"])
def test_faults_that_stay(catalogue: Catalogue, port: Site, tmp_path: Path, kind: str) -> None:
    catalogue.add(WEST)
    catalogue.add(replace(WEST, acquired=WHEN + timedelta(days=5)))
    catalogue.fault("20200301.*B03", kind, times=1000)
    bad, good = run(catalogue, port, tmp_path / "out")
    assert bad.error is not None and good.error is None
    assert "B03.tif" in str(bad.error)
    assert [path.name for path in (tmp_path / "out").glob("*.tif")] == [f"{good.scene_id}.tif"]
    catalogue.faults.clear()
    stored = len(catalogue.log)
    (mended,) = run(catalogue, port, tmp_path / "out")
    assert mended.scene_id == bad.scene_id and mended.error is None
    assert not [entry for entry in catalogue.log[stored:] if "20200306" in entry[1]]


@pytest.mark.parametrize(
    ("where", "kind"),
    [("^/$", "404"), ("^/$", "html"), ("search", "500"), ("search", "truncate"), ("search", "html")],
)
def test_a_catalogue_that_stays_away(catalogue: Catalogue, port: Site, kind: str, where: str) -> None:
    catalogue.fault(where, kind, times=1000)
    source = open_source(f"{catalogue.url}/?token=hidden-token")
    with pytest.raises(FetchError, match="cannot search") as caught:
        plan(port, "2020-03-01", "2020-03-02", "nowhere", source)
    assert "hidden-token" not in str(caught.value)


def test_a_redirect_that_loses_the_search(catalogue: Catalogue, port: Site) -> None:
    """301 turns a POST into a GET without its body, and the catalogue then lists anything."""
    catalogue.add(replace(WEST, acquired=WHEN + timedelta(days=400)))
    catalogue.fault("search", "redirect301", times=1, headers={"Location": "/search"})
    with pytest.raises(FetchError, match="not asked for"):
        plan(port, "2020-03-01", "2020-03-02", "nowhere", open_source(catalogue.url))


def test_nobody_answers(port: Site) -> None:
    with pytest.raises(FetchError, match="cannot search"):
        plan(port, "2020-03-01", "2020-03-02", "nowhere", open_source("http://127.0.0.1:9"))


def test_items_without_a_time_or_footprint(catalogue: Catalogue, port: Site) -> None:
    item = catalogue.add(WEST)
    source = open_source(catalogue.url)
    found = source.search(plan(port, "2020-03-01", "2020-03-01", "x", source).area, WHEN, WHEN)
    assert [overpass.tiles for overpass in overpasses(found)] == [("51SYC",)]
    assert stac.item_granule({**item, "geometry": None}, "L2A") is not None
    assert stac.item_granule({**item, "properties": {}}, "L2A") is None


def test_an_item_cannot_name_files_of_this_machine(catalogue: Catalogue, port: Site, tmp_path: Path) -> None:
    item = catalogue.add(WEST)
    here = catalogue.folder / item["id"]
    for links in ([], [{"rel": "self", "href": str(here / "item.json")}]):
        item["links"] = links
        for key, band in (("blue", "B02"), ("green", "B03"), ("red", "B04"), ("nir", "B08"), ("scl", "SCL")):
            item["assets"][key]["href"] = str(here / f"{band}.tif")
        (result,) = run(catalogue, port, tmp_path / "out")
        assert isinstance(result.error, UnreadableSceneError)
