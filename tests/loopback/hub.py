"""A Sentinel Hub service: OAuth token, Catalog with paging, Process with TIFF and tar answers."""

from __future__ import annotations

import base64
import io
import json
import re
import tarfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import shapely.geometry
import tifffile
from affine import Affine

from tests.loopback.httpd import Request, Response, Server, json_response, path_of
from tests.loopback.world import Pass, centres, lonlat

CLIENT_ID, SECRET = "sh-1f4a-client", "very+secret/T0ken=9"
TOKEN_PATH = "/auth/realms/main/protocol/openid-connect/token"
MOST_PIXELS = 2500


class Hub(Server):
    """Granules of a world; tokens live `lifetime` seconds, or until `withdraw`."""

    def __init__(self, granules: list[Pass], *, page: int = 100, lifetime: int = 3600) -> None:
        super().__init__()
        self.granules, self.page, self.lifetime = granules, page, lifetime
        self.tokens: dict[str, float] = {}
        self.requests: list[dict[str, Any]] = []  # bodies of Process requests that were served

    def account(self, config: Path) -> dict[str, str]:
        """Environment of a process that has an account here, and none in `config`."""
        return {
            "SH_CLIENT_ID": CLIENT_ID,
            "SH_CLIENT_SECRET": SECRET,
            "SH_BASE_URL": self.url,
            "SH_TOKEN_URL": self.url + TOKEN_PATH,
            "OAUTHLIB_INSECURE_TRANSPORT": "1",  # there is no certificate
            "XDG_CONFIG_HOME": str(config),
        }

    def withdraw(self) -> None:
        self.tokens.clear()

    def answer(self, request: Request) -> Response:
        path = path_of(request)
        if path == TOKEN_PATH:
            return self._token(request)
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, 0) < time.time():
            message = {"code": 401, "message": f"invalid token {token}"}  # a careless server echoes it
            return json_response({"error": message}, 401)
        if path == "/api/v1/catalog/1.0.0/search":
            return self._search(request.json())
        if path == "/api/v1/process":
            return self._process(request)
        return json_response({"error": {"message": "no such path"}}, 404)

    def _token(self, request: Request) -> Response:
        form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, SECRET):
            text = f"Invalid client or client credentials: {form.get('client_secret')}"
            return json_response({"error": "invalid_client", "error_description": text}, 401)
        if form.get("grant_type") != "client_credentials":
            return json_response({"error": "unsupported_grant_type"}, 400)
        claims = base64.urlsafe_b64encode(json.dumps({"azp": CLIENT_ID}).encode()).decode()
        token = f"head.{claims}.token-secret-{len(self.tokens)}-{time.time_ns()}"
        self.tokens[token] = time.time() + self.lifetime
        return json_response({"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"})

    def _search(self, query: dict[str, Any]) -> Response:
        first, last = (datetime.fromisoformat(part) for part in query["datetime"].split("/"))
        wanted = shapely.geometry.shape(query["intersects"])
        level = "L1C" if query["collections"] == ["sentinel-2-l1c"] else "L2A"
        features = []
        for granule in self.granules:
            outline = shapely.geometry.Polygon(lonlat(granule.box, granule.epsg))
            if first <= granule.acquired <= last and outline.intersects(wanted):
                features.append(
                    {
                        "type": "Feature",
                        "id": granule.product(level) + ".SAFE",
                        "geometry": shapely.geometry.mapping(outline),
                        "properties": {
                            "datetime": f"{granule.acquired:%Y-%m-%dT%H:%M:%SZ}",
                            "platform": "sentinel-2a",
                            "eo:cloud_cover": 20.0,
                        },
                    }
                )
        start = int(query.get("next", 0))
        size = min(query["limit"], self.page)
        context: dict[str, Any] = {"limit": size, "returned": len(features[start : start + size])}
        if start + size < len(features):
            context["next"] = start + size
        page = features[start : start + size]
        return json_response({"type": "FeatureCollection", "features": page, "context": context})

    def _process(self, request: Request) -> Response:
        body = request.json()
        output, source = body["output"], body["input"]["data"][0]
        width, height = output["width"], output["height"]
        if max(width, height) > MOST_PIXELS:
            return _refused(f"Invalid request: size {width} x {height} exceeds {MOST_PIXELS}")
        crs = body["input"]["bounds"]["properties"]["crs"]
        epsg = int(crs.rsplit("/", 1)[-1])
        left, bottom, right, top = body["input"]["bounds"]["bbox"]
        transform = Affine((right - left) / width, 0, left, 0, -(top - bottom) / height, top)
        span = source["dataFilter"]["timeRange"]
        first, last = (datetime.fromisoformat(span[key]) for key in ("from", "to"))
        seen = [g for g in self.granules if first <= g.acquired <= last and g.epsg == epsg]
        harmonized = source.get("processing", {}).get("harmonizeValues", True)
        files = {}
        for id, values, kind in _outputs(body["evalscript"]):
            files[id] = _render(seen, values, kind, transform, width, height, harmonized)
        asked = [response["identifier"] for response in output["responses"]]
        if set(asked) != set(files):
            return _refused(f"Outputs of the evalscript {sorted(files)} are not {sorted(asked)}")
        self.requests.append(body)
        if len(asked) == 1:
            return Response(200, files[asked[0]], {"Content-Type": "image/tiff"})
        if request.headers.get("accept", request.headers.get("Accept")) != "application/x-tar":
            return _refused("several outputs need Accept: application/x-tar")
        return Response(
            200, _tar({f"{id}.tif": data for id, data in files.items()}), {"Content-Type": "application/tar"}
        )


