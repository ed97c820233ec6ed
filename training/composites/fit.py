"""Train the network of the coal score, and test it on others: ``python -m training.composites.fit SHARED``.

Trained on many drawings of the family `wide` laid on the ports of `FIT_PORTS` and on the real vessels there, which are
taken for not coal; tested on three drawings of the family `test` and on the real vessels of the other ports. The network
that ships is the one that was tested. Drawings and networks are kept in `--cache` once they are done, and a run that was
stopped goes on from there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from detector import coal, patches
from detector.atomic import replacing
from training.composites import network
from training.composites.families import FAMILIES
from training.composites.network import CoalNet
from training.composites.samples import Samples, port_samples, read_ports, read_series, real_samples
from training.labels import LabelledScene

log = logging.getLogger(__name__)

#: The ports with all bands: those of folds a and b of configs/folds.yaml train, those of folds c and d test.
FIT_PORTS = ("busan", "athens", "honolulu", "klang", "genoa", "cartagena")
TEST_PORTS = ("gdynia", "marseille", "casablanca", "algiers", "valencia")
#: Halves of `FIT_PORTS`: each is scored by a network trained on the other, to choose the threshold.
_HALVES = (("busan", "genoa", "honolulu"), ("athens", "klang", "cartagena"))
#: Vessels laid on each port (fewer where its water is full), and boxes drawn round each for training.
_VESSELS = 90
_DRAWS = 3
_FIRST_DRAWING = 101
_DRAWINGS = 40
_TEST_DRAWINGS = (11, 21, 22)
_EPOCHS = 8
#: Most of the real vessels of the fitted ports that the threshold may call coal barges, each scored by a network that has
#: not seen its port; they are few, so a little less than the 3 % of other ports that we allow.
_FALSE = 0.025

def common_threshold(held: Iterable[tuple[NDArray[np.float64], Samples]]) -> float:
    """The score, in hundredths, of best F1 among composites that calls no more real vessels coal barges than `_FALSE`.

    One for all sets of bands, both taken as means over them: a few real vessels decide, and they are the same in
    each set, so three thresholds would follow their chance.

    Args:
        held: scores and samples of each set of bands.
    """
    levels = np.arange(0.30, 0.96, 0.01)
    false, worth = np.zeros(len(levels)), np.zeros(len(levels))
    every = list(held)
    for value, samples in every:
        sized = coal.barge_sized(samples.patches.length_m, samples.patches.width_m)
        for k, level in enumerate(levels):
            called = np.nan_to_num(value) >= level
            if samples.real.any():
                false[k] += (called & sized)[samples.real].mean() / len(every)
            worth[k] += f1(called[~samples.real], samples.coal[~samples.real])["f1"]
    allowed = false <= _FALSE
    return round(float(levels[np.argmax(np.where(allowed, worth, -1.0))] if allowed.any() else levels[-1]), 2)


def f1(called: NDArray[np.bool_], truth: NDArray[np.bool_]) -> dict[str, float]:
    """Precision, recall and their harmonic mean."""
    hits = int((called & truth).sum())
    precision, recall = hits / max(int(called.sum()), 1), hits / max(int(truth.sum()), 1)
    return {
        "precision": precision,
        "recall": recall,
        "f1": 2 * precision * recall / max(precision + recall, 1e-9),
    }


def report(value: NDArray[np.float64], samples: Samples, threshold: float) -> dict[str, Any]:
    """How scores (n,) do on samples; an unknown score counts as not coal.

    `coal`: coal against other by score. `real_*`: share of real vessels by score, and with the size of a barge too.
    """
    called = np.nan_to_num(value) >= threshold
    made = ~samples.real
    barge = called & coal.barge_sized(samples.patches.length_m, samples.patches.width_m)
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


def slices(value: NDArray[np.float64], samples: Samples, threshold: float) -> Iterator[tuple[str, str, int, float]]:
    """(by, slice, vessels, share called coal) of the composites."""
    called = np.nan_to_num(value) >= threshold
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


def draw(
    scenes: Mapping[str, LabelledScene], ports: Sequence[str], family: str, drawings: Sequence[int], draws: int,
    vessels: int, cache: Path, workers: int,
) -> list[Samples]:  # fmt: skip
    """Composites of each port and drawing, made by several processes."""
    jobs = [(scenes[name], FAMILIES[family], vessels, one, cache, draws) for one in drawings for name in ports]
    found = []
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for number, samples in enumerate(pool.map(port_samples, *zip(*jobs, strict=True)), 1):
            if samples is not None:
                found.append(samples)
            if number % len(ports) == 0:
                log.info("%s: %d of %d ports drawn", family, number, len(jobs))
    return found


def trained(samples: Samples, epochs: int, name: str, cache: Path) -> CoalNet:
    """A network trained on samples, or the one that an earlier run has trained on the same."""
    shown = samples.patches
    digest = hashlib.sha256(f"{epochs}".encode())
    for module in (network, coal, patches):
        digest.update(Path(module.__file__ or "").read_bytes())
    for part in (shown.reflectance, shown.length_m, shown.width_m, samples.coal, samples.real):
        digest.update(np.ascontiguousarray(part).tobytes())
    kept = cache / f"network-{name}-{digest.hexdigest()[:16]}.pt"
    if kept.is_file():
        found = CoalNet().eval()
        found.load_state_dict(torch.load(kept, weights_only=True))
        return found
    found = network.fit(samples, epochs, name=name)
    with replacing(kept) as draft:
        torch.save(found.state_dict(), draft)
    return found


def held_out(samples: Samples, epochs: int, cache: Path) -> Iterator[tuple[NDArray[np.float64], Samples]]:
    """Scores and samples of each set of bands, every port scored by a network that was trained without it."""
    parts = []
    for number, half in enumerate(_HALVES, 1):
        mine = np.isin(samples.port, half)
        parts.append((trained(samples.where(~mine), epochs, f"without-half-{number}", cache), samples.where(mine)))
    for chosen in coal.BAND_SETS:
        scores = [network.score(net, part, chosen) for net, part in parts]
        yield np.concatenate(scores), Samples.concat([part.with_bands(chosen) for _, part in parts])


def write_model(found: CoalNet, threshold: float, path: Path) -> None:
    """Write the network beside the table that `detector.coal` reads."""
    onnx = path.with_suffix(".onnx")
    digest = network.export(found, onnx)
    table = {"made_by": "python -m training.composites.fit", "network": onnx.name, "sha256": digest, "threshold": threshold}
    with replacing(path) as draft:
        draft.write_text(json.dumps(table, indent=2) + "\n")


def reals(scenes: Iterable[LabelledScene]) -> list[Samples]:
    """The real vessels of scenes, those in true colour too."""
    return [found for scene in scenes if (found := real_samples(scene)) is not None]


def tested(found: CoalNet, threshold: float, drawings: Mapping[int, Samples], real: Samples) -> dict[str, Any]:
    """Reports by set of bands: of all drawings with the real vessels, and F1 of each drawing."""
    out: dict[str, Any] = {}
    for chosen in coal.BAND_SETS:
        scores = {one: network.score(found, samples, chosen) for one, samples in drawings.items()}
        every = Samples.concat([*drawings.values(), real]).with_bands(chosen)
        value = np.concatenate([*scores.values(), network.score(found, real, chosen)])
        by_drawing = {
            str(one): report(scores[one], samples.with_bands(chosen), threshold)["coal"]
            for one, samples in drawings.items()
        }
        out[chosen] = {
            **report(value, every, threshold), "drawings": by_drawing,
            "slices": [list(row) for row in slices(value, every, threshold)],
        }  # fmt: skip
    return out


def main() -> None:
    """Draw, train, test, print, and write the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("shared", type=Path, help="folder of the training data (docs/data.md)")
    parser.add_argument("--out", type=Path, default=Path(coal.__file__).with_name("coal.json"))
    parser.add_argument("--vessels", type=int, default=_VESSELS, help="vessels laid on each port in a drawing")
    parser.add_argument("--drawings", type=int, default=_DRAWINGS, help="drawings of each port that are trained on")
    parser.add_argument("--epochs", type=int, default=_EPOCHS, help="times that each box is shown")
    parser.add_argument("--workers", type=int, default=2, help="processes that draw")
    parser.add_argument("--cache", type=Path, default=Path(".cache/composites"), help="where drawings and networks are kept")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    scenes = read_ports(options.shared)
    if absent := [name for name in FIT_PORTS + TEST_PORTS if name not in scenes]:
        parser.error(f"{options.shared} has no labelled scene of {', '.join(absent)}; fetch the data (bargewatch data)")
    common = (options.vessels, options.cache, options.workers)
    drawn = draw(scenes, FIT_PORTS, "wide", range(_FIRST_DRAWING, _FIRST_DRAWING + options.drawings), _DRAWS, *common)
    samples = Samples.concat(drawn + reals(scenes[name] for name in FIT_PORTS))
    held = list(held_out(samples, options.epochs, options.cache))
    threshold = common_threshold(held)
    final = trained(samples, options.epochs, "all", options.cache)
    write_model(final, threshold, options.out)
    drawings = {one: Samples.concat(draw(scenes, TEST_PORTS, "test", [one], 2, *common)) for one in _TEST_DRAWINGS}
    real = Samples.concat(reals(scenes[name] for name in TEST_PORTS))
    names = zip(coal.BAND_SETS, held, strict=True)
    result = {
        "threshold": threshold,
        "held_out": {chosen: report(value, part, threshold) for chosen, (value, part) in names},
        "test": tested(final, threshold, drawings, real),
    }
    if series := reals(read_series(options.shared)):
        houston = Samples.concat(series)
        result["houston"] = report(network.score(final, houston, "colour"), houston, threshold)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
