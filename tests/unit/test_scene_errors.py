"""Bad input: one clear sentence of the right family, and not a word on stderr."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from affine import Affine

from detector.errors import (
    BargewatchError,
    EmptySceneError,
    GeoreferenceError,
    MissingBandError,
    SceneError,
    SceneNotFoundError,
    UnknownScaleError,
    UnreadableSceneError,
)
from detector.geometry import Window
from detector.scene import open_scene
from detector.scene.gdal import display
from tests import scenes

RGBN = ("B04", "B03", "B02", "B08")
SCALE = {"SCALE": "DN / 10000"}


def tif(path: Path, array=None, **options) -> Path:
    options = {"descriptions": RGBN, "tags": SCALE, **options}
    return scenes.write_raster(path, scenes.four_bands() if array is None else array, **options)


def cog(path: Path) -> Path:
    return tif(path, noise(), driver="COG", compress="deflate", blocksize=128)


def noise() -> np.ndarray:
    return np.random.default_rng(0).integers(1, 9999, (4, 400, 400)).astype(np.uint16)


def truncated(path: Path, keep: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    return path


def fails(source, error, match, **options) -> None:
    with pytest.raises(error, match=match) as caught:
        open_scene(source, **options)
    assert isinstance(caught.value, BargewatchError)
    assert "\n" not in str(caught.value)


def test_missing(tmp_path: Path) -> None:
    fails(tmp_path / "no.tif", SceneNotFoundError, "does not exist")
    fails(tmp_path / "no.tif", FileNotFoundError, "no.tif")


def test_empty_folder(tmp_path: Path) -> None:
    fails(tmp_path, SceneNotFoundError, "holds no raster")


def test_empty_safe(tmp_path: Path) -> None:
    (tmp_path / "S2A_MSIL2A_x.SAFE" / "GRANULE").mkdir(parents=True)
    fails(tmp_path / "S2A_MSIL2A_x.SAFE", SceneNotFoundError, "holds no raster")


@pytest.mark.parametrize("content", [b"", b"hello", b"II*\0" + b"\xff" * 200, os.urandom(5000)])
@pytest.mark.parametrize("name", ["a.tif", "a.jp2", "a.nc", "a"])
def test_not_a_raster(tmp_path: Path, content, name) -> None:
    (tmp_path / name).write_bytes(content)
    fails(tmp_path / name, UnreadableSceneError, name)


def test_truncated_tiff_fails_when_read(tmp_path: Path) -> None:
    path = truncated(cog(tmp_path / "a.tif"), 0.6)
    with open_scene(path) as scene, pytest.raises(UnreadableSceneError, match="a.tif.*truncated"):
        scene.read(Window(0, 0, 400, 400), RGBN)


@pytest.mark.parametrize("keep", [0.01, 0.5, 0.95])
def test_truncated_jp2(tmp_path: Path, keep) -> None:
    for name, band in zip(("B02", "B03", "B04"), noise(), strict=False):
        path = scenes.write_raster(tmp_path / f"{name}.jp2", band)
    truncated(path, keep)
    with pytest.raises(UnreadableSceneError, match="B04"), open_scene(tmp_path, scale=1e-4) as scene:
        scene.read(Window(0, 0, 400, 400), RGBN[:3])


def test_nothing_on_stderr(tmp_path: Path) -> None:
    """In a process of its own: no GDAL line, no warning, no traceback."""
    (tmp_path / "text.tif").write_bytes(b"hello")
    truncated(cog(tmp_path / "short.tif"), 0.6)
    (tmp_path / "jp2").mkdir()
    for name, band in zip(("B02", "B03", "B04"), noise(), strict=False):
        options = {"blockxsize": 128, "blockysize": 128}
        truncated(scenes.write_raster(tmp_path / "jp2" / f"{name}.jp2", band, **options), 0.7)
    tif(tmp_path / "nowhere.tif", crs=None)
    code = (
        "import sys\n"
        "from detector.errors import BargewatchError\n"
        "from detector.geometry import Window\n"
        "from detector.scene import open_scene\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        with open_scene(path, scale=1e-4) as scene:\n"
        "            scene.read(Window(0, 0, 400, 400), scene.bands)\n"
        "        print('read', path)\n"
        "    except BargewatchError as error:\n"
        "        print(type(error).__name__)\n"
    )
    names = ["text.tif", "short.tif", "jp2", "nowhere.tif", "gone.tif"]
    run = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", code, *(str(tmp_path / name) for name in names)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert run.stderr == ""
    assert run.stdout.split() == [*["UnreadableSceneError"] * 3, "GeoreferenceError", "SceneNotFoundError"]


def test_missing_band_is_named(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", descriptions=("B04", "B03", "B05", "B08"))
    fails(path, MissingBandError, "B04, B03, B05, B08, but not B02")
    with open_scene(path, require=("B08",)) as scene, pytest.raises(MissingBandError, match="B12"):
        scene.read(Window(0, 0, 4, 4), ("B12",))


def test_twins(tmp_path: Path) -> None:
    fails(
        tif(tmp_path / "a.tif", descriptions=("B04", "B03", "B02", "red")),
        MissingBandError,
        "two bands called B04",
    )


def test_unknown_scale(tmp_path: Path) -> None:
    fails(tif(tmp_path / "a.tif", tags=None), UnknownScaleError, "scale=")
    fails(tif(tmp_path / "b.tif", tags={"SCALE": "ask Bob"}), UnknownScaleError, "ask Bob")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"crs": None}, "no CRS"),
        ({"transform": Affine(8, 6, 4e5, 6, -8, 4.3e6)}, "rotated"),
    ],
)
def test_no_position(tmp_path: Path, options, match) -> None:
    fails(tif(tmp_path / "a.tif", **options), GeoreferenceError, match)


def test_position_given(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", crs=None)
    with open_scene(path, crs="EPSG:32651", transform=scenes.grid_transform()) as scene:
        assert scene.grid.crs.to_epsg() == 32651
    fails(path, GeoreferenceError, "not a CRS", crs="EPSG:nope", transform=scenes.grid_transform())
    fails(path, GeoreferenceError, "six numbers", crs="EPSG:32651", transform="here")


def test_one_pixel(tmp_path: Path) -> None:
    fails(tif(tmp_path / "a.tif", np.ones((4, 1, 1), np.uint16)), EmptySceneError, "1 x 1")
    fails(np.ones((3, 1, 1), np.uint8), EmptySceneError, "1 x 1", bands=RGBN[:3])


def test_all_nan(tmp_path: Path) -> None:
    array = np.full((4, 50, 50), np.nan, np.float32)
    fails(tif(tmp_path / "a.tif", array, tags=None), EmptySceneError, "no pixel")
    fails(array, EmptySceneError, "no pixel", bands=RGBN, crs=scenes.CRS, transform=scenes.grid_transform())


def test_all_no_data_reads_as_nan(tmp_path: Path) -> None:
    with open_scene(tif(tmp_path / "a.tif", np.zeros((4, 50, 50), np.uint16))) as scene:
        assert np.isnan(scene.reflectance(Window(0, 0, 50, 50), RGBN)).all()


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.ones((50, 50)), UnreadableSceneError),
        (np.ones((4, 50, 50), complex), UnreadableSceneError),
        (np.ones((4, 50, 50), "U1"), UnreadableSceneError),
        (np.ones((5, 50, 50), np.uint16), MissingBandError),
    ],
)
def test_odd_arrays(array, error) -> None:
    fails(array, error, "array", bands=RGBN, crs=scenes.CRS, transform=scenes.grid_transform())


def test_array_without_position_or_names() -> None:
    fails(scenes.four_bands(), MissingBandError, "bands=")
    fails(scenes.four_bands(), GeoreferenceError, "transform=", bands=RGBN, scale=1e-4)


@pytest.mark.parametrize("source", [None, 5, ["a.tif"]])
def test_not_a_source(source) -> None:
    fails(source, SceneError, "not a scene")


def test_bands_on_different_grids(tmp_path: Path) -> None:
    for name, band in zip(("B02", "B03"), scenes.four_bands(), strict=False):
        scenes.write_raster(tmp_path / f"{name}.tif", band)
    scenes.write_raster(tmp_path / "B04.tif", scenes.sea(), crs="EPSG:32652")
    fails(tmp_path, GeoreferenceError, "B04 .*EPSG:32652", scale=1e-4)
    scenes.write_raster(
        tmp_path / "B04.tif", scenes.sea(), transform=Affine(10, 0, 600_000, 0, -10, 4_300_020)
    )
    fails(tmp_path, GeoreferenceError, "same ground", scale=1e-4)


def test_two_files_for_a_band(tmp_path: Path) -> None:
    for name in ("a_B02", "b_B02", "a_B03", "a_B04"):
        scenes.write_raster(tmp_path / f"{name}.tif", scenes.sea())
    fails(tmp_path, SceneError, "two files for one band", scale=1e-4)


def test_bad_zips(tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_bytes(b"PK\3\4 not really")
    fails(tmp_path / "text.zip", UnreadableSceneError, "damaged")
    safe = scenes.write_safe(tmp_path / "in", size=40)
    whole = scenes.zip_folder(safe).read_bytes()
    (tmp_path / "short.zip").write_bytes(whole[: len(whole) // 2])
    fails(tmp_path / "short.zip", UnreadableSceneError, "damaged")
    broken = bytearray(whole)
    broken[2000:60_000] = os.urandom(58_000)  # the directory at the end is whole, the files are not
    (tmp_path / "broken.zip").write_bytes(broken)
    with pytest.raises(UnreadableSceneError), open_scene(tmp_path / "broken.zip") as scene:
        scene.read(Window(0, 0, 40, 40), RGBN)


def test_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        root = f"{scenes.product_name()}.SAFE"
        with archive.open(f"{root}/MTD_MSIL2A.xml", "w") as file:
            for _ in range(64):
                file.write(b" " * 2**20)
        archive.writestr(f"{root}/GRANULE/x/IMG_DATA/R10m/T51SYC_20200301T022109_B02_10m.jp2", b"x")
        archive.writestr("../../evil.jp2", b"x")
    fails(path, UnreadableSceneError, "larger than")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bomb.zip"]


BOMB = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        (
            lambda text: text.replace("<n1:Level-2A_User", f"{BOMB}<n1:Level-2A_User", 1),
            UnreadableSceneError,
            "document type",
        ),
        (
            lambda text: text.replace("<n1:Level-2A_User", f"{OUTSIDE}<n1:Level-2A_User", 1),
            UnreadableSceneError,
            "document type",
        ),
        (lambda text: text[: len(text) // 2], UnreadableSceneError, "well-formed"),
        (lambda text: "", UnreadableSceneError, "well-formed"),
        (lambda text: text.replace("BOA_ADD_OFFSET", "SOMETHING"), UnknownScaleError, "baseline 05.09"),
        (
            lambda text: text.replace("BOA_QUANTIFICATION_VALUE", "SOMETHING"),
            UnknownScaleError,
            "QUANTIFICATION",
        ),
        (lambda text: text.replace(">10000<", ">many<"), UnknownScaleError, "cannot be read"),
        (lambda text: text.replace('band_id="1"', 'band_id="77"'), UnknownScaleError, "cannot be read"),
        (
            lambda text: text.replace('<BOA_ADD_OFFSET band_id="1">-1000</BOA_ADD_OFFSET>', ""),
            UnknownScaleError,
            "scale=",
        ),
    ],
)
def test_bad_metadata(tmp_path: Path, change, error, match) -> None:
    safe = scenes.write_safe(tmp_path, size=20)
    xml = safe / "MTD_MSIL2A.xml"
    xml.write_text(change(xml.read_text()))
    fails(safe, error, match)


def test_safe_without_metadata_and_without_a_name_that_tells(tmp_path: Path) -> None:
    safe = scenes.write_safe(tmp_path, metadata=False, size=20)
    fails(safe.rename(tmp_path / "mine.SAFE"), UnknownScaleError, "no MTD_MSIL1C.xml")


def test_safe_that_lacks_a_band_file(tmp_path: Path) -> None:
    fails(scenes.write_safe(tmp_path, bands=("B02", "B03", "B08"), size=20), MissingBandError, "not B04")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[]",
        "{}",
        '{"type": "Feature"}',
        '{"type": "FeatureCollection", "features": []}',
        "[" * 90_000,
    ],
)
def test_json_that_is_no_item(tmp_path: Path, text) -> None:
    path = tmp_path / "item.json"
    path.write_text(text)
    fails(path, UnreadableSceneError, "item.json")


def test_stac_traps(tmp_path: Path) -> None:
    item = scenes.write_stac(tmp_path, keys={"blue": "B02", "red": "B04"})
    fails(item, MissingBandError, "not B03", scale=1e-4)
    fails(item, MissingBandError, "assets", bands=RGBN)
    (tmp_path / "B04.tif").unlink()
    fails(item, UnreadableSceneError, "B04.tif", scale=1e-4)


def test_an_item_from_the_web_cannot_reach_local_files() -> None:
    from detector.scene.stac import _resolve

    base = "https://example.org/items/1"
    assert _resolve("/etc/passwd", base) == "https://example.org/etc/passwd"
    assert _resolve("./B02.tif?sig=1", base) == "https://example.org/items/B02.tif?sig=1"
    assert _resolve("s3://bucket/B02.tif", base) == "s3://bucket/B02.tif"
    with pytest.raises(UnreadableSceneError, match="local file"):
        _resolve("file:///etc/passwd", base)


def test_signatures_and_passwords_are_not_shown() -> None:
    assert display("https://me:secret@host/B02.tif?sig=abc&x=1") == "https://host/B02.tif"
    with pytest.raises(UnreadableSceneError) as caught:
        open_scene("https://me:secret@127.0.0.1:9/B02.tif?sig=abc")
    assert "secret" not in str(caught.value) and "abc" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif")
    path.chmod(0)
    fails(path, UnreadableSceneError, "ermission")


def test_threads_share_a_scene_and_close_ends_it(tmp_path: Path) -> None:
    path = tif(tmp_path / "a.tif", noise(), tiled=True, blockxsize=64, blockysize=64)
    scene = open_scene(path)
    whole = scene.read(Window(0, 0, 400, 400), RGBN)
    seen = set()

    def check(i: int) -> bool:
        seen.add(threading.get_ident())
        col, row = (i * 37) % 330, (i * 91) % 330
        return np.array_equal(
            scene.read(Window(col, row, 70, 70), RGBN), whole[:, row : row + 70, col : col + 70]
        )

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(check, range(200)))
    assert len(seen) > 1
    scene.close()
    scene.close()
    with pytest.raises(SceneError, match="closed"):
        scene.read(Window(0, 0, 4, 4), RGBN)


def test_jpeg_2000_files_are_decoded_beside_each_other(tmp_path: Path) -> None:
    array = noise()
    for name, band in zip(("B04", "B03", "B02", "B08"), array, strict=True):
        scenes.write_raster(tmp_path / f"{name}.jp2", band, blockxsize=128, blockysize=128)
    windows = [Window((i * 37) % 330, (i * 91) % 330, 70, 70) for i in range(40)]
    with open_scene(tmp_path, scale=1e-4) as scene, ThreadPoolExecutor(3) as pool:
        for window, got in zip(windows, pool.map(lambda w: scene.read(w, RGBN), windows), strict=True):
            rows, cols = slice(window.row, window.row + 70), slice(window.col, window.col + 70)
            np.testing.assert_array_equal(got, array[:, rows, cols])
    with pytest.raises(SceneError, match="closed"):
        scene.read(windows[0], RGBN)


@pytest.mark.parametrize(
    "window", [Window(-20, -20, 10, 10), Window(500, 0, 10, 10), Window(0, 0, 0, 0), Window(395, 395, 20, 20)]
)
def test_windows_may_stick_out(tmp_path: Path, window) -> None:
    with open_scene(tif(tmp_path / "a.tif", noise())) as scene:
        got = scene.read(window, RGBN)
    assert got.shape == (4, window.height, window.width)
    assert (got > 0).sum() == (100 if window.col == 395 else 0)
