"""Fetching training data: against a server on this machine, and from a local copy."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import rasterio
from affine import Affine

from detector.errors import ConfigError, LabelError
from detector.resources import config_path
from training.assemble import convert_labels, label_digest, mask_to_box, mosaic, pixel_digests, stack_port
from training.config import read_folds
from training.download import DownloadError, download, git_blob_sha1, sha256
from training.fetch import fetch, link, read_manifest

pytest.importorskip("cv2")
CONTENT = np.random.default_rng(0).bytes(700_000)


class Server(ThreadingHTTPServer):
    """Serves `files`; breaks off after `cut` bytes as often as `cuts` says."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut, self.cuts, self.ranges = 0, 0, True
        self.busy = 0
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path, want = unquote(self.path.split("?")[0].lstrip("/")), self.headers.get("Range")
        self.server.asked.append((path, want))
        if self.server.busy:
            self.server.busy -= 1
            self.send_error(503)
            return
        if path not in self.server.files:
            self.send_error(404)
            return
        body, start = self.server.files[path], 0
        if want and self.server.ranges:
            start = int(want.removeprefix("bytes=").rstrip("-"))
            if start >= len(body):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        body = body[start:]
        if self.server.cuts:
            self.server.cuts -= 1
            body = body[: self.server.cut]
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield running
    running.shutdown()
    running.server_close()


def right(content: bytes):
    return lambda path: path.read_bytes() == content


class TestDownload:
    def test_whole(self, server: Server, tmp_path: Path) -> None:
        server.files["a"] = CONTENT
        assert download(f"{server.url}/a", tmp_path / "x" / "a", right(CONTENT))
        assert not download(f"{server.url}/a", tmp_path / "x" / "a", right(CONTENT))
        assert len(server.asked) == 1
        assert [p.name for p in (tmp_path / "x").iterdir()] == ["a"]

    @pytest.mark.parametrize("ranges", [True, False])
    def test_broken_connection_is_resumed(self, server: Server, tmp_path: Path, ranges: bool) -> None:
        server.files["a"], server.cut, server.cuts, server.ranges = CONTENT, 300_000, 1, ranges
        download(f"{server.url}/a", tmp_path / "a", right(CONTENT), pause_s=0)
        assert server.asked == [("a", None), ("a", "bytes=300000-")]

    def test_a_later_call_goes_on(self, server: Server, tmp_path: Path) -> None:
        server.files["a"], server.cut, server.cuts = CONTENT, 100_000, 9
        with pytest.raises(DownloadError, match="2 attempts"):
            download(f"{server.url}/a", tmp_path / "a", right(CONTENT), attempts=2, pause_s=0)
        assert not (tmp_path / "a").exists()
        assert (tmp_path / "a.part").stat().st_size == 200_000
        server.cuts = 0
        download(f"{server.url}/a", tmp_path / "a", right(CONTENT), pause_s=0)
        assert server.asked[-1] == ("a", "bytes=200000-")

    def test_wrong_file_is_not_kept(self, server: Server, tmp_path: Path) -> None:
        server.files["a"] = b"something else"
        (tmp_path / "a").write_bytes(b"old")
        with pytest.raises(DownloadError, match="hash"):
            download(f"{server.url}/a", tmp_path / "a", right(CONTENT), pause_s=0)
        assert (tmp_path / "a").read_bytes() == b"old"
        assert not (tmp_path / "a.part").exists()

    def test_part_of_another_file_is_thrown_away(self, server: Server, tmp_path: Path) -> None:
        server.files["a"] = CONTENT
        (tmp_path / "a.part").write_bytes(b"x" * 1000)
        download(f"{server.url}/a", tmp_path / "a", right(CONTENT), pause_s=0)
        (tmp_path / "b.part").write_bytes(b"x" * 900_000)  # longer than the file: the server answers 416
        download(f"{server.url}/a", tmp_path / "b", right(CONTENT), pause_s=0)

    def test_missing_is_said_at_once(self, server: Server, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match="404"):
            download(f"{server.url}/none", tmp_path / "a", right(b""), pause_s=0)
        assert len(server.asked) == 1

    def test_busy_server_is_asked_again(self, server: Server, tmp_path: Path) -> None:
        server.files["a"], server.busy = CONTENT, 2
        download(f"{server.url}/a", tmp_path / "a", right(CONTENT), pause_s=0)

    def test_no_server(self, tmp_path: Path) -> None:
        with pytest.raises(DownloadError, match="could not be fetched"):
            download("http://127.0.0.1:9/a", tmp_path / "a", right(b""), attempts=2, pause_s=0)

    def test_git_name(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_bytes(b"hello\n")
        assert git_blob_sha1(tmp_path / "a") == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object


def raster(path: Path, pixels: np.ndarray, x: float = 0.0, y: float = 0.0, crs: str = "EPSG:32615") -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels[None] if pixels.ndim == 2 else pixels
    with rasterio.open(
        path, "w", driver="GTiff", width=pixels.shape[2], height=pixels.shape[1], count=len(pixels),
        dtype=pixels.dtype, crs=crs, transform=Affine(10, 0, x, 0, -10, y),
    ) as out:  # fmt: skip
        out.write(pixels)
    return path.read_bytes()


def runs(mask: np.ndarray) -> list[int]:
    flat, counts, value = mask.T.reshape(-1), [], 0
    while len(flat):
        change = np.flatnonzero(flat != value)
        length = int(change[0]) if len(change) else len(flat)
        counts.append(length)
        flat, value = flat[length:], 1 - value
    return counts


def source_labels(ports: dict[str, list[np.ndarray]]) -> dict:
    images, annotations = [], []
    for number, (port, masks) in enumerate(ports.items(), 1):
        h, w = masks[0].shape
        images.append({"id": number, "file_name": f"{port}_rgb.tiff", "width": w, "height": h})
        for mask in masks:
            segmentation = {"counts": runs(mask), "size": [h, w]}
            annotations.append({"id": 90 + len(annotations), "image_id": number, "segmentation": segmentation})
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "ship"}]}


