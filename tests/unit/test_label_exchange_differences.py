"""Corrections: what was changed, as operations that give the edited labels back when they are applied."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.errors import LabelError
from detector.geometry import Window
from tests.labelscenes import box, some_labels
from training.exchange.differences import (
    corner_distance,
    count_operations,
    differences,
    keep_reasons,
    write_corrections,
)
from training.exchange.tiles import Tile
from training.labels import Label, LabelledScene, apply_corrections


def scene(labels: list[Label], name: str = "a.tif") -> LabelledScene:
    return LabelledScene(Path(name), "here", labels)


def applied(before: list[Label], corrections: dict, folder: Path) -> list[Label]:
    corrected = scene(deepcopy(before))
    write_corrections(corrections, folder / "c.json", source="s", note="n")
    apply_corrections([corrected], folder / "c.json")
    return corrected.labels


def same(got: list[Label], wanted: list[Label]) -> bool:
    left = list(wanted)
    for label in got:
        alike = [other for other in left if (label.name, label.ignore) == (other.name, other.ignore)]
        fits = [other for other in alike if corner_distance(label.corners, other.corners) < 0.11]
        if not fits:
            return False
        left = [other for other in left if other is not fits[0]]
    return not left


@settings(max_examples=40, deadline=None)
@given(before=some_labels(), data=st.data())
def test_applying_the_differences_gives_the_edited_labels(
    tmp_path_factory: pytest.TempPathFactory, before: list[Label], data: st.DataObject
) -> None:
    edited = []
    for label in deepcopy(before):
        fate = data.draw(st.sampled_from(["keep", "move", "remove", "class", "ignore", "forget the id"]))
        if fate == "move":
            label.corners = label.corners + np.array([2.0, -1.0])
        if fate == "class":
            label.name = "vessel" if label.name == "coal_barge" else "coal_barge"
        if fate == "ignore":
            label.ignore = not label.ignore
        if fate == "forget the id":
            label.id = None
        if fate != "remove":
            edited.append(label)
    if data.draw(st.booleans()):
        edited.append(Label(box(300, 300, 9, 3, 45), "coal_barge", data.draw(st.booleans())))
    order = data.draw(st.permutations(range(len(edited))))
    corrections = differences([scene(before)], [scene([edited[i] for i in order])])
    after = applied(before, corrections, tmp_path_factory.mktemp("c"))
    assert same(after, edited)
    assert all(operation["reason"] for operations in corrections.values() for operation in operations)


@given(before=some_labels())
@settings(max_examples=30, deadline=None)
def test_no_difference_no_operation(before: list[Label]) -> None:
    edited = deepcopy(before)
    for label in edited:
        label.corners = np.roll(label.corners[::-1], 1, axis=0) + 0.05  # another first corner, other way, rounding
        label.id = str(label.id)
    assert differences([scene(before)], [scene(edited)]) == {}


def test_operations_are_those_of_the_format() -> None:
    before = [Label(box(20 * i, 20, 10, 3, 0), id=i) for i in range(1, 7)]
    edited = deepcopy(before)
    del edited[0]
    edited[0].corners = box(41, 20, 14, 3, 0)
    edited[1].ignore = True
    edited[1].properties = {"reason": "two hulls?"}
    edited[2].name = "coal_barge"
    edited += [Label(box(20, 90, 8, 3, 0)), Label(box(60, 90, 8, 3, 0), ignore=True)]
    (operations,) = differences([scene(before)], [scene(edited)]).values()
    assert [(o["op"], o.get("id")) for o in operations] == [
        ("remove", 1), ("reshape", 2), ("ignore", 3), ("class", 4), ("add", None), ("ignore", None)
    ]  # fmt: skip
    assert operations[1]["reason"] == "length 10.0 -> 14.0 px, width 3.0 -> 3.0 px, moved 1.0 px"
    assert operations[2]["reason"] == "two hulls?"
    assert count_operations({"a.tif": operations}) == {"remove": 1, "reshape": 1, "ignore": 2, "class": 1, "add": 1}


def test_a_copied_label_is_an_addition() -> None:
    before = [Label(box(20, 20, 10, 3, 0), id=7)]
    edited = [Label(box(60, 60, 10, 3, 0), id="7"), Label(box(20, 20, 10, 3, 0), id="7")]
    (operations,) = differences([scene(before)], [scene(edited)]).values()
    assert [o["op"] for o in operations] == ["add"]
    assert np.array(operations[0]["obb"]).reshape(4, 2).mean(axis=0) == pytest.approx([60, 60])


def test_what_nobody_looked_at_stays() -> None:
    before = [Label(box(20, 20, 10, 3, 0), id=1), Label(box(100, 20, 10, 3, 0), id=2)]
    gap = Tile("t.png", "a.tif", "here", Window(64, 0, 64, 64), Window(64, 0, 64, 64), (1.0, 1.0))
    assert differences([scene(before), scene(before, "b.tif")], [scene(before[:1])], unseen=[gap]) == {}
    (operations,) = differences([scene(before)], [scene(before[:1])]).values()
    assert [(o["op"], o["id"]) for o in operations] == [("remove", 2)]


def test_reasons_of_before_are_kept(tmp_path: Path) -> None:
    before = [Label(box(20, 20, 10, 3, 0), id=1), Label(box(60, 20, 10, 3, 0), id=2)]
    first = differences([scene(before)], [scene(before[:1])], reason="a buoy")
    write_corrections(first, tmp_path / "c.json", source="s", note="n")
    second = differences([scene(before)], [scene([])], reason="cleaned")
    keep_reasons(second, tmp_path / "c.json")
    assert [o["reason"] for o in second["a.tif"]] == ["cleaned", "a buoy"]
    (tmp_path / "c.json").write_text("[]")
    with pytest.raises(LabelError, match=r"c\.json"):
        keep_reasons(second, tmp_path / "c.json")


def test_originals_must_have_ids_of_their_own() -> None:
    twins = [Label(box(20, 20, 10, 3, 0), id=1), Label(box(60, 20, 10, 3, 0), id=1)]
    with pytest.raises(LabelError, match="no id of its own"):
        differences([scene(twins)], [scene([])])
    with pytest.raises(LabelError, match=r"b\.tif is not among"):
        differences([scene(twins)], [scene([], "b.tif")])


def test_the_file_is_an_operation_a_line(tmp_path: Path) -> None:
    corrections = differences([scene([Label(box(20, 20, 10, 3, 0), id="7")])], [scene([])])
    write_corrections(corrections, tmp_path / "c.json", source="s", note="n")
    assert '   {"op": "remove", "id": "7", "reason": "removed by hand"}\n' in (tmp_path / "c.json").read_text()
    assert json.loads((tmp_path / "c.json").read_text())["source"] == "s"
    write_corrections({}, tmp_path / "none.json", source="s", note="n")
    assert json.loads((tmp_path / "none.json").read_text())["images"] == {}


@pytest.mark.parametrize(
    "operation",
    [{"op": "class", "id": 1}, {"op": "count", "id": 9}, {"op": "count", "obb": [0] * 8}, {"op": "move", "id": 1}],
)
def test_bad_operations_are_named(tmp_path: Path, operation: dict) -> None:
    (tmp_path / "c.json").write_text(json.dumps({"images": {"a.tif": [operation]}}))
    with pytest.raises(LabelError, match=r"c\.json, a\.tif"):
        apply_corrections([scene([Label(box(20, 20, 10, 3, 0), id=1)])], tmp_path / "c.json")


def test_corner_distance_knows_no_first_corner() -> None:
    one = box(20, 20, 10, 3, 30)
    assert corner_distance(one, np.roll(one, 2, axis=0)) == 0
    assert corner_distance(one, one[::-1]) == 0
    assert corner_distance(one, one + [3, 4]) == pytest.approx(5)
