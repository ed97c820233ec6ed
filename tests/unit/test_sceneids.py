"""Ids of scenes whose files have one name."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from detector.sceneids import distinct_ids


def test_files_of_one_name_are_told_apart_by_their_folders() -> None:
    assert distinct_ids(["a/scene.tif", "b/scene.tif", "c/other.tif"]) == {
        "a/scene.tif": "a_scene",
        "b/scene.tif": "b_scene",
    }
    assert distinct_ids(["x/a/s.tif", "y/a/s.tif"]) == {"x/a/s.tif": "x_a_s", "y/a/s.tif": "y_a_s"}
    assert distinct_ids(["a/s.tif", "a/s.vrt"]) == {"a/s.tif": "s.tif", "a/s.vrt": "s.vrt"}
    assert distinct_ids(["d1/R10m", "d2/R10m"]) == {"d1/R10m": "d1_R10m", "d2/R10m": "d2_R10m"}


def test_products_and_what_is_named_again_keep_their_ids() -> None:
    product = "S2A_MSIL2A_20200301T022109_N0214_R003_T51SYC_20200301T045210.SAFE"
    assert distinct_ids([f"a/{product}", f"b/{product}", "a/s.tif", "./a/s.tif", 5, None]) == {}


FOLDERS = st.lists(st.sampled_from(["a", "b", "a_b", "b_a"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(st.tuples(FOLDERS, st.sampled_from(["s", "b_s", "a_b_s"])), max_size=6, unique=True))
def test_no_two_paths_get_one_id(files: list[tuple[str, str]]) -> None:
    paths = [f"/{folder}/{stem}.tif" for folder, stem in files]
    found = distinct_ids(paths)
    ids = [found.get(path, path.rsplit("/", 1)[1].removesuffix(".tif")) for path in paths]
    assert len(set(ids)) == len(paths)
