"""A folder of products as a source, and the manifest that keeps things from being fetched twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio

from detector.errors import ConfigError, FetchError
from detector.imagery.fetching import Fetched, fetch, plan
from detector.imagery.manifest import Manifest, only_writer
from detector.imagery.sources import open_source
from detector.loadings.sites import Site, load_site
from detector.scene import open_scene
from tests import scenes
from tests.loopback.world import write_site

LEFT, TOP = scenes.ORIGIN
QUAY = (LEFT + 400, TOP - 900, LEFT + 900, TOP - 400)


@pytest.fixture
def port(tmp_path: Path) -> Site:
    return load_site(write_site(tmp_path / "port.geojson", {"quay": QUAY}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "products").mkdir()
    return tmp_path / "products"


def run(folder: Path, site: Site, out: Path, **options: object) -> list[Fetched]:
    source = open_source(str(folder))
    return list(fetch(plan(site, "2020-02-01", "2020-03-31", out, source, **options)))  # type: ignore[arg-type]


def cut_of(path: Path, band: str = "B08") -> np.ndarray:
    """The part of a product under the site's pixels 40 to 90."""
    from detector.geometry import Window

    with open_scene(path) as scene:
        return scene.read(Window(40, 40, 50, 50), [band])[0]


@pytest.mark.parametrize("zipped", [False, True])
def test_safe(folder: Path, port: Site, tmp_path: Path, zipped: bool) -> None:
    safe = scenes.write_safe(folder, tile_time="2020-03-01T02:27:13.5Z")
    if zipped:
        import shutil

        scenes.zip_folder(safe)
        shutil.rmtree(safe)
    (result,) = run(folder, port, tmp_path / "out")
    assert result.error is None and result.record is not None
    path = tmp_path / "out" / f"{result.scene_id}.tif"
    with open_scene(path) as scene:
        assert scene.radiometry["B08"] == pytest.approx((1e-4, -0.1))
        assert scene.acquired == datetime(2020, 3, 1, 2, 27, 13, 500_000, tzinfo=UTC)
        assert "SCL" in scene.bands
        col, row = (round(float(v)) for v in scene.grid.from_lonlat(*_lonlat(LEFT + 400, TOP - 400)))
        from detector.geometry import Window

        here = scene.read(Window(col, row, 50, 50), ["B08"])[0]
    source = next(folder.glob("*.zip" if zipped else "*.SAFE"))
    np.testing.assert_array_equal(here, cut_of(source))
    assert result.record["granules"][0]["id"] == scenes.product_name()


def _lonlat(x: float, y: float) -> tuple[float, float]:
    from pyproj import Transformer

    lon, lat = Transformer.from_crs(scenes.CRS, "EPSG:4326", always_xy=True).transform(x, y)
    return float(lon), float(lat)


def test_geotiffs_of_any_scale(folder: Path, port: Site, tmp_path: Path) -> None:
    array = scenes.four_bands().astype(np.float32) / 10_000
    names = ("B02", "B03", "B04", "B08")
    scenes.write_raster(folder / "S2A_20200305T022109_x.tif", array, descriptions=names)
    scenes.write_raster(
        folder / "S2A_20200306T022109_y.tif",
        scenes.four_bands(),
        descriptions=names,
        tags={"SCALE": "DN / 20000"},
    )
    floats, halves = run(folder, port, tmp_path / "out")
    with open_scene(tmp_path / "out" / f"{floats.scene_id}.tif") as scene:
        whole = scene.reflectance(_all(scene), ["B08"])
        assert np.nanmin(np.abs(whole - 0.03)) < 1e-4 and np.nanmax(whole) == pytest.approx(0.3, abs=1e-4)
    with open_scene(tmp_path / "out" / f"{halves.scene_id}.tif") as scene:
        assert scene.radiometry["B08"] == pytest.approx((1 / 20_000, 0.0))


def _all(scene):  # type: ignore[no-untyped-def]
    from detector.geometry import Window

    return Window(0, 0, scene.grid.width, scene.grid.height)


