"""Granules of one overpass, read as one image on the grid of a site."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from detector.errors import EmptySceneError, UnreadableSceneError
from detector.geometry import Grid, Window
from detector.imagery.area import coarsened, offset_of
from detector.imagery.granules import Granule
from detector.scene.core import Scene
from detector.scene.scale import Gain

#: What is fetched, in the order of the file.
BANDS = ("B02", "B03", "B04", "B08")
_LOG = logging.getLogger(__name__)
#: Seconds before the first new try of a remote file; each further one waits three times as long.
WAIT_S = 1.0
_T = TypeVar("_T")


class Imagery(Protocol):
    """One overpass, opened: what every source hands to the fetching chain.

    ``bands`` and ``radiometry`` (stored * gain + offset) hold for the pixels that `read` gives.
    """

    @property
    def bands(self) -> tuple[str, ...]: ...

    @property
    def radiometry(self) -> dict[str, Gain]: ...

    def classes(self, grid: Grid) -> NDArray[np.uint8] | None:
        """Scene classification on a coarse grid, 0 = no data; None when the source has none."""

    def read(self, grid: Grid) -> tuple[NDArray[np.uint16], NDArray[np.uint8] | None]:
        """Pixels on a 10 m grid (bands, height, width), 0 = no data, and their classes."""

    def products(self) -> list[str]:
        """Names of the products whose pixels were read."""

    def close(self) -> None: ...


class Part:
    """One granule of a mosaic: opened when first needed, and opened again after an error."""

    def __init__(
        self,
        granule: Granule,
        opener: Callable[[], Scene],
        *,
        coarse_classes: Callable[[Grid], NDArray[np.uint8] | None] | None = None,
        check: Callable[[Scene, NDArray[Any]], None] | None = None,
        forget: Callable[[], None] | None = None,
        tries: int = 1,
    ) -> None:
        self.granule = granule
        self._opener, self._coarse, self._check, self._forget = opener, coarse_classes, check, forget
        self._tries = tries
        self._scene: Scene | None = None
        self._facts: tuple[tuple[str, ...], dict[str, Gain]] | None = None
        self.used = False

    def scene(self) -> Scene:
        if self._scene is None:
            self._scene = self._opener()
        return self._scene

    def facts(self) -> tuple[tuple[str, ...], dict[str, Gain]]:
        """Bands and radiometry, from the headers."""
        if self._facts is None:
            self._facts = self._patiently(lambda: (self.scene().bands, self.scene().radiometry))
        return self._facts

    def classes(self, grid: Grid) -> NDArray[np.uint8] | None:
        coarse = self._coarse
        if coarse is not None:
            return self._patiently(lambda: coarse(grid))
        if "SCL" not in self.facts()[0]:
            return None
        return self._patiently(lambda: _thinned(self.scene(), grid))

    def read(self, grid: Grid, bands: Sequence[str]) -> NDArray[Any]:
        """Stored pixels on a grid of any CRS; 0 = no data, as float where the scene stores floats."""
        return self._patiently(lambda: _on_grid(self.scene(), grid, bands))

    def check(self, witness: NDArray[Any]) -> None:
        """Does the scale that the catalogue states fit the pixels?"""
        if self._check is not None:
            self._check(self.scene(), witness)

    def _patiently(self, action: Callable[[], _T]) -> _T:
        """Run, and again after errors of the network: they pass more often than not."""
        wait = WAIT_S
        for left in reversed(range(self._tries)):
            try:
                return action()
            except UnreadableSceneError as error:
                self.close()
                if left and not _is_final(str(error)):
                    _LOG.info("%s; trying again in %.0f s", error, wait)
                    time.sleep(wait)
                    wait *= 3
                if self._forget is not None:
                    self._forget()
                if not left or _is_final(str(error)):
                    raise
        raise AssertionError("unreachable")

    def close(self) -> None:
        if self._scene is not None:
            self._scene.close()
            self._scene = None


def _is_final(text: str) -> bool:
    """Answers that do not change by asking again."""
    return "HTTP response code: 40" in text


class Mosaic:
    """Granules in the order of preference: a later one fills what the earlier leave without data.

    Stored numbers are kept as they are where all granules mean the same by them. Where they do not (an older
    and a newer processing baseline), they are shifted to the lowest offset, which loses nothing.

    Raises:
        SceneError: no granule can be read.
    """

    def __init__(self, parts: Sequence[Part], grid: Grid) -> None:
        # Granules on the site's own grid first: they need no resampling.
        self._parts = sorted(parts, key=lambda part: not _same_zone(part.granule, grid))

    # Headers are read when they are needed first: a scene under cloud costs its classes alone.
    @cached_property
    def bands(self) -> tuple[str, ...]:
        return tuple(band for band in BANDS if all(band in part.facts()[0] for part in self._parts))

    @cached_property
    def radiometry(self) -> dict[str, Gain]:
        return {band: _common([part.facts()[1][band] for part in self._parts]) for band in self.bands}

    @cached_property
    def _has_classes(self) -> bool:
        return all("SCL" in part.facts()[0] for part in self._parts)

    def classes(self, grid: Grid) -> NDArray[np.uint8] | None:
        out = np.zeros((grid.height, grid.width), np.uint8)
        kept = []
        for part in self._parts:
            found = part.classes(grid)
            if found is None:
                return None
            new = (out == 0) & (found != 0)
            # The overlap of neighbours is seen alike by both: one that adds nothing is not read again.
            if new.any():
                out[new] = found[new]
                kept.append(part)
        self._parts = kept or self._parts[:1]
        return out

    def read(self, grid: Grid) -> tuple[NDArray[np.uint16], NDArray[np.uint8] | None]:
        out = np.zeros((len(self.bands), grid.height, grid.width), np.uint16)
        classes = np.zeros(out.shape[1:], np.uint8) if self._has_classes else None
        for part in self._parts:
            empty = ~out.any(axis=0)
            if not empty.any():
                break
            stored = part.read(grid, self.bands)
            part.check(stored[self.bands.index("B08" if "B08" in self.bands else "B04")])
            pixels = self._converted(stored, part.facts()[1])
            new = empty & pixels.any(axis=0)
            if not new.any():
                continue
            part.used = True
            np.copyto(out, pixels, where=new)
            if classes is not None:
                np.copyto(classes, part.read(grid, ["SCL"])[0], where=new, casting="unsafe")
        return out, classes

    def _converted(self, stored: NDArray[Any], gains: dict[str, Gain]) -> NDArray[np.uint16]:
        """Stored pixels as 16-bit numbers of the common radiometry; 0 where any source had no data."""
        # A channel of an 8-bit picture is 0 in the dark, too.
        seen = np.broadcast_to(stored.any(axis=0), stored.shape) if stored.dtype == np.uint8 else stored != 0
        out = np.zeros(stored.shape, np.uint16)
        for i, band in enumerate(self.bands):
            (gain, offset), (to_gain, to_offset) = gains[band], self.radiometry[band]
            if stored.dtype.kind == "u" and np.allclose((gain, offset), (to_gain, to_offset), rtol=1e-6):
                moved: NDArray[Any] = stored[i]
            else:
                moved = np.rint((stored[i] * gain + (offset - to_offset)) / to_gain)
            np.copyto(out[i], np.clip(moved, 1, 65535), where=seen[i], casting="unsafe")
        return out

    def products(self) -> list[str]:
        return [part.granule.id for part in self._parts if part.used]

    def close(self) -> None:
        for part in self._parts:
            part.close()


def _same_zone(granule: Granule, grid: Grid) -> bool:
    epsg = grid.crs.to_epsg() or 0
    return granule.tile is None or granule.tile[:2] == f"{epsg % 100:02d}"


def _common(gains: list[Gain]) -> Gain:
    """One radiometry for all granules: their own when it is one, else 10,000 steps and the lowest offset."""
    first = gains[0]
    if all(np.allclose(gain, first, rtol=1e-6) for gain in gains) and first[0] < 0.5:
        return first
    return 1e-4, min(-0.1, *(offset for _, offset in gains)) if len(gains) > 1 else -0.1


def _on_grid(scene: Scene, grid: Grid, bands: Sequence[str]) -> NDArray[Any]:
    """A scene's stored pixels on another grid; no data is 0."""
    place = offset_of(grid, scene.grid)
    if place is not None:
        return _zero_filled(scene.read(place, bands), scene.fill)
    window = _window_under(grid, scene.grid)
    shape = (len(bands), grid.height, grid.width)
    if window is None:
        return np.zeros(shape, np.uint16)
    from rasterio.enums import Resampling
    from rasterio.warp import reproject

    stored = _zero_filled(scene.read(window, bands), scene.fill)
    out = np.zeros(shape, stored.dtype)
    reproject(
        stored,
        out,
        src_transform=scene.grid.window_grid(window).transform,
        src_crs=scene.grid.crs,
        src_nodata=0,
        dst_transform=grid.transform,
        dst_crs=grid.crs,
        dst_nodata=0,
        init_dest_nodata=True,
        resampling=Resampling.nearest if "SCL" in bands else Resampling.bilinear,
    )
    return out


