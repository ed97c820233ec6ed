"""What catalogues list, and which granules belong to one overpass."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import shapely

from detector.errors import ConfigError
from detector.scene.times import parse_time, time_in_name

#: One satellite crosses a site in seconds and comes back after a hundred minutes at the soonest.
_ONE_OVERPASS = timedelta(minutes=15)
_PRODUCT = re.compile(
    r"^(S2[A-D])_MSI(L1C|L2A)_(\d{8}T\d{6})_N(\d{2})(\d{2})_R\d{3}_T(\w{5})_(\w+?)(?:\.SAFE)?$"
)


@dataclass(frozen=True)
class Granule:
    """One product of a catalogue: a tile as one satellite saw it.

    Attributes:
        id: the product's name (``S2A_MSIL2A_…_T51SYC_…``) where it is known, else the catalogue's.
        acquired: sensing time of the tile, UTC.
        platform: ``S2A``; empty when not told.
        level: ``L1C``, ``L2A`` or None.
        tile: MGRS tile, ``51SYC``, or None.
        datatake: start of the satellite's recording, the same for all tiles of an overpass, or None.
        strip: start of the data strip: two granules of one tile and overpass differ by it.
        baseline: processing baseline, 5.09; 0 when not told.
        created: when the product was made, as text that sorts.
        cloud: cloud cover of the whole granule, per cent, or None.
        footprint: WGS84, or None.
        handle: what its source needs to read it.
    """

    id: str
    acquired: datetime
    platform: str = ""
    level: str | None = None
    tile: str | None = None
    datatake: str | None = None
    strip: str | None = None
    baseline: float = 0.0
    created: str = ""
    cloud: float | None = None
    footprint: Any = field(default=None, repr=False, compare=False)
    handle: Any = field(default=None, repr=False, compare=False)


@dataclass(frozen=True)
class Overpass:
    """Granules that one satellite saw of the site within minutes: one image, one look."""

    granules: tuple[Granule, ...]

    @property
    def acquired(self) -> datetime:
        """Sensing time of the first granule, UTC."""
        return self.granules[0].acquired

    @property
    def level(self) -> str | None:
        return self.granules[0].level

    @property
    def tiles(self) -> tuple[str, ...]:
        return tuple(sorted({granule.tile or granule.id for granule in self.granules}))

    def scene_id(self, site: str) -> str:
        """A name that stays the same when the products are made anew: satellite, level, recording, site."""
        first = self.granules[0]
        stamp = first.datatake or f"{self.acquired:%Y%m%dT%H%M%S}"
        level = f"MSI{first.level}" if first.level else "MSI"
        return f"{first.platform or 'S2'}_{level}_{stamp}_{site}"


def product_facts(name: str) -> dict[str, Any]:
    """What the name of a product says: fields of `Granule`; empty for other names."""
    match = _PRODUCT.match(name)
    if not match:
        return {}
    platform, level, datatake, whole, part, tile, rest = match.groups()
    return {
        "platform": platform,
        "level": level,
        "datatake": datatake,
        "baseline": float(f"{int(whole)}.{part}"),
        "tile": tile,
        "created": rest,
    }


def item_granule(item: dict[str, Any], level: str | None) -> Granule | None:
    """A granule from a STAC item of Earth Search, the Sentinel Hub Catalog or their like; None without a time."""
    properties = item.get("properties") or {}
    acquired = parse_time(properties.get("datetime") or properties.get("start_datetime") or "")
    if acquired is None:
        return None
    id = str(item.get("id"))
    uris = (properties.get("s2:product_uri"), properties.get("sentinel:product_id"), id)
    product = next((str(uri).removesuffix(".SAFE") for uri in uris if uri and _PRODUCT.match(str(uri))), id)
    facts = {**_told(properties), **product_facts(product)}
    facts["level"] = facts.get("level") or level
    try:
        footprint = shapely.geometry.shape(item["geometry"]) if item.get("geometry") else None
    except (ValueError, TypeError, KeyError, AttributeError, shapely.errors.ShapelyError):
        footprint = None
    cloud = properties.get("eo:cloud_cover")
    return Granule(
        id=product,
        acquired=acquired,
        cloud=float(cloud) if isinstance(cloud, int | float) else None,
        footprint=footprint,
        handle=item,
        **facts,
    )


def _told(properties: dict[str, Any]) -> dict[str, Any]:
    """The same facts where only the properties of an item tell them."""
    facts: dict[str, Any] = {}
    platform = re.fullmatch(r"sentinel-?2([a-d])", str(properties.get("platform", "")).lower())
    if platform:
        facts["platform"] = f"S2{platform[1].upper()}"
    tile = re.fullmatch(r"MGRS-(\w{5})", str(properties.get("grid:code", "")))
    if tile:
        facts["tile"] = tile[1]
    strip = re.search(r"_S(\d{8}T\d{6})_", str(properties.get("s2:datastrip_id", "")))
    if strip:
        facts["strip"] = strip[1]
    baseline = re.fullmatch(r"(\d?\d\.\d\d)", str(properties.get("s2:processing_baseline", "")))
    if baseline:
        facts["baseline"] = float(baseline[1])
    facts["created"] = str(properties.get("s2:generation_time") or properties.get("created") or "")
    return facts


def named_granule(name: str, **facts: Any) -> Granule | None:
    """A granule from the name of a file alone; None when the name holds no time."""
    acquired = facts.pop("acquired", None) or time_in_name(name)
    return (
        None if acquired is None else Granule(id=name, acquired=acquired, **{**product_facts(name), **facts})
    )


def overpasses(granules: Iterable[Granule]) -> list[Overpass]:
    """Granules grouped by overpass, oldest first; of products made several times the newest is kept."""
    groups: dict[tuple[str, str | None], list[list[Granule]]] = {}
    for granule in sorted(granules, key=lambda g: (g.acquired, g.id)):
        series = groups.setdefault((granule.platform, granule.level), [])
        if series and granule.acquired - series[-1][0].acquired <= _ONE_OVERPASS:
            series[-1].append(granule)
        else:
            series.append([granule])
    found = [Overpass(tuple(_newest(group))) for series in groups.values() for group in series]
    return sorted(found, key=lambda overpass: (overpass.acquired, overpass.granules[0].id))


def _newest(group: list[Granule]) -> list[Granule]:
    best: dict[tuple[str, str], Granule] = {}
    for granule in group:
        # Two strips of one tile see different parts of it; the same strip twice is the same image made anew.
        strip = granule.strip or f"{granule.acquired + timedelta(seconds=5):%Y%m%dT%H%M}"
        key = (granule.tile or granule.id, strip)
        held = best.get(key)
        if held is None or (granule.baseline, granule.created) > (held.baseline, held.created):
            best[key] = granule
    return sorted(best.values(), key=lambda g: (g.acquired, g.id))


def day_span(first: str | date, last: str | date) -> tuple[datetime, datetime]:
    """From the start of one day to the end of another, UTC.

    Raises:
        ConfigError: a text is no date, or the days are in the wrong order.
    """
    start, end = (_day(value) for value in (first, last))
    if end < start:
        raise ConfigError(f"the last day, {end:%Y-%m-%d}, is before the first, {start:%Y-%m-%d}; swap them")
    return start, end + timedelta(days=1) - timedelta(microseconds=1)


def _day(value: str | date) -> datetime:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ConfigError(f"{value!r} is not a date; write it as 2020-03-01") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
