"""`bargewatch version`."""

from __future__ import annotations

import platform
from importlib import metadata

import click

from detector import __version__

_SHOWN = ("rasterio", "onnxruntime", "openvino", "geopandas", "torch", "ultralytics")


@click.command()
def version() -> None:
    """Show the version and the packages that results depend on, for a report of a problem."""
    click.echo(f"bargewatch {__version__}")
    click.echo(f"python {platform.python_version()} on {platform.system()} {platform.machine()}")
    for name in _SHOWN:
        try:
            click.echo(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            click.echo(f"{name} not installed")
