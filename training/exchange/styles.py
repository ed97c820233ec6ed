"""How a GeoPackage looks when QGIS opens it: styles as QML in the table `layer_styles`.

QGIS loads the row of `layer_styles` that is marked as default for a layer by itself; the table must be listed in
`gpkg_contents`, and `update_time` must be ISO 8601 with T and Z, or GDAL complains.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

_TABLE = """
CREATE TABLE IF NOT EXISTS layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
    styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
    update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
)"""
_CONTENTS = (
    "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('layer_styles', 'attributes', 'layer_styles')"
)
_ROW = (
    "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML, "
    "styleSLD, useAsDefault, description) VALUES ('', '', ?, ?, 'bargewatch', ?, '', 1, 'Written by bargewatch')"
)


@dataclass(frozen=True)
class Rule:
    """Features for which a QGIS expression is true, and how they are drawn: r,g,b of the outline, and its pen."""

    label: str
    expression: str
    colour: str
    width_mm: float = 0.5
    pen: str = "solid"


# The first of these that is true for a feature is the one it is drawn by.
LABELS = (
    Rule("ignore: counted neither way", '"ignore"', "150,150,150", 0.4, "dot"),
    Rule("rejected: see status", "coalesce(\"status\", 'kept') <> 'kept'", "60,180,255", 0.35, "dash"),
    Rule("coal barge", "\"class\" = 'coal_barge'", "255,70,200"),
    Rule("vessel", "ELSE", "255,226,0"),
)
IMAGES = (Rule("image", "ELSE", "255,255,255", 0.3, "dash"),)
CHIPS = (
    Rule("label first (1 to 10)", '"rank" <= 10', "215,25,28", 0.8),
    Rule("then (11 to 50)", '"rank" <= 50', "253,174,97", 0.6),
    Rule("later", "ELSE", "255,255,191", 0.4),
)


def label_style() -> str:
    """QML of a layer of labels: outlines by class and status, a list for the class, a box to tick for `ignore`."""
    root = _document(LABELS, caption="if(\"confidence\" is null, '', round(\"confidence\", 2))")
    fields = ET.SubElement(root, "fieldConfiguration")
    _choice(fields, "class", ("vessel", "coal_barge"))
    _choice(fields, "status", ("kept", "land", "cloud", "fixed", "size", "duplicate"))
    _widget(fields, "ignore", "CheckBox")
    _widget(fields, "reason", "TextEdit")
    defaults = ET.SubElement(root, "defaults")
    for field, expression in (("class", "'vessel'"), ("ignore", "false")):
        ET.SubElement(defaults, "default", field=field, expression=expression, applyOnUpdate="0")
    return _text(root)


def image_style() -> str:
    """QML of the outlines of images."""
    return _text(_document(IMAGES, caption='"image"'))


def chip_style() -> str:
    """QML of the outlines of chosen chips, coloured and numbered by rank."""
    return _text(_document(CHIPS, caption='"rank"'))


def write_styles(path: Path, styles: dict[str, str], geometry: str = "geom") -> None:
    """Store QML by layer name in a GeoPackage, as the default style of each layer."""
    with closing(sqlite3.connect(path)) as base, base:
        base.execute(_TABLE)
        base.execute(_CONTENTS)
        base.executemany(_ROW, [(layer, geometry, qml) for layer, qml in styles.items()])


def _document(rules: Sequence[Rule], caption: str) -> ET.Element:
    root = ET.Element(
        "qgis", version="3.22.0", styleCategories="Symbology|Labeling|Fields|Forms", labelsEnabled="1"
    )
    renderer = ET.SubElement(root, "renderer-v2", type="RuleRenderer", symbollevels="0", forceraster="0", enableorderby="0")
    tree = ET.SubElement(renderer, "rules", key="{root}")
    symbols = ET.SubElement(renderer, "symbols")
    taken: list[str] = []  # a rule renderer draws every rule that is true, so each excludes those before it
    for number, rule in enumerate(rules):
        mine = "true" if rule.expression == "ELSE" else rule.expression
        others = [f"not coalesce({one}, false)" for one in taken]
        true = " and ".join([f"({mine})", *others])
        ET.SubElement(tree, "rule", key=f"{{{number}}}", symbol=str(number), label=rule.label, filter=true)
        taken.append(mine)
        symbols.append(_symbol(str(number), rule))
    labeling = ET.SubElement(root, "labeling", type="simple")
    settings = ET.SubElement(labeling, "settings", calloutType="simple")
    style = ET.SubElement(
        settings, "text-style", fieldName=caption, isExpression="1", fontSize="8", fontSizeUnit="Point",
        textColor="255,255,255,255", textOpacity="1",
    )  # fmt: skip
    ET.SubElement(
        style, "text-buffer", bufferDraw="1", bufferSize="0.8", bufferSizeUnits="MM", bufferColor="20,20,20,255",
        bufferOpacity="0.8",
    )  # fmt: skip
    ET.SubElement(settings, "placement", placement="1", dist="0", priority="5")
    return root


def _symbol(name: str, rule: Rule) -> ET.Element:
    """An outline without fill, so that it does not hide the hull."""
    symbol = ET.Element("symbol", type="fill", name=name, alpha="1", force_rhr="0", clip_to_extent="1")
    layer = ET.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"})
    options = ET.SubElement(layer, "Option", type="Map")
    values = {
        "color": f"{rule.colour},0", "style": "no", "outline_color": f"{rule.colour},255", "outline_style": rule.pen,
        "outline_width": f"{rule.width_mm}", "outline_width_unit": "MM", "joinstyle": "miter", "offset": "0,0",
        "offset_unit": "MM",
    }  # fmt: skip
    for key, value in values.items():
        ET.SubElement(options, "Option", type="QString", name=key, value=value)
    return symbol


def _widget(fields: ET.Element, name: str, kind: str) -> ET.Element:
    field = ET.SubElement(fields, "field", name=name, configurationFlags="None")
    config = ET.SubElement(ET.SubElement(field, "editWidget", type=kind), "config")
    return ET.SubElement(config, "Option", type="Map")


def _choice(fields: ET.Element, name: str, values: Sequence[str]) -> None:
    entries = ET.SubElement(_widget(fields, name, "ValueMap"), "Option", type="List", name="map")
    for value in values:
        ET.SubElement(ET.SubElement(entries, "Option", type="Map"), "Option", type="QString", name=value, value=value)


def _text(root: ET.Element) -> str:
    ET.indent(root, " ")
    return f"<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n{ET.tostring(root, encoding='unicode')}\n"
