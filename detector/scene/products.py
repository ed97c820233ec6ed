"""SAFE products, zipped or not, and folders of one-band rasters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detector.errors import MissingBandError, SceneError, SceneNotFoundError, UnknownScaleError
from detector.scene.assemble import Place
from detector.scene.bands import TRUE_COLOUR, band_name
from detector.scene.core import Scene
from detector.scene.gdal import probe
from detector.scene.listing import Listing, list_files, roots
from detector.scene.metadata import ProductMetadata, read_product, read_tile_time, scale_of_name
from detector.scene.raster import build_scene, open_raster
from detector.scene.scale import Gain
from detector.scene.times import level_in_name, time_in_name

_RASTERS = (".jp2", ".tif", ".tiff", ".img", ".vrt", ".nc")
_IMAGE = re.compile(
    r"(?:^|/)IMG_DATA/(?:R\d0m/)?[^/]*?_(B\d\w|TCI|SCL)(?:_L2A_[^/]*)?(?:_(\d0)m)?\.(?:jp2|tiff?)$",
    re.IGNORECASE,
)
_MAIN_XML = re.compile(r"(?:^|/)(?:MTD_MSIL(?:1C|2A)|S2\w_\w{4}_MTD_SAFL(?:1C|2A)[^/]*)\.xml$", re.IGNORECASE)
_TILE_XML = re.compile(r"(?:^|/)(?:MTD_TL|S2\w_\w{4}_MTD_L(?:1C|2A)_TL[^/]*)\.xml$", re.IGNORECASE)

#: What an L2A product gives; L1C gives all its bands, because the cloud detector of L1C needs them.
_L2A_BANDS = ("B02", "B03", "B04", "B08", "B11", "B12", "SCL")


@dataclass(frozen=True)
class _Image:
    band: str
    name: str
    resolution: int  # metres as the name says; 0 = unsaid


def open_product(path: Path, options: Mapping[str, Any]) -> Scene:
    """A Scene of a SAFE folder, a zip archive, a product's main XML, or a folder of one-band rasters."""
    base = path.parent if path.suffix.lower() == ".xml" and path.is_file() else path
    if options["bands"] is not None:
        raise MissingBandError(
            f"--bands (bands=) is for one raster or array; the files of {path} say their band in their names"
        )
    listing = _one_product(list_files(base))
    images = _safe_images(listing)
    in_safe = bool(images)
    if not in_safe:
        images = _folder_images(listing)
        if not images:
            return _lone_raster(listing, options)
    main = _main_metadata(listing)
    # A name says the baseline as surely as the metadata, but only for a product as ESA made it.
    spare = _spare_scale(listing, main, in_safe)
    places = _places(images, listing, main)
    head = next(iter(places.values()))[0]
    product_id = _product_id(listing, main, in_safe)
    try:
        return build_scene(
            places,
            head,
            name=str(path),
            scale=options["scale"],
            spare_scale=spare,
            acquired=options["acquired"] or _time(listing, main, product_id, images),
            transform=options["transform"],
            crs=options["crs"],
            id=product_id,
            level=(main.level if main else None) or level_in_name(product_id),
        )
    except UnknownScaleError as error:
        if main or not in_safe:
            raise
        raise UnknownScaleError(f"{path} has no MTD_MSIL1C.xml or MTD_MSIL2A.xml, so {error}") from error


def _one_product(listing: Listing) -> Listing:
    """The listing cut down to its one SAFE folder, if it has any."""
    safes = roots(listing.names)
    if len(safes) > 1:
        raise SceneError(f"{listing.path} holds {len(safes)} products; pass one, e.g. {safes[0]}")
    if not safes:
        return listing
    return Listing(
        listing.path, tuple(n for n in listing.names if n.startswith(safes[0] + "/")), listing.zipped
    )


def _safe_images(listing: Listing) -> list[_Image]:
    images, granules = [], set()
    for name in listing.names:
        match = _IMAGE.search(name)
        if match:
            granules.add(name[: match.start()])
            images.append(_Image(match[1].upper(), name, int(match[2] or 0)))
    if len(granules) > 1:
        raise SceneError(
            f"{listing.path} holds {len(granules)} granules; pass one of them, e.g. {min(granules)}"
        )
    return images


