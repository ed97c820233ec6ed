"""Label formats besides COCO: YOLO oriented boxes (text) and polygons on a map (GeoJSON, GeoPackage)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector.errors import LabelError, TableError
from training.labels import Label, LabelledScene, is_true

CLASSES = ("vessel", "coal_barge")
PROPERTIES = ("confidence", "status", "reason")
"""What a label file may say of a label besides class, ignore and id."""
RASTERS = (".tif", ".tiff", ".jp2", ".nc")


def find_images(folder: Path) -> list[Path]:
    """The scenes of a folder, sorted: rasters and SAFE folders, also in folders below.

    Raises:
        LabelError: there is none.
    """
    found = [p for p in folder.rglob("*") if p.suffix.lower() in RASTERS and not _inside_safe(p, folder)]
    found += list(folder.rglob("*.SAFE"))
    if not found:
        raise LabelError(f"{folder} holds no images ({', '.join(RASTERS)} or .SAFE); set `images` of the label source")
    return sorted(found)


def _inside_safe(path: Path, folder: Path) -> bool:
    return any(parent.suffix == ".SAFE" for parent in path.relative_to(folder).parents)


def read_yolo(
    labels: Path,
    images: Path,
    *,
    names: Sequence[str] = ("vessel",),
    place: str | None = None,
    classes: Sequence[str] = CLASSES,
    drop: Iterable[str] = (),
    stand_ins: dict[str, dict[str, str]] | None = None,
) -> list[LabelledScene]:
    """Read YOLO-OBB labels: a text file an image, with lines ``class x1 y1 x2 y2 x3 y3 x4 y4``, positions from 0 to 1.

    An image without a text file has no vessels, as in ultralytics.

    Args:
        labels: folder of the text files.
        images: folder of the images, matched by file stem.
        names: name of each class number.
        place: the place of all images; by default each image's stem.
        classes, drop, stand_ins: as for `read_coco`.

    Raises:
        LabelError: a line cannot be understood, or a text file has no image.
    """
    from detector.scene import open_scene

    if not labels.is_dir():
        raise LabelError(f"{labels} is not a folder of YOLO label files")
    paths = {path.stem: path for path in find_images(images)}
    orphans = sorted({file.stem for file in labels.glob("*.txt")} - set(paths) - {"classes"})
    if orphans:
        raise LabelError(f"{labels / orphans[0]}.txt has no image of the same name in {images}")
    scenes = []
    for stem, path in paths.items():
        file = labels / f"{stem}.txt"
        found = []
        if file.is_file():
            with open_scene(path, require=()) as scene:
                size = np.array([scene.grid.width, scene.grid.height], float)
            for number, line in enumerate(file.read_text().splitlines(), 1):
                if line.strip():
                    name, corners = parse_yolo_line(line, names, f"{file}, line {number}")
                    label = _label(name, corners * size, classes, drop, f"{stem}:{number}")
                    found += [label] if label else []
        scenes.append(LabelledScene(path, place or stem, found, (stand_ins or {}).get(stem, {})))
    return scenes


def parse_yolo_line(line: str, names: Sequence[str], where: str) -> tuple[str, NDArray[np.float64]]:
    """Class name and corners (4, 2) as shares of the image size.

    Raises:
        LabelError: the line is something else; `where` is named.
    """
    parts = line.split()
    try:
        number, values = int(parts[0]), np.array([float(v) for v in parts[1:]])
    except ValueError as error:
        raise LabelError(f"{where}: {line.strip()!r} is not a class number and eight positions") from error
    if len(values) != 8 or not np.isfinite(values).all():
        raise LabelError(f"{where}: {len(values)} positions instead of eight; x1 y1 x2 y2 x3 y3 x4 y4 are expected")
    if not 0 <= number < len(names):
        raise LabelError(f"{where}: class {number} has no name; set `names` of the label source")
    if (np.abs(values) > 2).any():
        raise LabelError(f"{where}: positions must be shares of the image size, 0 to 1; divide pixels by width and height")
    return names[number], values.reshape(4, 2)


def write_yolo(scenes: Iterable[LabelledScene], folder: Path, names: Sequence[str] = ("vessel",)) -> None:
    """Write YOLO-OBB text files; ignore areas are left out, the format has none.

    Raises:
        LabelError: a class has no number.
    """
    from detector.scene import open_scene

    folder.mkdir(parents=True, exist_ok=True)
    for scene in scenes:
        with open_scene(scene.path, require=()) as opened:
            size = np.array([opened.grid.width, opened.grid.height], float)
        lines = []
        for label in scene.labels:
            if label.ignore:
                continue
            if label.name not in names:
                raise LabelError(f"class {label.name!r} is not among {', '.join(names)}; add it to names")
            values = " ".join(f"{v:.8f}" for v in (label.corners / size).reshape(-1))
            lines.append(f"{names.index(label.name)} {values}\n")
        (folder / f"{scene.path.stem}.txt").write_text("".join(lines))


def read_vector(
    path: Path,
    images: Path,
    *,
    place: str | None = None,
    classes: Sequence[str] = CLASSES,
    drop: Iterable[str] = (),
    stand_ins: dict[str, dict[str, str]] | None = None,
    rejected: bool = False,
) -> list[LabelledScene]:
    """Read polygons on a map (GeoJSON, GeoPackage or whatever GDAL reads, in any CRS; vessel tables also as .csv, .parquet).

    Columns, all optional: `class` (vessel), `ignore` (false), `id`, and `image` or `scene_id`, the file name or stem of
    the scene that a polygon was drawn on; so a corrected vessel table of `bargewatch predict` is a label file too. Without
    them each polygon must lie in exactly one image. Four corners are taken as they are, any other outline is turned into
    its smallest rectangle. Images without a polygon count as scenes without vessels; where a GeoPackage has a layer
    `images` (`bargewatch labels export`), only those that it lists. Rows whose `status` is a reason of rejection are
    left out unless `rejected`; `confidence`, `status` and `reason` become properties.

    Raises:
        LabelError: the file cannot be read, has no CRS, holds other shapes, or a polygon's image is not clear.
    """
    from detector.scene import open_scene

    table, listed = _read_table(path)
    scenes, grids = [], []
    for image in find_images(images):
        if listed is not None and image.name not in listed:
            continue
        with open_scene(image, require=()) as scene:
            grids.append(scene.grid)
        scenes.append(LabelledScene(image, place or image.stem, [], (stand_ins or {}).get(image.stem, {})))
    for number, row in enumerate(table.to_dict("records"), 1):
        if not rejected and _present(row.get("status")) and row["status"] != "kept":
            continue
        where = f"{path.name}, feature {number}"
        shape = row["geometry"]
        if shape is None or shape.is_empty:
            raise LabelError(f"{where} has no geometry")
        if shape.geom_type == "MultiPolygon" and len(shape.geoms) == 1:
            shape = shape.geoms[0]
        if shape.geom_type != "Polygon":
            raise LabelError(f"{where} is a {shape.geom_type}; draw each vessel as one polygon")
        named = next((row[key] for key in ("image", "scene_id") if _present(row.get(key))), None)
        index = _image_of(shape, named, scenes, grids, where)
        lonlat = np.asarray(shape.exterior.coords)[:-1, :2]
        pixels = np.stack(grids[index].from_lonlat(lonlat[:, 0], lonlat[:, 1]), axis=-1)
        if not np.isfinite(pixels).all():
            raise LabelError(f"{where} lies where the CRS of {scenes[index].path.name} does not reach")
        name = row["class"] if _present(row.get("class")) else classes[0]
        # What was drawn new in a table with ids has none; a number could be that of another label.
        known = _known(row["id"]) if "id" in row else number
        label = _label(name, _rectangle(pixels, where), classes, drop, known)
        if label:
            label.ignore |= is_true(row.get("ignore"))
            label.properties = {key: row[key] for key in PROPERTIES if _known(row.get(key)) is not None}
            scenes[index].labels.append(label)
    return scenes


def _read_table(path: Path) -> tuple[Any, set[str] | None]:
    """Polygons in WGS84, and the names of the images that they are of where the file lists them."""
    import geopandas
    import pyogrio

    from detector.detections import Detections

    if path.suffix.lower() in (".csv", ".parquet"):
        try:
            return Detections.read(path).to_geodataframe(), None
        except TableError as error:
            raise LabelError(f"{error}; only a vessel table can be .csv or .parquet") from error
    try:
        layers = [str(name) for name, _ in pyogrio.list_layers(path)]
        chosen = next((name for name in ("labels", "vessels") if name in layers), None)
        listed = None
        if chosen == "labels" and "images" in layers:
            listed = set(pyogrio.read_dataframe(path, layer="images", read_geometry=False)["image"])
        table = geopandas.read_file(path, layer=chosen) if chosen else geopandas.read_file(path)
    except Exception as error:  # GDAL and SQLite have many
        raise LabelError(f"{path} cannot be read as polygons: {' '.join(str(error).split())[:200]}") from error
    if getattr(table, "crs", None) is None:
        raise LabelError(f"{path} has no CRS or no geometry; save it with one (WGS84)")
    return table.to_crs("EPSG:4326"), listed


def _known(value: Any) -> Any:
    """A cell as a plain value; None where it is empty. Whole numbers that a table holds as floats become int again."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value == "" or value != value:
        return None
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _present(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _image_of(shape: Any, named: str | None, scenes: list[LabelledScene], grids: list[Any], where: str) -> int:
    if named is not None:
        hits = [i for i, scene in enumerate(scenes) if named in (scene.path.name, scene.path.stem)]
        if len(hits) != 1:
            raise LabelError(f"{where}: there {'are two images' if hits else 'is no image'} named {named}")
        return hits[0]
    middle = shape.centroid
    hits = []
    for i, grid in enumerate(grids):
        col, row = (float(v) for v in grid.from_lonlat(middle.x, middle.y))
        if 0 <= col < grid.width and 0 <= row < grid.height:
            hits.append(i)
    if len(hits) != 1:
        raise LabelError(f"{where} lies in {len(hits)} images; name its image in a column `image`")
    return hits[0]


def _rectangle(pixels: NDArray[np.float64], where: str) -> NDArray[np.float64]:
    import shapely

    if not np.isfinite(pixels).all() or (len(pixels) == 4 and shapely.Polygon(pixels).is_valid):
        return pixels
    box = shapely.minimum_rotated_rectangle(shapely.MultiPoint(pixels))
    if box.geom_type != "Polygon":
        raise LabelError(f"{where} has no area")
    return np.asarray(box.exterior.coords)[:4]


def write_vector(scenes: Iterable[LabelledScene], path: Path) -> None:
    """Write labels as polygons in WGS84 by suffix (.geojson, .gpkg), with the columns of `label_table`."""
    from detector.atomic import replacing

    table = label_table(scenes)
    with replacing(path) as draft:
        table.to_file(draft, engine="pyogrio", geometry_type="Polygon")


def label_table(scenes: Iterable[LabelledScene]) -> Any:
    """Labels as a GeoDataFrame in WGS84: image, class, ignore, id, confidence, status, reason, geometry."""
    import geopandas
    import shapely

    from detector.scene import open_scene

    rows = []
    for scene in scenes:
        with open_scene(scene.path, require=()) as opened:
            grid = opened.grid
        for label in scene.labels:
            lon, lat = grid.to_lonlat(label.corners[:, 0], label.corners[:, 1])
            rows.append(
                {"image": scene.path.name, "class": label.name, "ignore": label.ignore,
                 "id": None if label.id is None else str(label.id),
                 **{key: label.properties.get(key) for key in PROPERTIES},
                 "geometry": shapely.Polygon(np.column_stack([lon, lat]))}
            )  # fmt: skip
    columns = ["image", "class", "ignore", "id", *PROPERTIES, "geometry"]
    table = geopandas.GeoDataFrame(rows, columns=columns, geometry="geometry", crs="EPSG:4326")
    texts = dict.fromkeys(("image", "class", "id", "status", "reason"), object)
    return table.astype({**texts, "ignore": bool, "confidence": float})


def _label(
    name: str, corners: NDArray[np.float64], classes: Sequence[str], drop: Iterable[str], number: Any
) -> Label | None:
    if name in drop:
        return None
    return Label(corners, name if name in classes else classes[0], name not in classes, number)
