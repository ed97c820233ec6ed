"""The one place that opens rasters: options, quiet, and errors in one sentence."""

from __future__ import annotations

import os
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detector.errors import UnreadableSceneError

if TYPE_CHECKING:
    from affine import Affine
    from rasterio.crs import CRS

_ALWAYS: dict[str, str | int] = {
    "GDAL_CACHEMAX": 256 * 2**20,  # bytes: a row of 1024 px tiles of four bands of a full tile is 90 MB
    "GDAL_PAM_ENABLED": "NO",  # never leave .aux.xml files beside the user's data
    "CPL_LOG": os.devnull,  # GDAL's worker threads have no error handler and would write to stderr
}
_REMOTE = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": "4",
    "GDAL_HTTP_RETRY_DELAY": "1",
    "GDAL_HTTP_CONNECTTIMEOUT": "20",
    "GDAL_HTTP_LOW_SPEED_TIME": "60",
    "GDAL_HTTP_LOW_SPEED_LIMIT": "100",
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
    "GDAL_INGESTED_BYTES_AT_OPEN": "32768",
    "VSI_CACHE": "TRUE",
    "VSI_CACHE_SIZE": "10000000",
}
_quiet = threading.Lock()  # catch_warnings is not safe among threads
_SCHEME = re.compile(r"^(https?|s3|gs|az|ftp)://|^/vsi", re.IGNORECASE)


def is_remote(path: str) -> bool:
    """True for anything that is not a plain path of this machine's file system."""
    return bool(_SCHEME.match(path))


def display(path: str) -> str:
    """A path as it may be shown: without query strings and passwords, which can hold signatures."""
    shown = re.sub(r"://[^/@\s]+@", "://", path)
    return re.sub(r"\?[^\s'\"]*", "", shown)


@contextmanager
def gdal_env(path: str) -> Iterator[None]:
    """GDAL options for reading ``path``; what the user set in the environment wins."""
    import rasterio

    options = {**_ALWAYS, **(_REMOTE if is_remote(path) else {})}
    options = {key: value for key, value in options.items() if key not in os.environ}
    # GDAL 3.10 loses the errors of its JPEG 2000 worker threads: a truncated file would read as zeros.
    options["GDAL_NUM_THREADS"] = "1" if ".jp2" in path.lower() else os.environ.get("GDAL_NUM_THREADS", "2")
    with rasterio.Env(**options):
        yield


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Run GDAL on ``path``; its errors come out as one UnreadableSceneError that names the file."""
    from rasterio._err import CPLE_BaseError  # some calls let GDAL's own errors through
    from rasterio.errors import RasterioError

    try:
        with gdal_env(path):
            yield
    except (RasterioError, CPLE_BaseError, OSError, MemoryError) as error:
        if isinstance(error, UnreadableSceneError):
            raise
        raise UnreadableSceneError(f"cannot read {display(path)}: {_reason(error, path)}") from error


def _reason(error: BaseException, path: str) -> str:
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is; the file is probably damaged"
    text = str(error.__cause__ or error) or type(error).__name__
    text = display(" ".join(text.replace(path, "it").split()))
    if "not recognized as being in a supported file format" in text:
        return "it is not a raster that GDAL knows; pass a GeoTIFF, a SAFE product or a STAC item"
    if "Permission denied" in text:
        return "permission denied; check the rights of the file"
    if is_remote(path) and not path.startswith("/vsizip"):
        return f"{text[:200].rstrip('. ')}; check the address and the access rights, and try again"
    return f"{text[:200].rstrip('. ')}; the file is probably truncated or damaged, fetch it again"


def open_dataset(path: str) -> Any:
    """A rasterio dataset of its own (never shared between threads). Call inside ``reading``."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    target = path if is_remote(path) or not os.path.exists(path) else Path(path)
    with _quiet, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(target, sharing=False)


@dataclass(frozen=True)
class Probe:
    """What the header of one raster says."""

    path: str
    width: int
    height: int
    count: int
    crs: CRS | None
    transform: Affine
    dtypes: tuple[str, ...]
    descriptions: tuple[str | None, ...]
    nodata: tuple[float | None, ...]
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    colours: tuple[str, ...]
    masked: bool
    tags: dict[str, str] = field(default_factory=dict)
    band_tags: tuple[dict[str, str], ...] = ()
    subdatasets: tuple[str, ...] = ()

    def tag(self, *names: str) -> str | None:
        """The first of these tags that is there, in any case."""
        lower = {key.lower(): value for key, value in self.tags.items()}
        return next((lower[name.lower()] for name in names if lower.get(name.lower())), None)


def probe(path: str) -> Probe:
    """Read the header of a raster.

    Raises:
        UnreadableSceneError: GDAL cannot open it.
    """
    from rasterio.enums import MaskFlags

    with reading(path), open_dataset(path) as src:
        own_mask = bool(src.count) and all(
            MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags for flags in src.mask_flag_enums
        )
        return Probe(
            path=path,
            width=src.width,
            height=src.height,
            count=src.count,
            crs=src.crs,
            transform=src.transform,
            dtypes=tuple(src.dtypes),
            descriptions=tuple(src.descriptions) if src.count else (),
            nodata=tuple(src.nodatavals) if src.count else (),
            scales=tuple(src.scales) if src.count else (),
            offsets=tuple(src.offsets) if src.count else (),
            colours=tuple(c.name for c in src.colorinterp) if src.count else (),
            masked=own_mask,
            tags=dict(src.tags()),
            band_tags=tuple(dict(src.tags(i)) for i in range(1, src.count + 1)),
            subdatasets=tuple(src.subdatasets),
        )
