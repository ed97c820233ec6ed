"""Where imagery comes from: what a source does, and which one a text names."""

from __future__ import annotations

import os
from datetime import datetime
from typing import Any, Protocol

from detector.errors import ConfigError
from detector.imagery.area import Area
from detector.imagery.granules import Granule, Overpass
from detector.imagery.mosaic import Imagery


class Source(Protocol):
    """Where imagery comes from."""

    threads: int

    @property
    def name(self) -> str: ...

    def search(self, area: Area, start: datetime, end: datetime) -> list[Granule]: ...

    def open(self, overpass: Overpass, area: Area) -> Imagery: ...


def open_source(
    text: str, *, collection: str | None = None, profile: str | None = None, scale: Any = None
) -> Source:
    """The source that a text names: ``earth-search``, ``sentinelhub``, ``sentinelhub-commercial``, the address
    of a STAC API, or a folder of products.

    Raises:
        ConfigError: it is none of these. AccountError: Sentinel Hub without credentials.
    """
    from detector.imagery.archive import ArchiveSource
    from detector.imagery.sentinelhub import SentinelHubSource
    from detector.imagery.stac import StacSource

    if text == "earth-search":
        return StacSource(collection=collection, scale=scale)
    if text in ("sentinelhub", "sentinelhub-commercial"):
        service = "copernicus" if text == "sentinelhub" else "commercial"
        return SentinelHubSource(service, profile=profile, collection=collection)
    if text.lower().startswith(("http://", "https://")):
        return StacSource(text, collection=collection, scale=scale)
    if os.path.isdir(text):
        return ArchiveSource(text, scale=scale)
    raise ConfigError(
        f"unknown source {text!r}; use earth-search, sentinelhub, sentinelhub-commercial, the https address of a "
        "STAC API, or a folder of products"
    )
