"""Tables with polygons as text: GeoJSON (RFC 7946) and CSV with WKT."""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import shapely
import shapely.geometry
from numpy.typing import NDArray

from detector.columns import one_line
from detector.errors import TableError

Kind: TypeAlias = Literal["text", "float", "int", "bool", "list"]
Schema: TypeAlias = Mapping[str, Kind]
Columns: TypeAlias = Mapping[str, Sequence[Any] | NDArray[Any]]

WGS84 = "EPSG:4326"
_DECIMALS = 7  # of degrees: about a centimetre


def is_wgs84(crs: Any) -> bool:
    """True where a CRS is longitude and latitude on WGS84."""
    return str(crs).upper() in (WGS84, "OGC:CRS84", "WGS84", "4326")


# ---- GeoJSON


def write_geojson(path: Path, schema: Schema, columns: Columns, geometry: Any, layer: str, crs: Any) -> None:
    """Write a FeatureCollection: right-handed rings (RFC 7946, 3.1.6), no crs member (4), no bbox."""
    plain = {
        name: [_json_value(name, kind, value) for value in columns[name]] for name, kind in schema.items()
    }
    rows = zip(*plain.values(), strict=True) if plain else iter([()] * len(geometry))
    with open(path, "w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        separator = "\n"
        for values, rings in zip(rows, _rings(geometry), strict=True):
            feature = {
                "type": "Feature",
                "properties": dict(zip(plain, values, strict=True)),
                "geometry": {"type": "Polygon", "coordinates": rings},
            }
            file.write(separator + json.dumps(feature, ensure_ascii=False, allow_nan=False))
            separator = ",\n"
        file.write("\n]}\n")


def _rings(geometry: Any) -> Iterator[list[Any]]:
    oriented = shapely.orient_polygons(geometry, exterior_cw=False)
    rings, owners = shapely.get_rings(oriented, return_index=True)
    points = np.round(shapely.get_coordinates(rings), _DECIMALS).tolist()
    ends = np.cumsum(shapely.get_num_coordinates(rings)).tolist()
    grouped: list[list[Any]] = [[] for _ in range(len(geometry))]
    start = 0
    for owner, end in zip(owners.tolist(), ends, strict=True):
        grouped[owner].append(points[start:end])
        start = end
    return iter(grouped)


def _json_value(name: str, kind: Kind, value: Any) -> Any:
    if kind == "float":
        number = float(value)
        if not math.isfinite(number):
            return None  # JSON has no NaN
        return round(number, _DECIMALS) if name in ("lon", "lat") else number
    if value is None:
        return None
    if kind == "bool":
        return bool(value)
    return int(value) if kind == "int" else value


def read_geojson(path: Path, layer: str) -> dict[str, list[Any]]:
    with open(path, encoding="utf-8-sig") as file:
        document = json.load(file)
    if not isinstance(document, dict) or not isinstance(document.get("features"), list):
        raise TableError(f"{path}: not a GeoJSON FeatureCollection; give a table that bargewatch wrote")
    crs = str(((document.get("crs") or {}).get("properties") or {}).get("name", "CRS84"))
    if not re.search(r"CRS84$|EPSG:+4326$", crs):
        raise TableError(
            f"{path}: its coordinates are in {crs}; GeoJSON must be WGS84 (RFC 7946), export it again"
        )
    features = document["features"]
    if not features:
        return _AnyColumn()
    rows = [feature.get("properties") or {} for feature in features]
    names = [name for name in rows[0] if all(name in row for row in rows)]
    columns = {name: [row[name] for row in rows] for name in names}
    columns["geometry"] = [
        None if (g := f.get("geometry")) is None else shapely.geometry.shape(g) for f in features
    ]
    return columns


class _AnyColumn(dict[str, list[Any]]):
    """A GeoJSON without features names no columns, so it has every column."""

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> list[Any]:
        return []


# ---- CSV

# A spreadsheet runs a cell that starts with one of these as a formula (OWASP, CSV Injection). A quote before
# it makes it text; the rule counts leading quotes, so that reading undoes exactly what writing did.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


def escape_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula; `unescape_cell` undoes it."""
    return "'" + text if _FORMULA.match(text) else text


def unescape_cell(text: str) -> str:
    """Text as it was before `escape_cell`."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


def plain_cell(value: Any, number: Callable[[float], str]) -> str:
    """A cell of a text or a number, floats as `number` writes them; empty where nothing is known."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, str):
        return escape_cell(one_line(value))
    return number(value) if isinstance(value, float) else str(value)


def write_csv(path: Path, schema: Schema, columns: Columns, geometry: Any, layer: str, crs: Any) -> None:
    wkt = shapely.to_wkt(geometry, rounding_precision=_DECIMALS, trim=True)
    if not is_wgs84(crs):
        from pyproj import CRS

        wkt = [f"SRID={CRS.from_user_input(crs).to_epsg() or crs};{text}" for text in wkt]  # EWKT
    cells = [[_csv_cell(name, kind, value) for value in columns[name]] for name, kind in schema.items()]
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow([*schema, "geometry"])
        table.writerows(zip(*cells, wkt, strict=True))


def _csv_cell(name: str, kind: Kind, value: Any) -> str:
    value = _json_value(name, kind, value)
    if value is None:
        return ""
    if kind == "bool":
        return "true" if value else "false"
    if kind == "list":
        return escape_cell(";".join(value))
    return escape_cell(value) if kind == "text" else repr(value)


def read_csv(path: Path, layer: str) -> dict[str, list[Any]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, strict=True)
        names = next(rows, [])
        table = [row for row in rows if row]
    if short := [number for number, row in enumerate(table, 2) if len(row) != len(names)]:
        raise TableError(
            f"{path}: row {short[0]} does not have the {len(names)} columns of the header; repair it"
        )
    columns: dict[str, list[Any]] = {
        name: [unescape_cell(row[i]) or None for row in table] for i, name in enumerate(names)
    }
    if "geometry" in columns:
        columns["geometry"] = [_polygon_of(text) for text in columns["geometry"]]
    return columns


def _polygon_of(text: str | None) -> Any:
    if text is None or not text.startswith("SRID="):
        return shapely.from_wkt(text)
    srid, wkt = text[5:].split(";", 1)
    from pyproj import Transformer

    transform = Transformer.from_crs(
        f"EPSG:{srid}" if srid.isdigit() else srid, WGS84, always_xy=True
    ).transform
    return shapely.transform(shapely.from_wkt(wkt), lambda xy: np.column_stack(transform(xy[:, 0], xy[:, 1])))
