"""Free catalogues: STAC search, and windows of cloud-optimised GeoTIFFs over HTTP range requests."""

from __future__ import annotations

import logging
import time
from datetime import datetime
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from detector.errors import BargewatchError, FetchError
from detector.geometry import Grid
from detector.imagery.area import Area
from detector.imagery.granules import Granule, Overpass, item_granule
from detector.imagery.mosaic import BANDS, Imagery, Mosaic, Part
from detector.scene.core import Scene
from detector.scene.gdal import display, is_remote, open_dataset, reading
from detector.scene.stac import band_address, only_bands, open_stac
from detector.scene.stac_scale import boa_flag, doubt_unapplied_offset

EARTH_SEARCH = "https://earth-search.aws.element84.com/v1"
COLLECTION = "sentinel-2-l2a"
_PAGE = 100
#: A year of a site that four tiles cover has some 600 items; more than this is a catalogue that ignores the search.
_MOST_ITEMS = 50_000
_TRIES = 4
#: Factor of the waits between tries of a search, seconds.
BACKOFF_S = 1.0
_TIMEOUT = (20.0, 60.0)  # seconds to connect, and between bytes
_LOG = logging.getLogger(__name__)


class StacSource:
    """A STAC API, by default Earth Search of Element 84, which needs no account.

    Args:
        url: landing page of the API.
        collection: ``sentinel-2-l2a``, ``sentinel-2-l1c`` or another collection of Sentinel-2.
        scale: overrides what the items say of their numbers (see `open_scene`).
    """

    threads = 4

    def __init__(self, url: str = EARTH_SEARCH, *, collection: str | None = None, scale: Any = None) -> None:
        self.url, self.collection, self.scale = url, collection or COLLECTION, scale

    @property
    def name(self) -> str:
        return f"{display(self.url).rstrip('/')} {self.collection}"

    def search(self, area: Area, start: datetime, end: datetime) -> list[Granule]:
        """Granules that touch the area, of the span of time.

        Raises:
            FetchError: the catalogue does not answer, or not with what was asked.
        """
        from pystac.errors import STACError
        from pystac_client.exceptions import APIError, ParametersError

        foreign = (
            APIError,
            ParametersError,
            STACError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            OSError,
        )
        try:
            items = self._patiently(area, start, end)
        except (*foreign, NotImplementedError) as error:
            if isinstance(error, BargewatchError):
                raise
            raise FetchError(
                f"cannot search {self.name}: {_reason(error)}; check the address, the collection and the network"
            ) from None  # the cause may show an address with a signature
        level = "L1C" if "l1c" in self.collection.lower() else "L2A"
        granules = [granule for item in items if (granule := item_granule(item, level)) is not None]
        self._refuse_strays(granules, area, start, end)
        return granules

    def _patiently(self, area: Area, start: datetime, end: datetime) -> list[dict[str, Any]]:
        """All items; asked again when an answer breaks off, which the client's own retries do not see."""
        from pystac_client.exceptions import APIError

        for left in reversed(range(_TRIES)):
            try:
                return list(self._items(area, start, end))
            except APIError as error:
                if not left or "IncompleteRead" not in str(error):
                    raise
                time.sleep(BACKOFF_S)
        raise AssertionError("unreachable")

    def _items(self, area: Area, start: datetime, end: datetime) -> Any:
        from pystac_client import Client
        from pystac_client.stac_api_io import StacApiIO
        from urllib3 import Retry

        patience = Retry(
            total=_TRIES,
            backoff_factor=BACKOFF_S,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=None,  # a search is a POST, and may be asked twice
        )
        client = Client.open(
            self.url, stac_io=StacApiIO(max_retries=patience, timeout=_TIMEOUT), timeout=_TIMEOUT
        )
        found = client.search(
            collections=[self.collection],
            intersects=shapely.geometry.mapping(area.lonlat),
            datetime=[start, end],
            limit=_PAGE,
        )
        for number, item in enumerate(found.items_as_dicts()):
            if number >= _MOST_ITEMS:
                raise FetchError(f"{self.name} lists more than {_MOST_ITEMS} items; ask for a shorter time")
            yield item

    def _refuse_strays(self, granules: list[Granule], area: Area, start: datetime, end: datetime) -> None:
        """A POST that is redirected can lose its body; the catalogue then answers with anything it has."""
        for granule in granules:
            inside = granule.footprint is None or granule.footprint.intersects(area.lonlat.buffer(0.1))
            if not (start <= granule.acquired <= end and inside):
                raise FetchError(
                    f"{self.name} answered with {granule.id}, which was not asked for; "
                    "check the address (a redirect loses the search: use the final one)"
                )

    def open(self, overpass: Overpass, area: Area) -> Imagery:
        parts = [self._part(granule) for granule in overpass.granules]
        return Mosaic(parts, area.grid)

    def _part(self, granule: Granule) -> Part:
        item = only_bands(_at_home(granule.handle, self.url), (*BANDS, "SCL"))
        address = band_address(item, "SCL")
        flag = boa_flag(item.get("properties") or {})
        doubtful = self.scale is None and flag is False
        return Part(
            granule,
            lambda: open_stac(item, scale=self.scale, doubt=False),
            coarse_classes=None if address is None else lambda grid: coarse_classes(address, grid),
            check=_doubt if doubtful else None,
            forget=lambda: forget_cached(item),
            tries=_TRIES,
        )


def _at_home(item: dict[str, Any], url: str) -> dict[str, Any]:
    """The item with a self link, so that a path in it means a file of the catalogue and never one of this machine."""
    links = item.get("links") or []
    if any(link.get("rel") == "self" and is_remote(str(link.get("href"))) for link in links):
        return item
    return {**item, "links": [{"rel": "self", "href": url}]}


def _doubt(scene: Scene, witness: NDArray[Any]) -> None:
    doubt_unapplied_offset(scene, witness)


def _reason(error: BaseException) -> str:
    return display(" ".join(str(error).split()))[:300].rstrip(". ") or type(error).__name__


def coarse_classes(address: str, grid: Grid) -> NDArray[np.uint8]:
    """Scene classification on a coarse grid; GDAL reads the overview that is just fine enough."""
    from rasterio.enums import Resampling
    from rasterio.vrt import WarpedVRT

    with reading(address), open_dataset(address) as file:
        with WarpedVRT(
            file,
            crs=grid.crs,
            transform=grid.transform,
            width=grid.width,
            height=grid.height,
            src_nodata=0,
            nodata=0,
            resampling=Resampling.nearest,
        ) as view:
            return np.asarray(view.read(1), dtype=np.uint8)


def forget_cached(item: dict[str, Any]) -> None:
    """Make GDAL drop what it holds of an item's files: a broken answer would be served again from its cache."""
    import rasterio
    from rasterio.errors import RasterioError

    for band in (*BANDS, "SCL"):
        address = band_address(item, band)
        if address is None or not is_remote(address):
            continue
        # A file that is opened under this option leaves nothing in the cache when it is closed.
        with rasterio.Env(CPL_VSIL_CURL_NON_CACHED="/vsicurl/http:/vsis3/:/vsigs/"):
            try:
                with reading(address), open_dataset(address):
                    pass
            except (RasterioError, BargewatchError):
                _LOG.debug("%s still cannot be opened", display(address))
