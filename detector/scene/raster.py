"""GeoTIFF, COG, netCDF: one file that GDAL opens."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import PurePosixPath
from typing import Any

from detector.errors import MissingBandError
from detector.scene.assemble import Place, assemble, radiometry_of
from detector.scene.bands import band_name, band_names, reject_twins
from detector.scene.core import Scene
from detector.scene.gdal import Probe, display, probe
from detector.scene.layers import Files
from detector.scene.scale import Gain
from detector.scene.times import level_in_name, parse_time, time_in_name


def open_raster(
    path: str,
    *,
    bands: Any = None,
    scale: Any = None,
    acquired: Any = None,
    transform: Any = None,
    crs: Any = None,
) -> Scene:
    """A Scene of one raster whose bands have names, or are named by ``bands=``."""
    name = display(path)
    head = probe(path)
    places = _places(head, bands, name)
    return build_scene(places, head, name=name, scale=scale, acquired=acquired, transform=transform, crs=crs)


def build_scene(
    places: dict[str, Place],
    head: Probe,
    *,
    name: str,
    scale: Any = None,
    spare_scale: Mapping[str, Gain] | None = None,
    stated_scale: Mapping[str, Gain] | None = None,
    acquired: datetime | None = None,
    transform: Any = None,
    crs: Any = None,
    id: str | None = None,
    level: str | None = None,
) -> Scene:
    """A Scene from bands whose places are known; ``head`` is the header whose tags describe the scene.

    ``spare_scale`` is what metadata beside the files says; it holds for integers that say nothing themselves.
    ``stated_scale`` is what a catalogue says, which must not contradict the files.
    """
    grid, layers, fill = assemble(places, name, transform=transform, crs=crs)
    files = Files(grid, layers, fill)
    first = next(iter(places.values()))[0]  # in a netCDF file the variables know the time, not the file
    id = id or head.tag("SCENE_ID", "PRODUCT_URI") or _stem(name)
    try:
        radiometry = radiometry_of(places, scale, name, files, spare=spare_scale, stated=stated_scale)
    except BaseException:
        files.close()
        raise
    return Scene(
        id=id.removesuffix(".SAFE"),
        acquired=acquired or _time_of(head) or _time_of(first) or time_in_name(id),
        level=level or level_in_name(head.tag("LEVEL", "PROCESSING_LEVEL")) or level_in_name(id),
        grid=grid,
        bands=tuple(places),
        radiometry=radiometry,
        reader=files,
        fill=fill,
        name=name,
    )


def _places(head: Probe, bands: Any, name: str) -> dict[str, Place]:
    if head.count == 0:
        return _subdataset_places(head, name)
    if bands is not None:
        with_mask = head.count if len(bands) >= head.count or head.colours[-1] != "alpha" else head.count - 1
        names = band_names(bands, with_mask, name)
    else:
        names = tuple(band_name(text) for text in head.descriptions)
        if not any(names):
            names = _colour_names(head)
    reject_twins(names, name)
    places = {band: (head, i) for i, band in enumerate(names, 1) if band and band not in ("MASK", "TCI")}
    if not places:
        raise MissingBandError(
            f"the {head.count} bands of {name} have no names that are known; "
            'name them in order: --bands B02,B03,B04,B08 (bands=("B02", "B03", "B04", "B08"))'
        )
    return places


def _colour_names(head: Probe) -> tuple[str | None, ...]:
    """Red, green and blue by colour interpretation: a picture."""
    if head.count in (3, 4) and set(head.colours[:3]) == {"red", "green", "blue"}:
        return tuple(band_name(colour) if colour != "alpha" else None for colour in head.colours)
    return ()


def _subdataset_places(head: Probe, name: str) -> dict[str, Place]:
    """Variables of a netCDF or HDF file that are named like bands."""
    places: dict[str, Place] = {}
    for path in head.subdatasets:
        variable = re.split(r"[:/]", path)[-1].strip('"')
        band = band_name(variable)
        if band is None:
            continue
        part = probe(path)
        if part.count != 1:
            raise MissingBandError(
                f"{variable} of {name} has {part.count} layers, not one; cut out one date first"
            )
        reject_twins([*places, band], name)
        places[band] = (part, 1)
    if not places:
        found = ", ".join(re.split(r"[:/]", path)[-1] for path in head.subdatasets) or "nothing"
        raise MissingBandError(f"{name} holds {found}, no variable named like a band (B02, B03, B04, B08)")
    return places


def _time_of(head: Probe) -> datetime | None:
    tagged = parse_time(head.tag("ACQUIRED", "SENSING_TIME", "datetime", "PRODUCT_START_TIME") or "")
    return tagged or _netcdf_time(head)


def _netcdf_time(head: Probe) -> datetime | None:
    """CF time of a netCDF slice: GDAL gives the value and, as in CF 4.4, its units "days since …"."""
    for key, value in head.tags.items():
        axis = re.fullmatch(r"NETCDF_DIM_(.+)_VALUES", key)
        units = head.tags.get(f"{axis[1]}#units", "") if axis else ""
        match = re.fullmatch(r"(second|minute|hour|day)s? since (.+)", units.strip())
        start = parse_time(match[2]) if match else None
        if match and start is not None and re.fullmatch(r"[\d.]+", value):
            return (start + timedelta(**{f"{match[1]}s": float(value)})).astimezone(UTC)
    return None


def _stem(name: str) -> str:
    last = PurePosixPath(name.replace("\\", "/")).name
    return re.sub(r"\.(tiff?|jp2|vrt|nc|img|png|h5)$", "", last, flags=re.IGNORECASE) or last
