"""The command `bargewatch`. Commands are loaded when they are used, so that `--help` is quick and needs no extras."""

from __future__ import annotations

import math
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from detector import __version__
from detector.errors import BargewatchError, MissingDependencyError

# Name of a command -> module, attribute, what the list of commands says.
_COMMANDS = {
    "fetch": ("detector.cli.fetch", "fetch", "Get the images of a site: free STAC, Sentinel Hub or a folder."),
    "predict": ("detector.cli.predict", "predict", "Find vessels in Sentinel-2 scenes."),
    "count": ("detector.cli.count", "count", "Count visits and loadings at the berths of a site."),
    "flag": ("detector.cli.flag", "flag", "Join AIS and watch lists; say which vessels are flagged, and why."),
    "watch": ("detector.cli.watch", "watch", "Keep a site up to date: fetch, predict, flag and count; resumes."),
    "weekly": ("detector.cli.weekly", "weekly", "Different vessels a week, by images and AIS; table and picture."),
    "sites": ("detector.cli.sites", "sites", "List, show or check sites (berths, anchorages, yards)."),
    "demo": ("detector.cli.demo", "demo", "Paint a small port and find its vessels; needs no data."),
    "train": ("training.cli", "train", "Train a network.  [train]"),
    "average": ("training.cli", "average", "Average the weights of training runs.  [train]"),
    "evaluate": ("training.cli_evaluate", "evaluate", "Measure a network on labelled scenes.  [train]"),
    "card": ("training.cli_evaluate", "card", "Write a model card from an evaluation.  [train]"),
    "export": ("training.cli", "export", "Turn trained weights into ONNX.  [train]"),
    "quantize": ("training.cli", "quantize", "Turn an exported network into 8-bit integers.  [train]"),
    "labels": ("training.cli_labels", "labels", "Take labels to QGIS, CVAT or YOLO and back; choose what is next.  [train]"),
    "data": ("training.cli", "data", "Prepare training data.  [train]"),
    "version": ("detector.cli.version", "version", "Show the version and what it runs on."),
}


class _LazyGroup(click.Group):
    """A group that imports the module of a command when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute, _ = _COMMANDS[cmd_name]
        try:
            command: click.Command = getattr(import_module(module), attribute)
        except ImportError as error:
            if not module.startswith("training"):
                raise
            missing = f" ({error.name} is missing)" if error.name else ""
            raise MissingDependencyError(
                f"`bargewatch {cmd_name}` needs the training extra{missing}: pip install 'bargewatch[train]'"
            ) from error
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in _COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bargewatch")
@click.option("--debug", is_flag=True, help="Show the traceback of an unexpected error.")
def cli(debug: bool) -> None:
    """Find vessels in Sentinel-2 images and say what lay at which berth.

    \b
    Try it without data:
        bargewatch demo
    Find the vessels of a scene:
        bargewatch predict S2A_MSIL2A_….SAFE --out vessels.geojson
    The same for a site, with a picture and a table of what could be seen:
        bargewatch predict *.SAFE --site nampo --out vessels.gpkg --looks looks.csv --preview pictures
    How many visits there were at its berths, month by month, and an estimate of the loadings:
        bargewatch count --vessels vessels.gpkg --looks looks.csv --site nampo --out counts

    Commands marked [train] need: pip install 'bargewatch[train]'
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit: 0 all done, 1 some inputs failed, 2 wrong usage, 130 interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(arguments))


def run(arguments: list[str]) -> int:
    """Run the command line and return its exit code."""
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in options
    # The flag is taken after the command too, where people add it when a run has failed.
    arguments = [a for a in options if a != "--debug"] + arguments[len(options) :]
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        try:
            code = cli.main(arguments, prog_name="bargewatch", standalone_mode=False, obj={"debug": debug})
        except click.Abort:
            say("interrupted; nothing unfinished was written")
            return 130
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except BargewatchError as error:
            say(f"error: {error}")
            return 2
        except BrokenPipeError:
            sys.stderr.close()  # or the interpreter complains once more when it flushes
            return 1
        except Exception as error:  # noqa: BLE001 - the last line of defence: no traceback without --debug
            say(f"error: {unexpected(error, debug)}")
            return 1
    return code if isinstance(code, int) else 0


def say(text: str) -> None:
    """A line on stderr."""
    click.echo(f"bargewatch: {text}", err=True)


def unexpected(error: BaseException, debug: bool) -> str:
    """What to say of an error that nobody foresaw: one sentence, or with --debug the traceback."""
    if debug:
        return "".join(traceback.format_exception(error)).rstrip()
    what = " ".join(str(error).split())[:300]
    return f"unexpected {type(error).__name__}: {what or 'no message'} (add --debug for the traceback, and report it)"


def reason(name: str, error: BaseException | str, debug: bool = False) -> str:
    """Why an input failed, in one line that says its name, once; with --debug also where."""
    known = isinstance(error, str | BargewatchError)
    if isinstance(error, BaseException) and (debug or not known):
        text = unexpected(error, debug)
    else:
        text = " ".join(str(error).split())
        whole = os.path.abspath(name)  # readers say the whole path; the caller's words for it are enough
        if whole in text:
            return text.replace(whole, name)
    return text if text.startswith(name) else f"{name}: {text}"


def plain(value: Any) -> Any:
    """A value that JSON can hold: None for a number that is not known."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _show_warning(
    message: Any, category: Any, filename: str, lineno: int, file: Any = None, line: Any = None
) -> None:
    if issubclass(category, UserWarning):
        say(f"warning: {message}")
