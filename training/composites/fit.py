"""Fit the coal score on composites and real vessels, and test it on others: ``python -m training.composites.fit SHARED``.

Fitted on the family `train` laid on the ports of `FIT_PORTS` and on the real vessels there, which are taken for not coal;
tested on the family `test` and the real vessels of the other ports. The shipped model is the one that was tested.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector import coal
from detector.boxes import Floats, measure
from detector.scene import open_scene
from training.composites.families import FAMILIES, Family
from training.composites.ports import read_port
from training.composites.scene import Composite, compose
from training.labels import LabelledScene, apply_corrections, read_coco

#: Folds a and b of configs/folds.yaml fit, folds c and d test; ports that lack a band serve as far as they go.
FIT_PORTS = ("busan", "athens", "honolulu", "klang", "genoa", "cartagena")
TEST_PORTS = ("gdynia", "marseille", "casablanca", "algiers", "valencia")
_VESSELS = 90
_SEED = 11
#: Prior on the weights (their variance), so that features that say the same share the weight.
_PRIOR = 4.0
#: Most of the real vessels of the fitted ports that the threshold may call coal barges.
_FALSE = 0.02


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


def composite_samples(composite: Composite, family: Family, chosen: str, draws: int = 2) -> Samples:
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


def fit(samples: Samples, names: Sequence[str]) -> coal.CoalModel:
    """Logistic regression with weights of at least 0, coal and not coal of equal worth, and its threshold.

    Real vessels weigh as much as all composites without coal.
    """
    from scipy.optimize import minimize

    x = np.column_stack([samples.values[name] for name in names])
    known = np.isfinite(x).all(axis=1)
    x, y, real = x[known], samples.coal[known], samples.real[known]
    weight = np.where(y, 1.0 / y.sum(), 0.0)
    for group in (real, ~y & ~real):
        if group.any():
            weight[group] = 0.5 / group.sum()
    weight *= len(y) / weight.sum()
    spread = x.std(axis=0)
    middle = x.mean(axis=0)
    z = (x - middle) / spread

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        total = z @ w[1:] + w[0]
        p = 1.0 / (1.0 + np.exp(-total))
        value = float(
            (weight * (np.logaddexp(0.0, total) - y * total)).sum() + (w[1:] ** 2).sum() / (2 * _PRIOR)
        )
        slope = weight * (p - y)
        return value, np.r_[slope.sum(), z.T @ slope + w[1:] / _PRIOR]

    bounds = [(None, None)] + [(0.0, None)] * len(names)
    found = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = found[1:] / spread
    intercept = float(found[0] - weights @ middle)
    score = 1.0 / (1.0 + np.exp(-(x @ weights + intercept)))
    threshold = _threshold(score, y, real, barge_sized(samples)[known])
    return coal.CoalModel(tuple(names), tuple(float(w) for w in weights), intercept, threshold)


def barge_sized(samples: Samples) -> NDArray[np.bool_]:
    """Which boxes have the size of a barge, whatever their score."""
    size = (samples.length_m >= coal.BARGE_LENGTH_M[0]) & (samples.length_m <= coal.BARGE_LENGTH_M[1])
    return np.asarray(size & (samples.length_m <= coal.BARGE_SLENDER * samples.width_m))


def _threshold(
    score: NDArray[np.float64], y: NDArray[np.bool_], real: NDArray[np.bool_], sized: NDArray[np.bool_]
) -> float:
    """The score of best F1 among composites that calls at most `_FALSE` of the real vessels coal barges; in hundredths."""
    levels = np.arange(0.50, 0.96, 0.01)
    allowed = [t for t in levels if not real.any() or ((score >= t) & sized)[real].mean() <= _FALSE] or [
        levels[-1]
    ]
    return round(float(max(allowed, key=lambda t: f1(score[~real] >= t, y[~real])["f1"])), 2)


def f1(called: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Precision, recall and their harmonic mean."""
    hits = int((called & truth).sum())
    precision, recall = hits / max(int(called.sum()), 1), hits / max(int(truth.sum()), 1)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
    }


def score(model: coal.CoalModel, samples: Samples) -> NDArray[np.float64]:
    """Scores by a model, NaN where a feature is unknown."""
    total = model.intercept + sum(
        w * samples.values[n] for n, w in zip(model.features, model.weights, strict=True)
    )
    return np.asarray(1.0 / (1.0 + np.exp(-total)))


def report(model: coal.CoalModel, samples: Samples) -> dict[str, Any]:
    """How a model does on samples; an unknown score counts as not coal.

    `coal`: coal against other by score. `real_*`: share of real vessels by score, and with the size of a barge too.
    """
    value = score(model, samples)
    called = np.nan_to_num(value) >= model.threshold
    made = ~samples.real
    barge = called & barge_sized(samples)
    labels = np.array([row["label"] == "coal_barge" for row in samples.about])
    out: dict[str, Any] = {
        "composites": int(made.sum()), "with_coal": int(samples.coal.sum()),
    }  # fmt: skip
    if made.any():
        out |= {
            "coal": f1(called[made], samples.coal[made]), "coal_barge": f1(barge[made], labels[made]),
            "unknown": float(np.isnan(value[made]).mean()), "auc": _auc(value[made], samples.coal[made]),
        }  # fmt: skip
    if samples.real.any():
        out |= {"real": int(samples.real.sum()), "real_unknown": float(np.isnan(value[samples.real]).mean()),
                "real_called": float(called[samples.real].mean()),
                "real_coal_barge": float(barge[samples.real].mean())}  # fmt: skip
    return out