def block(shape: tuple[int, int], top: int, left: int, height: int, width: int) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    mask[top : top + height, left : left + width] = 1
    return mask


class TestAssemble:
    def test_mask_of_the_public_file(self) -> None:
        # Annotation 1 of coco_annotations.json (MIT), and what the prepared labels hold for it.
        counts = [335248, 3, 695, 5, 693, 6, 693, 6, 693, 6, 693, 5, 695, 3, 388914]
        got = mask_to_box({"id": 1, "segmentation": {"counts": counts, "size": [699, 1042]}})
        assert got["bbox"] == [479.0, 425.0, 7.0, 6.0]
        assert got["obb"] == [486.0, 431.0, 479.0, 431.0, 479.0, 425.0, 486.0, 425.0]

    def test_labels_are_numbered_in_the_order_of_ports(self, tmp_path: Path) -> None:
        shape = (30, 40)
        ports = {"z": [block(shape, 2, 3, 4, 9)], "skipped": [block(shape, 0, 0, 2, 2)],
                 "a": [block(shape, 1, 1, 5, 5), block(shape, 9, 9, 2, 7)]}  # fmt: skip
        (tmp_path / "s.json").write_text(json.dumps(source_labels(ports)))
        convert_labels(tmp_path / "s.json", tmp_path / "o.json", ["a", "z"])
        table = json.loads((tmp_path / "o.json").read_text())
        assert [i["file_name"] for i in table["images"]] == ["a.tif", "z.tif"]
        assert [(a["id"], a["image_id"], a["bbox"]) for a in table["annotations"]] == [
            (1, 1, [1, 1, 5, 5]), (2, 1, [9, 9, 7, 2]), (3, 2, [3, 2, 9, 4])
        ]  # fmt: skip
        with pytest.raises(LabelError, match="no image of b"):
            convert_labels(tmp_path / "s.json", tmp_path / "o.json", ["b"])

    def test_port_keeps_pixels_and_grid(self, tmp_path: Path) -> None:
        rng = np.random.default_rng(0)
        bands = {band: rng.integers(0, 65535, (20, 30), dtype=np.uint16) for band in ("B02", "B08")}
        for band, pixels in bands.items():
            raster(tmp_path / f"{band}.tiff", pixels, crs="EPSG:3857")
        files = {band: tmp_path / f"{band}.tiff" for band in bands}
        stack_port(files, tmp_path / "p.tif", "2023-01-01")
        with rasterio.open(tmp_path / "p.tif") as port:
            assert port.descriptions == ("B02", "B08")
            assert port.tags()["SCALE"] == "reflectance = DN / 65535"
            assert (port.read() == np.stack(list(bands.values()))).all()
        raster(tmp_path / "B08.tiff", bands["B08"], x=5.0, crs="EPSG:3857")
        with pytest.raises(Exception, match="another grid"):
            stack_port(files, tmp_path / "q.tif", "2023-01-01")
        assert not (tmp_path / "q.tif").exists()

    def test_mosaic(self, tmp_path: Path) -> None:
        tile = np.zeros((4, 5, 5), np.uint8)
        tile[:3], tile[3], tile[0, 0, 0], tile[3, :, 4] = 9, 255, 0, 0
        raster(tmp_path / "t1.tif", tile, x=20, y=-10)
        raster(tmp_path / "t2.tif", tile, x=-20, y=1000)  # beyond the mosaic
        mosaic([tmp_path / "t1.tif", tmp_path / "t2.tif"], tmp_path / "m.tif", origin=(0, 0), size=(10, 8), date="2019")
        with rasterio.open(tmp_path / "m.tif") as got:
            pixels = got.read()
        assert pixels[:, 1, 2].tolist() == [1, 9, 9]  # black inside becomes 1
        assert (pixels[:, :, 6] == 0).all()  # transparent stays outside
        assert (pixels[0] > 0).sum() == 20


