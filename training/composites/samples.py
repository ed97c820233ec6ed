"""Boxes that the coal score is trained and tested on, kept by port and drawing: a run goes on where one ended."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import coal, patches
from detector.atomic import replacing
from detector.boxes import Floats
from detector.patches import Patches
from detector.scene import open_scene
from training.composites.families import Family
from training.composites.ports import read_port
from training.composites.scene import Composite, compose
from training.labels import LabelledScene, apply_corrections, read_coco

#: Boxes drawn for each vessel of a composite.
_DRAWS = 2
_JUDGES = ("fit.py", "network.py", "write.py")
#: What decides the pixels of a composite; its text is part of the key that they are kept by.
_CODE = (
    *sorted(path for path in Path(__file__).parent.glob("*.py") if path.name not in _JUDGES),
    Path(__file__).with_name("families.yaml"),
    *sorted((Path(__file__).parents[1] / "simulate").glob("*.py")),
    Path(patches.__file__ or ""),
)


@dataclass
class Samples:
    """Boxes to score: what they show, and what they are.

    Attributes:
        patches: (n,) what they show; in half precision, a band that the scene lacks is NaN.
        coal: (n,) whether coal shows.
        real: (n,) whether it is a real vessel, taken for not coal.
        about: (n,) dicts: port, kind, cargo, load, status, width (of the hull, m), label.
    """

    patches: Patches
    coal: NDArray[np.bool_]
    real: NDArray[np.bool_]
    about: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.coal)

    @property
    def port(self) -> NDArray[np.str_]:
        """(n,) the places."""
        return np.array([row["port"] for row in self.about], dtype=np.str_)

    @classmethod
    def concat(cls, parts: Sequence[Samples]) -> Samples:
        """All samples of several lists."""
        every = [part.patches for part in parts]
        joined = Patches(
            np.concatenate([p.reflectance for p in every]), np.concatenate([p.length_m for p in every]),
            np.concatenate([p.width_m for p in every]),
        )  # fmt: skip
        coal_, real = (np.concatenate([getattr(part, name) for part in parts]) for name in ("coal", "real"))
        return cls(joined, coal_, real, [row for part in parts for row in part.about])

    def where(self, mask: NDArray[np.bool_]) -> Samples:
        """The samples of a mask (n,)."""
        about = [self.about[i] for i in np.flatnonzero(mask)]
        return Samples(self.patches.where(mask), self.coal[mask], self.real[mask], about)

    def with_bands(self, chosen: str) -> Samples:
        """The samples whose scenes have all bands of a set, without their other bands."""
        needed = np.array([band in coal.BAND_SETS[chosen] for band in patches.BANDS])
        there = np.asarray(np.isfinite(self.patches.reflectance).any(axis=(2, 3)))
        out = self.where(np.asarray(there[:, needed].all(axis=1)))
        out.patches.reflectance[:, ~needed] = np.nan
        return out


def as_drawn(corners: Floats, family: Family, pixel_m: float, rng: np.random.Generator) -> Floats:
    """Boxes (n, 4, 2) as a network would draw them: off a little in place and size."""
    shift_m, stretch = family.box_error
    out = np.empty_like(corners)
    for i, box in enumerate(corners):
        centre = box.mean(axis=0)
        a, b = box[1] - box[0], box[2] - box[1]
        wider = 1.0 + rng.uniform(*family.box_width_m) / (min(np.hypot(*a), np.hypot(*b)) * pixel_m)
        factors = np.exp(rng.normal(0.0, stretch, 2))
        narrow = 0 if np.hypot(*a) < np.hypot(*b) else 1
        factors[narrow] *= wider
        a, b = a * factors[0], b * factors[1]
        middle = centre + rng.normal(0.0, shift_m / pixel_m, 2)
        out[i] = middle + np.array([-a - b, a - b, a + b, b - a]) / 2
    return out


def composite_samples(composite: Composite, family: Family, draws: int = _DRAWS, seed: Sequence[int] = ()) -> Samples:
    """Samples of a composite scene, each vessel with several boxes."""
    pixel = float(np.mean(composite.grid.pixel_size()))
    rng = np.random.default_rng([len(composite.truth), 3, *seed])
    truth = composite.truth * draws
    boxes = as_drawn(np.array([t.corners for t in truth]).reshape(-1, 4, 2), family, pixel, rng)
    about = [
        {"port": composite.port, "kind": t.vessel.kind, "cargo": t.cargo.name, "load": t.cargo.load,
         "status": t.vessel.status, "width": t.vessel.width, "label": t.label}
        for t in truth
    ]  # fmt: skip
    with composite.open(patches.BANDS) as scene:
        found = patches.cut(scene, boxes, patches.BANDS)
    found.reflectance = found.reflectance.astype(np.float16)
    return Samples(found, np.array([t.cargo.coal for t in truth], bool), np.zeros(len(truth), bool), about)


def real_samples(labelled: LabelledScene) -> Samples | None:
    """The labelled vessels of a real scene, or None where it lacks red, green or blue."""
    boxes = np.array([label.corners for label in labelled.labels if not label.ignore]).reshape(-1, 4, 2)
    with open_scene(labelled.path, require=()) as scene:
        bands = [band for band in patches.BANDS if band in scene.bands]
        if coal.band_set(scene.bands) is None or not len(boxes):
            return None
        found = patches.cut(scene, boxes, bands)
    found.reflectance = found.reflectance.astype(np.float16)
    none = np.zeros(len(boxes), bool)
    about = [{"port": labelled.place, "kind": "real", "width": float(w), "label": "vessel"} for w in found.width_m]
    return Samples(found, none, ~none, about)


def port_samples(
    scene: LabelledScene, family: Family, vessels: int, seed: int, cache: Path | None, draws: int = _DRAWS
) -> Samples | None:
    """Composites of one drawing on a port, from the cache where a run before has made them; None where it lacks a band."""
    names = [Path(scene.path).name, family.name, str(vessels), str(seed), str(draws)]
    names.append(repr([label.corners.tolist() for label in scene.labels]))
    key = hashlib.sha256("\n".join(names).encode() + b"".join(path.read_bytes() for path in _CODE)).hexdigest()[:16]
    kept = None if cache is None else cache / f"{family.name}-{scene.place}-{seed}-{key}.pickle"
    if kept is not None and kept.is_file():
        found: Samples = pickle.loads(kept.read_bytes())
        return found
    port = read_port(scene)
    if port is None:
        return None
    found = composite_samples(compose(port, family, vessels, seed), family, draws, (seed,))
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as draft:
            draft.write_bytes(pickle.dumps(found))
    return found


def read_ports(shared: Path) -> dict[str, LabelledScene]:
    """The labelled ports by name, with our corrections."""
    from detector.resources import config_path

    folder = shared / "data" / "sen2ships" if (shared / "data").is_dir() else shared / "sen2ships"
    scenes = read_coco(folder / "annotations.json", folder)
    apply_corrections(scenes, config_path("labels/sen2ships-corrections.json"))
    return {scene.place: scene for scene in scenes}


def read_series(shared: Path) -> list[LabelledScene]:
    """The labelled true-colour series (Houston), a place that nothing is fitted on; empty where it is absent."""
    folder = shared / "data" / "series" if (shared / "data").is_dir() else shared / "series"
    labels = folder / "coco.json"
    return read_coco(labels, folder, obb="cxcywha", place="houston") if labels.is_file() else []
