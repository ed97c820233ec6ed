"""Draw network inputs from chips: random place, turn, size and look, with their boxes.

Crops are cut from larger chips by one affine resampling, so any angle and scale costs no more than a plain crop
and a hull is interpolated once. Half of the crops are centred near a vessel, since most of a port is not one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from detector.encoding import GROUND_SAMPLING_M
from training.augment import keep_no_data, pixel_augmentation
from training.chips import Chip


class ChipSampler(Dataset[dict[str, Any]]):
    """A data set of random crops, of a fixed number a epoch, in the form that ultralytics trains on.

    Args:
        folder: the chip folder.
        chips: the chips to draw from.
        size: side of the network input in pixels.
        samples: crops an epoch.
        seed: with the number of the sample and the epoch decides everything about a crop.
        near_vessel: share of crops centred near a vessel.
        scale: range of the random change of size.
        drop_near_infrared: share of crops shown as true colour.
        strength: of the pixel augmentation.
        place_power: places are drawn in proportion to (number of vessels) ** place_power.
        hard: share of crops centred near a hard negative, where a place has some.
    """

    def __init__(
        self,
        folder: Path,
        chips: Sequence[Chip],
        *,
        size: int,
        samples: int,
        seed: int,
        near_vessel: float = 0.75,
        scale: tuple[float, float] = (0.75, 1.35),
        drop_near_infrared: float = 0.3,
        strength: float = 1.0,
        place_power: float = 0.5,
        hard: float = 0.0,
    ) -> None:
        self.chips, self.size, self.samples, self.seed = list(chips), size, samples, seed
        self.near_vessel, self.hard, self.scale = near_vessel, hard, scale
        self.images = [self._load(folder, chip) for chip in self.chips]
        self.drop_near_infrared, self.strength = drop_near_infrared, strength
        self.places = sorted({chip.place for chip in self.chips})
        self._by_place = {p: [i for i, c in enumerate(self.chips) if c.place == p] for p in self.places}
        counts = np.array([sum((~self.chips[i].ignore).sum() for i in self._by_place[p]) for p in self.places])
        weights = np.maximum(counts, 1.0) ** place_power
        self._place_weights = weights / weights.sum()
        self.epoch = 0
        # What ultralytics asks of a data set of its own: the number of images in view and its label table.
        self.labels: list[dict[str, Any]] = []

    @staticmethod
    def _load(folder: Path, chip: Chip) -> NDArray[np.uint8]:
        import rasterio

        with rasterio.open(folder / chip.file) as dataset:
            image = np.ascontiguousarray(dataset.read().transpose(1, 2, 0))
        for corners in chip.corners[chip.ignore]:
            _paint_over(image, corners)
        return image

    def __len__(self) -> int:
        return self.samples

    def __getitem__(self, index: int) -> dict[str, Any]:
        rng = np.random.default_rng([self.seed, self.epoch, index])
        chip_number, focus = self._draw(rng)
        chip, image = self.chips[chip_number], self.images[chip_number]
        linear, offset = self._affine(rng, chip, focus)
        # OpenCV puts (0, 0) at the centre of the first pixel, boxes at its corner: half a pixel away.
        matrix = np.column_stack([linear, offset + linear @ [0.5, 0.5] - 0.5])
        crop: Any = cv2.warpAffine(
            image, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR, borderValue=0
        )
        augment = pixel_augmentation(
            int(rng.integers(2**31)), drop_near_infrared=self.drop_near_infrared, strength=self.strength
        )
        crop = keep_no_data(crop, augment(image=crop)["image"])
        keep = ~chip.ignore
        corners = chip.corners[keep] @ linear.T + offset
        centre = corners.mean(axis=1)
        inside = ((centre > 0) & (centre < self.size)).all(axis=1)
        boxes = np.array([_xywhr(c, self.size) for c in corners[inside]], np.float32).reshape(-1, 5)
        return {
            "img": torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))),
            "cls": torch.from_numpy(chip.classes[keep][inside].astype(np.float32)).reshape(-1, 1),
            "bboxes": torch.from_numpy(boxes),
            "batch_idx": torch.zeros(len(boxes)),
            "im_file": chip.file,
            "ori_shape": (self.size, self.size),
            "resized_shape": (self.size, self.size),
        }

    def _draw(self, rng: np.random.Generator) -> tuple[int, NDArray[np.float64]]:
        """A chip number and the pixel of it that the crop is centred near."""
        while True:
            chips = self._by_place[self.places[rng.choice(len(self.places), p=self._place_weights)]]
            number = int(rng.choice(chips))
            chip, image = self.chips[number], self.images[number]
            side = image.shape[0]
            reach = self.size * GROUND_SAMPLING_M / chip.metres / 2 * 0.85
            kind = rng.random()
            if kind < self.near_vessel:
                centres = chip.corners[~chip.ignore].mean(axis=1)
                inside = ((centres > 0) & (centres < side)).all(axis=1)
                if not inside.any():
                    continue
                return number, centres[inside][rng.integers(inside.sum())] + rng.uniform(-reach, reach, 2)
            if kind < self.near_vessel + self.hard and len(chip.hard):
                return number, chip.hard[rng.integers(len(chip.hard))] + rng.uniform(-reach, reach, 2)
            focus = rng.uniform(0.15 * side, 0.85 * side, 2)
            if image[int(focus[1]), int(focus[0]), 0] > 0:
                return number, focus

    def _affine(
        self, rng: np.random.Generator, chip: Chip, focus: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """2 × 2 matrix and offset from chip to crop positions, corner convention."""
        scale = chip.metres / GROUND_SAMPLING_M * np.exp(rng.uniform(*np.log(self.scale)))
        # Half of the crops keep the pixel grid, as inference does; the others turn by any angle.
        angle = rng.integers(4) * np.pi / 2 if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi)
        c, s = np.cos(angle), np.sin(angle)
        linear = scale * np.array([[c, -s], [s, c]]) @ np.diag([rng.choice([-1.0, 1.0]), 1.0])
        return linear, self.size / 2 - linear @ focus


def _paint_over(image: NDArray[np.uint8], corners: NDArray[np.float32]) -> None:
    """Replace an ignore area by the middle colour of its surroundings: neither vessel nor background."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.rint(corners - 0.5).astype(np.int32)], 1)
    ring = (cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0) & (mask == 0) & (image[..., 0] > 0)
    if mask.any() and ring.any():
        image[cv2.dilate(mask, np.ones((3, 3), np.uint8)) > 0] = np.median(image[ring], axis=0).astype(np.uint8)


def _xywhr(corners: NDArray[np.float64], size: int) -> list[float]:
    """Centre, sides (over the input size) and angle in radians, the long side first, as YOLO-OBB wants it."""
    a, b = corners[1] - corners[0], corners[2] - corners[1]
    along, across = (a, b) if np.hypot(*a) >= np.hypot(*b) else (b, a)
    x, y = corners.mean(axis=0)
    angle = np.arctan2(along[1], along[0]) % np.pi
    return [x / size, y / size, float(np.hypot(*along)) / size, float(np.hypot(*across)) / size, float(angle)]


def collate(batch: list[dict[str, Any]]) -> dict[str, Any]:
    """Join samples into a batch as ultralytics expects it: boxes concatenated, `batch_idx` says whose they are."""
    out: dict[str, Any] = {"img": torch.stack([sample["img"] for sample in batch])}
    for key in ("cls", "bboxes"):
        out[key] = torch.cat([sample[key] for sample in batch])
    out["batch_idx"] = torch.cat([torch.full((len(s["cls"]),), float(i)) for i, s in enumerate(batch)])
    for key in ("im_file", "ori_shape", "resized_shape"):
        out[key] = [sample[key] for sample in batch]
    return out
