"""Weights are found, checked and run; what is not a network of bargewatch is refused in one sentence."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import model, networkfile
from detector.encoding import BANDS
from detector.errors import WeightsError, WeightsNotFoundError
from detector.model import Network, Weights, find_weights, network, registry, scene_window
from detector.networkfile import FORMAT
from detector.processors import processors
from tests.network import weights_to_test

META: dict[str, Any] = {
    "format": FORMAT,
    "classes": ["vessel", "coal_barge"],
    "bands": list(BANDS),
    "size": 640,
    "ground_sampling_m": 5.0,
    "confidence": 0.25,
}
KEY = b"\x0a\x0abargewatch\x12"


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    return bytes([*out, number])


def onnx_like(meta: Any = META, before: bytes = b"graph") -> bytes:
    """Bytes with metadata as an ONNX file has it."""
    text = json.dumps(meta).encode()
    return before + KEY + varint(len(text)) + text


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of weights with a registry of one network."""
    content = onnx_like()
    (tmp_path / "small.onnx").write_bytes(content)
    entry = {"onnx": "small.onnx", "onnx_sha256": hashlib.sha256(content).hexdigest()}
    (tmp_path / "registry.json").write_text(json.dumps({"default": "small", "weights": {"small": entry}}))
    monkeypatch.setattr(model, "weights_path", lambda name: tmp_path / name)
    return tmp_path


def refused(weights: Any, said: str, error: type[Exception] = WeightsError) -> None:
    with pytest.raises(error, match=said) as caught:
        find_weights(weights)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, WeightsError)


@pytest.mark.parametrize("name", [None, "small"])
def test_the_registry_knows_the_weights_that_ship(shelf: Path, name: str | None) -> None:
    found = find_weights(name)
    assert found.name == "small"
    assert found.path == shelf / "small.onnx"
    assert found.classes == ("vessel", "coal_barge")
    assert (found.size, found.ground_sampling_m, found.confidence) == (640, 5.0, 0.25)


@pytest.mark.parametrize(("vnni", "name"), [(True, "eight"), (False, "small")])
def test_the_8_bit_form_is_the_default_where_the_processor_is_made_for_it(
    shelf: Path, monkeypatch: pytest.MonkeyPatch, vnni: bool, name: str
) -> None:
    table = json.loads((shelf / "registry.json").read_text())
    table["weights"]["eight"] = table["weights"]["small"]
    (shelf / "registry.json").write_text(json.dumps({**table, "default_vnni": "eight"}))
    monkeypatch.setattr("detector.model.has_vnni", lambda: vnni)
    assert find_weights(None).name == name
    assert find_weights("small").name == "small"


def test_the_registry_says_of_each_network_what_its_file_says() -> None:
    if weights_to_test() is not None:
        pytest.skip("no registry here")
    table = registry()
    for name, entry in table["weights"].items():
        found = find_weights(name)
        assert (tuple(entry["classes"]), entry["size"], entry["confidence"]) == (
            found.classes,
            found.size,
            found.confidence,
        )
        assert tuple(map(tuple, entry.get("calibration", ()))) == (found.calibration or ()), name


def test_a_path_needs_no_registry(tmp_path: Path) -> None:
    path = tmp_path / "mine.onnx"
    path.write_bytes(onnx_like())
    assert find_weights(path).name == "mine"
    assert find_weights(str(path)).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_one_other_byte_is_not_the_file_that_was_released(shelf: Path) -> None:
    content = bytearray((shelf / "small.onnx").read_bytes())
    content[2] ^= 1
    (shelf / "small.onnx").write_bytes(content)
    refused(None, "not the file that was released")


