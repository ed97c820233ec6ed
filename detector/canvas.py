"""A piece of a scene as a picture, with vessels, labels, scale bar and north arrow drawn on it.

Everything thin is drawn at twice the size and averaged down, so that lines of 1.5 pixels stay crisp at any angle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from detector.geometry import Grid, Window

INK = (12, 16, 24)
PAPER = (240, 243, 247)
VESSEL = (255, 226, 0)
COAL = (255, 70, 200)
REJECTED = (225, 232, 240)

_SUPER = 2  # supersampling of overlays
PAD = 2.5  # pixels between hull and outline, so that the outline does not hide the hull
_Box = tuple[float, float, float, float]


def font(size: float) -> Any:
    """The typeface that comes with Pillow."""
    return ImageFont.load_default(size)


@dataclass(frozen=True)
class Mark:
    """A vessel as it is drawn: its box in pixels of the scene (n × 2), colour, and text for its label."""

    corners: NDArray[np.float64]
    colour: tuple[int, int, int]
    kept: bool
    label: str
    length_m: float
    confidence: float

    @property
    def centre(self) -> tuple[float, float]:
        """Column and row in the scene."""
        col, row = self.corners.mean(axis=0)
        return float(col), float(row)


@dataclass
class Panel:
    """A window of a scene drawn north up at a given scale.

    Args:
        rgb: uint8 (height, width, 3) of the window, at any resolution.
        window: the window of the scene that it shows.
        size: width and height of the picture.
    """

    rgb: NDArray[np.uint8]
    window: Window
    grid: Grid
    size: tuple[int, int]
    image: Image.Image = field(init=False)
    taken: list[_Box] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        rgb = self.rgb
        if self.grid.transform.a < 0:
            rgb = rgb[:, ::-1]
        if self.grid.transform.e > 0:  # a raster whose rows run northwards
            rgb = rgb[::-1]
        self.image = Image.fromarray(np.ascontiguousarray(rgb)).resize(self.size, Image.Resampling.BICUBIC)

    @property
    def metres_per_pixel(self) -> float:
        """Ground metres of a picture pixel, at the centre."""
        centre = self.window.col + self.window.width / 2, self.window.row + self.window.height / 2
        return self.grid.pixel_size(*centre)[0] * self.window.width / self.size[0]

    def place(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """Picture positions (n × 2) of scene pixels (n × 2)."""
        start, extent = np.array(self.window[:2]), np.array(self.window[2:])
        share = (np.asarray(pixels) - start) / extent
        if self.grid.transform.a < 0:
            share[:, 0] = 1 - share[:, 0]
        if self.grid.transform.e > 0:
            share[:, 1] = 1 - share[:, 1]
        return np.asarray(share * np.array(self.size))

    def draw_boxes(self, marks: Sequence[Mark], width: float = 1.6, pad: float = PAD) -> None:
        """Outline every mark: solid where kept, thin and dashed where rejected."""
        overlay = Image.new("RGBA", (self.size[0] * _SUPER, self.size[1] * _SUPER), (0, 0, 0, 0))
        pen = ImageDraw.Draw(overlay)
        for mark in sorted(marks, key=lambda m: m.kept):  # what counts is drawn last
            corners = _padded(self.place(mark.corners), pad)
            if mark.kept:
                self.taken.append(_bounds(corners))
                _outline(pen, corners, (*INK, 150), width + 1.8)
                _outline(pen, corners, (*mark.colour, 255), width)
            else:
                _dashes(pen, corners, (*INK, 140), 2.2)
                _dashes(pen, corners, (*mark.colour, 235), 1.1)
        overlay = overlay.resize(self.size, Image.Resampling.BOX)
        self.image.paste(overlay, (0, 0), overlay)

    def draw_labels(self, marks: Sequence[Mark], size: float = 12) -> None:
        """Label marks, longest first, wherever a place beside the vessel is free; crowded ones go without."""
        pen = ImageDraw.Draw(self.image, "RGBA")
        face = font(size)
        for mark in sorted(marks, key=lambda m: (-m.length_m, -m.confidence)):
            left, top, right, bottom = _bounds(_padded(self.place(mark.corners), PAD))
            w, h = face.getlength(mark.label) + 6, size + 4
            middle_x, middle_y = (left + right - w) / 2, (top + bottom - h) / 2
            spots = [
                (right + 3, middle_y),
                (left - w - 3, middle_y),
                (middle_x, top - h - 3),
                (middle_x, bottom + 3),
                (right + 1, top - h - 1),
                (right + 1, bottom + 1),
            ]
            for x, y in spots:
                box = (x, y, x + w, y + h)
                if self._is_free(box):
                    pen.rounded_rectangle(box, 3, fill=(*INK, 175))
                    pen.text((x + 3, y + h / 2), mark.label, fill=mark.colour, font=face, anchor="lm")
                    self.taken.append(box)
                    break

    def _is_free(self, box: _Box) -> bool:
        inside = box[0] >= 1 and box[1] >= 1 and box[2] <= self.size[0] - 1 and box[3] <= self.size[1] - 1
        return inside and not any(
            box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
            for other in self.taken
        )

    def draw_scale(self, size: float = 12) -> None:
        """A scale bar of a round number of metres, and an arrow to true north."""
        metres = _round_down(self.metres_per_pixel * self.size[0] * 0.22)
        length = metres / self.metres_per_pixel
        text = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
        pen = ImageDraw.Draw(self.image, "RGBA")
        face = font(size)
        width = max(length, face.getlength(text)) + 46
        left, top = 8, self.size[1] - 8 - (size + 22)
        box = (left, top, left + width, self.size[1] - 8)
        pen.rounded_rectangle(box, 5, fill=(*INK, 165))
        self.taken.append(box)
        pen.text((left + 10, top + 5), text, fill=PAPER, font=face)
        y = self.size[1] - 17
        pen.line([(left + 10, y), (left + 10 + length, y)], fill=PAPER, width=2)
        for x in (left + 10, left + 10 + length):
            pen.line([(x, y - 4), (x, y + 4)], fill=PAPER, width=2)
        self._draw_north(left + width - 16, (top + self.size[1] - 8) / 2)

    def _draw_north(self, x: float, y: float) -> None:
        centre = self.window.col + self.window.width / 2, self.window.row + self.window.height / 2
        step = np.linalg.solve(self.grid.ground_jacobian(*centre), np.array([0.0, 1.0]))
        tail, head = self.place(np.array([centre, np.array(centre) + step]))
        up = (head - tail) / np.hypot(*(head - tail))
        side = np.array([-up[1], up[0]])
        at = np.array([x, y])
        overlay = Image.new("RGBA", (80, 80), (0, 0, 0, 0))
        tip, base, notch = at + 12 * up, at - 9 * up, at - 4 * up
        arrow = np.array([tip, base + 6 * side, notch, base - 6 * side])
        origin = np.array([round(x) - 10, round(y) - 20])
        ImageDraw.Draw(overlay).polygon([tuple(p) for p in (arrow - origin) * _SUPER], fill=(*PAPER, 255))
        overlay = overlay.resize((40, 40), Image.Resampling.BOX)
        self.image.paste(overlay, (int(origin[0]), int(origin[1])), overlay)

    def draw_frame(self, window: Window, text: str) -> None:
        """A thin square with a letter: the part of this panel that is shown enlarged elsewhere."""
        corners = np.array(
            [
                (window.col, window.row),
                (window.col + window.width, window.row),
                (window.col + window.width, window.row + window.height),
                (window.col, window.row + window.height),
            ],
            dtype=float,
        )
        left, top, right, bottom = _bounds(self.place(corners))
        pen = ImageDraw.Draw(self.image, "RGBA")
        pen.rectangle((left, top, right, bottom), outline=(*PAPER, 190), width=1)
        self.draw_tag(left, top, text)

    def draw_tag(self, x: float, y: float, text: str, size: float = 12) -> None:
        """A small filled tag with its upper left corner at a picture position."""
        pen = ImageDraw.Draw(self.image, "RGBA")
        face = font(size)
        box = (x, y, x + face.getlength(text) + 9, y + size + 4)
        pen.rectangle(box, fill=(*PAPER, 230))
        pen.text((x + 4.5, y + (size + 4) / 2), text, fill=INK, font=face, anchor="lm")
        self.taken.append(box)


def _bounds(points: NDArray[np.float64]) -> _Box:
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return float(left), float(top), float(right), float(bottom)


def _padded(corners: NDArray[np.float64], pad: float) -> NDArray[np.float64]:
    """A box grown by `pad` on every side, along its own axes."""
    if len(corners) != 4:
        return corners
    a, b = corners[1] - corners[0], corners[3] - corners[0]
    a, b = (v / max(float(np.hypot(*v)), 1e-6) * pad for v in (a, b))
    return np.asarray(corners + np.array([-a - b, a - b, a + b, b - a]))


def _outline(pen: Any, corners: NDArray[np.float64], colour: Any, width: float) -> None:
    points = [tuple(p * _SUPER) for p in corners]
    pen.line([*points, points[0], points[1]], fill=colour, width=round(width * _SUPER), joint="curve")


def _dashes(pen: Any, corners: NDArray[np.float64], colour: Any, width: float, dash: float = 3.5) -> None:
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        side = end - start
        steps = max(1, round(float(np.hypot(*side)) / dash / 2))
        for i in range(steps):
            a, b = start + side * i / steps, start + side * (i + 0.5) / steps
            pen.line([tuple(a * _SUPER), tuple(b * _SUPER)], fill=colour, width=round(width * _SUPER))


def _round_down(metres: float) -> float:
    power = 10.0 ** np.floor(np.log10(metres))
    return float(max(step for step in (1, 2, 5) if step * power <= metres) * power)
