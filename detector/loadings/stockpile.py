"""How much of a stockpile's ground is dark, look by look.

Piles of coal are dark and flat in the visible and in near infrared; bare ground, concrete and plants are not. The dark
area rises when coal comes in and falls when it is shipped: supporting evidence for loadings, and no tonnage, for the
height of a pile is not seen. Rain, shadow, snow and covers change it too.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from detector.atomic import replacing
from detector.geometry import Grid
from detector.loadings.chiplooks import Look
from detector.loadings.chips import chip_grid, zone_mask
from detector.loadings.radiometry import normalise
from detector.loadings.registration import find_shift, shifted
from detector.loadings.sites import Zone
from detector.textformats import escape_cell

Floats = NDArray[np.floating]

#: Reflectance, mean of the bands there are. Bare coal reflects 0.03 to 0.06, concrete and soil from 0.12.
DARK = 0.085
#: Reflectance. How far near infrared may be above the visible: plants in shade are dark in the visible alone.
_FLAT = 0.06
#: Reflectance. Noise of a pixel, and the least that two dates differ by after normalisation.
_NOISE, _LEAST_RESIDUAL = 0.006, 0.005
#: Share of a stockpile that has to be seen for its area to be told.
LEAST_CLEAR = 0.5
STOCKPILES_FILE = "stockpiles.csv"


@dataclass(frozen=True)
class StockpileRow:
    """The dark area of one stockpile at one look.

    Attributes:
        dark_area_m2, dark_area_sd_m2: on the ground, and its standard deviation; NaN where too little was seen.
    """

    acquired: str
    scene_id: str
    site: str
    zone_id: str
    clear_fraction: float
    dark_area_m2: float
    dark_area_sd_m2: float


def stockpile_rows(looks: Sequence[Look], zone: Zone, site: str) -> list[StockpileRow]:
    """One row a look, in order of time.

    All looks are brought to the place and radiometry of the clearest, by ground outside of the zone.
    """
    if not looks:
        return []
    grid = chip_grid(zone)
    inside = zone_mask(zone, grid)
    column, row = grid.pixel_size()
    bands, reference = _clearest(looks, grid)
    rows = []
    for look in looks:
        names, layers = look.read(grid)
        both = [band for band in bands if band in names]
        base, own = (
            part[[order.index(b) for b in both]] for part, order in ((reference, bands), (layers, names))
        )
        own = shifted(own, find_shift(base.mean(axis=0), own.mean(axis=0), ~inside))
        fit = normalise(base, own, ~inside)
        residual = np.nanmax([_LEAST_RESIDUAL, *fit.residual])
        clear, area, deviation = dark_area(fit.apply(own), both, inside, float(residual), column * row)
        rows.append(StockpileRow(look.acquired, look.scene_ids[0], site, zone.id, clear, area, deviation))
    return rows


def _clearest(looks: Sequence[Look], grid: Grid) -> tuple[tuple[str, ...], NDArray[np.float32]]:
    best: tuple[int, tuple[str, ...], NDArray[np.float32]] | None = None
    for look in looks:
        bands, layers = look.read(grid)
        seen = int(np.isfinite(layers).all(axis=0).sum())
        if best is None or (len(bands), seen) > (len(best[1]), best[0]):
            best = seen, bands, layers
    assert best is not None
    return best[1], best[2]


def dark_area(
    layers: Floats, bands: Sequence[str], inside: NDArray[np.bool_], residual: float, pixel_m2: float
) -> tuple[float, float, float]:
    """Clear fraction, dark area in m² and its standard deviation.

    A pixel is dark with the chance that its reflectance is below `DARK`, given its noise, so that pixels on the edge of a
    pile count in part. The deviation has three parts: the look's radiometry as a whole (the area is worked out again with
    `residual` added and taken off), the pixels' own noise, and ground that was not seen, which may be dark or not.

    Args:
        layers: (bands, height, width) reflectance, NaN where not seen.
        residual: how far the radiometry of the look may be off, reflectance.
    """
    seen = inside & np.isfinite(layers).all(axis=0)
    clear = float(seen.sum() / max(inside.sum(), 1))
    if clear < LEAST_CLEAR:
        return round(clear, 4), math.nan, math.nan
    chances = [_dark(layers[:, seen] + shift, bands) for shift in (0.0, residual, -residual)]
    least, most = chances[1].sum(), chances[2].sum()
    hidden = float(inside.sum() - seen.sum())
    share = float(chances[0].mean())
    area = float(chances[0].sum()) + hidden * share
    # Neighbours share the sensor's blur: an edge pixel's noise comes with that of about four.
    own = 4.0 * float((chances[0] * (1 - chances[0])).sum())
    unseen = hidden**2 / 12
    deviation = math.sqrt(((most - least) / 2) ** 2 + own + unseen)
    return round(clear, 4), area * pixel_m2, deviation * pixel_m2


def _dark(pixels: Floats, bands: Sequence[str]) -> NDArray[np.float64]:
    """The chance of each pixel (bands, pixels) to be dark."""
    from scipy import special

    level = pixels.mean(axis=0, dtype=np.float64)
    chance = special.ndtr((DARK - level) / _NOISE)
    if "B08" in bands:
        visible = pixels[[i for i, band in enumerate(bands) if band != "B08"]].mean(axis=0, dtype=np.float64)
        rise = pixels[list(bands).index("B08")] - visible
        chance = chance * special.ndtr((_FLAT - rise) / _NOISE)
    return np.asarray(chance)


def write_stockpiles(path: str | os.PathLike[str], rows: Iterable[StockpileRow]) -> None:
    """Write the table as CSV, whole or not at all; an area that is not known is empty.

    Raises:
        TableError: the folder cannot be written.
    """
    with replacing(path) as draft, open(draft, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(field.name for field in fields(StockpileRow))
        for row in rows:
            *texts, clear, area, deviation = astuple(row)
            numbers = ["" if math.isnan(v) else round(v) for v in (area, deviation)]
            table.writerow([*(escape_cell(text) for text in texts), clear, *numbers])
