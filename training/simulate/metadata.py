"""Metadata of a painted product, in the words of the product specification (PSD 14, baseline 04.00).

Only what readers use is written: times, scaling, offsets, tile geocoding, file list, angles.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, timedelta

from detector.geometry import Grid
from training.simulate.scene import SceneSpec, product_name, tile_name
from training.simulate.sensor import ADD_OFFSET, QUANTIFICATION, SOLAR_IRRADIANCE

_PSD = "https://psd-14.sentinel2.eo.esa.int/PSD"
BAND_IDS = ("B1", "B2", "B3", "B4", "B5", "B6", "B7", "B8", "B8A", "B9", "B10", "B11", "B12")


def _time(spec: SceneSpec) -> str:
    return spec.acquired.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.024Z")


def _footprint(grid: Grid) -> str:
    cols, rows = [0, grid.width, grid.width, 0, 0], [0, 0, grid.height, grid.height, 0]
    lon, lat = grid.to_lonlat(cols, rows)
    return " ".join(f"{b:.9f} {a:.9f}" for a, b in zip(lon, lat, strict=True))


def product_xml(spec: SceneSpec, grid: Grid, granule: str, files: Sequence[str], cloud_percent: float) -> str:
    """MTD_MSIL2A.xml or MTD_MSIL1C.xml."""
    level = spec.level
    kind = {"L2A": "User_Product_Level-2A", "L1C": "User_Product_Level-1C"}[level]
    made = (spec.acquired.astimezone(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    images = "\n".join(f"            <IMAGE_FILE>{name}</IMAGE_FILE>" for name in files)
    ids = range(len(BAND_IDS))
    if level == "L2A":
        scaling = (
            "      <QUANTIFICATION_VALUES_LIST>\n"
            f'        <BOA_QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</BOA_QUANTIFICATION_VALUE>\n'
            '        <AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>\n'
            '        <WVP_QUANTIFICATION_VALUE unit="cm">1000.0</WVP_QUANTIFICATION_VALUE>\n'
            "      </QUANTIFICATION_VALUES_LIST>\n      <BOA_ADD_OFFSET_VALUES_LIST>\n"
            + "".join(f'        <BOA_ADD_OFFSET band_id="{k}">{ADD_OFFSET}</BOA_ADD_OFFSET>\n' for k in ids)
            + "      </BOA_ADD_OFFSET_VALUES_LIST>"
        )
    else:
        scaling = (
            f'      <QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</QUANTIFICATION_VALUE>\n'
            "      <Radiometric_Offset_List>\n"
            + "".join(
                f'        <RADIO_ADD_OFFSET band_id="{k}">{ADD_OFFSET}</RADIO_ADD_OFFSET>\n' for k in ids
            )
            + "      </Radiometric_Offset_List>"
        )
    names = {"B2": "B02", "B3": "B03", "B4": "B04", "B8": "B08", "B11": "B11"}
    irradiance = "\n".join(
        f'          <SOLAR_IRRADIANCE bandId="{k}" unit="W/m²/µm">'
        f"{SOLAR_IRRADIANCE[names[b]]}</SOLAR_IRRADIANCE>"
        for k, b in enumerate(BAND_IDS)
        if b in names
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level[1:]}_User_Product xmlns:n1="{_PSD}/{kind}.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{_time(spec)}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{_time(spec)}</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{product_name(spec)}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-{level[1:]}</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI{level[1:]}</PRODUCT_TYPE>
      <PROCESSING_BASELINE>04.00</PROCESSING_BASELINE>
      <GENERATION_TIME>{made}</GENERATION_TIME>
      <Datatake datatakeIdentifier="GS2A_{spec.acquired.astimezone(UTC):%Y%m%dT%H%M%S}_024492_N04.00">
        <SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{_time(spec)}</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>3</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Product_Organisation>
        <Granule_List>
          <Granule granuleIdentifier="{granule}" imageFormat="JPEG2000">
{images}
          </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX>
      </Special_Values>
{scaling}
      <Reflectance_Conversion>
        <U>1.0</U>
        <Solar_Irradiance_List>
{irradiance}
        </Solar_Irradiance_List>
      </Reflectance_Conversion>
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Product_Footprint>
      <Product_Footprint>
        <Global_Footprint>
          <EXT_POS_LIST>{_footprint(grid)}</EXT_POS_LIST>
        </Global_Footprint>
      </Product_Footprint>
    </Product_Footprint>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>{cloud_percent:.6f}</Cloud_Coverage_Assessment>
  </n1:Quality_Indicators_Info>
</n1:Level-{level[1:]}_User_Product>
"""


def tile_xml(spec: SceneSpec, grid: Grid, cloud_percent: float, sun: tuple[float, float]) -> str:
    """MTD_TL.xml of the granule."""
    level, t = spec.level[1:], grid.transform
    sizes = "\n".join(
        f'      <Size resolution="{r}"><NROWS>{-(-grid.height * 10 // r)}</NROWS>'
        f"<NCOLS>{-(-grid.width * 10 // r)}</NCOLS></Size>"
        for r in (10, 20, 60)
    )
    places = "\n".join(
        f'      <Geoposition resolution="{r}"><ULX>{t.c:.0f}</ULX><ULY>{t.f:.0f}</ULY>'
        f"<XDIM>{r}</XDIM><YDIM>-{r}</YDIM></Geoposition>"
        for r in (10, 20, 60)
    )
    zone, side = spec.epsg % 100, "N" if spec.epsg < 32700 else "S"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_Tile_ID xmlns:n1="{_PSD}/S2_PDI_Level-{level}_Tile_Metadata.xsd">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">S2A_OPER_MSI_{spec.level}_TL_PAINTED_{tile_name(spec)}_N04.00</TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{_time(spec)}</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone {zone}{side}</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{spec.epsg}</HORIZONTAL_CS_CODE>
{sizes}
{places}
    </Tile_Geocoding>
    <Tile_Angles metadataLevel="Standard">
      <Mean_Sun_Angle>
        <ZENITH_ANGLE unit="deg">{90 - sun[1]:.6f}</ZENITH_ANGLE>
        <AZIMUTH_ANGLE unit="deg">{sun[0]:.6f}</AZIMUTH_ANGLE>
      </Mean_Sun_Angle>
    </Tile_Angles>
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <Image_Content_QI>
      <CLOUDY_PIXEL_PERCENTAGE>{cloud_percent:.6f}</CLOUDY_PIXEL_PERCENTAGE>
    </Image_Content_QI>
  </n1:Quality_Indicators_Info>
</n1:Level-{level}_Tile_ID>
"""


def manifest_xml(spec: SceneSpec, files: Sequence[str]) -> str:
    """A short manifest.safe that lists the images."""
    objects = "\n".join(
        f'    <dataObject ID="IMG_{k}"><byteStream mimeType="application/octet-stream">'
        f'<fileLocation locatorType="URL" href="./{name}.jp2"/></byteStream></dataObject>'
        for k, name in enumerate(files)
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1"
  version="esa/safe/sentinel/1.1/sentinel-2/msi/{spec.level.lower()}_user_product"> <dataObjectSection>
{objects}
  </dataObjectSection>
</xfdu:XFDU>
"""