class TestFetch:
    @pytest.fixture
    def manifest(self, server: Server, tmp_path: Path) -> dict:
        """A source of one port, one date and one file, and what must become of it."""
        made = tmp_path / "made"
        shape = (20, 30)
        names = {}
        for i, band in enumerate(("B03", "B04")):
            path = f"sen2ships/busan/2022-05-14-00:00_L2A_{band}_(Raw).tiff"
            pixels = np.random.default_rng(i).integers(1, 9999, shape, dtype=np.uint16)
            names[path] = raster(made / f"{band}.tiff", pixels, crs="EPSG:3857")
        stack_port({b: made / f"{b}.tiff" for b in ("B03", "B04")}, made / "busan.tif", "2022-05-14")
        names["labels.json"] = json.dumps(source_labels({"busan": [block(shape, 2, 3, 4, 9)]})).encode()
        names["sen2ships/durban/2023-08-21_L2A_B03_(Raw).tiff"] = b"test port"
        (made / "source.json").write_bytes(names["labels.json"])
        convert_labels(made / "source.json", made / "annotations.json", ["busan"])
        blobs = []
        for path, content in names.items():
            server.files[f"raw/{path}"] = content
            (made / "blob").write_bytes(content)
            blobs.append({"path": path, "type": "blob", "sha": git_blob_sha1(made / "blob")})
        server.files["tree"] = json.dumps({"tree": blobs, "truncated": False}).encode()
        server.files["w.pt"] = b"weights"
        return {
            "sources": {
                "sen2ships": {"kind": "ports", "repo": "o/r", "commit": "c" * 40, "tree": f"{server.url}/tree",
                              "raw": f"{server.url}/raw", "labels": "labels.json", "ports": {"busan": "2022-05-14"}},
                "weights": {"kind": "files", "urls": {"weights/w.pt": f"{server.url}/w.pt"}},
            },
            "prepared": {
                "sen2ships/busan.tif": {"sha256": "0" * 64, "pixels": pixel_digests(made / "busan.tif")},
                "sen2ships/annotations.json": {"sha256": "0" * 64, "labels": label_digest(made / "annotations.json")},
                "weights/w.pt": {"sha256": hashlib.sha256(b"weights").hexdigest()},
            },
        }  # fmt: skip

    def test_all_and_again(self, server: Server, tmp_path: Path, manifest: dict) -> None:
        out, said = tmp_path / "data", []
        assert fetch(out, said.append, manifest, pause_s=0) == []
        assert pixel_digests(out / "sen2ships/busan.tif") == manifest["prepared"]["sen2ships/busan.tif"]["pixels"]
        assert (out / "weights/w.pt").read_bytes() == b"weights"
        assert not any("durban" in path for path, _ in server.asked)
        before = len(server.asked)
        assert fetch(out, said.append, manifest, pause_s=0) == []
        assert len(server.asked) == before

    def test_one_bad_file_does_not_stop_the_rest(self, server: Server, tmp_path: Path, manifest: dict) -> None:
        server.files["raw/sen2ships/busan/2022-05-14-00:00_L2A_B04_(Raw).tiff"] = b"truncated"
        problems = fetch(tmp_path / "data", print, manifest, pause_s=0)
        assert len(problems) == 1
        assert "busan" in problems[0]
        assert not (tmp_path / "data/sen2ships/busan.tif").exists()
        assert (tmp_path / "data/sen2ships/annotations.json").is_file()

    def test_other_pixels_are_refused(self, tmp_path: Path, manifest: dict) -> None:
        manifest["prepared"]["sen2ships/busan.tif"]["pixels"]["B04"] = "0"
        (problem,) = fetch(tmp_path / "data", print, manifest, pause_s=0)
        assert "differs in B04" in problem
        assert not (tmp_path / "data/sen2ships/busan.tif").exists()

    def test_other_labels_are_refused(self, tmp_path: Path, manifest: dict) -> None:
        manifest["prepared"]["sen2ships/annotations.json"]["labels"] = "0"
        (problem,) = fetch(tmp_path / "data", print, manifest, pause_s=0)
        assert "corrections" in problem

    def test_cut_listing(self, server: Server, tmp_path: Path, manifest: dict) -> None:
        server.files["tree"] = b'{"tree": [{"path": "a", "type": "blob", "sha": "b"}], "truncated": true}'
        (problem,) = fetch(tmp_path / "data", print, manifest, pause_s=0)
        assert problem.startswith("sen2ships: ")

    def test_local_copy(self, tmp_path: Path, manifest: dict) -> None:
        copy, out = tmp_path / "copy", tmp_path / "data"
        (copy / "weights").mkdir(parents=True)
        (copy / "weights/w.pt").write_bytes(b"weights")
        (copy / "sen2ships").mkdir()
        (copy / "sen2ships/busan.tif").write_bytes(b"another")
        problems = link(copy, out, print, manifest)
        assert (out / "weights/w.pt").read_bytes() == b"weights"
        assert len(problems) == 2
        assert "SHA-256" in problems[0]
        assert not (out / "sen2ships/busan.tif").exists()
        with pytest.raises(ConfigError, match="no folder"):
            link(tmp_path / "none", out, print, manifest)


def test_shipped_manifest_names_no_test_port() -> None:
    manifest = read_manifest()
    _, test = read_folds()
    ports = manifest["sources"]["sen2ships"]["ports"]
    assert not set(ports) & set(test)
    assert not any(port in name for port in test for name in manifest["prepared"])
    assert all(f"sen2ships/{port}.tif" in manifest["prepared"] for port in ports)
    assert all(len(entry["sha256"]) == 64 for entry in manifest["prepared"].values())
    with pytest.raises(ConfigError, match="not a list of data files"):
        read_manifest(config_path("folds.yaml"))


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    assert sha256(tmp_path / "a") == hashlib.sha256(CONTENT).hexdigest()
