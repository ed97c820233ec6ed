"""Putting bands that lie in one or several rasters onto one grid."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from detector.errors import EmptySceneError, GeoreferenceError, UnknownScaleError, UnreadableSceneError
from detector.geometry import Grid, Window
from detector.scene.bands import TRUE_COLOUR, band_name
from detector.scene.gdal import Probe
from detector.scene.layers import Files, Layer, default_fill
from detector.scene.scale import HOW, TCI_GAIN, Gain, given_scales, parse_scale

if TYPE_CHECKING:
    from affine import Affine

#: Smallest side of a scene in pixels; below this no vessel and no surroundings fit.
MIN_SIDE = 8

#: A band in a file: the header of the file and the index of the band (from 1).
Place = tuple[Probe, int]


def assemble(
    places: Mapping[str, Place], name: str, *, transform: Affine | None = None, crs: Any = None
) -> tuple[Grid, dict[str, Layer], float]:
    """Grid of the finest band, the layers that serve every band on it, and the stored no-data value.

    Raises:
        GeoreferenceError: no usable grid, or bands that do not cover the same ground.
        EmptySceneError: smaller than 8 pixels a side.
    """
    places = {band: (_placed(head, transform, crs), index) for band, (head, index) in places.items()}
    needed = [place for band, place in places.items() if band != "SCL"] or list(places.values())
    finest = min(needed, key=lambda place: abs(place[0].transform.a * place[0].transform.e))[0]
    grid = grid_of(finest, name)
    first = places[next((b for b in (*TRUE_COLOUR, "B08") if b in places), next(iter(places)))]
    fill = default_fill(first[0].dtypes[first[1] - 1], first[0].nodata[first[1] - 1])
    layers = {}
    for band, (head, index) in places.items():
        dtype = head.dtypes[index - 1]
        if np.dtype(dtype).kind not in "uif":
            raise UnreadableSceneError(f"{name} stores {band} as {dtype}; convert it to integers or floats")
        layers[band] = Layer(
            path=head.path,
            index=index,
            dtype=dtype,
            nodata=head.nodata[index - 1],
            mask=_mask_of(head),
            warped=_needs_warp(head, grid, band, name),
            classes=band == "SCL",
        )
    return grid, layers, fill


def grid_of(head: Probe, name: str) -> Grid:
    """The grid of a raster, or one clear error."""
    if min(head.width, head.height) < MIN_SIDE:
        raise EmptySceneError(
            f"{name} is {head.width} x {head.height} pixels; at least {MIN_SIDE} a side are needed"
        )
    if head.crs is None:
        raise GeoreferenceError(
            f"{name} has no CRS; write one into the file (gdal_edit.py -a_srs EPSG:…) or, from Python, pass crs="
        )
    if head.transform.is_identity:
        raise GeoreferenceError(
            f"{name} has a CRS but no geotransform; write one into the file (gdal_edit.py -a_ullr WEST NORTH EAST SOUTH) "
            "or, from Python, pass transform="
        )
    try:
        return Grid(head.crs, head.transform, head.width, head.height)
    except GeoreferenceError as error:
        raise GeoreferenceError(f"{name}: {error}") from error


def _placed(head: Probe, transform: Affine | None, crs: Any) -> Probe:
    """The header with what the caller says about position put in."""
    from rasterio.crs import CRS
    from rasterio.errors import CRSError

    if crs is not None:
        try:
            head = replace(head, crs=CRS.from_user_input(crs))
        except (CRSError, TypeError, ValueError) as error:
            raise GeoreferenceError(f"crs={crs!r} is not a CRS; pass for example 'EPSG:32631'") from error
    if transform is not None:
        head = replace(head, transform=as_affine(transform))
    return head


def as_affine(transform: Any) -> Affine:
    """An Affine from an Affine or its six numbers (a, b, c, d, e, f)."""
    from affine import Affine

    if isinstance(transform, Affine):
        return transform
    try:
        return Affine(*[float(v) for v in transform][:6])
    except (TypeError, ValueError) as error:
        raise GeoreferenceError(
            f"transform={transform!r} is not an affine.Affine or its six numbers"
        ) from error


def _mask_of(head: Probe) -> int | None:
    for i, (text, colour) in enumerate(zip(head.descriptions, head.colours, strict=True), 1):
        named = band_name(text)
        if named == "MASK" or (named is None and colour == "alpha"):
            return i
    return 0 if head.masked else None


def _needs_warp(head: Probe, grid: Grid, band: str, name: str) -> bool:
    """Whether a raster lies on another grid; it must cover the same ground in the same CRS."""
    if head.crs != grid.crs:
        raise GeoreferenceError(
            f"{band} of {name} is in {head.crs}, other bands in {grid.crs}; warp them to one CRS"
        )
    t, g = head.transform, grid.transform
    same = (head.width, head.height) == (grid.width, grid.height)
    if same and np.allclose(tuple(t)[:6], tuple(g)[:6], rtol=1e-9, atol=abs(g.a) * 1e-3):
        return False
    left, top = t.c - g.c, t.f - g.f
    right = left + t.a * head.width - g.a * grid.width
    bottom = top + t.e * head.height - g.e * grid.height
    slack = 1.01 * max(abs(t.a), abs(g.a), abs(t.e), abs(g.e))
    if max(abs(left), abs(top), abs(right), abs(bottom)) > slack or t.b or t.d:
        raise GeoreferenceError(
            f"{band} of {name} does not cover the same ground as its other bands; crop them alike"
        )
    return True


def radiometry_of(
    places: Mapping[str, Place],
    scale: Any,
    name: str,
    files: Files,
    *,
    spare: Mapping[str, Gain] | None = None,
    stated: Mapping[str, Gain] | None = None,
) -> dict[str, Gain]:
    """(gain, offset) of every band, from ``scale=``, a SCALE tag, GDAL's scale and offset, metadata beside
    the files (``spare``, for integers of 16 bits and more), or the pixel type. ``stated`` is what a catalogue
    says; a file that says something else is a contradiction.

    Raises:
        UnknownScaleError: none of them says it, or two of them disagree.
    """
    bands = [band for band in places if band != "SCL"]
    classes = {band: (1.0, 0.0) for band in places if band == "SCL"}
    if scale is not None:
        return {**given_scales(scale, bands, name), **classes}
    out = {band: told for band in bands if (told := _told_by_file(*places[band], name)) is not None}
    for band, gain in (stated or {}).items():
        if not np.allclose(out.setdefault(band, gain), gain, rtol=1e-3, atol=1e-6):
            raise UnknownScaleError(
                f"{name} states gain and offset {gain} for {band}, its file {out[band]}; {HOW}"
            )
    for band, (head, index) in places.items():
        dtype = np.dtype(head.dtypes[index - 1])
        if (
            band in bands
            and band not in out
            and spare
            and band in spare
            and dtype.kind in "ui"
            and dtype.itemsize > 1
        ):
            out[band] = spare[band]
    silent = [band for band in bands if band not in out]
    if silent:
        out.update(_told_by_type(silent, places, name, files))
    return {**out, **classes}


def _told_by_file(head: Probe, index: int, name: str) -> Gain | None:
    band_tags = {key.lower(): value for key, value in head.band_tags[index - 1].items()}
    text = band_tags.get("scale") or head.tag("SCALE")
    tagged = parse_scale(text, name) if text else None
    stored = (head.scales[index - 1], head.offsets[index - 1])
    if stored == (1.0, 0.0):
        return tagged
    stored = parse_scale(stored, name)
    if tagged and not np.allclose(tagged, stored, rtol=1e-3, atol=1e-6):
        raise UnknownScaleError(f"{name} has a SCALE tag {text!r} but GDAL scale and offset {stored}; {HOW}")
    return stored


def _told_by_type(
    bands: Sequence[str], places: Mapping[str, Place], name: str, files: Files
) -> dict[str, Gain]:
    """Two types need no words: floats that look like reflectance, and a true colour image of 8 bits."""
    types = {places[band][0].dtypes[places[band][1] - 1] for band in bands}
    if types == {"uint8"} and set(bands) == set(TRUE_COLOUR):
        return dict.fromkeys(bands, TCI_GAIN)
    if all(np.dtype(t).kind == "f" for t in types):
        values = sample(files.read, files.grid, bands)
        if not np.isfinite(values).any():  # the data may lie in a corner
            values = sample(files.read, files.grid, bands, steps=16)
        check_reflectance(values, name)
        return dict.fromkeys(bands, (1.0, 0.0))
    raise UnknownScaleError(
        f"{name} does not say how its {', '.join(sorted(types))} values become reflectance; {HOW}"
    )


def check_reflectance(values: np.ndarray[Any, Any], name: str) -> None:
    """Floats may be taken as reflectance when nearly all lie in -0.2 to 2 and some are not tiny."""
    values = values[np.isfinite(values)]
    if not values.size:
        raise EmptySceneError(f"{name} holds no pixel with data; check the area that was cut out")
    low, high = np.percentile(values, [0.1, 99.9])
    if low < -0.2 or high > 2.0 or high < 1e-3:
        raise UnknownScaleError(f"the floats of {name}, {low:.4g} to {high:.4g}, are not reflectance; {HOW}")


def sample(
    read: Callable[[Window, Sequence[str]], Any], grid: Grid, bands: Sequence[str], steps: int = 5
) -> np.ndarray[Any, Any]:
    """Stored pixels of up to ``steps`` x ``steps`` windows spread over a scene, flat."""
    side = 64
    cols = sorted({int(c) for c in np.linspace(0, max(grid.width - side, 0), steps)})
    rows = sorted({int(r) for r in np.linspace(0, max(grid.height - side, 0), steps)})
    return np.concatenate([read(Window(col, row, side, side), bands).ravel() for col in cols for row in rows])
