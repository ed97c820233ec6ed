"""Scene ids that tell the sources of one run apart.

A product has a name of its own; a plain file is called after itself, and `2020-03-01/scene.tif` and `2020-03-06/scene.tif`
would be one scene in every table.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import PurePath
from typing import Any

_PRODUCT = re.compile(r"S2[A-D]_MSI|T\d{2}[A-Z]{3}_\d{8}T")


def distinct_ids(sources: Sequence[Any]) -> dict[str, str]:
    """Ids, by source, of the paths whose file names other paths of the run have too.

    They get as many folders before the name as tell them apart. Products, and a path named again, keep their ids.
    """
    given = [os.fspath(source) for source in sources if isinstance(source, str | os.PathLike)]
    paths = {text: PurePath(os.path.abspath(text)) for text in given if "://" not in text}
    named: defaultdict[str, set[PurePath]] = defaultdict(set)
    for path in paths.values():
        if not _PRODUCT.match(path.name):
            named[path.stem].add(path)
    return {
        source: _apart(path, named[path.stem] - {path})
        for source, path in paths.items()
        if path in named[path.stem] and len(named[path.stem]) > 1
    }


def _apart(path: PurePath, others: Collection[PurePath]) -> str:
    if all(path.name != other.name for other in others):
        return path.name
    depth = 1
    while any(_tail(path, depth) == _tail(other, depth) for other in others):
        depth += 1
    return _tail(path, depth)


def _tail(path: PurePath, depth: int) -> str:
    """The name of a file behind that many of its folders, without its suffix."""
    folders = [part for part in path.parts[:-1] if part != path.anchor]
    return "_".join([*folders[-depth:], path.stem])
