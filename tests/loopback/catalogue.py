"""A STAC API like Earth Search: landing page, POST and GET search with paging, and COGs by range requests."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import rasterio
import shapely.geometry
from affine import Affine

from tests.loopback.httpd import Request, Response, Server, file_response, json_response, path_of
from tests.loopback.world import BANDS, Pass, centres, lonlat

_KEYS = {"B02": "blue", "B03": "green", "B04": "red", "B08": "nir", "SCL": "scl"}
_CONFORMS = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
    "https://api.stacspec.org/v1.0.0/ogcapi-features",
    "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/geojson",
]


class Catalogue(Server):
    """Items and files below a folder; `page` items a page."""

    def __init__(self, folder: Path, *, page: int = 100) -> None:
        super().__init__()
        self.folder, self.page = folder, page
        self.items: list[dict[str, Any]] = []

    def add(
        self, granule: Pass, *, number: int = 0, stated: dict[str, Any] | None = None, level: str = "L2A"
    ) -> dict[str, Any]:
        """Write the COGs of a granule and list it, with the metadata that Earth Search gives.

        Args:
            stated: properties to add, such as ``earthsearch:boa_offset_applied``.
        """
        id = f"{granule.platform}_{granule.tile}_{granule.acquired:%Y%m%d}_{number}_{level}"
        late = float(granule.baseline) >= 4
        assets: dict[str, Any] = {}
        for band in (*BANDS, *(("SCL",) if level == "L2A" else ())):
            path = self.folder / id / f"{band}.tif"
            _write_cog(path, granule, band)
            raster = {"nodata": 0, "data_type": "uint16", "spatial_resolution": 10, "scale": 0.0001}
            assets[_KEYS[band]] = {
                "href": f"{self.url}/cogs/{id}/{band}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data", "reflectance"],
                **({} if band == "SCL" else {"raster:bands": [{**raster, "offset": -0.1 if late else 0}]}),
            }
            assets[f"{_KEYS[band]}-jp2"] = {
                **assets[_KEYS[band]],
                "href": "s3://nowhere/x.jp2",
                "type": "image/jp2",
            }
        ring = lonlat(granule.box, granule.epsg)
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "stac_extensions": [],
            "id": id,
            "collection": f"sentinel-2-{level.lower()}",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": list(shapely.geometry.Polygon(ring).bounds),
            "properties": {
                "datetime": f"{granule.acquired:%Y-%m-%dT%H:%M:%S.%f}Z",
                "platform": f"sentinel-2{granule.platform[-1].lower()}",
                "grid:code": f"MGRS-{granule.tile}",
                "eo:cloud_cover": 20.0,
                "s2:processing_baseline": granule.baseline,
                "s2:product_uri": f"{granule.product(level)}.SAFE",
                "s2:datastrip_id": f"S2A_OPER_MSI_{level}_DS_X_{granule.created}_S{granule.datatake}_N{granule.baseline}",
                "earthsearch:boa_offset_applied": late and granule.shift == 0,
                **(stated or {}),
            },
            "links": [{"rel": "self", "href": f"{self.url}/collections/sentinel-2-l2a/items/{id}"}],
            "assets": assets,
        }
        self.items.append(item)
        return item

    def answer(self, request: Request) -> Response:
        path = path_of(request)
        if path.startswith("/cogs/"):
            return file_response(self.folder / path.removeprefix("/cogs/"), request)
        if path.rstrip("/") == "":
            return json_response(self._landing())
        if path == "/search":
            return self._search(request)
        return json_response({"code": "NotFound"}, 404)

    def _landing(self) -> dict[str, Any]:
        link = {"rel": "search", "type": "application/geo+json", "href": f"{self.url}/search"}
        return {
            "type": "Catalog",
            "stac_version": "1.0.0",
            "id": "loopback",
            "title": "loopback",
            "description": "A catalogue on this machine",
            "conformsTo": _CONFORMS,
            "links": [
                {"rel": "self", "href": self.url},
                {"rel": "root", "href": self.url},
                {"rel": "data", "href": f"{self.url}/collections"},
                {**link, "method": "GET"},
                {**link, "method": "POST"},
            ],
        }

    def _search(self, request: Request) -> Response:
        if request.method == "POST":
            query = json.loads(request.body or b"{}")
        else:
            query = {key: values[0] for key, values in parse_qs(urlsplit(request.path).query).items()}
        found = [item for item in self.items if _fits(item, query)]
        start = int(query.get("next", 0))
        size = min(int(query.get("limit", 10)), self.page)
        links = []
        if start + size < len(found):
            body = {**query, "next": str(start + size)}
            href = f"{self.url}/search"
            links = [{"rel": "next", "method": "POST", "href": href, "merge": False, "body": body}]
        page = found[start : start + size]
        context = {"limit": size, "matched": len(found), "returned": len(page)}
        return json_response(
            {"type": "FeatureCollection", "features": page, "links": links, "context": context}
        )


def _fits(item: dict[str, Any], query: dict[str, Any]) -> bool:
    if query.get("collections") and item["collection"] not in query["collections"]:
        return False
    if query.get("datetime"):
        first, last = (datetime.fromisoformat(part) for part in query["datetime"].split("/"))
        if not first <= datetime.fromisoformat(item["properties"]["datetime"]) <= last:
            return False
    if query.get("intersects"):
        wanted = shapely.geometry.shape(query["intersects"])
        return bool(wanted.intersects(shapely.geometry.shape(item["geometry"])))
    return True


def _write_cog(path: Path, granule: Pass, band: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        _cog(replace(granule, acquired=datetime(2020, 1, 1), tile="", created="", baseline=""), band)
    )


@lru_cache(maxsize=256)
def _cog(granule: Pass, band: str) -> bytes:
    """A band as Earth Search stores it: internal tiles, overviews, deflate."""
    step = 20 if band == "SCL" else 10
    left, bottom, right, top = granule.box
    transform = Affine(step, 0, left, 0, -step, top)
    width, height = round((right - left) / step), round((top - bottom) / step)
    x, y = centres(transform, width, height)
    pixels = granule.classes(x, y) if band == "SCL" else granule.numbers(band, x, y)
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="COG",
            count=1,
            width=width,
            height=height,
            dtype=pixels.dtype,
            crs=f"EPSG:{granule.epsg}",
            transform=transform,
            nodata=0,
            compress="deflate",
            blocksize=256,
            overview_resampling="nearest",
        ) as file:
            file.write(np.asarray(pixels), 1)
        return bytes(memory.read())
