"""The results of the benchmark as Markdown, and the machine that they hold for."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = ("numpy", "rasterio", "openvino", "onnxruntime", "torch", "ultralytics", "sahi")


def machine(threads: int) -> dict[str, Any]:
    """Processor, memory, load and versions."""
    load = os.getloadavg()[0]
    return {
        "cpu": _cpu(),
        "cpus": os.cpu_count(),
        "threads": threads,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "load_before": round(load, 2),
        "system": platform.platform(),
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
    }


def _cpu() -> str:
    """Name of the processor, with what tells generations apart where a virtual machine hides the name."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return platform.processor() or platform.machine()
    lines = [line for line in path.read_text().split("\n\n")[0].splitlines() if ":" in line]
    pairs = (line.split(":", 1) for line in lines)
    first = {name.strip(): value.strip() for name, value in pairs}
    if "model name" not in first:
        return platform.machine()
    vectors = [name for name in ("avx2", "avx512f", "avx512_vnni", "amx_tile") if name in first.get("flags", "").split()]
    return f"{first['model name']}, model {first.get('model', '?')}, {' '.join(vectors)}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def markdown(results: dict[str, Any]) -> str:
    """The table, what each system spent its time on, and the machine."""
    scene, rows, box = results["scene"], results["rows"], results["machine"]
    megapixels = scene["width"] * scene["height"] / 1e6
    ours = next((row for row in rows if row["key"] == "bargewatch" and "error" not in row), None)
    lines = [
        f"{scene['name']}: {scene['width']} x {scene['height']} pixels, four bands; weights {results['weights']['name']},"
        f" confidence {results['weights']['confidence']:g}. Each row is a process of its own, imports included.",
        "",
        "| system | seconds | Mpx/s | peak MB | found | missed | false | time, bargewatch = 1 |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
        *(_line(row, megapixels, ours) for row in rows),
        "",
        *(_parts(row) for row in rows),
        "",
        "Processes that start cold, median seconds: "
        + "; ".join(f"`{name}` {spent:.2f}" for name, spent in results["cold starts"].items())
        + ".",
        "",
        f"Machine: {box['cpu']}; {box['threads']} threads of {box['cpus']} processors, {box['memory_gb']} GB,"
        f" load before {box['load_before']}; {box['system']}, Python {box['python']}, "
        + ", ".join(f"{name} {box[name]}" for name in _PACKAGES)
        + ".",
    ]
    return "\n".join(lines)


def _line(row: dict[str, Any], megapixels: float, ours: dict[str, Any] | None) -> str:
    if "error" in row:
        return f"| {row['system']} | {row['seconds']:.1f} | failed: {row['error'].replace('|', '/')} | | | | | |"
    cells = [row["system"], f"{row['seconds']:.1f}", f"{megapixels / row['seconds']:.2f}", f"{row['peak_mb']:.0f}"]
    if "found" in row:
        cells += [f"{row['found']}/{row['total']}", str(row["missed"]), str(row["false"])]
    else:
        cells += [f"{row['detections']} detections" if "detections" in row else "", "", ""]
    cells.append(f"{row['seconds'] / ours['seconds']:.2f}" if ours else "")
    return f"| {' | '.join(cells)} |"


def _parts(row: dict[str, Any]) -> str:
    """What a row is made of, in one line."""
    said = [f"{name} {spent:.1f} s" for name, spent in row.get("phases", {}).items()]
    if row.get("excluded"):
        said.append(f"not counted {row['excluded']:.1f} s")
    if "windows" in row:
        said.append(f"{row['windows']} windows, {row['skipped']} of them without water")
    if row.get("agreement") is not None:
        said.append(f"has {row['agreement']:.0%} of bargewatch's vessels within 30 m")
    return f"* {row['system']}: {', '.join(said) or row.get('error', 'no parts')}"
