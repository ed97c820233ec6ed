"""Pictures of what went wrong: missed vessels and false alarms, the worst of each slice."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from detector.geometry import Window, metres_per_degree
from detector.scene import Scene, open_scene
from training.matching import FALSE_ALARM
from training.scores import RADII_M
from training.slices import SLICES, Slice

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from training.evaluate import Scored

EACH = 4
"""Most misses, and most false alarms, of a slice."""
OF_PLACE = 2
"""Most of one kind from one place, so that one port does not fill the picture."""
APART_M = 300.0
"""Failures on one sheet are farther from each other than this: nearer ones show nearly the same scene."""
STRIP_BYTES = 290_000
_TILE, _CAPTION, _COLUMNS = 176, 26, 4
_SIDE_M = 700.0
_COLOURS = {"label": "#3ddc63", "ignore": "#9a9a9a", "found": "#ffd400", "wrong": "#ff2d2d"}
LEGEND = (
    "Below each picture: its slice, place and length; of a false alarm also the confidence. "
    "Red: the missed vessel, or the false alarm; green: labelled vessels; yellow: other detections shown; "
    f"grey: ignore areas. Each picture is {_SIDE_M:.0f} m wide, and no two are within {APART_M:.0f} m of each other."
)


@dataclass(eq=False)
class Failure:
    """A labelled vessel that was not found, or a detection that is none.

    Attributes:
        scored: the scene it is in.
        kind: `missed` or `false`.
        corners: (4, 2) longitude and latitude of its box.
        length_m, shore_m: its length (labelled, or claimed) and distance to land.
        confidence: of a false alarm; of a miss NaN.
        threshold: that decided.
    """

    scored: Scored
    kind: str
    corners: NDArray[np.float64]
    length_m: float
    shore_m: float
    confidence: float
    threshold: float

    @property
    def place(self) -> str:
        """Where it is."""
        return self.scored.predicted.scene.place

    @property
    def caption(self) -> str:
        """A short line for below its picture."""
        parts = [self.kind, self.place.replace("_", " "), f"{self.length_m:.0f} m"]
        return ", ".join(parts + ([f"{self.confidence:.2f}"] if self.kind == "false" else []))

    def near(self, other: Failure) -> bool:
        """Whether both show nearly the same place."""
        (lon, lat), here = other.corners.mean(axis=0), self.corners.mean(axis=0)
        if abs(lat - here[1]) > 1:
            return False
        east_m, north_m = metres_per_degree(float(lat))
        return math.hypot((lon - here[0]) * east_m, (lat - here[1]) * north_m) < APART_M


def find(scored: Iterable[Scored], thresholds: Mapping[str, float]) -> list[Failure]:
    """All misses and false alarms at 150 m, the longest missed vessels and the most confident false alarms first."""
    out: list[Failure] = []
    for one in scored:
        p, m = one.predicted, one.matched
        threshold = thresholds[p.scene.place]
        shown = m.confidence >= threshold
        near = m.near[RADII_M[0]]
        for i in sorted(set(range(m.labels)) - set(near[shown & (near >= 0)].tolist())):
            where = p.labels[i], float(m.label_length_m[i]), float(m.label_shore_m[i])
            out.append(Failure(one, "missed", *where, math.nan, threshold))
        for i in np.flatnonzero(shown & (near == FALSE_ALARM)).tolist():
            where = p.found[i], float(m.length_m[i]), float(m.shore_m[i])
            out.append(Failure(one, "false", *where, float(m.confidence[i]), threshold))
    return sorted(out, key=lambda f: (f.kind == "false", -f.length_m if f.kind == "missed" else -f.confidence))


def of_slice(
    failures: Sequence[Failure], one: Slice, each: int = EACH, beside: Sequence[Failure] = ()
) -> list[Failure]:
    """The worst misses and false alarms of a slice, at most `OF_PLACE` of a kind from one place.

    None is within `APART_M` of another, or of those that it stands `beside`.
    """
    out: list[Failure] = []
    for kind in ("missed", "false"):
        taken: dict[str, int] = {}
        for f in failures:
            inside = bool(one.holds(np.array([f.length_m]), np.array([f.shore_m]))[0])
            wanted = f.kind == kind and inside and taken.get(f.place, 0) < OF_PLACE and sum(taken.values()) < each
            if wanted and not any(f.near(other) for other in (*beside, *out)):
                taken[f.place] = taken.get(f.place, 0) + 1
                out.append(f)
    return out


def write(
    failures: Sequence[Failure], folder: Path, mode: str, say: Callable[[str], None] = lambda line: None
) -> list[dict[str, Any]]:
    """Write a picture for each slice and ``failures-<mode>.jpg``, one of each kind from every slice, for a model card.

    Returns:
        for each slice with failures: its name, the file, and what is on it.
    """
    chosen = {one: of_slice(failures, one) for one in SLICES}
    strip: list[tuple[Slice, Failure]] = []
    for one in SLICES:
        strip += [(one, f) for f in of_slice(failures, one, each=1, beside=[f for _, f in strip])]
    wanted = list(dict.fromkeys([*(f for found in chosen.values() for f in found), *(f for _, f in strip)]))
    say(f"drawing {len(wanted)} failures")
    views = _views(wanted)
    out = []
    for one, found in chosen.items():
        if found:
            file = f"failures-{mode}-{_slug(one.name)}.jpg"
            _save(_sheet([_captioned(views[f], one, f) for f in found]), folder / file)
            items = [{"kind": f.kind, "place": f.place, "length_m": round(f.length_m)} for f in found]
            out.append({"slice": one.name, "file": file, "items": items})
    if strip:
        _save(_sheet([_captioned(views[f], one, f) for one, f in strip]), folder / f"failures-{mode}.jpg")
    return out


def _slug(name: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in name).split())


def _views(failures: Sequence[Failure]) -> dict[Failure, Image]:
    by_scene: dict[Path, list[Failure]] = {}
    for f in failures:
        by_scene.setdefault(f.scored.predicted.scene.path, []).append(f)
    out: dict[Failure, Image] = {}
    for path, found in by_scene.items():
        with open_scene(path, require=()) as scene:
            out |= {f: _view(scene, f) for f in found}
    return out


def _view(scene: Scene, failure: Failure) -> Image:
    """A square of `_SIDE_M` around a failure in true colour, with all boxes."""
    from PIL import Image, ImageDraw

    from detector.truecolour import Stretch, true_colour

    p, m = failure.scored.predicted, failure.scored.matched
    box = p.pixels(failure.corners)
    side = math.ceil(_SIDE_M / np.mean(scene.grid.pixel_size()))
    left, top = (np.round(box.mean(axis=0)) - side / 2).astype(int)
    # The stretch is that of the surroundings: a lone quay would take all of the range for itself.
    wide = true_colour(scene, Window(int(left) - side, int(top) - side, 3 * side, 3 * side))
    pixels = Stretch(wide)(wide[:, side : 2 * side, side : 2 * side])
    view = Image.fromarray(pixels).resize((_TILE, _TILE), Image.Resampling.BICUBIC)
    draw, zoom = ImageDraw.Draw(view), _TILE / side

    def outline(corners: NDArray[np.float64], colour: str, width: int = 1) -> None:
        _outline(draw, (corners - [left, top]) * zoom, _COLOURS[colour], width)

    for area in p.pixels(p.ignore):
        outline(area, "ignore")
    for label in p.pixels(p.labels):
        outline(label, "label")
    for shown in p.pixels(p.found)[m.confidence >= failure.threshold]:
        outline(shown, "found")
    outline(box, "wrong", 2)
    return view


def _captioned(view: Image, one: Slice, failure: Failure) -> Image:
    """The picture of a failure with its slice and what it is below."""
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (_TILE, _TILE + _CAPTION), "white")
    picture.paste(view, (0, 0))
    text = ImageDraw.Draw(picture)
    for number, line in enumerate((f"{one.name}:", failure.caption)):
        text.text((3, _TILE + 1 + 12 * number), line, fill="black")
    return picture


def _outline(draw: ImageDraw, corners: NDArray[np.float64], colour: str, width: int) -> None:
    if ((corners.max(axis=0) < 0) | (corners.min(axis=0) > _TILE)).any():
        return
    draw.line([tuple(c) for c in np.vstack([corners, corners[:1]])], fill=colour, width=width)


def _sheet(tiles: Sequence[Image]) -> Image:
    from PIL import Image

    columns, gap = min(_COLUMNS, len(tiles)), 4
    rows = math.ceil(len(tiles) / columns)
    size = columns * (_TILE + gap) - gap, rows * (_TILE + _CAPTION + gap) - gap
    sheet = Image.new("RGB", size, "white")
    for number, tile in enumerate(tiles):
        sheet.paste(tile, (number % columns * (_TILE + gap), number // columns * (_TILE + _CAPTION + gap)))
    return sheet


def _save(picture: Image, path: Path) -> None:
    """JPEG of at most `STRIP_BYTES`, as good as that allows."""
    from detector.atomic import replacing

    for quality in (88, 75, 60, 45, 30):
        buffer = BytesIO()
        picture.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= STRIP_BYTES:
            break
    with replacing(path) as draft:
        draft.write_bytes(buffer.getvalue())
