"""Tables with polygons as files: GeoJSON, GeoPackage, GeoParquet and CSV, with one set of column names.

A schema maps each column to its kind; the column `geometry` (shapely polygons, WGS84) comes last and is not
in it. Empty text and None are one thing in CSV, so `read` gives None for both there.
"""

from __future__ import annotations

import csv
import json
import math
import os
import warnings
from collections.abc import Callable, Container
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from detector.atomic import replacing
from detector.errors import MissingColumnError, MissingDependencyError, TableError
from detector.textformats import (
    WGS84,
    Columns,
    Kind,
    Schema,
    is_wgs84,
    read_csv,
    read_geojson,
    write_csv,
    write_geojson,
)

if TYPE_CHECKING:
    from geopandas import GeoDataFrame

# What the readers raise on a file that is damaged or something else; GDAL and PROJ errors are RuntimeError.
_DAMAGE = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, csv.Error)

SUFFIXES = (".geojson", ".gpkg", ".parquet", ".csv")


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix of a table file, in lower case.

    Raises:
        TableError: it is not one of the four.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise TableError(
            f"{path}: unknown table format {suffix or '(no suffix)'!r}; use {', '.join(SUFFIXES)}"
        )
    return suffix


def check_crs(path: str | os.PathLike[str], crs: Any) -> None:
    """Check that `crs` is a CRS that the format of `path` can hold.

    Raises:
        TableError: it is none, or the format is GeoJSON and it is not WGS84.
    """
    if Path(path).suffix.lower() == ".geojson" and not is_wgs84(crs):
        raise TableError(f"{path}: GeoJSON is WGS84 (RFC 7946), received crs={crs}; use .gpkg or .parquet")
    _projected(path, [], crs)


def write(
    path: str | os.PathLike[str], schema: Schema, columns: Columns, layer: str, crs: Any = WGS84
) -> None:
    """Write a table by the suffix of its path, whole or not at all, with its geometry in `crs`.

    Raises:
        TableError: unknown suffix, a folder that cannot be written, GeoJSON in another CRS than WGS84.
        MissingDependencyError: .parquet without pyarrow.
    """
    suffix = check_suffix(path)
    if suffix == ".parquet":
        _pyarrow()
    check_crs(path, crs)
    geometry = _projected(path, columns["geometry"], crs)
    try:
        with replacing(path) as draft:
            _WRITERS[suffix](draft, schema, columns, geometry, layer, crs)
    except RuntimeError as error:  # what GDAL raises, for a full disk say
        raise TableError(f"cannot write {path}: {_one_line(error)}") from error


def read(
    path: str | os.PathLike[str], schema: Schema, layer: str, *, unread: Container[str] = ()
) -> dict[str, list[Any]]:
    """The columns of a table file, geometry in WGS84; columns outside the schema are ignored with a warning.

    Args:
        unread: columns that may be there and are ignored without one.

    Raises:
        TableError: the file is missing, damaged or lacks a column.
    """
    suffix = check_suffix(path)
    if not Path(path).is_file():
        raise TableError(f"{path}: no such table; check the path")
    try:
        found = _READERS[suffix](Path(path), layer)
        if missing := [name for name in (*schema, "geometry") if name not in found]:
            raise MissingColumnError(
                f"{path}: the table lacks the column {missing[0]!r}; it needs {', '.join(schema)}, geometry",
                tuple(missing),
            )
        if extra := [str(name) for name in found if not (name in schema or name in unread or name == "geometry")]:
            warnings.warn(f"{path}: ignored the columns {', '.join(extra)}", stacklevel=3)
        columns = {name: [_PARSERS[kind](value) for value in found[name]] for name, kind in schema.items()}
    except (*_DAMAGE, shapely.errors.ShapelyError) as error:
        if isinstance(error, TableError):
            raise
        raise TableError(f"{path}: cannot be read as {suffix}: {_one_line(error)}") from error
    return {**columns, "geometry": list(found["geometry"])}


def to_geodataframe(schema: Schema, columns: Columns, crs: Any = WGS84) -> GeoDataFrame:
    """A table as a GeoDataFrame with its geometry in `crs`.

    Raises:
        TableError: `crs` is not a CRS.
    """
    import geopandas
    import pandas

    geometry = geopandas.GeoSeries(
        _projected("table", columns["geometry"], crs), crs=WGS84 if is_wgs84(crs) else crs
    )
    dtypes = {"text": object, "list": object, "float": float, "int": "int64", "bool": bool}

    def series(name: str, kind: Kind) -> Any:
        missing = kind == "int" and any(value is None for value in columns[name])
        return pandas.Series(columns[name], dtype="Int64" if missing else dtypes[kind])

    frame = pandas.DataFrame({name: series(name, kind) for name, kind in schema.items()})
    return geopandas.GeoDataFrame(frame, geometry=geometry)


