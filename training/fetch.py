"""Fill the data folder: from the public sources, or from a local copy, every file checked against configs/data.yaml.

Sources are Git repositories at a pinned commit. GitHub lists the name that git gives to each file's content; every
download is checked against it. What is assembled from the downloads is checked, pixel by pixel, against the digests of
the files that the released networks were trained on.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from detector.errors import BargewatchError, ConfigError, LabelError
from detector.resources import config_path
from training.download import DownloadError, download, git_blob_sha1, sha256

Say = Callable[[str], None]
BANDS = ("B02", "B03", "B04", "B08", "B11")
CACHE = ".source"
"""Folder in the data folder for what was downloaded; it may be removed when all is there."""


def read_manifest(path: Path | None = None) -> dict[str, Any]:
    """What there is to fetch, from where, and what it must hash to (configs/data.yaml).

    Raises:
        ConfigError: the file cannot be read.
    """
    path = path or config_path("data.yaml")
    try:
        table: dict[str, Any] = yaml.safe_load(path.read_text())
        return {"prepared": table["prepared"], "sources": table["sources"]}
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is not a list of data files: {error}") from error


def link(source: Path, out: Path, say: Say, manifest: dict[str, Any] | None = None) -> list[str]:
    """Take every file from a local copy, by hard link or else by copying; returns what went wrong, a sentence each.

    Raises:
        ConfigError: there is no such folder.
    """
    manifest = manifest or read_manifest()
    if not source.is_dir():
        raise ConfigError(f"there is no folder {source}; name one with sen2ships/, series/ and weights/ in it")
    problems = []
    for name, entry in manifest["prepared"].items():
        original, target = source / name, out / name
        if target.is_file() and sha256(target) == entry["sha256"]:
            continue
        if not original.is_file():
            problems.append(f"{original} does not exist; fetch it with bargewatch data without --from")
        elif sha256(original) != entry["sha256"]:
            problems.append(f"{original} is not the file of configs/data.yaml (its SHA-256 differs); it was not taken")
        else:
            _take(original, target)
            say(f"{name}: taken")
    return problems


def _take(original: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        os.link(original.resolve(), part)
    except OSError:
        shutil.copyfile(original, part)
    os.replace(part, target)


def fetch(out: Path, say: Say, manifest: dict[str, Any] | None = None, *, pause_s: float = 2.0) -> list[str]:
    """Fetch and assemble everything that is not there yet; returns what went wrong, a sentence each."""
    manifest = manifest or read_manifest()
    job = _Job(out, say, manifest, pause_s)
    for name, source in manifest["sources"].items():
        job.attempt(name, partial(job.run, source))
    return job.problems


class _Job:
    """One run of `fetch`."""

    def __init__(self, out: Path, say: Say, manifest: dict[str, Any], pause_s: float) -> None:
        self.out, self.say, self.prepared, self.pause_s = out, say, manifest["prepared"], pause_s
        self.problems: list[str] = []

    def attempt(self, name: str, work: Callable[[], None]) -> None:
        """Do a part of the work; if it fails the rest goes on."""
        try:
            work()
        except BargewatchError as error:
            self.problems.append(f"{name}: {error}")
            self.say(f"{name}: failed")

    def run(self, source: dict[str, Any]) -> None:
        kinds: dict[str, Callable[[dict[str, Any]], None]] = {
            "ports": self.ports, "series": self.series, "files": self.files
        }  # fmt: skip
        if source["kind"] not in kinds:
            raise ConfigError(f"a source of the kind {source['kind']!r} is unknown; known are {', '.join(kinds)}")
        kinds[source["kind"]](source)

    def files(self, source: dict[str, Any]) -> None:
        """Single files of known SHA-256."""
        for name, url in source["urls"].items():
            wanted = self.prepared[name]["sha256"]

            def one(name: str = name, url: str = url, wanted: str = wanted) -> None:
                fetched = download(
                    url, self.out / name, lambda path: sha256(path) == wanted, pause_s=self.pause_s
                )
                self.say(f"{name}: {'fetched' if fetched else 'there'}")

            self.attempt(name, one)

    def ports(self, source: dict[str, Any]) -> None:
        """sen2ships: one-band files of each port, and masks."""
        from training.assemble import convert_labels, label_digest, pixel_digests, stack_port

        tree = _Tree(source, self.out / CACHE, self.pause_s)
        for port, date in source["ports"].items():
            name = f"sen2ships/{port}.tif"

            def one(port: str = port, date: str = str(date), name: str = name) -> None:
                if self.there(name):
                    return
                pattern = re.compile(rf"sen2ships/{re.escape(port)}/{date}.*_L2A_({'|'.join(BANDS)})_\(Raw\)\.tiff")
                paths = {found[1]: path for path in tree.paths if (found := pattern.fullmatch(path))}
                if not paths:
                    raise DownloadError(f"{source['repo']} holds no band of {port} of {date}; the source has changed")
                stack_port({b: tree.get(paths[b]) for b in BANDS if b in paths}, self.out / name, date)
                self.check_pixels(name, pixel_digests(self.out / name))

            self.attempt(name, one)

        def labels() -> None:
            name = "sen2ships/annotations.json"
            wanted = self.prepared[name]["labels"]
            if (self.out / name).is_file() and label_digest(self.out / name) == wanted:
                return
            convert_labels(tree.get(source["labels"]), self.out / name, list(source["ports"]))
            if label_digest(self.out / name) != wanted:
                (self.out / name).unlink()
                raise LabelError("the labels of the source have changed, so the corrections do not fit them any more")
            self.say(f"{name}: assembled, the same labels")

        self.attempt("sen2ships/annotations.json", labels)

    def series(self, source: dict[str, Any]) -> None:
        """Houston: tiles of each date, mosaicked; labels come with bargewatch, if at all."""
        from training.assemble import mosaic, pixel_digests

        shipped = config_path(source["labels"])
        if shipped.is_file():
            (self.out / "series").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(shipped, self.out / "series" / "coco.json")
        elif not (self.out / "series" / "coco.json").is_file():
            self.say(f"series/coco.json: no labels are published; without {source['labels']} the series is not used")
            return
        tree = _Tree(source, self.out / CACHE, self.pause_s)
        for stamp, date in source["dates"].items():
            name = f"series/houston/{stamp}.tif"

            def one(stamp: str = stamp, date: str = str(date), name: str = name) -> None:
                if self.there(name):
                    return
                tiles = sorted(p for p in tree.paths if re.fullmatch(rf"{source['tiles']}/T\w+_{stamp}_\d+\.tif", p))
                if not tiles:
                    raise DownloadError(f"{source['repo']} holds no tiles of {stamp}; the source has changed")
                origin, size = tuple(source["origin"]), tuple(source["size"])
                mosaic([tree.get(p) for p in tiles], self.out / name, origin=origin, size=size, date=date)
                self.check_pixels(name, pixel_digests(self.out / name))

            self.attempt(name, one)

    def there(self, name: str) -> bool:
        """Whether a prepared file is there: the very file, or one with the same pixels."""
        from training.assemble import pixel_digests

        path, entry = self.out / name, self.prepared[name]
        if not path.is_file():
            return False
        if sha256(path) == entry["sha256"] or not _differing(entry["pixels"], pixel_digests(path)):
            self.say(f"{name}: there")
            return True
        return False

    def check_pixels(self, name: str, got: dict[str, str]) -> None:
        """Remove an assembled file whose pixels are not the ones that the networks were trained on.

        Raises:
            DownloadError: so it is.
        """
        differing = _differing(self.prepared[name]["pixels"], got)
        if differing:
            (self.out / name).unlink()
            raise DownloadError(f"{name} assembled from the source differs in {', '.join(differing)}; it was not kept")
        more = sorted(set(got) - set(self.prepared[name]["pixels"]))
        self.say(f"{name}: assembled, the same pixels{' and also ' + ', '.join(more) if more else ''}")


def _differing(wanted: dict[str, str], got: dict[str, str]) -> list[str]:
    return [part for part, digest in wanted.items() if got.get(part) != digest]


class _Tree:
    """The files of a GitHub repository at one commit."""

    def __init__(self, source: dict[str, Any], cache: Path, pause_s: float) -> None:
        self._raw, self._pause_s = source["raw"].rstrip("/"), pause_s
        self._folder = cache / source["repo"].replace("/", "__")
        listing = self._folder / f"tree-{source['commit'][:12]}.json"
        download(source["tree"], listing, _is_tree, pause_s=pause_s)
        entries = json.loads(listing.read_text())["tree"]
        self.paths: dict[str, str] = {e["path"]: e["sha"] for e in entries if e["type"] == "blob"}

    def get(self, path: str) -> Path:
        """A file of the repository, fetched unless it is there.

        Raises:
            DownloadError: it is not in the repository, or cannot be fetched.
        """
        if path not in self.paths:
            raise DownloadError(f"the source has no file {path}")
        target = self._folder / "files" / path
        # A colon is not allowed in the names of files on Windows.
        target = target.with_name(target.name.replace(":", "_"))
        url, name = f"{self._raw}/{quote(path)}", self.paths[path]
        download(url, target, lambda file: git_blob_sha1(file) == name, pause_s=self._pause_s)
        return target


def _is_tree(path: Path) -> bool:
    try:
        table = json.loads(path.read_text())
        return bool(table["tree"]) and not table.get("truncated", False)
    except (ValueError, KeyError, TypeError):
        return False
