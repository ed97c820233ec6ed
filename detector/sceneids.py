"""Scene ids that tell the sources of one run apart.

A product has a name of its own; a plain file is called after itself, and `2020-03-01/scene.tif` and `2020-03-06/scene.tif`
would be one scene in every table.
"""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
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
    taken, ids = set(named), dict[PurePath, str]()
    for group in named.values():
        if len(group) > 1:
            ids |= _apart(group, taken)
            taken |= set(ids.values())
    return {source: ids[path] for source, path in paths.items() if path in ids}


def _apart(paths: Collection[PurePath], taken: Collection[str]) -> dict[PurePath, str]:
    """A name that is not taken for each of several paths with one stem: with the suffix if that is enough, else with
    folders before the stem."""
    files = Counter(path.name for path in paths)
    out = {path: path.name for path in paths if files[path.name] == 1 and path.name not in taken}
    for depth in range(1, max(len(path.parts) for path in paths)):
        left = [path for path in paths if path not in out]
        tails, used = Counter(_tail(path, depth) for path in left), {*taken, *out.values()}
        out |= {path: name for path in left if tails[name := _tail(path, depth)] == 1 and name not in used}
    # `a_b/c` and `a/b_c` read alike, however many folders are named.
    for number, path in enumerate(sorted(path for path in paths if path not in out), start=2):
        out[path] = f"{_tail(path, len(path.parts))}_{number}"
    return out


def _tail(path: PurePath, depth: int) -> str:
    """The name of a file behind that many of its folders, without its suffix."""
    folders = [part for part in path.parts[:-1] if part != path.anchor]
    return "_".join([*folders[-depth:], path.stem])
