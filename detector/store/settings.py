"""What the rows of a scene depend on. Rows of other settings are not counted together."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256

from detector.textformats import Kind

#: Raised when the same pixels and settings give other rows than before.
METHOD = 1

COLUMNS: dict[str, Kind] = {
    "digest": "text",
    "weights": "text",
    "weights_sha256": "text",
    "confidence": "float",
    "area": "text",
    "min_clear": "float",
    "method": "int",
}


@dataclass(frozen=True)
class Settings:
    """Model and settings of a run.

    Attributes:
        weights, weights_sha256: name and content of the network.
        confidence: least confidence of a vessel.
        area: fingerprint of the site's zones and of the grid that images are cut to (`Area.fingerprint`).
        min_clear: zones that were seen less were not downloaded.
    """

    weights: str
    weights_sha256: str
    confidence: float
    area: str
    min_clear: float
    method: int = METHOD

    @cached_property
    def digest(self) -> str:
        """Changes with everything that rows depend on; the name of the weights is not of it."""
        facts = {name: value for name, value in asdict(self).items() if name != "weights"}
        return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    def row(self) -> dict[str, object]:
        """A row of the table `settings`."""
        return {"digest": self.digest, **asdict(self)}