def _refused(message: str) -> Response:
    return json_response({"error": {"status": 400, "message": message, "code": "COMMON_BAD_PAYLOAD"}}, 400)


def _outputs(script: str) -> list[tuple[str, list[str], str]]:
    """Output id, what `evaluatePixel` gives for it, and its sample type, read off the evalscript."""
    assert script.startswith("//VERSION=3"), "an evalscript of version 3 begins so"
    declared = re.findall(r'(?:id: "(\w+)", )?bands: (\d+), sampleType: "(\w+)"', script)
    result = (
        script[script.index("return [") :] if "return [" in script else script[script.rindex("return {") :]
    )
    lists = re.findall(r"(?:(\w+): )?\[([^\]]*)\]", result)
    values = {name: [part.strip() for part in text.split(",")] for name, text in lists}
    out = []
    for id, count, kind in declared:
        assert len(values[id]) == int(count), f"{id}: {values[id]} for {count} bands"
        out.append((id or "default", values[id], kind))
    return out


def _render(
    granules: list[Pass],
    values: list[str],
    kind: str,
    transform: Affine,
    width: int,
    height: int,
    harmonized: bool,
) -> bytes:
    x, y = centres(transform, width, height)
    layers = []
    for value in values:
        layer = np.zeros((height, width), np.int64)
        for granule in granules:  # the newest on top
            here = granule.classes(x, y) != 0
            layer[here] = _sample(granule, value.removeprefix("s."), x, y, harmonized)[here]
        layers.append(layer)
    array = np.stack(layers, axis=-1).astype({"UINT16": np.uint16, "UINT8": np.uint8}[kind])
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, photometric="minisblack", planarconfig="contig", compression="zlib")
    return buffer.getvalue()


def _sample(granule: Pass, name: str, x: Any, y: Any, harmonized: bool) -> Any:
    if name == "dataMask":
        return (granule.classes(x, y) != 0).astype(int)
    if name == "SCL":
        return granule.classes(x, y)
    if name == "0":
        return np.zeros_like(x, dtype=int)
    numbers = granule.numbers(name, x, y).astype(int)
    return np.maximum(numbers - granule.shift, 0) if harmonized else numbers


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()
