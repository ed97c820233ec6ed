"""The looks at one zone on its chips, each compared with the next: what was there at each look, and what never moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from detector import masks
from detector.boxes import Boxes, measure, merge
from detector.detections import Detections
from detector.geometry import Grid
from detector.loadings.chiplooks import Look
from detector.loadings.chips import PIXEL_M, chip_grid, zone_mask
from detector.loadings.difference import ChangeObject, Difference, compare
from detector.loadings.sites import Site, Zone

Reals = NDArray[np.float64]
Mask = NDArray[np.bool_]

RECOVERED = "recovered"
#: Of recovered rows: sure enough to count, less sure than what a detector and the pixels agree on.
RECOVERED_CONFIDENCE = 0.6
#: What is added to a table has to be surer than what is listed as a change: wakes and whitecaps are weak objects.
_RECOVERED_CHANCE, _RECOVERED_CONTRAST = 1e-12, 11.0
#: A box never moves if so many pairs of looks, over so many days, show it, and it stayed in this share of them.
FIXED_PAIRS, FIXED_DAYS, FIXED_SHARE = 7, 60.0, 0.9
#: Share of a box's pixels that have to have stayed for the box to have stayed.
STAYED_SHARE = 0.5
_FIXED_CHANGED = 0.15
#: Metres. Beacons, dolphins and buoys are no longer; few vessels that are counted are as short.
SMALL_M = 50.0
#: Least share of a box that is afloat for its pixels to tell whether a vessel stayed.
_LEAST_AFLOAT = 0.3
#: Share of looks in which a pixel is water for it to be a place where a vessel can float, and at most for it to be land.
_FLOATS, _LAND = 0.15, 0.05
_SAME_HULL = 0.2
#: Metres beyond the outline of a zone in which objects are looked for; they count if they overlap it most.
_BEYOND_M = 150.0


@dataclass(frozen=True)
class Pair:
    """What is kept of two consecutive looks."""

    stayed: Mask
    shown: Mask
    changed: Mask
    seen: Mask
    objects: tuple[ChangeObject, ...]
    registered: bool

    @classmethod
    def of(cls, difference: Difference) -> Pair:
        """The part of a comparison that later looks need."""
        return cls(
            difference.stayed,
            difference.shown,
            difference.changed,
            np.asarray(np.isfinite(difference.change).all(axis=0)),
            difference.objects,
            difference.shift.found,
        )


@dataclass(frozen=True)
class ChipSeries:
    """The looks at one zone, and each compared with the next."""

    zone: Zone
    grid: Grid
    floats: Mask
    looks: Sequence[Look]
    pairs: Sequence[Pair]

    @classmethod
    def of(cls, looks: Sequence[Look], zone: Zone) -> ChipSeries:
        """Compare every look with the next; two looks are in memory at once."""
        grid = chip_grid(zone)
        floats, land = _water_and_land(looks, grid)
        inside = zone_mask(zone, grid, _BEYOND_M)
        pairs = []
        bands, before = looks[0].read(grid)
        for look in looks[1:]:
            names, after = look.read(grid)
            both = [band for band in bands if band in names]
            one, other = before[[bands.index(b) for b in both]], after[[names.index(b) for b in both]]
            pairs.append(Pair.of(compare(one, other, floats, land, inside)))
            bands, before = names, after
        return cls(zone, grid, floats, looks, pairs)

    # ---- rows and boxes

    def rows_by_look(self, table: Detections) -> list[NDArray[np.int64]]:
        """The rows of the table, of any status, that lie on the chip, for each look."""
        look_of = {scene: number for number, look in enumerate(self.looks) for scene in look.scene_ids}
        number = np.array([look_of.get(scene, -1) for scene in table["scene_id"]], np.int64)
        centre = (
            np.column_stack(self.grid.from_lonlat(table["lon"], table["lat"]))
            if len(table)
            else np.zeros((0, 2))
        )
        number[~((centre >= 0) & (centre < [self.grid.width, self.grid.height])).all(axis=1)] = -1
        return [np.flatnonzero(number == look) for look in range(len(self.looks))]

    def corners(self, polygons: Iterable[shapely.Polygon]) -> Reals:
        """Hulls (WGS84) as boxes (n, 4, 2) in pixels of the chip."""
        boxes = []
        for polygon in polygons:
            ring = np.column_stack(self.grid.from_lonlat(*shapely.get_coordinates(polygon.exterior).T))
            boxes.append(shapely.get_coordinates(shapely.oriented_envelope(shapely.Polygon(ring)))[:4])
        return np.array(boxes).reshape(-1, 4, 2)

    def stays(self, pair: int, box: Reals) -> float:
        """Share of a box's afloat pixels on which both looks of a pair show the same thing, no water.

        NaN where it was not seen; 0 where nearly all of it is land, which always stays.
        """
        within, place = self._pixels(box)
        afloat = within & self.floats[place]
        if afloat.sum() < _LEAST_AFLOAT * within.sum():
            return 0.0
        return self._share(self.pairs[pair].stayed, self.pairs[pair].seen, afloat, place)

    def moves(self, pair: int, box: Reals) -> float:
        """1 if a pair of looks shows other things in a box, or water; 0 if the same; NaN where it was not seen.

        Of a beacon a few pixels large no pixel stays the same: there it is enough that something is shown.
        """
        within, place = self._pixels(box)
        seen = self.pairs[pair].seen
        if np.hypot(*np.diff(box, axis=0).T).max() * PIXEL_M <= SMALL_M:
            shown = self._share(self.pairs[pair].shown, seen, within, place)
            return float(shown < STAYED_SHARE) if np.isfinite(shown) else float("nan")
        stayed = self._share(self.pairs[pair].stayed, seen, within, place)
        changed = self._share(self.pairs[pair].changed, seen, within, place)
        if not np.isfinite(stayed):
            return float("nan")
        return float(stayed < STAYED_SHARE or changed > _FIXED_CHANGED)

    def _pixels(self, box: Reals) -> tuple[Mask, tuple[slice, slice]]:
        """The pixels of a box as a mask of a part of the chip."""
        low = np.clip(np.floor(box.min(axis=0)).astype(int), 0, [self.grid.width - 1, self.grid.height - 1])
        high = np.clip(np.ceil(box.max(axis=0)).astype(int), low + 1, [self.grid.width, self.grid.height])
        cols, rows = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        within = np.asarray(shapely.contains_xy(shapely.Polygon(box), cols, rows))
        return within, (slice(low[1], high[1]), slice(low[0], high[0]))

    @staticmethod
    def _share(what: Mask, seen: Mask, within: Mask, place: tuple[slice, slice]) -> float:
        known = within & seen[place]
        if not within.any() or known.sum() < 0.7 * within.sum():
            return float("nan")
        return float(what[place][known].mean())

    # ---- results

    def fixed(self, table: Detections, rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
        """Kept rows on the chip whose pixels never change and never are water."""
        found = []
        for row in np.concatenate(rows) if len(rows) else ():
            if table["status"][row] != "kept":
                continue
            box = self.corners([table["geometry"][row]])[0]
            moves = np.array([self.moves(pair, box) for pair in range(len(self.pairs))])
            known = np.flatnonzero(np.isfinite(moves))
            if len(known) < FIXED_PAIRS:
                continue
            days = self.looks[known[-1] + 1].day - self.looks[known[0]].day
            if days >= FIXED_DAYS and moves[known].mean() <= 1 - FIXED_SHARE:
                found.append(int(row))
        return np.array(found, np.int64)

    def recovered(self, table: Detections, rows: Sequence[NDArray[np.int64]], site: Site) -> Detections:
        """Vessels that the pixels show and the table has not, in the zone.

        Where the table has a box of any status, nothing is added: a rejected box stays rejected.
        """
        known = [self.corners(table["geometry"][row]) for row in rows]
        mobile = [self.corners(table["geometry"][row[table["status"][row] == "kept"]]) for row in rows]
        present = [self._by_objects(look) for look in range(len(self.looks))]
        for look in range(1, len(self.looks)):
            present[look] = _joined(
                present[look], self._carried(look - 1, [*present[look - 1], *mobile[look - 1]])
            )
        for look in range(len(self.looks) - 2, -1, -1):
            present[look] = _joined(
                present[look], self._carried(look, [*present[look + 1], *mobile[look + 1]])
            )
        tables = []
        for look, boxes in enumerate(present):
            new = _not_among(boxes, known[look])
            if len(new):
                tables.append(self._table(new, self.looks[look], site))
        return Detections.concat(tables)

    def _by_objects(self, look: int) -> Reals:
        """Boxes of what arrived at a look or left after it."""
        found = [o for o in (self.pairs[look - 1].objects if look else ()) if o.kind == "arrived"]
        found += [o for o in (self.pairs[look].objects if look < len(self.pairs) else ()) if o.kind == "left"]
        found = [o for o in found if o.chance < _RECOVERED_CHANCE and o.contrast > _RECOVERED_CONTRAST]
        if not found:
            return np.zeros((0, 4, 2))
        boxes = Boxes(
            np.stack([o.corners for o in found]),
            np.array([o.contrast for o in found]),
            np.zeros(len(found), np.int64),
        )
        return merge(boxes).corners

    def _carried(self, pair: int, boxes: Sequence[Reals]) -> Reals:
        """Boxes of one look of a pair that the other look shows too."""
        return np.array([box for box in boxes if self.stays(pair, box) >= STAYED_SHARE]).reshape(-1, 4, 2)

    def _table(self, corners: Reals, look: Look, site: Site) -> Detections:
        polygons = self._polygons(corners)
        mine = np.array([zone_id == self.zone.id for zone_id in site.assign(list(polygons))], bool)
        corners, polygons = corners[mine], polygons[mine]
        n, sizes = len(corners), measure(corners, self.grid)
        lon, lat = self.grid.to_lonlat(*corners.mean(axis=1).T)
        return Detections.from_columns(
            **{
                "scene_id": [look.scene_ids[0]] * n,
                "acquired": [look.acquired] * n,
                "class": ["vessel"] * n,
                "confidence": np.full(n, RECOVERED_CONFIDENCE),
                "lon": lon,
                "lat": lat,
                "length_m": np.round(sizes.length_m, 1),
                "width_m": np.round(sizes.width_m, 1),
                "heading_deg": np.round(sizes.heading_deg, 1) % 180.0,
                "heading_ambiguous": np.ones(n, bool),
                "site": [site.name] * n,
                "zone_id": [self.zone.id] * n,
                "flags": [[RECOVERED]] * n,
                "geometry": polygons,
            }
        )

    def _polygons(self, corners: Reals) -> NDArray[np.object_]:
        lon, lat = self.grid.to_lonlat(corners[:, :, 0], corners[:, :, 1])
        return np.asarray(shapely.polygons(np.stack([lon, lat], axis=-1)), dtype=object)

    def object_rows(self, site: str) -> list[dict[str, Any]]:
        """What arrived and left, pair by pair."""
        out = []
        for number, pair in enumerate(self.pairs):
            if not pair.objects:
                continue
            corners = np.stack([o.corners for o in pair.objects])
            sizes, polygons = measure(corners, self.grid), self._polygons(corners)
            lon, lat = self.grid.to_lonlat(*corners.mean(axis=1).T)
            for i, found in enumerate(pair.objects):
                if not polygons[i].intersects(self.zone.polygon):
                    continue
                out.append(
                    {
                        "site": site,
                        "zone_id": self.zone.id,
                        "kind": found.kind,
                        "earlier": self.looks[number].acquired,
                        "later": self.looks[number + 1].acquired,
                        "lon": float(lon[i]),
                        "lat": float(lat[i]),
                        "length_m": round(float(sizes.length_m[i]), 1),
                        "width_m": round(float(sizes.width_m[i]), 1),
                        "heading_deg": round(float(sizes.heading_deg[i]), 1) % 180.0,
                        "area_m2": found.area_m2,
                        "chance": found.chance,
                        "geometry": polygons[i],
                    }
                )
        return out


def _water_and_land(looks: Sequence[Look], grid: Grid) -> tuple[Mask, Mask]:
    """Where vessels can float, and what never is water, by all looks."""
    wet = np.zeros((grid.height, grid.width), np.int32)
    seen = np.zeros_like(wet)
    for look in looks:
        bands, layers = look.read(grid)
        wet += masks.water(layers, bands)
        seen += np.isfinite(layers).all(axis=0)
    share = wet / np.maximum(seen, 1)
    return np.asarray(share >= _FLOATS), np.asarray((share <= _LAND) & (seen > 0))


def _joined(boxes: Reals, more: Reals) -> Reals:
    return np.concatenate([boxes, _not_among(more, boxes)])


def _not_among(boxes: Reals, known: Reals) -> Reals:
    """Boxes that share no more than a fifth of the smaller with any that is known, or with an earlier one of their own."""
    hulls = list(shapely.polygons(known)) if len(known) else []
    out = []
    for box in boxes:
        hull = shapely.Polygon(box)
        if all(hull.intersection(other).area <= _SAME_HULL * min(hull.area, other.area) for other in hulls):
            out.append(box)
            hulls.append(hull)
    return np.array(out).reshape(-1, 4, 2)
