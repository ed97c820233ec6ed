"""What the numbers of a STAC item's assets mean: scale, and the offset of baseline 04.00."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import UnknownScaleError
from detector.scene.assemble import sample
from detector.scene.core import Scene
from detector.scene.scale import HOW, Gain

_Item = Mapping[str, Any]


def bands_of(asset: _Item) -> list[_Item]:
    """The band objects of an asset, in STAC 1.1 (``bands``) or before (``eo:bands``)."""
    return list(asset.get("bands") or asset.get("eo:bands") or [])


def boa_flag(properties: _Item) -> bool | None:
    """Earth Search's word on whether the offset of baseline 04.00 is already in the pixels."""
    for key in ("earthsearch:boa_offset_applied", "sentinel:boa_offset_applied"):
        if key in properties and isinstance(properties[key], bool):
            return bool(properties[key])
    return None


def _baseline(properties: _Item) -> float | None:
    for key in ("s2:processing_baseline", "sentinel:processing_baseline", "processing:version"):
        match = re.fullmatch(r"0?(\d)\.?(\d\d)", str(properties.get(key, "")))
        if match:
            return float(f"{match[1]}.{match[2]}")
    return None


def _stated(asset: _Item) -> tuple[float | None, float | None]:
    """Scale and offset as the asset's metadata give them (raster extension 1 and 2)."""
    raster = (asset.get("raster:bands") or [{}])[0]
    band = (bands_of(asset) or [{}])[0]
    scale = next(
        (s for s in (raster.get("scale"), band.get("raster:scale"), asset.get("raster:scale")) if s), None
    )
    offsets = (raster.get("offset"), band.get("raster:offset"), asset.get("raster:offset"))
    offset = next((o for o in offsets if o is not None), None)
    return (None if scale is None else float(scale)), (None if offset is None else float(offset))


def item_radiometry(chosen: Mapping[str, _Item], properties: _Item, name: str) -> dict[str, Gain]:
    """(gain, offset) a band.

    ``raster:bands`` alone cannot be trusted: Earth Search wrote offset -0.1 also where its pixels already had
    the offset taken off, and says so in ``earthsearch:boa_offset_applied`` (Element84/earth-search, issue 9).
    """
    flag, baseline = boa_flag(properties), _baseline(properties)
    out: dict[str, Gain] = {}
    for band, asset in chosen.items():
        if band == "SCL":
            continue
        scale, offset = _stated(asset)
        if flag is True:
            out[band] = (scale or 1e-4, 0.0)
        elif flag is False and baseline is not None:
            due = -0.1 if baseline >= 4 else 0.0
            if offset is not None and not np.isclose(offset, due, atol=1e-6):
                raise _contradiction(
                    name, band, offset, f"an unapplied offset at baseline {baseline:.2f} means {due}"
                )
            out[band] = (scale or 1e-4, due)
        elif scale is not None and offset is not None:
            if offset and baseline is not None and baseline < 4:
                raise _contradiction(name, band, offset, f"baseline {baseline:.2f} has no offset")
            out[band] = (scale, offset)
        elif baseline is not None and baseline < 4:
            out[band] = (scale or 1e-4, 0.0)
    return out


def _contradiction(name: str, band: str, offset: float, rule: str) -> UnknownScaleError:
    return UnknownScaleError(f"{name} states offset {offset:g} for {band}, but {rule}; {HOW}")


def offset_witness(bands: Collection[str]) -> str:
    """The band whose pixels tell whether the offset was applied: the one that is darkest over water."""
    return "B08" if "B08" in bands else "B04"


def doubt_unapplied_offset(scene: Scene, stored: NDArray[Any] | None = None) -> None:
    """Refuse an item whose pixels contradict ``boa_offset_applied: false``.

    Many items of 2022 to 2025 carry it wrongly (Element84/earth-search, issues 66 and 71). Unapplied, hardly
    any pixel lies below reflectance -0.03; applied, water and shadow do once 0.1 is taken off again.

    Args:
        stored: pixels of `offset_witness` that are at hand; else a sample is read.
    """
    band = offset_witness(scene.bands)
    gain, offset = scene.radiometry[band]
    if offset == 0:
        return
    if stored is None:
        stored = sample(scene.read, scene.grid, [band], steps=3)
    stored = stored[stored != scene.fill]
    if stored.size and float((stored * gain + offset < -0.03).mean()) > 0.05:
        scene.close()
        raise UnknownScaleError(
            f"{scene.name} says its offset is not applied, but its pixels look as if it were; "
            'pass --scale (scale=) "DN / 10000" if it is, "DN / 10000 - 0.1" if not'
        )
