"""Vessels with known cargo on the real water of labelled ports, to train and to test the coal score.

No labelled coal barge in Sentinel-2 is public. So hulls are painted at 2 m, seen through the optics of the
sensor, and laid on real images; what lies around them (water, haze, quays, noise) is real, and what they carry
is known. What is trained on (`train`, `wide`) shares no spectrum of coal and no port with what is tested on (`test`).

    python -m training.composites.fit data        # draw, train, test on the other family and ports, write the network
    python -m training.composites.write data OUT  # composite scenes with COCO labels, for training and looking

`data` is the folder of `make data`.
"""

from __future__ import annotations

from training.composites.families import FAMILIES, Family
from training.composites.ports import Port, read_port
from training.composites.scene import Composite, Truth, compose

__all__ = ["FAMILIES", "Composite", "Family", "Port", "Truth", "compose", "read_port"]
