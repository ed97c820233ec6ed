"""Real ports with the hulls of other real vessels pasted on, for training: hulls as they are, at quays where none lies.

A hull is cut out of its water by the share of each pixel that it covers (linear mixing, Keshava & Mustard 2002, IEEE Signal
Processing Magazine 19(1), 44): what is left is the hull's own light, which is added to the new place where the same share
of that place is taken away. Only hulls with even water all round can be cut out so. A pasted hull is turned by bilinear
resampling and so a little softer than a real one. A scene with pasted hulls keeps the name of its place.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import ndtr
from shapely import Polygon

from training.composites.ports import Port, read_port
from training.composites.scene import place_group, turned
from training.composites.write import write_pixels
from training.config import PastedConfig
from training.labels import Label, LabelledScene
from training.simulate.fleet import beside
from training.simulate.hulls import Vessel
from training.simulate.noise import Array

log = logging.getLogger(__name__)

_FIRST_SEED = 700
#: Standard deviation in metres of a pixel's response to a point: pixel, optics (MTF at Nyquist about 0.26; Sentinel-2 User
#: Handbook, ESA 2015) and one resampling.
_BLUR_M = 5.4
#: Metres beyond the box that are cut out with the hull, and those beyond them that must be even water.
_EDGE_M = 12.0
_RING_M = 40.0
#: Most that the water may differ from its middle (nine tenths of it), as a share of what the hull does.
_MOST_UNEVEN = 0.3
#: Reflectance; fainter hulls would be mostly what was wrongly taken for water.
_LEAST_CONTRAST = 0.02
#: Spread of the logarithm of the brightness that a pasted hull is given.
_TONE = 0.15
_LONGEST_IN_RANK_M = 90.0

Group = list[tuple[Vessel, "Cutout"]]


@dataclass(frozen=True, eq=False)
class Cutout:
    """A real hull without its water.

    Attributes:
        light: (bands, height, width) reflectance that the hull adds to each pixel.
        share: (height, width) of each pixel that it covers.
        centre: (column, row) of the middle of the hull, corner convention.
        heading: degrees of its axis from the top of the grid, clockwise.
        length, width: of its box in metres.
        pixel_m: metres of a pixel.
        name: its class.
    """

    light: Array
    share: Array
    centre: NDArray[np.float64]
    heading: float
    length: float
    width: float
    pixel_m: float
    name: str = "vessel"


def cut_out(port: Port, label: Label) -> Cutout | None:
    """A labelled hull without its water, or None where something else than even water lies beside it."""
    ring = label.corners * port.pixel_m
    a, b = ring[1] - ring[0], ring[2] - ring[1]
    along, across = (a, b) if np.hypot(*a) >= np.hypot(*b) else (b, a)
    length, width = float(np.hypot(*along)), float(np.hypot(*across))
    heading = float(np.degrees(np.arctan2(along[0], -along[1])))
    reach = (length + width) / 2 + _EDGE_M + _RING_M
    edge = (ring.min(axis=0) - _EDGE_M, ring.max(axis=0) + _EDGE_M)
    size = np.array(port.pixels.shape[:0:-1]) * port.pixel_m
    if (edge[0] < 0).any() or (edge[1] > size).any() or _near_another(port, label):
        return None
    low = np.maximum(np.floor((ring.mean(axis=0) - reach) / port.pixel_m).astype(int), 0)
    high = np.ceil((ring.mean(axis=0) + reach) / port.pixel_m).astype(int)
    pixels = port.pixels[:, low[1] : high[1], low[0] : high[0]]
    centre = label.centre - low
    u, v = _frame(pixels.shape[1:], centre, heading, port.pixel_m)
    off = np.maximum(np.abs(u) - length / 2, np.abs(v) - width / 2)
    around = (off > _EDGE_M) & (off < _EDGE_M + _RING_M)
    share = _cover(u, length) * _cover(v, width)
    middle = share > 0.6 * share.max()
    if not np.isfinite(pixels).all() or around.sum() < 20:
        return None
    water = np.median(pixels[:, around], axis=1)
    contrast = np.abs(np.median(pixels[:, middle], axis=1) - water).max()
    uneven = np.quantile(np.abs(pixels[:, around] - water[:, None]), 0.9, axis=1).max()
    if contrast < _LEAST_CONTRAST or uneven > _MOST_UNEVEN * contrast:
        return None
    cut = off < _EDGE_M
    light = pixels - (1.0 - share) * water[:, None, None]
    cut_light, cut_share = (np.asarray(np.where(cut, one, 0.0), np.float32) for one in (light, share))
    return Cutout(cut_light, cut_share, centre, heading, length, width, port.pixel_m, label.name)


def paste(
    pixels: Array, hull: Cutout, place: Vessel, at: tuple[float, float], pixel_m: float, mirrored: bool, tone: float
) -> None:
    """Lay a hull into pixels (bands, height, width), in place.

    Args:
        pixels: reflectance.
        hull: what is laid.
        place: its heading, and its place in metres from `at`.
        at: (column, row).
        pixel_m: metres of a pixel.
        mirrored: port and starboard changed over.
        tone: factor on its light.
    """
    centre = np.array(at) + np.array([place.x, place.y]) / pixel_m
    half = int(np.ceil((np.hypot(hull.length, hull.width) / 2 + _EDGE_M) / pixel_m)) + 1
    low = np.floor(centre).astype(int) - half
    first = np.maximum(low, 0)
    window = pixels[:, first[1] : low[1] + 2 * half + 1, first[0] : low[0] + 2 * half + 1]
    u, v = _frame(window.shape[1:], centre - first, place.heading, pixel_m)
    v = -v if mirrored else v
    s, c = np.sin(np.radians(hull.heading)), np.cos(np.radians(hull.heading))
    cols = (u * s + v * c) / hull.pixel_m + hull.centre[0] - 0.5
    rows = (-u * c + v * s) / hull.pixel_m + hull.centre[1] - 0.5
    share = ndimage.map_coordinates(hull.share, (rows, cols), order=1)
    light = np.array([ndimage.map_coordinates(band, (rows, cols), order=1) for band in hull.light])
    window *= 1.0 - share
    window += tone * light
    np.maximum(window, 1e-4, out=window)


def pasted_scenes(
    scenes: Sequence[LabelledScene], config: PastedConfig, classes: Sequence[str], folder: Path
) -> list[LabelledScene]:
    """Paste hulls of all the scenes on the free water of those that have all bands; every copy with other hulls.

    The same scenes and settings give the same hulls at the same places.

    Args:
        scenes: real labelled scenes; each copy keeps their labels beside those of the pasted hulls.
        config: how many copies, of how many vessels, lying how.
        classes: names that labels may have; a hull of another class is pasted as a vessel.
        folder: gets a GeoTIFF a copy.
    """
    out: list[LabelledScene] = []
    if not config.copies:
        return out
    ports = [(scene, port) for scene in scenes if (port := read_port(scene)) is not None]
    found = [cut_out(port, label) for _, port in ports for label in port.labels if not label.ignore]
    hulls = [hull for hull in found if hull is not None]
    log.info("%d of %d labelled hulls can be cut out", len(hulls), len(found))
    if not hulls:
        return out
    folder.mkdir(parents=True, exist_ok=True)
    for scene, port in ports:
        for number in range(config.copies):
            rng = np.random.default_rng([_FIRST_SEED + number, sum(map(ord, scene.name))])
            pixels, taken, pasted = port.pixels.copy(), list[tuple[float, float, float]](), list[Label]()
            for group in _groups(hulls, config, rng):
                place = place_group(port, [vessel for vessel, _ in group], rng, taken)
                if place is None:
                    continue
                col, row, turn = place
                for vessel, hull in group:
                    laid = turned(vessel, turn)
                    tone = float(np.exp(rng.normal(0.0, _TONE)))
                    paste(pixels, hull, laid, (col, row), port.pixel_m, bool(rng.random() < 0.5), tone)
                    corners = np.asarray(laid.box.exterior.coords)[:4] / port.pixel_m + np.array([col, row])
                    pasted.append(Label(corners, hull.name if hull.name in classes else "vessel", id=laid.id))
            path = folder / f"{scene.name}_pasted_{number}.tif"
            write_pixels(pixels, port.grid, path)
            out.append(LabelledScene(path, scene.place, [*scene.labels, *pasted]))
            log.info("%s: %d hulls pasted", path.name, len(pasted))
    return out


def _groups(hulls: Sequence[Cutout], config: PastedConfig, rng: np.random.Generator) -> list[Group]:
    """About `config.vessels` vessels in groups, heading up the grid round the origin: alone, in pairs and in ranks."""
    groups: list[Group] = []
    ways = list(config.status)
    while sum(map(len, groups)) < config.vessels:
        way = str(rng.choice(ways, p=[config.status[one] for one in ways]))
        name = f"P{len(groups):03d}"
        if way == "end_on":
            groups.append(_rank(hulls, rng, name))
            continue
        hull = hulls[int(rng.integers(len(hulls)))]
        first = _vessel(hull, name, "alongside" if way == "double_banked" else way)
        group = [(first, hull)]
        if way in ("rafted", "double_banked"):
            other = _like(hulls, hull.length, rng)
            # The quay is to starboard, so what lies outside of a moored hull lies to port.
            placed = beside(first, _vessel(other, name + "b", way), float(rng.uniform(0.0, 5.0)), -1, 0.0, False)
            group.append((placed, other))
        groups.append(group)
    return groups


def _rank(hulls: Sequence[Cutout], rng: np.random.Generator, name: str) -> Group:
    """Two to six hulls of like length side by side, their sterns in line."""
    short = [hull for hull in hulls if hull.length <= _LONGEST_IN_RANK_M] or list(hulls)
    first = short[int(rng.integers(len(short)))]
    chosen = [first, *(_like(short, first.length, rng) for _ in range(int(rng.integers(1, 6))))]
    gap, longest = float(rng.uniform(0.0, 25.0)), max(hull.length for hull in chosen)
    group, edge = list[tuple[Vessel, Cutout]](), 0.0
    for number, hull in enumerate(chosen):
        vessel = _vessel(hull, f"{name}{chr(97 + number)}", "end_on")
        group.append((vessel.moved(edge + hull.width / 2, (longest - hull.length) / 2), hull))
        edge += hull.width + gap * float(rng.uniform(0.7, 1.3))
    middle = edge / 2
    return [(vessel.moved(vessel.x - middle, vessel.y), hull) for vessel, hull in group]


def _like(hulls: Sequence[Cutout], length: float, rng: np.random.Generator) -> Cutout:
    """One of the eight hulls nearest in length."""
    near = sorted(hulls, key=lambda hull: abs(np.log(hull.length / length)))[:8]
    return near[int(rng.integers(len(near)))]


def _vessel(hull: Cutout, name: str, status: str) -> Vessel:
    return Vessel(name, "real", 0.0, 0.0, hull.length, hull.width, 0.0, status)


def _near_another(port: Port, label: Label) -> bool:
    """Whether another labelled object lies within what is cut out or looked at for water."""
    reach = (_EDGE_M + _RING_M) / port.pixel_m
    mine = Polygon(label.corners)
    return any(mine.distance(Polygon(other.corners)) < reach for other in port.labels if other is not label)


def _frame(
    shape: tuple[int, ...], centre: NDArray[np.float64], heading: float, pixel_m: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Metres forward (u) and to starboard (v) of every pixel's centre."""
    x = (np.arange(shape[1]) + 0.5 - centre[0]) * pixel_m
    y = ((np.arange(shape[0]) + 0.5 - centre[1]) * pixel_m)[:, None]
    s, c = np.sin(np.radians(heading)), np.cos(np.radians(heading))
    return x * s - y * c, x * c + y * s


def _cover(at: NDArray[np.float64], size: float) -> NDArray[np.float64]:
    """Share of a blurred pixel at `at` that a strip of `size` metres about 0 fills."""
    return np.asarray(ndtr((size / 2 - at) / _BLUR_M) - ndtr((-size / 2 - at) / _BLUR_M))
