"""Scenes behind HTTP, from a server on this machine."""

from __future__ import annotations

import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from detector.errors import UnreadableSceneError
from detector.geometry import Window
from detector.scene import open_scene
from tests import scenes

RGBN = ("B04", "B03", "B02", "B08")


class Ranges(SimpleHTTPRequestHandler):
    """Files by byte range, as object stores serve them."""

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        match = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if not match or not path.is_file():
            super().do_GET()
            return
        data = path.read_bytes()
        first, last = int(match[1]), min(int(match[2] or len(data)), len(data) - 1)
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()
        self.wfile.write(data[first : last + 1])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path):
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Ranges, directory=str(tmp_path)))
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{http.server_port}"
    http.shutdown()
    http.server_close()


def test_cog_by_http(tmp_path: Path, server: str) -> None:
    array = scenes.four_bands(600)
    path = tmp_path / "a.tif"
    scenes.write_raster(
        path, array, descriptions=RGBN, tags={"SCALE": "DN / 10000"}, driver="COG", compress="deflate"
    )
    with open_scene(f"{server}/a.tif?token=secret") as scene:
        assert scene.id == "a"
        np.testing.assert_array_equal(scene.read(Window(300, 200, 99, 77), RGBN), array[:, 200:277, 300:399])


def test_stac_item_by_http(tmp_path: Path, server: str) -> None:
    scenes.write_stac(tmp_path, properties={"earthsearch:boa_offset_applied": True}, shift=0)
    with open_scene(f"{server}/item.json") as scene:
        assert scene.radiometry["B04"] == (1e-4, 0.0)
        assert scene.read(Window(0, 0, 9, 9), RGBN).min() > 0


def test_what_is_not_there(server: str) -> None:
    for name in ("gone.tif", "gone.json"):
        with pytest.raises(UnreadableSceneError, match=f"{name}.*404") as caught:
            open_scene(f"{server}/{name}?token=secret")
        assert "secret" not in str(caught.value)