def _zero_filled(stored: NDArray[Any], fill: float) -> NDArray[Any]:
    missing = np.isnan(stored) if np.isnan(fill) else stored == fill
    if fill != 0:
        stored[missing] = 0
    return stored


def _window_under(grid: Grid, scene_grid: Grid) -> Window | None:
    """The window of a scene that covers a grid, with room for interpolation; None when they do not meet."""
    steps = np.linspace(0, 1, 9)
    cols, rows = np.meshgrid(steps * grid.width, steps * grid.height)
    x, y = scene_grid.from_lonlat(*grid.to_lonlat(cols.ravel(), rows.ravel()))
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    left, top = max(int(x.min()) - 4, 0), max(int(y.min()) - 4, 0)
    right, bottom = min(int(x.max()) + 5, scene_grid.width), min(int(y.max()) + 5, scene_grid.height)
    return Window(left, top, right - left, bottom - top) if right > left and bottom > top else None


def _thinned(scene: Scene, grid: Grid) -> NDArray[np.uint8]:
    """Classes of a local scene on the coarse grid, strip by strip: every fourth pixel."""
    from affine import Affine

    step, strip = 4, 128
    out = np.zeros((grid.height, grid.width), np.uint8)
    for row in range(0, grid.height, strip):
        height = min(strip, grid.height - row)
        t = grid.transform * Affine.translation(0, row) * Affine.scale(1 / step)
        fine = Grid(grid.crs, t, grid.width * step, height * step)
        out[row : row + height] = _on_grid(scene, fine, ["SCL"])[0][step // 2 :: step, step // 2 :: step]
    return out


def covers(scene_grid: Grid, grid: Grid) -> bool:
    """Whether a scene and a grid meet at all."""
    return _window_under(coarsened(grid), scene_grid) is not None


def need_colours(bands: Sequence[str], name: str) -> None:
    """Raises EmptySceneError where the granules of an overpass share too few bands to search for vessels."""
    missing = [band for band in ("B04", "B03", "B02") if band not in bands]
    if missing:
        raise EmptySceneError(f"{name} lacks {', '.join(missing)}; choose products that hold these bands")