def test_what_is_elsewhere_or_at_another_time_is_left(folder: Path, port: Site, tmp_path: Path) -> None:
    names = ("B02", "B03", "B04", "B08")
    far = scenes.grid_transform() * rasterio.Affine.translation(5000, 5000)
    options = {"descriptions": names, "tags": {"SCALE": "DN / 10000"}}
    scenes.write_raster(folder / "S2A_20200305T022109_far.tif", scenes.four_bands(), transform=far, **options)
    scenes.write_raster(folder / "S2A_20210305T022109_late.tif", scenes.four_bands(), **options)
    (folder / "S2A_20210306T022109_late.tif").write_bytes(b"never opened")
    assert run(folder, port, tmp_path / "out") == []


def test_what_cannot_be_read_is_named(folder: Path, port: Site, tmp_path: Path) -> None:
    scenes.write_safe(folder)
    (folder / "S2A_20200305T022109_bad.tif").write_bytes(b"no image")
    scenes.write_raster(
        folder / "undated.tif", scenes.four_bands(), descriptions=("B02", "B03", "B04", "B08")
    )
    source = open_source(str(folder))
    found = plan(port, "2020-02-01", "2020-03-31", tmp_path / "out", source)
    assert len(found.todo) == 1
    skipped = {Path(path).name: text for path, text in source.skipped.items()}  # type: ignore[attr-defined]
    assert set(skipped) == {"S2A_20200305T022109_bad.tif", "undated.tif"}


def test_a_source_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="earth-search, sentinelhub"):
        open_source(str(tmp_path / "gone"))
    from detector.imagery.archive import ArchiveSource

    with pytest.raises(FetchError, match="no folder"):
        ArchiveSource(tmp_path / "gone")


def test_nothing_is_fetched_twice(folder: Path, port: Site, tmp_path: Path) -> None:
    scenes.write_safe(folder)
    out = tmp_path / "out"
    (first,) = run(folder, port, out)
    path = out / f"{first.scene_id}.tif"
    assert run(folder, port, out) == []
    assert len(run(folder, port, out, refetch=True)) == 1
    assert len(run(folder, port, out, margin_m=800)) == 1, "another area"
    assert run(folder, port, out, margin_m=800) == []
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    assert len(run(folder, port, out, margin_m=800)) == 1, "a damaged file"
    path.unlink()
    assert len(run(folder, port, out, margin_m=800)) == 1, "a lost file"
    scenes.write_safe(folder, name=scenes.product_name().replace("T51SYC", "T51SXC"))
    assert len(run(folder, port, out, margin_m=800)) == 1, "a neighbour that came later"
    assert run(folder, port, out, margin_m=800) == []


def test_a_line_that_a_crash_cut(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    record = {
        "scene_id": "a",
        "status": "clouded",
        "looks": [],
        "acquired": "2020",
        "fingerprint": "f",
        "tiles": ["t"],
    }
    manifest.add(record)
    with open(manifest.path, "ab") as file:
        file.write(b'{"scene_id": "b", "sta')
    again = Manifest(tmp_path)
    assert set(again.records) == {"a"}
    again.add(record | {"scene_id": "c"})
    again.add(record | {"tiles": ["t", "u"]})
    last = Manifest(tmp_path)
    assert set(last.records) == {"a", "c"}
    assert last.done("a", "f", ("u",)) and not last.done("a", "g", ("u",)) and not last.done("a", "f", ("v",))
    assert sum(1 for line in manifest.path.read_text().splitlines() if _is_json(line)) == 3


def _is_json(line: str) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def test_one_writer(folder: Path, port: Site, tmp_path: Path) -> None:
    scenes.write_safe(folder)
    (tmp_path / "out").mkdir()
    with only_writer(tmp_path / "out"), pytest.raises(ConfigError, match="another process"):
        run(folder, port, tmp_path / "out")
    assert len(run(folder, port, tmp_path / "out")) == 1
