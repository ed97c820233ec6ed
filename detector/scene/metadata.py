"""Sentinel-2 product metadata: scale, offset and time from MTD_MSIL1C.xml and MTD_MSIL2A.xml.

Reflectance is ``(DN + ADD_OFFSET) / QUANTIFICATION_VALUE``; the offset, by band id, is there from processing
baseline 04.00 (Sentinel-2 Products Specification Document, issue 14.9, § 4.9.1 and annex).
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from xml.parsers import expat

from detector.errors import UnknownScaleError, UnreadableSceneError
from detector.scene.bands import BAND_IDS
from detector.scene.scale import HOW, Gain, parse_scale
from detector.scene.times import parse_time

_Elements = dict[str, list[tuple[dict[str, str], str]]]

_TIMES = ("PRODUCT_START_TIME", "DATATAKE_SENSING_START")


@dataclass(frozen=True)
class ProductMetadata:
    uri: str | None
    level: str | None
    acquired: datetime | None
    radiometry: dict[str, Gain]


def read_product(data: bytes, name: str) -> ProductMetadata:
    """What a product's main metadata says.

    Raises:
        UnreadableSceneError: it is not well-formed XML, or carries a document type.
        UnknownScaleError: it does not tell scale and offset.
    """
    elements = _parse(data, name)

    def first(*tags: str) -> str | None:
        return next((elements[tag][0][1] for tag in tags if elements.get(tag)), None)

    text = " ".join(filter(None, (first("PROCESSING_LEVEL"), first("PRODUCT_TYPE"), name)))
    match = re.search(r"(?:Level-|MSIL?|SAFL|S2MSI)(1C|2A)", text, re.IGNORECASE)
    level = f"L{match[1].upper()}" if match else None
    return ProductMetadata(
        uri=first("PRODUCT_URI_2A", "PRODUCT_URI"),
        level=level,
        acquired=parse_time(first(*_TIMES) or ""),
        radiometry=_radiometry(elements, first("PROCESSING_BASELINE"), name),
    )


def read_tile_time(data: bytes, name: str) -> datetime | None:
    """SENSING_TIME of a tile's MTD_TL.xml: when this tile was seen, minutes after its data take began."""
    found = _parse(data, name).get("SENSING_TIME")
    return parse_time(found[0][1]) if found else None


def _radiometry(elements: _Elements, baseline: str | None, name: str) -> dict[str, Gain]:
    surface = [
        tag for tag in ("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE") if elements.get(tag)
    ]
    tags = (*surface, "QUANTIFICATION_VALUE")
    text = next((elements[tag][0][1] for tag in tags if elements.get(tag)), None)
    offset_tag = "BOA_ADD_OFFSET" if surface else "RADIO_ADD_OFFSET"
    try:
        quantification = float(text or "nan")
        offsets = {
            BAND_IDS[int(attrs["band_id"])]: float(value) for attrs, value in elements.get(offset_tag, [])
        }
        shifted = float(baseline or "nan") >= 4.0
    except (ValueError, KeyError, IndexError) as error:
        raise UnknownScaleError(f"{name} has numbers that cannot be read ({error}); {HOW}") from error
    if not quantification > 0:
        raise UnknownScaleError(f"{name} has no QUANTIFICATION_VALUE; {HOW}")
    if shifted and not offsets:
        raise UnknownScaleError(f"{name} is of baseline {baseline} but lists no {offset_tag}; {HOW}")
    bands = offsets if offsets else dict.fromkeys(BAND_IDS, 0.0)
    return {
        band: parse_scale((1 / quantification, offset / quantification), f"{name} {band}")
        for band, offset in bands.items()
    }


def scale_of_name(name: str) -> Gain | None:
    """Scale from the baseline ``_Nxxyy_`` of a product name, for a product that has lost its metadata."""
    match = re.search(r"_MSIL(?:1C|2A)_\d{8}T\d{6}_N(\d{2})(\d{2})_", name)
    if not match:
        return None
    return 1e-4, (-0.1 if int(match[1]) >= 4 else 0.0)


def _parse(data: bytes, name: str) -> _Elements:
    """Attributes and text of all elements by local name, from XML without a document type.

    Refusing the document type shuts out entity expansion ("billion laughs") and external entities alike;
    products have neither.
    """
    elements: _Elements = defaultdict(list)
    stack: list[tuple[str, dict[str, str], list[str]]] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        stack.append((tag.rsplit(":", 1)[-1], attributes, []))

    def text(part: str) -> None:
        if stack:
            stack[-1][2].append(part)

    def end(_: str) -> None:
        tag, attributes, parts = stack.pop()
        elements[tag].append((attributes, "".join(parts).strip()))

    def refuse(*_: object) -> None:
        raise UnreadableSceneError(
            f"{name} has a document type, which product metadata never has; fetch it again"
        )

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise UnreadableSceneError(
            f"{name} is not well-formed XML ({error}); fetch the product again"
        ) from error
    return elements