def test_missing(shelf: Path) -> None:
    refused("large", "large.*small", WeightsNotFoundError)
    refused(shelf / "gone.onnx", "gone.onnx", WeightsNotFoundError)
    (shelf / "small.onnx").unlink()
    refused(None, "small.onnx", FileNotFoundError)
    (shelf / "registry.json").unlink()
    refused(None, "registry.json", WeightsNotFoundError)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"default": "a", "weights": {}}', '{"default":"a","weights":{"a":{}}}'],
)
def test_a_damaged_registry(shelf: Path, text: str) -> None:
    (shelf / "registry.json").write_text(text)
    refused(None, "registry.json")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"other onnx \x08\x07\x12\x07pytorch",
        KEY,
        KEY + b"\xff" * 40,
        KEY + b"\xff",
        KEY + varint(10**12) + b"{}",
        KEY + varint(3) + b"\xff\xfe\xfd",
        KEY + varint(100_000) + b"[" * 100_000,
        onnx_like()[:-20],
        onnx_like([]),
        onnx_like({}),
    ],
    ids=range(12),
)
def test_what_is_not_a_network_of_bargewatch(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(content)
    refused(path, "odd.onnx is not a network of bargewatch")


@pytest.mark.parametrize(
    "change",
    [
        {"format": "bargewatch-obb-9"},
        {"bands": ["B02", "B03", "B04", "B08"]},
        {"bands": None},
        {"classes": []},
        {"classes": "vessel"},
        {"classes": [1]},
        {"size": 0},
        {"size": "640"},
        {"ground_sampling_m": 0},
        {"ground_sampling_m": None},
        {"ground_sampling_m": float("nan")},
        {"confidence": 2},
        {"confidence": "high"},
        {"calibration": [[0, 1], [1, 0]]},
        {"calibration": "linear"},
    ],
    ids=str,
)
def test_metadata_that_cannot_be(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(onnx_like({**META, **change}))
    refused(path, "odd.onnx")


@given(st.binary(max_size=60), st.binary(max_size=5))
def test_hostile_bytes_are_refused(after: bytes, before: bytes) -> None:
    with pytest.raises(WeightsError):
        networkfile.description(before + KEY + after, Path("odd.onnx"))


@given(st.integers(0, 2**63), st.binary(max_size=4))
def test_a_varint_is_read_back(number: int, before: bytes) -> None:
    content = before + varint(number)
    assert networkfile._varint(content + b"x", len(before)) == (number, len(content))


@pytest.mark.parametrize("name", ["checkpoint.pt", "notes.txt", "a.ONNX.zip"])
def test_only_onnx_is_opened(tmp_path: Path, name: str) -> None:
    """A checkpoint is refused by its name, before a byte of it is read."""
    refused(tmp_path / name, "not an .onnx file")


def test_a_folder_is_not_weights(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").mkdir()
    refused(tmp_path / "x.onnx", "cannot be read")


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_graph_that_cannot_be_loaded(tmp_path: Path, runtime: str) -> None:
    pytest.importorskip(runtime)
    path = tmp_path / "odd.onnx"
    path.write_bytes(onnx_like())
    with pytest.raises(WeightsError, match=f"{runtime} cannot load .*odd.onnx: .") as caught:
        Network(find_weights(path), (320, 320), 1, runtime)
    assert "\n" not in str(caught.value)


def test_an_unknown_runtime(tmp_path: Path) -> None:
    weights = Weights("w", tmp_path / "w.onnx", "", ("vessel",), 640, 5.0, 0.25)
    with pytest.raises(WeightsError, match="'tensorflow'.*openvino"):
        Network(weights, (320, 320), 1, "tensorflow")


def test_windows_at_once_are_those_of_the_processors_that_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container on a large machine may use a few of its processors."""
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 5}, raising=False)
    assert (processors(), model.in_flight(), model.in_flight(1)) == (2, 2, 1)
    monkeypatch.delattr("os.sched_getaffinity")
    assert processors() == 64 and model.in_flight() == 4
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert processors() == 1


@pytest.mark.parametrize(
    ("pixel", "window"), [((10, 10), (320, 320)), ((7.8, 7.8), (410, 410)), ((5, 10), (640, 320))]
)
def test_a_window_spans_the_same_ground(pixel: tuple[float, float], window: tuple[int, int]) -> None:
    weights = Weights("w", Path("w.onnx"), "", ("vessel",), 640, 5.0, 0.25)
    assert scene_window(weights, pixel) == window


@pytest.fixture(scope="module")
def real() -> Weights:
    # In floating point: runtimes round 8-bit integers differently.
    return find_weights(weights_to_test() or registry()["default"])


@pytest.fixture(scope="module")
def picture(real: Weights) -> np.ndarray:
    """One encoded window (1, 4, rows, columns): dark water with bright ships."""
    columns, rows = scene_window(real, (10, 10))
    pixels = np.random.default_rng(0).normal(60, 3, (1, 4, rows, columns))
    for k in range(5):
        pixels[0, :, 40 + 50 * k : 44 + 50 * k, 30 + 30 * k : 48 + 30 * k] = 150
    return pixels.clip(1, 255).astype(np.uint8)


@pytest.mark.parametrize(("name", "score", "pixels"), [("", 0.02, 0.5), ("-int8", 0.08, 1.5)])
def test_two_runtimes_agree(real: Weights, picture: np.ndarray, name: str, score: float, pixels: float) -> None:
    """But for the window's edge (`enlargement`) and, in 8 bits, for where they round: little, but more in a box at times."""
    pytest.importorskip("onnxruntime")
    if real.name + name not in registry()["weights"] and name:
        pytest.skip("these weights have no 8-bit form")
    weights = find_weights(real.name + name) if name else real
    shape = picture.shape[:1:-1]
    a, b = (Network(weights, shape, 1, runtime)(picture) for runtime in ("openvino", "onnxruntime"))
    assert a.shape == b.shape == (1, 4 + len(real.classes) + 1, a.shape[2])
    assert np.abs(a[:, 4:-1] - b[:, 4:-1]).max() < score
    seen = a[0, 4:-1].max(axis=0) > 0.05
    assert seen.any()
    assert np.abs(a[0, 4:-1, seen] - b[0, 4:-1, seen]).mean() < score / 4
    assert np.abs(a[0, :4, seen] - b[0, :4, seen]).max() < pixels
    turn = a[0, -1, seen] - b[0, -1, seen]
    assert np.abs(np.angle(np.exp(2j * turn)) / 2).max() < 0.02 + score


def test_the_same_window_twice_and_in_a_batch(real: Weights, picture: np.ndarray) -> None:
    net = network(real, picture.shape[:1:-1], 1)
    once = net(picture)
    batch = net(np.concatenate([picture, picture[:, :, ::-1], picture]))
    assert np.array_equal(batch[0], once[0])
    assert np.array_equal(batch[2], once[0])
    assert not np.array_equal(batch[1], once[0])


def test_threads_that_share_a_network_do_not_mix_their_windows(real: Weights, picture: np.ndarray) -> None:
    net = network(real, picture.shape[:1:-1], 1)
    other = np.ascontiguousarray(picture[:, :, ::-1])
    expected = {False: net(picture), True: net(other)}
    wrong: list[Any] = []

    def work(flipped: bool) -> None:
        try:
            for _ in range(2):
                if not np.array_equal(net(other if flipped else picture), expected[flipped]):
                    wrong.append("mixed")
        except Exception as error:  # noqa: BLE001 - handed to the test
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(k % 2 == 1,)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_networks_are_loaded_once_and_one_after_the_other(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two loads at once can stop for ever inside the library."""
    loading, most, loaded = 0, 0, []

    def slow(weights: Weights, window: tuple[int, int], threads: int | None, runtime: str) -> object:
        nonlocal loading, most
        loading += 1
        most = max(most, loading)
        time.sleep(0.02)
        loaded.append(window)
        loading -= 1
        return object()

    (tmp_path / "one.onnx").write_bytes(onnx_like())
    weights = find_weights(tmp_path / "one.onnx")
    monkeypatch.setattr(model, "Network", slow)
    model._kept.cache_clear()
    start = threading.Barrier(6)
    given: dict[int, object] = {}

    def ask(number: int) -> None:
        start.wait()
        given[number] = network(weights, (384 + number % 2, 384))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    model._kept.cache_clear()
    assert sorted(loaded) == [(384, 384), (385, 384)] and most == 1
    assert given[0] is given[2] is given[4] and given[1] is given[3] is given[5]
