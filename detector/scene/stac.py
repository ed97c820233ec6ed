"""STAC items: which asset is which band, and what their numbers mean."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import unquote, urljoin, urlsplit
from urllib.request import Request, urlopen

from detector.errors import (
    MissingBandError,
    SceneError,
    SceneNotFoundError,
    UnreadableSceneError,
)
from detector.scene.assemble import Place
from detector.scene.bands import TRUE_COLOUR, band_name
from detector.scene.core import Scene
from detector.scene.gdal import display, is_remote, probe
from detector.scene.raster import build_scene
from detector.scene.stac_scale import bands_of, boa_flag, doubt_unapplied_offset, item_radiometry
from detector.scene.times import level_in_name, parse_time

_MAX_JSON = 32 * 2**20
_WANTED = (*TRUE_COLOUR, "B08", "B11", "B12", "SCL")
_NOT_DATA = {"thumbnail", "overview", "metadata"}

_Item = Mapping[str, Any]


def open_stac(
    source: Any,
    *,
    bands: Any = None,
    scale: Any = None,
    acquired: Any = None,
    transform: Any = None,
    crs: Any = None,
    doubt: bool = True,
) -> Scene:
    """A Scene of one STAC item of Sentinel-2: a path, an address, a dictionary or a pystac.Item.

    ``doubt=False`` leaves `doubt_unapplied_offset` to the caller, who has pixels at hand.
    """
    if bands is not None:
        raise MissingBandError(
            "--bands (bands=) is for one raster or array; the assets of a STAC item say their band"
        )
    item, base = _load(source)
    name = f"STAC item {item.get('id')}"
    properties = item.get("properties") or {}
    assets = _band_assets(item.get("assets") or {})
    places, chosen = _places(assets, base, name)
    told = {} if scale is not None else item_radiometry(chosen, properties, name)
    scene = build_scene(
        places,
        next(iter(places.values()))[0],
        name=name,
        scale=scale,
        stated_scale=told,
        acquired=acquired or parse_time(properties.get("datetime") or properties.get("start_datetime") or ""),
        transform=transform,
        crs=crs,
        id=str(item.get("id")),
        level=_level(item, properties),
    )
    if doubt and scale is None and boa_flag(properties) is False:
        doubt_unapplied_offset(scene)
    return scene


def only_bands(item: _Item, bands: Collection[str]) -> dict[str, Any]:
    """The item with the best asset of each of these bands alone, so that no header of another is fetched."""
    chosen = _band_assets(item.get("assets") or {})
    kept = {key: asset for band, (key, asset) in chosen.items() if band in bands}
    return {**item, "assets": kept}


def band_address(item: _Item, band: str) -> str | None:
    """Where the best asset of a band lies, as GDAL takes it; None when the item has none."""
    item, base = _load(item)
    chosen = _band_assets(item["assets"])
    return _resolve(chosen[band][1]["href"], base) if band in chosen else None


def _load(source: Any) -> tuple[_Item, str | None]:
    """The item, and where it came from: what its relative addresses are relative to."""
    if hasattr(source, "to_dict"):
        base = source.get_self_href()
        item = source.to_dict(include_self_link=False, transform_hrefs=False)
    elif isinstance(source, Mapping):
        links = source.get("links") or []
        base = next((link.get("href") for link in links if link.get("rel") == "self"), None)
        item = dict(source)
    else:
        item, base = _fetch(source), source
    if (
        not isinstance(item, Mapping)
        or item.get("type") != "Feature"
        or not isinstance(item.get("assets"), Mapping)
    ):
        kind = item.get("type") if isinstance(item, Mapping) else type(item).__name__
        raise UnreadableSceneError(
            f"{display(str(base or 'the dictionary'))} is no STAC item but {kind}; pass one item"
        )
    return item, base


def _fetch(path: str) -> Any:
    try:
        if path.lower().startswith(("http://", "https://")):
            request = Request(
                path, headers={"User-Agent": "bargewatch", "Accept": "application/geo+json, application/json"}
            )
            with urlopen(request, timeout=30) as answer:  # noqa: S310 - the scheme is checked above
                data = answer.read(_MAX_JSON + 1)
        elif is_remote(path):
            raise SceneNotFoundError(
                f"{display(path)} cannot be fetched; pass an https address or a downloaded item"
            )
        else:
            with open(path, "rb") as file:
                data = file.read(_MAX_JSON + 1)
        if len(data) > _MAX_JSON:
            raise UnreadableSceneError(
                f"{display(path)} is larger than {_MAX_JSON >> 20} MB, so it is no STAC item"
            )
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        if isinstance(error, SceneError):
            raise
        raise UnreadableSceneError(f"{display(path)} is not JSON ({error}); pass a STAC item") from error
    except (URLError, OSError) as error:
        if isinstance(error, SceneError):
            raise
        reason = display(f"{getattr(error, 'code', '')} {getattr(error, 'reason', error)}").strip()
        raise UnreadableSceneError(
            f"cannot fetch {display(path)}: {reason}; check the address and try again"
        ) from error


def _resolve(href: str, base: str | None) -> str:
    """An address as GDAL takes it; relative ones start at the item."""
    from_web = base is not None and base.lower().startswith(("http://", "https://"))
    if base and from_web and not re.match(r"^[a-z0-9]+://", href, re.IGNORECASE):
        return urljoin(base, href)
    if href.startswith("file://"):
        if from_web:  # a page of the web has no say over this machine's files
            raise UnreadableSceneError(
                f"an item of {display(str(base))} points at a local file; pass a trusted item"
            )
        return unquote(urlsplit(href).path)
    if is_remote(href) or os.path.isabs(href):
        return href
    if base is None:
        raise SceneNotFoundError(
            f"the asset {href} is relative but the item has no self link; pass the item's path"
        )
    if is_remote(base):
        return (
            urljoin(base, href)
            if not base.startswith(("s3://", "gs://"))
            else base.rsplit("/", 1)[0] + "/" + href
        )
    folder = Path(
        os.path.abspath(unquote(urlsplit(base).path) if base.startswith("file://") else base)
    ).parent
    return os.path.normpath(folder / href)


def _band_of(key: str, asset: _Item) -> str | None:
    """The band of one asset; ``TCI`` for a true colour picture."""
    if _NOT_DATA & set(asset.get("roles") or ()):
        return None
    listed = bands_of(asset)
    if len(listed) == 1:
        band = listed[0]
        names = (band.get("name"), band.get("eo:common_name"), band.get("common_name"))
        found = next((b for b in map(band_name, names) if b), None)
        if found:
            return found
    plain = re.sub(r"-(jp2|cog|tif)$", "", key, flags=re.IGNORECASE)
    found = band_name(plain)
    if len(listed) == 3 and found is None:
        return None
    return found


def _band_assets(assets: Mapping[str, _Item]) -> dict[str, tuple[str, _Item]]:
    """For every wanted band the best asset: finest, then cloud optimised rather than JPEG 2000."""
    best: dict[str, tuple[tuple[float, int], str, _Item]] = {}
    for key, asset in assets.items():
        if not isinstance(asset, Mapping) or "href" not in asset:
            continue
        band = _band_of(key, asset)
        if band not in (*_WANTED, "TCI"):
            continue
        is_jp2 = "jp2" in f"{asset.get('type', '')}{key}" or str(asset["href"]).lower().endswith(".jp2")
        rank = (_resolution(key, asset), int(is_jp2))
        if band not in best or rank < best[band][0]:
            best[band] = (rank, key, asset)
    return {band: (key, asset) for band, (_, key, asset) in best.items()}


def _resolution(key: str, asset: _Item) -> float:
    match = re.search(r"_(\d0)m$", key)
    described = (bands_of(asset) or [{}])[0]
    raster = (asset.get("raster:bands") or [{}])[0]
    stated = asset.get("gsd") or described.get("gsd") or raster.get("spatial_resolution")
    return float(match[1]) if match else float(stated or 10)


def _places(
    assets: dict[str, tuple[str, _Item]], base: str | None, name: str
) -> tuple[dict[str, Place], dict[str, _Item]]:
    if not all(band in assets for band in TRUE_COLOUR) and "TCI" in assets:
        head = probe(_resolve(assets["TCI"][1]["href"], base))
        if head.count < 3:
            raise MissingBandError(
                f"the visual asset of {name} holds {head.count} bands, not red, green and blue"
            )
        picture: dict[str, Place] = {band: (head, i) for i, band in enumerate(TRUE_COLOUR, 1)}
        if "SCL" in assets:
            picture["SCL"] = (probe(_resolve(assets["SCL"][1]["href"], base)), 1)
        return picture, {}
    wanted = {band: asset for band in _WANTED if band in assets for _, asset in [assets[band]]}
    if not wanted:
        raise MissingBandError(f"{name} has no asset named after a band (blue, green, red, nir, or B02 …)")
    return {band: (probe(_resolve(asset["href"], base)), 1) for band, asset in wanted.items()}, wanted


def _level(item: _Item, properties: _Item) -> str | None:
    texts = (
        properties.get("processing:level"),
        properties.get("s2:product_type"),
        properties.get("s2:product_uri"),
        item.get("id"),
        item.get("collection"),
    )
    for text in texts:
        match = re.search(r"(?<![A-Za-z0-9])(?:L|S2MSI|MSIL)(1C|2A)(?![A-Za-z0-9])", str(text or "").upper())
        if match:
            return f"L{match[1]}"
        if level_in_name(str(text or "")):
            return level_in_name(str(text))
    return None
