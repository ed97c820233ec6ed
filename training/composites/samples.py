"""Boxes that the coal score is fitted and tested on, with their features, kept by port: a run goes on where one ended."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import coal, unmixing
from detector.atomic import replacing
from detector.boxes import Floats, measure
from detector.scene import open_scene
from training.composites.families import Family
from training.composites.ports import read_port
from training.composites.scene import Composite, compose
from training.labels import LabelledScene, apply_corrections, read_coco

#: Boxes drawn for each vessel of a composite.
_DRAWS = 2
_JUDGES = ("ceiling.py", "fit.py", "write.py")
#: What decides the pixels and features of a composite; its text is part of the key that they are kept by.
_CODE = (
    *sorted(path for path in Path(__file__).parent.glob("*.py") if path.name not in _JUDGES),
    Path(__file__).with_name("families.yaml"),
    *sorted((Path(__file__).parents[1] / "simulate").glob("*.py")),
    *(Path(module.__file__ or "") for module in (coal, unmixing)),
)


@dataclass
class Samples:
    """Boxes to score: features of one band set, truth, and what they are.

    Attributes:
        values: (n,) features by name.
        coal: (n,) whether coal shows.
        real: (n,) whether it is a real vessel, taken for not coal.
        length_m, width_m: (n,) of the scored boxes.
        about: (n,) dicts: port, kind, cargo, load, status, width (of the hull, m), label.
    """

    values: dict[str, NDArray[np.float64]]
    coal: NDArray[np.bool_]
    real: NDArray[np.bool_]
    length_m: Floats
    width_m: Floats
    about: list[dict[str, Any]]

    @classmethod
    def concat(cls, parts: Sequence[Samples]) -> Samples:
        """All samples of several lists."""
        names = parts[0].values
        return cls(
            {name: np.concatenate([p.values[name] for p in parts]) for name in names},
            np.concatenate([p.coal for p in parts]), np.concatenate([p.real for p in parts]),
            np.concatenate([p.length_m for p in parts]), np.concatenate([p.width_m for p in parts]),
            [row for p in parts for row in p.about],
        )  # fmt: skip

    def where(self, mask: NDArray[np.bool_]) -> Samples:
        """The samples of a mask (n,)."""
        return Samples(
            {name: value[mask] for name, value in self.values.items()}, self.coal[mask], self.real[mask],
            self.length_m[mask], self.width_m[mask], [self.about[i] for i in np.flatnonzero(mask)],
        )  # fmt: skip


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


def composite_samples(composite: Composite, family: Family, chosen: str, draws: int = _DRAWS) -> Samples:
    """Samples of a composite scene, each vessel with several boxes."""
    pixel = float(np.mean(composite.grid.pixel_size()))
    rng = np.random.default_rng([len(composite.truth), 3])
    truth = composite.truth * draws
    boxes = as_drawn(np.array([t.corners for t in truth]).reshape(-1, 4, 2), family, pixel, rng)
    about = [
        {"port": composite.port, "kind": t.vessel.kind, "cargo": t.cargo.name, "load": t.cargo.load,
         "status": t.vessel.status, "width": t.vessel.width, "label": t.label}
        for t in truth
    ]  # fmt: skip
    with composite.open(coal.BAND_SETS[chosen]) as scene:
        sizes = measure(boxes, scene.grid)
        values = coal.features(scene, boxes, chosen)
    shows = np.array([t.cargo.coal for t in truth], bool)
    return Samples(values, shows, np.zeros(len(truth), bool), sizes.length_m, sizes.width_m, about)


def real_samples(labelled: LabelledScene, chosen: str) -> Samples | None:
    """The labelled vessels of a real scene, or None where it lacks a band."""
    boxes = np.array([label.corners for label in labelled.labels if not label.ignore]).reshape(-1, 4, 2)
    with open_scene(labelled.path, require=()) as scene:
        if not set(coal.BAND_SETS[chosen]) <= set(scene.bands) or not len(boxes):
            return None
        sizes = measure(boxes, scene.grid)
        values = coal.features(scene, boxes, chosen)
    none = np.zeros(len(boxes), bool)
    about = [
        {"port": labelled.place, "kind": "real", "width": float(w), "label": "vessel"} for w in sizes.width_m
    ]
    return Samples(values, none, ~none, sizes.length_m, sizes.width_m, about)


def port_samples(
    scene: LabelledScene, family: Family, vessels: int, seed: int, cache: Path | None
) -> dict[str, Samples]:
    """Composites and real vessels of a port by band set; from the cache where a run before has made them."""
    names = [
        Path(scene.path).name,
        family.name,
        str(vessels),
        str(seed),
        repr([label.corners.tolist() for label in scene.labels]),
    ]
    key = hashlib.sha256(
        "\n".join(names).encode() + b"".join(path.read_bytes() for path in _CODE)
    ).hexdigest()[:16]
    kept = None if cache is None else cache / f"{family.name}-{scene.place}-{vessels}-{key}.pickle"
    if kept is not None and kept.is_file():
        found: dict[str, Samples] = pickle.loads(kept.read_bytes())
        return found
    port = read_port(scene)
    composite = None if port is None else compose(port, family, vessels, seed)
    found = {}
    for chosen in coal.BAND_SETS:
        parts = [] if composite is None else [composite_samples(composite, family, chosen)]
        if (real := real_samples(scene, chosen)) is not None:
            parts.append(real)
        if parts:
            found[chosen] = Samples.concat(parts)
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
