"""A map of a site: its zones by kind, numbered, over the coast where a coastline is installed.

matplotlib is imported when a map is drawn (`pip install bargewatch[plots]`). The colours are those of Okabe and Ito, which
people with any colour vision tell apart; the numbers and the legend say the same.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from detector.atomic import replacing
from detector.errors import TableError
from detector.loadings.coast import agreed, coastlines, disputed, has_coast
from detector.loadings.maplabels import label_places
from detector.loadings.mappanel import Panel, panels
from detector.loadings.places import Place
from detector.loadings.sitecheck import COUNTED, sides_m
from detector.loadings.sites import Site
from detector.loadings.zones import Zone

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

COLOURS = {
    "coal_berth": "#D55E00",
    "berth": "#0072B2",
    "anchorage": "#009E73",
    "stockpile": "#333333",
    "area": "#777777",
}
_WATER = "#EDF3F7"
_LAND, _HATCH = "#C6C4BE", "#9C988A"
#: White behind a text, so that it is read on any ground.
_PLATE = {"boxstyle": "square,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.7}
#: A zone of vessels with more of its area than this on land has its water missing from the coastlines.
_ASHORE = 0.95


def write_site_map(site: Site, path: str | os.PathLike[str], *, coast: bool = True) -> bool:
    """Draw a site into a .png or .svg file.

    Args:
        coast: draw coastlines below the zones, where roaring-landmask is installed.

    Returns:
        Whether there are coastlines on the map.

    Raises:
        MissingDependencyError: matplotlib is not installed.
        TableError: another suffix, or the file cannot be written.
    """
    from detector.loadings.plots import check_matplotlib

    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".svg"):
        raise TableError(f"cannot write {path}: a map is a .png or .svg file")
    check_matplotlib()
    import matplotlib

    with replacing(path) as draft:
        land = coastlines(panels(site)[0]) if coast and has_coast() else {}
        figure = site_figure(site, land)
        # The same site gives the same bytes: no date, no version, and ids that do not depend on the run.
        metadata = {"Date": None} if suffix == ".svg" else {"Software": None}
        with matplotlib.rc_context({"svg.hashsalt": "bargewatch"}):
            figure.savefig(draft, dpi=100, metadata=metadata)
    return bool(land)


def site_figure(site: Site, land: Mapping[str, shapely.Geometry]) -> Figure:
    """The map of a site; `land` holds land polygons (WGS84) by name of the coastline."""
    from matplotlib.figure import Figure

    shown = panels(site)
    shapes = [panel.shape_km for panel in shown]
    widths = [width / height for width, height in shapes]  # panels of one height
    height = min(5.2, 9.4 / sum(widths))
    numbers = {zone.id: str(number) for number, zone in enumerate(site.zones, 1)}
    legend = _legend(site, numbers, land)
    longest = max(len(str(handle.get_label())) for handle in legend)
    width = max(height * sum(widths) + 0.9 * len(shown), 0.6 + 0.067 * longest, 6.5)
    figure = Figure(figsize=(width, height + 0.6 + 0.21 * len(legend)), layout="constrained")
    axes = figure.subplots(1, len(shown), squeeze=False, width_ratios=widths)[0]
    for axis, panel in zip(axes, shown, strict=True):
        _draw_land(axis, land)
        # The finer zones get their numbers where there is room for them.
        coarse = len(shown) > 1 and panel is shown[0]
        _draw_zones(axis, site.zones, numbers, panel, only_areas=coarse)
        _draw_places(axis, site.places, panel)
        _draw_grid(axis, panel)
        _draw_scale(axis, panel)
    if len(shown) > 1:
        west, south, east, north = shown[1]
        axes[0].plot(
            [west, east, east, west, west], [south, south, north, north, south], color="black", lw=0.8
        )
        axes[1].set_title("finer zones (the black frame)", fontsize=9, loc="left")
    figure.suptitle(site.name.replace("$", r"\$"), x=0.01, ha="left", fontsize=13)
    figure.legend(
        handles=legend, loc="outside lower left", ncols=1, frameon=False, fontsize=9, alignment="left"
    )
    return figure


# ---- what is drawn


def _draw_land(axis: Axes, land: Mapping[str, shapely.Geometry]) -> None:
    """Grey where the coastlines agree on land, hatched where only one of them has it."""
    axis.set_facecolor(_WATER)
    for _, polygons, style in _land_parts(land):
        _fill(axis, polygons, **style)


def _land_parts(land: Mapping[str, shapely.Geometry]) -> list[tuple[str, shapely.Geometry, dict[str, Any]]]:
    """Name, outline and look of the land of all coastlines, and of that which one has alone; none of them empty."""
    parts = [("land by " + " and ".join(land), agreed(land), {"facecolor": _LAND, "edgecolor": "#6B6B6B"})]
    for (name, polygons), hatch in zip(disputed(land).items(), ("////", "\\\\\\\\"), strict=False):
        parts.append(
            (f"land by {name} alone", polygons, {"facecolor": "none", "edgecolor": _HATCH, "hatch": hatch})
        )
    return [(text, polygons, style | {"lw": 0.4}) for text, polygons, style in parts if polygons.area > 0]


def _fill(axis: Axes, geometry: shapely.Geometry, **style: object) -> None:
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    rings = []
    for part in shapely.get_parts(geometry):
        if part.geom_type == "Polygon":
            rings += [shapely.get_coordinates(ring) for ring in (part.exterior, *part.interiors)]
    if rings:
        outline = Outline.make_compound_path(*(Outline(ring, closed=True) for ring in rings))
        axis.add_patch(PathPatch(outline, **style))  # type: ignore[arg-type]


def _draw_zones(
    axis: Axes, zones: Sequence[Zone], numbers: Mapping[str, str], panel: Panel, only_areas: bool
) -> None:
    ordered = sorted(zones, key=lambda zone: (zone.kind != "area", -zone.polygon.area))
    for zone in ordered:
        colour = COLOURS[zone.kind]
        if zone.kind == "area":
            _fill(axis, zone.polygon, facecolor="none", edgecolor=colour, lw=1.2, ls="--")
        else:
            _fill(axis, zone.polygon, facecolor=colour + "55", edgecolor=colour, lw=1.6)
    for zone, (lon, lat), centre in label_places(ordered, panel):
        if only_areas and zone.kind != "area":
            continue
        if (lon, lat) != centre:
            axis.plot([centre[0], lon], [centre[1], lat], color="black", lw=0.7, zorder=4)
        axis.text(
            lon, lat, numbers[zone.id], ha="center", va="center", fontsize=9, weight="bold", zorder=5, color="white",
            bbox={"boxstyle": "circle,pad=0.25", "facecolor": COLOURS[zone.kind], "edgecolor": "white", "lw": 1.0},
        )  # fmt: skip


def _draw_places(axis: Axes, places: Sequence[Place], panel: Panel) -> None:
    for place in places:
        if panel.west < place.lon < panel.east and panel.south < place.lat < panel.north:
            axis.plot(place.lon, place.lat, "o", ms=3.5, color="black", zorder=5)
            axis.annotate(
                place.name.replace("$", r"\$"), (place.lon, place.lat), (4, -1), textcoords="offset points",
                fontsize=8.5, va="top", zorder=5, bbox=_PLATE,
            )  # fmt: skip


def _draw_grid(axis: Axes, panel: Panel) -> None:
    west, south, east, north = panel
    per_lon, per_lat = panel.km_per_degree
    axis.set_xlim(west, east)
    axis.set_ylim(south, north)
    axis.set_aspect(per_lat / per_lon)
    axis.set_xticks(*_ticks(west, east, "EW"), fontsize=8)
    axis.set_yticks(*_ticks(south, north, "NS"), fontsize=8)
    axis.grid(color="black", lw=0.4, alpha=0.25, zorder=0)
    axis.annotate(
        "N", xy=(0.965, 0.975), xytext=(0.965, 0.87), xycoords="axes fraction", ha="center", va="center", fontsize=10,
        weight="bold", arrowprops={"arrowstyle": "-|>", "color": "black", "lw": 1.2}, zorder=6,
    )  # fmt: skip


def _ticks(low: float, high: float, signs: str) -> tuple[list[float], list[str]]:
    """Round minutes of arc, three to six of them, and how they are written."""
    steps = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300)
    step = next((step for step in steps if (high - low) * 60 / step <= 5), steps[-1])
    minutes = np.arange(math.ceil(low * 60 / step), math.floor(high * 60 / step) + 1) * step
    labels = []
    for value in minutes:
        whole, rest = divmod(abs(float(value)), 60)
        labels.append(f"{whole:.0f}°{rest:04.1f}′" if step < 1 else f"{whole:.0f}°{rest:02.0f}′")
        labels[-1] += f" {signs[0] if value >= 0 else signs[1]}"
    return [float(value) / 60 for value in minutes], labels


def _draw_scale(axis: Axes, panel: Panel) -> None:
    """A bar of a round number of kilometres in the lower left corner, on white so that it is read on any ground."""
    from matplotlib.patches import Rectangle

    per_lon, per_lat = panel.km_per_degree
    width, height = panel.shape_km
    length = max(
        (n * 10.0**k for n in (1, 2, 5) for k in range(-2, 4) if n * 10.0**k <= 0.26 * width), default=0.01
    )
    lon, lat = panel.west + 0.04 * width / per_lon, panel.south + 0.045 * height / per_lat
    across, up = length / per_lon, 0.014 * height / per_lat
    for part, colour in ((0, "black"), (1, "white")):
        axis.add_patch(
            Rectangle(
                (lon + part * across / 2, lat),
                across / 2,
                up,
                facecolor=colour,
                edgecolor="black",
                lw=0.8,
                zorder=6,
            )
        )
    text = f"{length:g} km" if length >= 1 else f"{1000 * length:g} m"
    axis.text(
        lon + across / 2, lat + 1.8 * up, text, ha="center", va="bottom", fontsize=8, zorder=6,
        bbox=_PLATE,
    )  # fmt: skip


def _legend(site: Site, numbers: Mapping[str, str], land: Mapping[str, shapely.Geometry]) -> list[Patch]:
    """A line a zone, a line a kind of land, and notes."""
    from matplotlib.patches import Patch

    handles = []
    for zone in site.zones:
        colour = COLOURS[zone.kind]
        kind = zone.kind.replace("_", " ")
        name = zone.name.replace("$", r"\$")
        text = f"{numbers[zone.id]}  {name} ({kind}), {_accuracy(zone)}"
        if zone.kind == "area":
            handles.append(Patch(facecolor="none", edgecolor=colour, ls="--", label=text))
        else:
            handles.append(Patch(facecolor=colour + "55", edgecolor=colour, lw=1.6, label=text))
    handles += [Patch(**style, label=text) for text, _, style in _land_parts(land)]
    handles += [Patch(facecolor="none", edgecolor="none", label=text) for text in _notes(site, numbers, land)]
    return handles


def _notes(site: Site, numbers: Mapping[str, str], land: Mapping[str, shapely.Geometry]) -> list[str]:
    """What a reader would else take for a fault of the map."""
    dry = agreed(land)
    ashore = [
        numbers[zone.id] for zone in site.zones
        if zone.kind in COUNTED and zone.polygon.intersection(dry).area > _ASHORE * zone.polygon.area
    ]  # fmt: skip
    which = "neither coastline" if len(land) == 2 else "no coastline"
    return [f"{', '.join(ashore)}: the water there is in {which}, so it looks like land"] if ashore else []


def _accuracy(zone: Zone) -> str:
    metres = zone.accuracy_m
    distance = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    if metres > sides_m(zone.polygon)[0]:
        return f"uncertain by {distance}, more than its size"
    return f"good to {distance}"