# ---- coordinates


def _projected(path: Any, geometry: Any, crs: Any) -> Any:
    """WGS84 polygons in another CRS."""
    geometry = np.asarray(geometry, dtype=object)
    if is_wgs84(crs):
        return geometry
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        transform = Transformer.from_crs(
            WGS84, getattr(crs, "to_wkt", lambda: crs)(), always_xy=True
        ).transform
        projected = shapely.transform(geometry, lambda xy: np.column_stack(transform(xy[:, 0], xy[:, 1])))
    except ProjError as error:
        raise TableError(
            f"{path}: {crs!r} is not a CRS; use a code such as EPSG:32651 ({_one_line(error)})"
        ) from None
    if not np.isfinite(shapely.get_coordinates(projected)).all():
        raise TableError(f"{path}: {crs} does not reach some of the vessels; use EPSG:4326")
    return projected


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# ---- GeoPackage


def _write_gpkg(path: Path, schema: Schema, columns: Columns, geometry: Any, layer: str, crs: Any) -> None:
    import pyogrio

    joined = {name: [";".join(v) for v in columns[name]] for name, kind in schema.items() if kind == "list"}
    frame = to_geodataframe(schema, {**columns, **joined}, crs)
    pyogrio.write_dataframe(frame, path, layer=layer, driver="GPKG", geometry_type="Polygon")


def _read_gpkg(path: Path, layer: str) -> dict[str, list[Any]]:
    import pyogrio

    names = [str(name) for name, _ in pyogrio.list_layers(path)]
    if layer not in names and len(names) != 1:
        raise TableError(f"{path}: no layer {layer!r}; it has {', '.join(names) or 'none'}")
    return _frame_columns(path, pyogrio.read_dataframe(path, layer=layer if layer in names else names[0]))


def _frame_columns(path: Path, frame: Any) -> dict[str, list[Any]]:
    if getattr(frame, "crs", None) is None:
        raise TableError(f"{path}: the table has no CRS or no geometry; write it again with its CRS")
    geometry = frame.geometry.to_crs(WGS84)
    columns = {str(name): frame[name].tolist() for name in frame.columns if name != frame.geometry.name}
    return {**columns, "geometry": geometry.tolist()}


# ---- GeoParquet


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise MissingDependencyError(
            "a .parquet table needs pyarrow: pip install 'bargewatch[parquet]'"
        ) from None
    return pyarrow


def _write_parquet(path: Path, schema: Schema, columns: Columns, geometry: Any, layer: str, crs: Any) -> None:
    # Written with a schema of our own: the types of an empty or all-None column cannot be inferred.
    pa = _pyarrow()
    from pyarrow import parquet
    from pyproj import CRS

    types = {
        "text": pa.string(),
        "float": pa.float64(),
        "int": pa.int64(),
        "bool": pa.bool_(),
        "list": pa.list_(pa.string()),
    }
    arrays = [
        pa.array(list(columns[name]), type=types[kind], from_pandas=True) for name, kind in schema.items()
    ]
    arrays.append(pa.array(shapely.to_wkb(geometry, byte_order=1).tolist(), type=pa.binary()))
    projjson = CRS.from_user_input(WGS84 if is_wgs84(crs) else crs).to_json_dict()
    described = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": projjson}
    geo = {"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": described}}
    table = pa.Table.from_arrays(arrays, names=[*schema, "geometry"])
    parquet.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), path)


def _read_parquet(path: Path, layer: str) -> dict[str, list[Any]]:
    _pyarrow()
    import geopandas

    return _frame_columns(path, geopandas.read_parquet(path))


# ---- values as read, back to their kinds


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _parse_bool(value: Any) -> Any:
    return {"true": True, "false": False, "1": True, "0": False}.get(str(value).lower(), value)


def _parse_list(value: Any) -> list[str]:
    if _is_null(value):
        return []
    if isinstance(value, str):
        # QGIS saves the list of a GeoJSON as JSON text.
        return json.loads(value) if value.startswith("[") else [part for part in value.split(";") if part]
    return [str(part) for part in value]


_PARSERS: dict[Kind, Callable[[Any], Any]] = {
    "text": lambda value: None if _is_null(value) else value,
    "float": lambda value: math.nan if _is_null(value) else float(value),
    "int": lambda value: None if _is_null(value) else int(float(value)),
    "bool": _parse_bool,
    "list": _parse_list,
}
_WRITERS = {".geojson": write_geojson, ".csv": write_csv, ".gpkg": _write_gpkg, ".parquet": _write_parquet}
_READERS = {".geojson": read_geojson, ".csv": read_csv, ".gpkg": _read_gpkg, ".parquet": _read_parquet}
