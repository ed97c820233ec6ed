"""Labels in whatever form they come back: GeoPackage, COCO or YOLO, a file, a folder or the zip that CVAT gives."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from detector.errors import LabelError
from training.exchange.coco import read_coco_tiles
from training.exchange.tiles import MANIFEST, Tile, gather, read_manifest
from training.exchange.yolo import read_yolo_tiles
from training.labelfiles import find_images
from training.labels import LabelledScene
from training.ownlabels import own_scenes

_MEMBERS = (".json", ".txt", ".yaml", ".yml")
_MOST_BYTES = 500_000_000


@dataclass
class Returned:
    """What came back.

    Attributes:
        scenes: the labelled scenes.
        unseen: tiles that were sent out and did not come back: nothing is known about them.
    """

    scenes: list[LabelledScene]
    unseen: list[Tile] = field(default_factory=list)

    def require_whole(self) -> None:
        """Check that every tile of every scene came back.

        Raises:
            LabelError: some did not, so the rest of their scenes would count as empty water.
        """
        if self.unseen:
            raise LabelError(
                f"{len(self.unseen)} tiles did not come back, the first is {self.unseen[0].file}; give --original, so that "
                "what was not looked at keeps its labels"
            )


def read_labels(path: Path, images: Path, tiles: Path | None = None) -> Returned:
    """Read labels of any kind.

    Args:
        path: polygons on a map or a vessel table, COCO, a YOLO folder, or a zip of the last two.
        images: folder of the scenes.
        tiles: the folder of `labels export` that holds tiles.json; by default it is looked for around `path`. Without
            one, labels are in scene pixels or on the map.

    Raises:
        LabelError: they cannot be understood; or they name pictures, and there is no tiles.json.
    """
    if not path.exists():
        raise LabelError(f"there are no labels at {path}; give a .gpkg, .geojson, COCO .json, YOLO folder or .zip")
    tiles = tiles or _around(path)
    with _unpacked(path) as found:
        file = _coco_file(found)
        if tiles is None:
            return Returned(own_scenes(file or found, images))
        known = read_manifest(tiles)
        export = tiles if tiles.is_dir() else tiles.parent
        if file is not None:
            labels = read_coco_tiles(_json(file), file, known)
        elif found.is_dir():
            labels = read_yolo_tiles(found, known, export)
        else:
            return Returned(own_scenes(found, images))
    scenes = gather(labels, known, find_images(images))
    for scene in scenes:
        inside = scene.path.relative_to(images).parts
        scene.place = inside[0] if len(inside) > 1 else scene.place
    return Returned(scenes, [tile for name, tile in known.items() if name not in labels])


def _around(path: Path) -> Path | None:
    """The folder with tiles.json that `path` lies in or is."""
    if path.suffix.lower() in (".gpkg", ".geojson"):
        return None
    folders = [path, *path.absolute().parents[:2]]
    return next((folder for folder in folders if (folder / MANIFEST).is_file()), None)


def _coco_file(found: Path) -> Path | None:
    """The COCO file of a folder or file; None if it is something else."""
    if found.is_dir():
        files = sorted(found.glob("annotations/*.json")) or sorted(found.glob("instances*.json"))
        if len(files) > 1:
            raise LabelError(f"{found} holds {len(files)} COCO files ({files[0].name}, …); give one of them")
        return files[0] if files else None
    if found.suffix.lower() != ".json":
        return None
    content = _json(found)
    return found if isinstance(content, dict) and "annotations" in content else None


def _json(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise LabelError(f"{path} is not JSON: {str(error)[:200]}") from error


@contextmanager
def _unpacked(path: Path) -> Iterator[Path]:
    """A folder with the label files of a zip; anything else as it is."""
    if path.suffix.lower() != ".zip":
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        try:
            with zipfile.ZipFile(path) as archive:
                members = [m for m in archive.infolist() if not m.is_dir() and Path(m.filename).suffix.lower() in _MEMBERS]
                if sum(member.file_size for member in members) > _MOST_BYTES:
                    raise LabelError(f"{path} would unpack to over {_MOST_BYTES // 1_000_000} MB; export without images")
                for member in members:
                    if not (root / member.filename).resolve().is_relative_to(root):
                        raise LabelError(f"{path} holds {member.filename!r}, which points out of it; export it again")
                    archive.extract(member, root)
        except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError) as error:
            raise LabelError(f"{path} cannot be unpacked: {error}") from error
        if not any(root.iterdir()):
            raise LabelError(f"{path} holds no label files ({', '.join(_MEMBERS)}); export COCO 1.0 or YOLO from CVAT")
        yield root
