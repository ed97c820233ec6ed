"""Augmentation for 10 m imagery, on encoded network inputs of four channels.

The colour of water, haze and glint, the noise of the sensor and small shifts between bands change from scene to
scene much more than the hulls do; with a few ports to learn from they must be made up. Everything works on
(height, width, 4) uint8 arrays as albumentations passes them; 0 stays no data.
"""

from __future__ import annotations

from typing import Any

import albumentations as A
import cv2
import numpy as np
from numpy.typing import NDArray

from detector.encoding import NO_DATA, decode_reflectance, encode_reflectance


class AtmosphereAndWater(A.ImageOnlyTransform):
    """Path radiance, contrast and colour changes of each band, in reflectance.

    Haze adds light, more in blue than in near infrared (Rayleigh and aerosol scattering), and lowers contrast;
    gains of single bands stand for other illumination, adjacency and processing (L1C, L2A, 8-bit true colour).
    """

    def get_params(self) -> dict[str, Any]:
        rng = self.random_generator
        haze = rng.exponential(0.025) if rng.random() < 0.6 else 0.0
        colour = np.array([0.75, 0.9, 1.1, 0.5]) * rng.uniform(0.8, 1.2, 4)
        return {
            "offset": haze * colour + rng.normal(0, 0.006, 4),
            "gain": rng.uniform(0.75, 1.3) * rng.normal(1.0, 0.07, 4).clip(0.8, 1.25) * np.exp(-haze * 2),
        }

    def apply(self, img: NDArray[np.uint8], offset: Any = 0, gain: Any = 1, **params: Any) -> NDArray[np.uint8]:
        reflectance = decode_reflectance(img) * np.float32(gain) + np.float32(offset)
        return encode_reflectance(reflectance)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        return ()


class Glint(A.ImageOnlyTransform):
    """A smooth bright field over the scene, as sun glint, thin cloud or a turbid plume leave it."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        rng = self.random_generator
        h, w = params["shape"][:2]
        coarse = rng.normal(size=(int(rng.integers(3, 12)),) * 2).astype(np.float32)
        field = cv2.resize(coarse, (w, h), interpolation=cv2.INTER_CUBIC)
        field = np.clip(field, 0, None) / max(float(field.max()), 1e-3)
        colour = np.array([1.0, 1.0, 0.95, 0.9]) * rng.uniform(0.5, 1.0, 4)
        return {"field": field[..., None] * np.float32(rng.uniform(0.01, 0.09) * colour)}

    def apply(self, img: NDArray[np.uint8], field: Any = 0, **params: Any) -> NDArray[np.uint8]:
        return encode_reflectance(decode_reflectance(img) + field)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        return ()


class BandShift(A.ImageOnlyTransform):
    """Move each band by a fraction of a scene pixel: residual misregistration and moving ships."""

    def get_params(self) -> dict[str, Any]:
        return {"shifts": self.random_generator.normal(0, 0.7, (4, 2))}

    def apply(self, img: NDArray[np.uint8], shifts: Any = (), **params: Any) -> NDArray[np.uint8]:
        out = np.empty_like(img)
        for band, (dx, dy) in enumerate(shifts):
            m = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
            out[..., band] = cv2.warpAffine(
                img[..., band], m, img.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
        return out

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        return ()


class PixelNoise(A.ImageOnlyTransform):
    """Sensor noise and whitecap speckle: independent at the size of a scene pixel, not of a network pixel."""

    def get_params_dependent_on_data(self, params: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
        rng = self.random_generator
        h, w = params["shape"][:2]
        sigma = rng.exponential(3.0)
        noise = rng.normal(0, sigma, (h // 2, w // 2, 1)) * 0.7 + rng.normal(0, sigma, (h // 2, w // 2, 4)) * 0.7
        return {"noise": cv2.resize(noise.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR)}

    def apply(self, img: NDArray[np.uint8], noise: Any = 0, **params: Any) -> NDArray[np.uint8]:
        return np.clip(img + noise, 1, 255).astype(np.uint8)

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        return ()


class DropNearInfrared(A.ImageOnlyTransform):
    """Take the near infrared away, as a true-colour scene has none."""

    def apply(self, img: NDArray[np.uint8], **params: Any) -> NDArray[np.uint8]:
        out = img.copy()
        out[..., 3] = NO_DATA
        return out

    def get_transform_init_args_names(self) -> tuple[str, ...]:
        return ()


def pixel_augmentation(seed: int, *, drop_near_infrared: float, strength: float = 1.0) -> A.Compose:
    """The chain of changes to pixel values; geometry is changed where chips are sampled.

    Args:
        seed: makes the chain repeatable.
        drop_near_infrared: probability of a true-colour sample.
        strength: scales the probability of every other change; 0 turns them off.
    """
    return A.Compose(
        [
            AtmosphereAndWater(p=0.8 * strength),
            Glint(p=0.25 * strength),
            BandShift(p=0.3 * strength),
            A.GaussianBlur(blur_limit=0, sigma_limit=(0.4, 1.4), p=0.15 * strength),
            PixelNoise(p=0.4 * strength),
            DropNearInfrared(p=drop_near_infrared),
        ],
        seed=seed,
    )


def keep_no_data(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`after` with 0 wherever `before` had no data."""
    return np.where(before == NO_DATA, NO_DATA, after).astype(np.uint8)
