"""Encoding, chips and sampling: the pixels a network sees, and boxes that stay on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st

cv2 = pytest.importorskip("cv2")
torch = pytest.importorskip("torch")
pytest.importorskip("albumentations")

from detector.encoding import (  # noqa: E402
    BANDS,
    GROUND_SAMPLING_M,
    decode_reflectance,
    encode,
    encode_reflectance,
    encoding_table,
)
from detector.errors import ConfigError, MissingBandError  # noqa: E402
from detector.geometry import Window  # noqa: E402
from detector.scene import open_scene  # noqa: E402
from training.augment import keep_no_data, pixel_augmentation  # noqa: E402
from training.chips import CHIP, cut_chips, read_encoded, read_index  # noqa: E402
from training.labels import Label, LabelledScene  # noqa: E402
from training.sampling import ChipSampler, collate  # noqa: E402

TRANSFORM = Affine(10, 0, 700_000.0, 0, -10, 4_300_000.0)


class TestEncoding:
    @settings(deadline=None, max_examples=30)
    @given(
        st.sampled_from(["uint8", "int8", "uint16", "int16"]),
        st.floats(1e-5, 0.01),
        st.floats(-0.2, 0.1),
        st.integers(0, 5),
    )
    def test_table_is_the_same_as_computing(self, dtype: str, gain: float, offset: float, fill: int) -> None:
        info = np.iinfo(dtype)
        stored = np.linspace(info.min, info.max, 700).astype(dtype).reshape(1, 7, 100)
        stored[0, 0, :6] = range(6)
        table = encoding_table(stored.dtype, gain, offset, fill)
        assert table is not None
        by_table = encode(stored, [(gain, offset)], fill)
        reflectance = stored.astype(np.float64) * gain + offset
        reflectance[stored == fill] = np.nan
        np.testing.assert_array_equal(by_table, encode_reflectance(reflectance))

    def test_no_data_is_zero_and_nothing_else_is(self) -> None:
        floats = np.array([[[np.nan, -0.3, 0.0, 0.1, 0.5, 9.0, np.inf]]], np.float32)
        got = encode(floats, [(1.0, 0.0)], float("nan"))[0, 0]
        assert got[0] == 0
        assert (got[1:6] > 0).all()
        assert got[4] == got[5] == 255

    def test_float_fill(self) -> None:
        got = encode(np.array([[[-9999.0, 0.1]]]), [(1.0, 0.0)], -9999.0)[0, 0]
        assert got[0] == 0
        assert got[1] > 0

    def test_decoding_is_the_inverse(self) -> None:
        numbers = np.arange(1, 256, dtype=np.uint8)
        np.testing.assert_array_equal(encode_reflectance(decode_reflectance(numbers)), numbers)
        assert np.isnan(decode_reflectance(np.zeros(1, np.uint8))[0])


def write(path: Path, bands: dict[str, np.ndarray]) -> Path:
    pixels = np.stack(list(bands.values()))
    with rasterio.open(
        path, "w", driver="GTiff", width=pixels.shape[2], height=pixels.shape[1], count=len(bands), dtype="uint16",
        crs="EPSG:32651", transform=TRANSFORM,
    ) as out:  # fmt: skip
        out.write(pixels)
        out.descriptions = list(bands)
        out.update_tags(SCALE="reflectance = DN / 10000")
    return path


def hull(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose middle lies in a box."""
    rows, cols = np.indices(shape)
    inside = np.ones(shape, bool)
    p, q = corners[1] - corners[0], corners[2] - corners[1]
    sign = np.sign(p[0] * q[1] - p[1] * q[0])
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside &= sign * ((b - a)[0] * (rows + 0.5 - a[1]) - (b - a)[1] * (cols + 0.5 - a[0])) >= 0
    return inside


def rectangle(x: float, y: float, length: float, width: float, degrees: float) -> np.ndarray:
    t = np.radians(degrees)
    along, across = np.array([np.cos(t), np.sin(t)]), np.array([-np.sin(t), np.cos(t)])
    signs = np.array([[1, 1], [1, -1], [-1, -1], [-1, 1]]) / 2
    return np.array([x, y]) + signs[:, :1] * along * length + signs[:, 1:] * across * width


SHIPS = [rectangle(60, 50, 30, 8, 20), rectangle(250, 200, 40, 10, 100), rectangle(400, 330, 24, 8, 160)]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> LabelledScene:
    shape = (420, 500)
    water = np.full(shape, 300, np.uint16)
    for corners in SHIPS:
        water[hull(corners, shape)] = 4000
    bands = dict.fromkeys(("B02", "B03", "B04", "B08"), water)
    path = write(tmp_path_factory.mktemp("port") / "port.tif", bands)
    labels = [Label(corners) for corners in SHIPS] + [Label(rectangle(100, 300, 20, 20, 0), ignore=True)]
    return LabelledScene(path, "port", labels)