def _folder_images(listing: Listing) -> list[_Image]:
    """Rasters of the top folder whose names have a band among their words."""
    images = []
    top = min((name.count("/") for name in _rasters(listing.names)), default=0)
    for name in _rasters(listing.names):
        if name.count("/") > top:
            continue
        stem = name.rsplit("/", 1)[-1].rsplit(".", 1)[0]
        words = re.split(r"[_\-. ]", stem)
        bands = [(word, band) for word in words if (band := band_name(word)) and band != "MASK"]
        numbered = [band for word, band in bands if re.match(r"[Bb]\d", word)]
        resolution = next((int(w[:2]) for w in words if re.fullmatch(r"\d0m", w)), 0)
        if bands:
            images.append(_Image((numbered or [bands[-1][1]])[-1], name, resolution))
    return images


def _rasters(names: Iterable[str]) -> list[str]:
    return [name for name in names if name.lower().endswith(_RASTERS)]


def _lone_raster(listing: Listing, options: Mapping[str, Any]) -> Scene:
    rasters = _rasters(listing.names)
    if len(rasters) == 1:
        return open_raster(listing.gdal_path(rasters[0]), **options)
    if not rasters:
        raise SceneNotFoundError(
            f"{listing.path} holds no raster; pass a SAFE product or a folder of *B02*.tif and others"
        )
    raise MissingBandError(
        f"{listing.path} holds {len(rasters)} rasters, none named after a band (*B02* …); pass one of them"
    )


def _places(images: list[_Image], listing: Listing, main: ProductMetadata | None) -> dict[str, Place]:
    by_band: dict[str, list[_Image]] = {}
    for image in images:
        by_band.setdefault(image.band, []).append(image)
    wanted = _L2A_BANDS if main and main.level == "L2A" else tuple(by_band)
    places: dict[str, Place] = {}
    for band in by_band:
        if band in wanted and band != "TCI":
            places[band] = (probe(listing.gdal_path(_finest(by_band[band], listing))), 1)
    if not all(band in places for band in TRUE_COLOUR) and "TCI" in by_band:
        head = probe(listing.gdal_path(_finest(by_band["TCI"], listing)))
        picture: dict[str, Place] = {band: (head, i) for i, band in enumerate(TRUE_COLOUR, 1)}
        return picture | ({"SCL": places["SCL"]} if "SCL" in places else {})
    for band, (head, _) in places.items():
        if head.count != 1:
            raise MissingBandError(
                f"{head.path} holds {head.count} bands but is named {band}; pass the file itself"
            )
    return places


def _finest(images: list[_Image], listing: Listing) -> str:
    best = min(image.resolution or 10 for image in images)
    finest = [image.name for image in images if (image.resolution or 10) == best]
    if len(finest) > 1:
        raise SceneError(
            f"{listing.path} has two files for one band, {finest[0]} and {finest[1]}; keep one scene a folder"
        )
    return finest[0]


def _main_metadata(listing: Listing) -> ProductMetadata | None:
    found = sorted((n for n in listing.names if _MAIN_XML.search(n)), key=lambda n: (n.count("/"), n))
    if found:
        return read_product(listing.bytes(found[0]), found[0])
    if not listing.zipped:  # a granule or its IMG_DATA: the metadata lies above
        for folder in list(listing.path.parents)[:4]:
            if not folder.name.upper().endswith(".SAFE"):
                continue
            above = [p.name for p in folder.iterdir() if _MAIN_XML.search(p.name)]
            if above:
                return read_product(Listing(folder, tuple(above), False).bytes(above[0]), above[0])
    return None


def _spare_scale(listing: Listing, main: ProductMetadata | None, in_safe: bool) -> dict[str, Gain] | None:
    if main:
        return main.radiometry
    told = scale_of_name(_folder_name(listing)) if in_safe else None
    return dict.fromkeys(_L2A_BANDS, told) if told else None


def _folder_name(listing: Listing) -> str:
    safes = roots(listing.names)
    own = safes[0].rsplit("/", 1)[-1] if safes else listing.path.name
    if own.upper().endswith(".ZIP"):
        own = own[:-4]
    return own[:-5] if own.upper().endswith(".SAFE") else own


def _product_id(listing: Listing, main: ProductMetadata | None, in_safe: bool) -> str:
    if in_safe and main and main.uri and main.uri.startswith("S2"):
        return main.uri.removesuffix(".SAFE")
    return _folder_name(listing)


def _time(listing: Listing, main: ProductMetadata | None, product_id: str, images: list[_Image]) -> Any:
    tiles = [name for name in listing.names if _TILE_XML.search(name)]
    if len(tiles) == 1:
        time = read_tile_time(listing.bytes(tiles[0]), tiles[0])
        if time:
            return time
    stem = images[0].name.rsplit("/", 1)[-1]
    return (main.acquired if main else None) or time_in_name(product_id) or time_in_name(stem)
