"""The store of a site: one GeoPackage that a run can be killed over at any instant.

geopackage  the tables and the binary geometry of the OGC standard, on sqlite3
schema      the tables of a store, their version, and how an older store is brought up
settings    what the rows of a scene depend on: model and settings
lock        one writer at a time
store       the store itself, to read
writing     the store, to write

    from detector.store import Store
    with Store("nampo.gpkg") as store:
        vessels, looks = store.vessels(), store.looks()
"""

from __future__ import annotations

from detector.store.settings import Settings
from detector.store.store import Acquisition, Store
from detector.store.writing import WritableStore, open_store

__all__ = ["Acquisition", "Settings", "Store", "WritableStore", "open_store"]