class TestChips:
    def test_chips_lie_where_they_were_cut(self, port: LabelledScene, tmp_path: Path) -> None:
        chips = cut_chips([port], tmp_path, ("vessel",))
        assert len(chips) > 1
        with rasterio.open(port.path) as whole:
            for chip in chips:
                with rasterio.open(tmp_path / chip.file) as part:
                    assert part.crs == whole.crs
                    assert part.descriptions == BANDS
                    col, row = (round(v) for v in ~whole.transform @ (part.transform.c, part.transform.f))
                    assert chip.file == f"port_{col}_{row}.tif"
                    expected = encode(whole.read(window=((row, row + CHIP), (col, col + CHIP))), [(1e-4, 0.0)] * 4, 0)
                    assert (part.read()[:, : expected.shape[1], : expected.shape[2]] == expected).all()

    def test_boxes_cover_the_painted_ships(self, port: LabelledScene, tmp_path: Path) -> None:
        for chip in cut_chips([port], tmp_path, ("vessel",)):
            assert chip.metres == pytest.approx(10, rel=0.01)
            with rasterio.open(tmp_path / chip.file) as part:
                bright = part.read(1) > 200
            painted = np.zeros_like(bright)
            for corners in chip.corners[~chip.ignore]:
                painted |= hull(corners.astype(float), bright.shape)
            assert (bright == painted).mean() > 0.9999

    def test_every_hull_is_whole_in_a_chip(self, port: LabelledScene, tmp_path: Path) -> None:
        chips = cut_chips([port], tmp_path, ("vessel",))
        whole = 0
        for chip in chips:
            c = chip.corners[~chip.ignore]
            whole += int(((c >= 0) & (c <= CHIP)).all(axis=(1, 2)).sum())
        assert whole >= len(SHIPS)

    def test_index_round_trip_and_old_chips_go(self, port: LabelledScene, tmp_path: Path) -> None:
        (tmp_path / "stale.tif").write_bytes(b"")
        chips = cut_chips([port], tmp_path, ("vessel",))
        assert not (tmp_path / "stale.tif").exists()
        back = read_index(tmp_path)
        assert [chip.to_json() for chip in back] == [chip.to_json() for chip in chips]
        assert any(chip.ignore.any() for chip in back)

    def test_no_index(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="chips.json"):
            read_index(tmp_path)

    def test_class_that_is_not_trained(self, port: LabelledScene, tmp_path: Path) -> None:
        other = LabelledScene(port.path, "port", [Label(SHIPS[0], "coal_barge")])
        with pytest.raises(ConfigError, match="coal_barge"):
            cut_chips([other], tmp_path, ("vessel",))

    def test_stand_ins_only_for_what_is_missing(self, tmp_path: Path) -> None:
        shape = (40, 40)
        bands = {f"B0{i}": np.full(shape, 1000 * i, np.uint16) for i in (2, 3, 8)}
        path = write(tmp_path / "x.tif", bands)
        with open_scene(path, require=()) as scene:
            window = Window(0, 0, 40, 40)
            red, green, blue, _ = read_encoded(scene, window, {"B04": "B03", "B02": "B08"})[:, 0, 0]
            with pytest.raises(MissingBandError):
                read_encoded(scene, window, {})
        assert red == green == encode_reflectance(np.array(0.3))
        assert blue == encode_reflectance(np.array(0.2))  # there is a real B02


def sampler(port: LabelledScene, folder: Path, **changes: object) -> ChipSampler:
    chips = cut_chips([port], folder, ("vessel",))
    options = {"size": 192, "samples": 24, "seed": 3, "strength": 0.0, "drop_near_infrared": 0.0, **changes}
    return ChipSampler(folder, chips, **options)  # type: ignore[arg-type]


