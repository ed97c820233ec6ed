"""Sentinel Hub: the Copernicus Data Space (free account) and the commercial service, through sentinelhub-py.

Process API: https://documentation.dataspace.copernicus.eu/APIs/SentinelHub/Process.html
Catalog API: https://documentation.dataspace.copernicus.eu/APIs/SentinelHub/Catalog.html
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import FetchError
from detector.geometry import Grid
from detector.imagery.account import Account, account
from detector.imagery.area import Area
from detector.imagery.granules import Granule, Overpass, item_granule
from detector.imagery.mosaic import BANDS, Imagery
from detector.scene.scale import Gain

_PAGE = 100
#: Granules of one overpass are seconds apart; the request takes in a little more than their sensing times.
_SLACK = timedelta(seconds=2)

# Numbers as stored times 10,000 (units DN), without the offset of baseline 04.00 whatever the product's baseline
# (harmonizeValues, see `_input`). dataMask tells no data from a number that is 0.
_BANDS_SCRIPT = """//VERSION=3
function setup() {
  return {
    input: [{bands: [%(bands)s, %(classes)s"dataMask"], units: [%(units)s]}],
    output: [
      {id: "bands", bands: %(count)d, sampleType: "UINT16"},
      {id: "classes", bands: 2, sampleType: "UINT8"}
    ]
  };
}
function evaluatePixel(s) {
  return {bands: [%(values)s], classes: [%(class)s, s.dataMask]};
}
"""
_CLASSES_SCRIPT = """//VERSION=3
function setup() {
  return {
    input: [{bands: ["SCL", "dataMask"], units: ["DN", "DN"]}],
    output: {bands: 2, sampleType: "UINT8"}
  };
}
function evaluatePixel(s) { return [s.SCL, s.dataMask]; }
"""


class SentinelHubSource:
    """Catalog and Process API of a Sentinel Hub service.

    Args:
        service: ``copernicus`` or ``commercial``; what the profile or SH_BASE_URL names wins over it.
        profile: a profile of sentinelhub-py's config.toml; else SH_PROFILE, else its default profile.
        collection: ``sentinel-2-l2a`` or ``sentinel-2-l1c``.

    Raises:
        AccountError: no credentials.
    """

    #: Scenes at a time; the windows of one scene are asked for beside each other.
    threads = 1

    def __init__(
        self, service: str = "copernicus", *, profile: str | None = None, collection: str | None = None
    ) -> None:
        self.account: Account = account(service, profile)
        self.collection = collection or "sentinel-2-l2a"

    @property
    def name(self) -> str:
        return f"{self.account.base_url} {self.collection}"

    def search(self, area: Area, start: datetime, end: datetime) -> list[Granule]:
        """Granules that touch the area, of the span of time.

        Raises:
            FetchError: its children tell missing or refused credentials, a used-up quota and the rest apart.
        """
        from sentinelhub import CRS, Geometry

        outline = Geometry(area.lonlat, CRS.WGS84)
        features = self.account.search(self.collection, geometry=outline, time=(start, end), limit=_PAGE)
        level = "L1C" if self.collection.endswith("l1c") else "L2A"
        found = [granule for feature in features if (granule := item_granule(feature, level)) is not None]
        return [granule for granule in found if start <= granule.acquired <= end]

    def open(self, overpass: Overpass, area: Area) -> Imagery:
        return _Rendered(self.account, self.collection, overpass)


class _Rendered:
    """One overpass as the Process API renders it: its granules are merged by the service."""

    bands: tuple[str, ...] = BANDS
    radiometry: dict[str, Gain]

    def __init__(self, account: Account, collection: str, overpass: Overpass) -> None:
        self._account, self._collection, self._overpass = account, collection, overpass
        self._has_classes = collection.endswith("l2a")
        self.radiometry = dict.fromkeys(BANDS, (1e-4, 0.0))

    def classes(self, grid: Grid) -> NDArray[np.uint8] | None:
        if not self._has_classes:
            return None
        out = np.zeros((grid.height, grid.width), np.uint8)
        for part, rows, cols in _split(grid):
            pixels = self._account.render(
                _CLASSES_SCRIPT, self._input(), _bbox(part), (part.width, part.height), ["default"]
            )["default"]
            pixels = _shaped(pixels, part, 2)
            out[rows, cols] = np.where(pixels[1] != 0, pixels[0], 0)
        return out

    def read(self, grid: Grid) -> tuple[NDArray[np.uint16], NDArray[np.uint8] | None]:
        script = _BANDS_SCRIPT % {
            "bands": ", ".join(f'"{band}"' for band in BANDS),
            "classes": '"SCL", ' if self._has_classes else "",
            "units": ", ".join(['"DN"'] * (len(BANDS) + 1 + self._has_classes)),
            "count": len(BANDS),
            "values": ", ".join(f"s.{band}" for band in BANDS),
            "class": "s.SCL" if self._has_classes else "0",
        }
        out = np.zeros((len(BANDS), grid.height, grid.width), np.uint16)
        classes = np.zeros(out.shape[1:], np.uint8)
        for part, rows, cols in _split(grid):
            answer = self._account.render(
                script, self._input(), _bbox(part), (part.width, part.height), ["bands", "classes"]
            )
            pixels = _shaped(answer["bands"], part, len(BANDS))
            told = _shaped(answer["classes"], part, 2)
            seen = told[1] != 0
            # Negative reflectance comes as 0, which would be taken for no data.
            out[:, rows, cols] = np.where(seen, np.maximum(pixels, 1), 0)
            classes[rows, cols] = np.where(seen, told[0], 0)
        return out, classes if self._has_classes else None

    def _input(self) -> dict[str, Any]:
        times = [granule.acquired for granule in self._overpass.granules]
        span = {"from": _stamp(min(times) - _SLACK), "to": _stamp(max(times) + _SLACK)}
        return {
            "type": self._collection,
            "dataFilter": {"timeRange": span, "mosaickingOrder": "mostRecent"},
            "processing": {"harmonizeValues": True},
        }

    def products(self) -> list[str]:
        return [granule.id for granule in self._overpass.granules]

    def close(self) -> None:
        pass


#: The largest side of an answer of the Process API, pixels.
MOST_PIXELS = 2500


def _split(grid: Grid) -> list[tuple[Grid, slice, slice]]:
    """A grid in parts that the Process API takes, as even as can be."""
    from detector.geometry import Window

    rows, cols = (_edges(side) for side in (grid.height, grid.width))
    return [
        (
            grid.window_grid(Window(left, top, right - left, bottom - top)),
            slice(top, bottom),
            slice(left, right),
        )
        for top, bottom in rows
        for left, right in cols
    ]


def _edges(side: int) -> list[tuple[int, int]]:
    count = -(-side // MOST_PIXELS)
    marks = [round(i * side / count) for i in range(count + 1)]
    return list(zip(marks[:-1], marks[1:], strict=True))


def _bbox(grid: Grid) -> Any:
    from sentinelhub import CRS, BBox

    t = grid.transform
    corners = (t.c, t.f + t.e * grid.height, t.c + t.a * grid.width, t.f)
    return BBox(corners, CRS(str(grid.crs.to_epsg())))


def _stamp(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%S}Z"


def _shaped(pixels: Any, grid: Grid, count: int) -> NDArray[Any]:
    """An answer as (bands, height, width).

    Raises:
        FetchError: it has another size than was asked for.
    """
    array = np.asarray(pixels)
    if array.shape == (grid.height, grid.width, count):
        return np.moveaxis(array, -1, 0)
    if array.shape == (count, grid.height, grid.width):
        return array
    raise FetchError(
        f"Sentinel Hub answered with an image of shape {array.shape} where "
        f"{(grid.height, grid.width, count)} was asked for; try again later"
    )
