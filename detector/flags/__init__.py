"""Flagged vessels: who a detected hull may be, and why somebody should look at it.

A flag cannot be seen at 10 m. What an image shows is a hull: its place, length and axis. Everything else here is joined
from AIS and from lists, or inferred from behaviour, and each flag carries its reason so that evidence and inference
stay apart.

    from detector.flags import flag_vessels
    flagged = flag_vessels(vessels, ais=["ais.csv"], watchlists=["list.csv"])
    flagged.write("flagged.geojson")
"""

from __future__ import annotations

from detector.flags.flagging import FlaggedVessels, flag_vessels

__all__ = ["FlaggedVessels", "flag_vessels"]