class TestSampling:
    def test_boxes_follow_the_pixels(self, port: LabelledScene, tmp_path: Path) -> None:
        seen = 0
        for sample in (crops := sampler(port, tmp_path)):
            bright = sample["img"][0].numpy() > 150
            painted = np.zeros_like(bright)
            for x, y, w, h, angle in sample["bboxes"].numpy():
                assert w >= h
                assert 0 <= angle < np.pi
                box = rectangle(x * 192, y * 192, w * 192, h * 192, np.degrees(angle))
                near = hull(rectangle(x * 192, y * 192, w * 192 + 6, h * 192 + 6, np.degrees(angle)), bright.shape)
                inside = hull(box, bright.shape)
                painted |= near
                assert bright[inside].mean() > 0.93  # the hull fills its box
                # and the box is no larger than the hull: just outside it is dark
                assert bright[near & ~inside].mean() < 0.3
                seen += 1
            # A hull whose middle is outside of the crop has no box; all other bright pixels have one.
            ys, xs = np.nonzero(bright & ~painted)
            margin = np.minimum.reduce([xs, ys, 191 - xs, 191 - ys]) if len(xs) else np.zeros(0)
            assert (margin < 60).all()
            if seen > 30:
                break
        assert seen > 10
        assert len(crops) == 24

    def test_ground_scale(self, port: LabelledScene, tmp_path: Path) -> None:
        lengths = []
        crops = sampler(port, tmp_path, scale=(1.0, 1.0))
        for index in range(12):
            lengths += (crops[index]["bboxes"][:, 2] * 192 * GROUND_SAMPLING_M).tolist()
        for length in lengths:
            assert min(abs(length - metres) for metres in (300, 400, 240)) < 3

    def test_seed_and_epoch_decide(self, port: LabelledScene, tmp_path: Path) -> None:
        a, b = sampler(port, tmp_path, strength=1.0), sampler(port, tmp_path, strength=1.0)
        assert torch.equal(a[5]["img"], b[5]["img"])
        assert torch.equal(a[5]["bboxes"], b[5]["bboxes"])
        assert not torch.equal(a[5]["img"], a[6]["img"])
        b.epoch = 1
        assert not torch.equal(a[5]["img"], b[5]["img"])
        other = sampler(port, tmp_path, strength=1.0, seed=4)
        assert not torch.equal(a[5]["img"], other[5]["img"])

    def test_ignore_areas_have_no_box_and_no_pixels(self, tmp_path: Path) -> None:
        shape = (400, 400)
        water = np.full(shape, 300, np.uint16)
        doubtful, ship = rectangle(200, 200, 24, 10, 0), rectangle(230, 240, 30, 8, 0)
        for corners in (doubtful, ship):
            water[hull(corners, shape)] = 4000
        path = write(tmp_path / "p.tif", dict.fromkeys(("B02", "B03", "B04", "B08"), water))
        port = LabelledScene(path, "p", [Label(doubtful, ignore=True), Label(ship)])
        crops = sampler(port, tmp_path / "chips")
        image, chip = crops.images[0], crops.chips[0]
        x, y = chip.corners[chip.ignore][0].mean(axis=0).astype(int)
        assert image[y - 4 : y + 4, x - 10 : x + 10].max() < 100
        assert image.max() > 200  # the ship is still there
        assert all(len(crops[i]["bboxes"]) <= 1 for i in range(6))

    def test_true_colour_samples(self, port: LabelledScene, tmp_path: Path) -> None:
        crops = sampler(port, tmp_path, drop_near_infrared=1.0)
        assert crops[0]["img"][3].max() == 0
        assert crops[0]["img"][:3].max() > 0

    def test_collate(self, port: LabelledScene, tmp_path: Path) -> None:
        crops = sampler(port, tmp_path)
        samples = [crops[i] for i in range(4)]
        batch = collate(samples)
        assert batch["img"].shape == (4, 4, 192, 192)
        assert len(batch["batch_idx"]) == len(batch["cls"]) == len(batch["bboxes"])
        for i, sample in enumerate(samples):
            assert torch.equal(batch["bboxes"][batch["batch_idx"] == i], sample["bboxes"])

    def test_near_vessel_draws_end_where_there_is_none(self, tmp_path: Path) -> None:
        water = np.full((400, 400), 300, np.uint16)
        path = write(tmp_path / "empty.tif", dict.fromkeys(("B02", "B03", "B04", "B08"), water))
        crops = sampler(LabelledScene(path, "empty", []), tmp_path / "chips", near_vessel=0.9)
        assert len(crops[0]["bboxes"]) == 0


class TestAugmentation:
    def test_no_data_stays_no_data(self) -> None:
        rng = np.random.default_rng(0)
        image = rng.integers(1, 256, (64, 64, 4), dtype=np.uint8)
        image[:20] = 0
        for seed in range(20):
            after = keep_no_data(image, pixel_augmentation(seed, drop_near_infrared=0.5)(image=image)["image"])
            assert after.dtype == np.uint8
            assert after.shape == image.shape
            assert (after[:20] == 0).all()

    def test_seed_decides(self) -> None:
        image = np.random.default_rng(0).integers(1, 256, (64, 64, 4), dtype=np.uint8)
        a, b = (pixel_augmentation(7, drop_near_infrared=0.5)(image=image)["image"] for _ in range(2))
        np.testing.assert_array_equal(a, b)
        assert any(
            (pixel_augmentation(s, drop_near_infrared=0.0)(image=image)["image"] != image).any() for s in range(5)
        )

    def test_strength_zero_changes_nothing(self) -> None:
        image = np.random.default_rng(0).integers(1, 256, (64, 64, 4), dtype=np.uint8)
        same = pixel_augmentation(7, drop_near_infrared=0.0, strength=0.0)(image=image)["image"]
        np.testing.assert_array_equal(same, image)