def _auc(value: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Chance that a vessel with coal scores above one without (ties half)."""
    from scipy.stats import rankdata

    known = np.isfinite(value)
    ranks, y = rankdata(value[known]), truth[known]
    return float((ranks[y].sum() - y.sum() * (y.sum() + 1) / 2) / max(int(y.sum()) * int((~y).sum()), 1))


def slices(model: coal.CoalModel, samples: Samples) -> Iterator[tuple[str, str, int, float]]:
    """(by, slice, vessels, share called coal) of the composites."""
    called = np.nan_to_num(score(model, samples)) >= model.threshold
    made = np.flatnonzero(~samples.real)
    keys = {
        "cargo": [samples.about[i]["cargo"] for i in made],
        "coal, hull": [samples.about[i]["kind"] if samples.coal[i] else None for i in made],
        "coal, load": [
            _band(samples.about[i]["load"], (0.5, 0.9)) if samples.coal[i] else None for i in made
        ],
        "coal, beam m": [
            _band(samples.about[i]["width"], (10, 13, 17, 22)) if samples.coal[i] else None for i in made
        ],
        "coal, status": [samples.about[i]["status"] if samples.coal[i] else None for i in made],
        "coal, port": [samples.about[i]["port"] if samples.coal[i] else None for i in made],
        "other, port": [samples.about[i]["port"] if not samples.coal[i] else None for i in made],
    }
    for by, names in keys.items():
        for name in sorted({name for name in names if name is not None}):
            which = made[[one == name for one in names]]
            yield by, str(name), len(which), float(called[which].mean())


def _band(value: float, edges: Sequence[float]) -> str:
    edge = int(np.searchsorted(edges, value))
    low = "0" if edge == 0 else f"{edges[edge - 1]:g}"
    return f"{low}-{edges[edge]:g}" if edge < len(edges) else f"{low}+"


def write_model(fitted: dict[str, coal.CoalModel], path: Path) -> None:
    """Write the table that `detector.coal` reads."""
    rows = {
        name: {
            "weights": {f: round(w, 4) for f, w in zip(model.features, model.weights, strict=True)},
            "intercept": round(model.intercept, 4),
            "threshold": model.threshold,
        }
        for name, model in fitted.items()
    }
    path.write_text(
        json.dumps({"made_by": "python -m training.composites.fit", "models": rows}, indent=2) + "\n"
    )


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


def composites(scenes: dict[str, LabelledScene], ports: Sequence[str], family: Family) -> Iterator[Composite]:
    """One composite scene for each port."""
    for name in ports:
        port = read_port(scenes[name])
        if port is not None:
            yield compose(port, family, _VESSELS, _SEED)


def main() -> None:
    """Fit, test, print, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder with the labelled ports (data/sen2ships)")
    parser.add_argument("--out", type=Path, default=Path(coal.__file__).with_name("coal.json"))
    options = parser.parse_args()
    scenes = read_ports(options.shared)
    made = {
        "train": list(composites(scenes, FIT_PORTS, FAMILIES["train"])),
        "test": list(composites(scenes, TEST_PORTS, FAMILIES["test"])),
    }
    result = run(scenes, made, options.out)
    if series := [
        s for scene in read_series(options.shared) if (s := real_samples(scene, "colour")) is not None
    ]:
        result["houston"] = report(coal.models()["colour"], Samples.concat(series))
    print(json.dumps(result, indent=1))


def run(
    scenes: dict[str, LabelledScene], made: dict[str, list[Composite]], out: Path | None
) -> dict[str, Any]:
    """Fit every band set on the family `train`, report on both families, and write the models."""
    fitted: dict[str, coal.CoalModel] = {}
    result: dict[str, Any] = {}
    for chosen, names in coal.FEATURES.items():
        sets = {}
        for part, ports in (("train", FIT_PORTS), ("test", TEST_PORTS)):
            parts = [composite_samples(one, FAMILIES[part], chosen) for one in made[part]]
            parts += [
                s
                for name in scenes
                if (name in ports) and (s := real_samples(scenes[name], chosen)) is not None
            ]
            sets[part] = Samples.concat(parts)
        fitted[chosen] = fit(sets["train"], names)
        result[chosen] = {
            "threshold": fitted[chosen].threshold,
            **{part: report(fitted[chosen], samples) for part, samples in sets.items()},
            "slices": [list(row) for row in slices(fitted[chosen], sets["test"])],
        }
    if out is not None:
        write_model(fitted, out)
        coal.models.cache_clear()
    return result


if __name__ == "__main__":
    main()
