"""The picture of a count: loadings of each period, a panel a zone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from detector.loadings.plots import BLUE, GREY, ORANGE, plain
from detector.loadings.rows import LOADING_KINDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from detector.loadings.count import LoadingCount

_ONE_COLUMN = 4  # panels; more stand in columns
_WIDEST = 18.0  # inches
_MOST_TICKS = 26  # of a panel over the whole width


def loadings_figure(count: LoadingCount) -> Figure:
    """Loadings of each period with 90 % intervals, beside the visits seen; a panel a zone, the whole site last."""
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    kinds = {at.zone.id: at.zone.kind for at in count.tables.zones}
    names = [name for name, kind in kinds.items() if kind != "area"]
    panels: list[str | None] = [
        *names,
        *([None] if sum(kinds[n] in LOADING_KINDS for n in names) > 1 else []),
    ]
    periods = sum(row["zone_id"] is None for row in count.loading_rows)
    columns, width = _columns(len(panels), min(max(6.0, 2.5 + 0.45 * periods), 16.0))
    rows = max(math.ceil(len(panels) / columns), 1)
    figure = Figure(figsize=(columns * width, 1.0 + 2.4 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis, zone_id in zip(axes, panels, strict=False):
        found = [row for row in count.loading_rows if row["zone_id"] == zone_id]
        _draw_periods(axis, found, most_ticks=round(_MOST_TICKS * width / 16))
        kind = "whole site" if zone_id is None else f"{zone_id} ({kinds[zone_id].replace('_', ' ')})"
        axis.set_title(plain(kind), loc="left", fontsize=10)
        axis.set_ylabel(
            "visits" if zone_id is not None and kinds[zone_id] not in LOADING_KINDS else "loadings"
        )
    figure.suptitle(plain(count.tables.site.name), x=0.01, ha="left", fontsize=13)
    handles = [
        Line2D([], [], color=BLUE, marker="o", lw=2, label="estimate, 90 % interval"),
        Line2D([], [], color=ORANGE, marker="D", ls="", label="visits first seen in the period"),
        Line2D([], [], color=GREY, marker="x", ls="", label="no estimate"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize=8)
    return figure


def _columns(panels: int, width: float) -> tuple[int, float]:
    """How many columns of panels, and how wide each is in inches; as many as keep the page no taller than wide."""
    if panels <= _ONE_COLUMN:
        return 1, width
    columns = math.ceil(math.sqrt(panels / 2))
    return columns, min(width, _WIDEST / columns)


def _draw_periods(axis: Axes, rows: Sequence[Mapping[str, Any]], most_ticks: int) -> None:
    from matplotlib.ticker import MaxNLocator

    for x, row in enumerate(rows):
        if math.isfinite(row["loadings"]):
            axis.plot([x, x], [row["loadings_low"], row["loadings_high"]], color=BLUE, lw=2, zorder=2)
            axis.plot(x, row["loadings"], "o", color=BLUE, zorder=3, clip_on=False)
        else:
            axis.plot(x, 0, "x", color=GREY, clip_on=False, zorder=3)
        axis.plot(x + 0.18, row["visits_seen"], "D", color=ORANGE, ms=5, zorder=3, clip_on=False)
    every = max(1, math.ceil(len(rows) / most_ticks))
    ticks = range(0, len(rows), every)
    axis.set_xticks(list(ticks), _period_names([rows[i] for i in ticks]), fontsize=8)
    axis.set_xlim(-0.6, len(rows) - 0.4)
    axis.set_ylim(0, max(1.0, axis.get_ylim()[1]))
    axis.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axis.grid(axis="y", color=GREY, alpha=0.3, lw=0.5)
    axis.set_axisbelow(True)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)


def _period_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Months and quarters by name, with the year where it changes; other periods by their days."""
    names, before = [], None
    for row in rows:
        start, end = (datetime.fromisoformat(row[name]) for name in ("period_start", "period_end"))
        name, days = f"{start:%Y-%m-%d}\nto {end - timedelta(days=1):%Y-%m-%d}", (end - start).days
        if start.day == 1 and end.day == 1:
            if days in (365, 366):
                name = f"{start:%Y}"
            elif days <= 92:
                name = f"{start:%b}" if days <= 31 else f"Q{(start.month + 2) // 3}"
                name += "" if before == start.year else f"\n{start:%Y}"
        names.append(name)
        before = start.year
    return names
