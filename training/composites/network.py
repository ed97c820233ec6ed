"""The network of the coal score: how it is trained, asked and written.

Six layers of 3 x 3 convolutions over a patch, the mean and the largest value of each channel, and two layers that weigh
them. It is trained on composites with coal and without, and on real vessels, which are taken for not coal; each patch is
shown turned and mirrored at random, under some more haze and noise, and often without its infrared, so that one network
serves every set of bands.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from detector import coal, patches
from detector.atomic import replacing
from detector.patches import Patches
from training.composites.samples import Samples

log = logging.getLogger(__name__)

_CHANNELS = 24
_DROPOUT = 0.2
_BATCH = 128
_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 1e-3
#: Share of the samples that real vessels make up; they are few and repeated.
_REAL = 0.08
#: Shares of samples shown in true colour, and with near infrared but without B11.
_COLOUR, _NIR = 0.3, 0.3
#: Most path reflectance at 0.49 µm that is laid over a sample, the powers of its fall with wavelength, and how often.
_HAZE, _HAZE_POWER, _HAZED = 0.03, (0.3, 1.6), 0.5
#: Spread of the logarithm of the brightness of a sample and of each band, and of the width of its box; most noise.
_TONE, _BAND_TONE, _WIDTH, _NOISE = 0.08, 0.03, 0.03, 0.002
_WAVELENGTH_UM = np.array([0.493, 0.560, 0.665, 0.833, 1.610], np.float32)
OPSET = 17


class CoalNet(nn.Module):
    """(n, 11, ALONG, ACROSS) of `patches.inputs` to the logarithm of the odds (n,) that coal shows."""

    def __init__(self, channels: int = _CHANNELS) -> None:
        super().__init__()
        c = channels
        self.layers = nn.Sequential(
            _layer(11, c), _layer(c, c), _layer(c, 2 * c, 2), _layer(2 * c, 2 * c), _layer(2 * c, 3 * c, 2),
            _layer(3 * c, 3 * c),
        )  # fmt: skip
        self.weigh = nn.Sequential(
            nn.Dropout(_DROPOUT), nn.Linear(6 * c, 32), nn.SiLU(), nn.Dropout(_DROPOUT), nn.Linear(32, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        seen = self.layers(x)
        odds: torch.Tensor = self.weigh(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1))
        return odds[:, 0]


class Score(nn.Module):
    """The score (n,) of a network: the same for a hull turned end for end or mirrored."""

    def __init__(self, network: CoalNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """See the class."""
        odds = sum(self.network(one) for one in (x, x.flip(2), x.flip(3), x.flip(2, 3)))
        return torch.sigmoid(odds / 4.0)  # type: ignore[operator]


def _layer(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(after), nn.SiLU()
    )


def fit(samples: Samples, epochs: int, seed: int = 0, name: str = "") -> CoalNet:
    """Train on the samples that can be scored.

    Composites with coal and without weigh the same in all; a real vessel that is shown weighs as much as one of them on
    average. The same samples, epochs, seed and number of threads give the same network.

    Args:
        samples: composites, and real vessels among them.
        epochs: times that every sample is shown.
        seed: of the weights at the start and of all that is drawn.
        name: of the run, for progress.
    """
    samples = samples.where(coal.known(samples.patches))
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    made, real = np.flatnonzero(~samples.real), np.flatnonzero(samples.real)
    shown = np.r_[made, np.tile(real, max(1, int(_REAL * len(made) / len(real))) if len(real) else 0)]
    share = samples.coal[made].mean()
    worth = np.where(samples.real, 1.0, np.where(samples.coal, 0.5 / share, 0.5 / (1.0 - share))).astype(np.float32)
    network = CoalNet().to(memory_format=torch.channels_last).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    batches = max(1, len(shown) // _BATCH)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, total_steps=epochs * batches, pct_start=0.15)
    for epoch in range(epochs):
        loss_sum = 0.0
        for chosen in np.array_split(rng.permutation(shown), batches):
            x = torch.from_numpy(patches.inputs(_augmented(samples.patches, chosen, rng)))
            y = torch.from_numpy(samples.coal[chosen].astype(np.float32))
            odds = network(x.contiguous(memory_format=torch.channels_last))
            losses = nn.functional.binary_cross_entropy_with_logits(odds, y, reduction="none")
            loss = (losses * torch.from_numpy(worth[chosen])).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            rate.step()
            loss_sum += float(loss.detach())
        log.info("%s: epoch %d of %d, loss %.3f", name or "network", epoch + 1, epochs, loss_sum / batches)
    return network.eval()


def _augmented(found: Patches, chosen: NDArray[np.int64], rng: np.random.Generator) -> Patches:
    """Some patches as another pass, place and sensor might show them."""
    n = len(chosen)
    pixels = found.reflectance[chosen].astype(np.float32)
    for axis in (2, 3):
        turned = rng.random(n) < 0.5
        pixels[turned] = np.flip(pixels[turned], axis)
    fall = (_WAVELENGTH_UM / _WAVELENGTH_UM[0]) ** -rng.uniform(*_HAZE_POWER, (n, 1))
    path = (rng.uniform(0, _HAZE, (n, 1)) * fall * (rng.random((n, 1)) < _HAZED))[:, :, None, None]
    pixels = pixels * (1.0 - 2.0 * path) + path
    tone = np.exp(rng.normal(0, _TONE, (n, 1)) + rng.normal(0, _BAND_TONE, (n, len(patches.BANDS))))
    pixels *= tone[:, :, None, None]
    pixels += rng.standard_normal(pixels.shape, np.float32) * rng.uniform(0, _NOISE, (n, 1, 1, 1))
    kind = rng.random(n)
    pixels[kind < _COLOUR + _NIR, patches.BANDS.index("B11")] = np.nan
    pixels[kind < _COLOUR, patches.BANDS.index("B08")] = np.nan
    width = found.width_m[chosen] * np.exp(rng.normal(0, _WIDTH, n))
    return Patches(pixels.astype(np.float32), found.length_m[chosen], width)


@torch.no_grad()
def score(network: CoalNet, samples: Samples, chosen: str) -> NDArray[np.float64]:
    """Scores (n,) from one set of bands, NaN where the pixels cannot tell."""
    found = samples.with_bands(chosen).patches
    told = np.flatnonzero(coal.known(found))
    out, scorer = np.full(len(found), np.nan), Score(network).eval()
    for part in np.array_split(told, max(1, len(told) // 512)):
        one = Patches(found.reflectance[part].astype(np.float32), found.length_m[part], found.width_m[part])
        out[part] = scorer(torch.from_numpy(patches.inputs(one))).numpy()
    return out


def export(network: CoalNet, path: Path) -> str:
    """Write the score as ONNX, whole or not at all; gives the SHA-256 of the file."""
    import onnx

    example = torch.zeros(2, 11, patches.ALONG, patches.ACROSS)
    axes: dict[str, Any] = {"patches": {0: "n"}, "score": {0: "n"}}
    with replacing(path) as draft:
        torch.onnx.export(
            Score(network).eval(), (example,), str(draft), opset_version=OPSET, input_names=["patches"],
            output_names=["score"], dynamic_axes=axes, dynamo=False,
        )  # fmt: skip
        onnx.checker.check_model(onnx.load(str(draft)))
    return hashlib.sha256(path.read_bytes()).hexdigest()
