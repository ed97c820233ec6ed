"""A run from labels to weights: train, go on, export, register, evaluate. Slow on a busy machine."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import rasterio

torch = pytest.importorskip("torch")
pytest.importorskip("ultralytics")
pytest.importorskip("onnx")

from detector.cli import run as command  # noqa: E402
from detector.errors import ConfigError, WeightsError, WeightsNotFoundError  # noqa: E402
from detector.geometry import Grid  # noqa: E402
from detector.model import find_weights  # noqa: E402
from training.average import average_runs  # noqa: E402
from training.checkpoints import epochs_done, load_network, write_lean  # noqa: E402
from training.config import OptimiseConfig, SamplingConfig, SourceConfig, TrainConfig  # noqa: E402
from training.evaluate import training_settings  # noqa: E402
from training.export import export_onnx  # noqa: E402
from training.labelfiles import write_vector  # noqa: E402
from training.labels import Label, LabelledScene  # noqa: E402
from training.registry import register  # noqa: E402
from training.simulate import SceneSpec, paint, write_geotiff  # noqa: E402
from training.train import train  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A painted port with its labels as GeoJSON."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "images").mkdir()
    painted = paint(SceneSpec(seed=3, size=(256, 256), vessel_count=8))
    path = write_geotiff(painted, folder / "images" / "painted.tif")
    with rasterio.open(path) as dataset:
        grid = Grid(dataset.crs, dataset.transform, dataset.width, dataset.height)
    labels = []
    for vessel in painted.truth:
        lonlat = np.asarray(vessel.polygon.minimum_rotated_rectangle.exterior.coords)[:4]
        labels.append(Label(np.stack(grid.from_lonlat(lonlat[:, 0], lonlat[:, 1]), axis=-1)))
    write_vector([LabelledScene(path, "painted", labels)], folder / "labels.geojson")
    return folder


def settings(epochs: int) -> TrainConfig:
    return TrainConfig(
        "yolov8n-obb.yaml",
        [SourceConfig("vector", "labels.geojson", "images")],
        sampling=SamplingConfig(size=96, samples=4),
        optimise=OptimiseConfig(epochs=epochs, batch=2, threads=1, workers=0),
    )


@pytest.fixture(scope="module")
def checkpoint(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(settings(1), data, tmp_path_factory.mktemp("runs"))


def test_training_leaves_a_checkpoint_of_four_bands(checkpoint: Path) -> None:
    network = load_network(checkpoint)
    assert network.names == {0: "vessel"}
    assert epochs_done(checkpoint) == (1, 1)
    with torch.no_grad():
        assert network(torch.rand(1, 4, 64, 64))[0].shape[1] == 4 + 1 + 1


def test_finished_run_is_left_alone(checkpoint: Path, data: Path) -> None:
    before = checkpoint.read_bytes()
    assert train(settings(1), data, checkpoint.parents[2], resume=True) == checkpoint
    assert checkpoint.read_bytes() == before
    with pytest.raises(ConfigError, match="--resume"):
        train(settings(1), data, checkpoint.parents[2])
    with pytest.raises(ConfigError, match="other settings"):
        train(settings(2), data, checkpoint.parents[2], resume=True)


def test_interrupted_run_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training.train import ChipTrainer

    def interrupt(trainer: ChipTrainer, *_: object) -> None:
        if trainer.epoch == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        original = ChipTrainer.preprocess_batch
        patch.setattr(ChipTrainer, "preprocess_batch", lambda t, b: interrupt(t) or original(t, b))
        with pytest.raises(KeyboardInterrupt):
            train(settings(2), data, tmp_path)
    last = tmp_path / "all" / "weights" / "last.pt"
    assert epochs_done(last) == (1, 2)
    assert train(settings(2), data, tmp_path, resume=True) == last
    assert epochs_done(last) == (2, 2)


def test_a_network_of_another_family_is_trained_and_gives_every_box(data: Path, tmp_path: Path) -> None:
    """YOLO26 says one box a vessel unless asked otherwise; what reads the ONNX file merges boxes itself."""
    import onnxruntime

    config = settings(1)
    config.start = "yolo26n-obb.yaml"
    last = train(config, data, tmp_path)
    export_onnx(last, tmp_path / "n.onnx", size=96)
    session = onnxruntime.InferenceSession(str(tmp_path / "n.onnx"), providers=["CPUExecutionProvider"])
    (boxes,) = session.run(None, {"window": np.zeros((1, 4, 48, 48), np.uint8)})
    assert boxes.shape == (1, 4 + 1 + 1, 12 * 12 + 6 * 6 + 3 * 3)


def test_lean_checkpoint_is_the_same_network_and_starts_a_run(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    lean = tmp_path / "lean.pt"
    write_lean(checkpoint, lean)
    assert lean.stat().st_size < 12e6
    assert str(checkpoint.parents[2]).encode() not in lean.read_bytes()
    image = torch.rand(1, 4, 64, 64)
    with torch.no_grad():
        assert torch.equal(load_network(checkpoint)(image)[0], load_network(lean)(image)[0])
    config = settings(1)
    config.start = str(lean)
    assert train(config, data, tmp_path / "runs").is_file()


def test_mean_of_runs_lies_between_them(checkpoint: Path, data: Path, tmp_path: Path) -> None:
    config = settings(1)
    config.start, config.seed = str(checkpoint), 2
    other = train(config, data, tmp_path / "second")
    first = checkpoint.parents[2]
    (out,) = average_runs([first, tmp_path / "second"], tmp_path / "mean")
    a, b, mean = (load_network(path).state_dict() for path in (checkpoint, other, out))
    name = next(key for key in a if key.endswith("conv.weight"))
    assert not torch.equal(a[name], b[name])
    assert torch.allclose(mean[name], (a[name] + b[name]) / 2, atol=2e-3)
    told = training_settings(tmp_path / "mean" / "all")
    assert told is not None and told["seed"] == 1
    assert [one["seed"] for one in told["averaged_with"]] == [2]
    assert (tmp_path / "mean" / "all" / "chips").is_dir()
    (further,) = average_runs([tmp_path / "mean", tmp_path / "second"], tmp_path / "mean2")
    assert torch.allclose(load_network(further).state_dict()[name], a[name] / 4 + b[name] * 3 / 4, atol=4e-3)
    told = training_settings(tmp_path / "mean2" / "all")
    assert told is not None and [one["seed"] for one in told["averaged_with"]] == [2, 2]
    with pytest.raises(ConfigError, match="another one"):
        average_runs([first, tmp_path / "second"], first)
    with pytest.raises(ConfigError, match="in common"):
        average_runs([first, tmp_path / "mean" / "all"], tmp_path / "none")
    assert not (tmp_path / "none").exists()
    before = other.read_bytes()
    with pytest.raises(ConfigError, match="would be lost"):
        average_runs([first, tmp_path / "mean"], tmp_path / "second")
    assert other.read_bytes() == before
    (tmp_path / "mean" / "all" / "train.yaml").unlink()
    with pytest.raises(ConfigError, match="no train.yaml"):
        average_runs([first, tmp_path / "mean"], tmp_path / "none")


def test_export_register_and_find(checkpoint: Path, tmp_path: Path) -> None:
    onnx = tmp_path / "net.onnx"
    metadata = export_onnx(checkpoint, onnx, size=96, confidence=0.4)  # checks agreement itself
    found = find_weights(onnx)
    assert (found.classes, found.size, found.confidence) == (("vessel",), 96, 0.4)
    assert metadata["bands"] == ["B04", "B03", "B02", "B08"]
    table = register(tmp_path, "one", onnx)
    assert table["default"] == "one"
    assert table["weights"]["one"]["onnx_sha256"] == found.sha256
    register(tmp_path, "two", onnx)
    assert json.loads((tmp_path / "registry.json").read_text())["default"] == "one"
    assert register(tmp_path, "two", onnx, default=True)["default"] == "two"
    with pytest.raises(WeightsError, match="is not in"):
        register(tmp_path / "elsewhere", "x", onnx)
    with pytest.raises(ConfigError, match="multiple of 32"):
        export_onnx(checkpoint, tmp_path / "odd.onnx", size=100)


def test_disagreement_leaves_no_file(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from training import export

    def disagree(*_: object) -> float:
        raise WeightsError("differs")

    monkeypatch.setattr(export, "check_agreement", disagree)
    with pytest.raises(WeightsError):
        export_onnx(checkpoint, tmp_path / "net.onnx", size=96)
    assert list(tmp_path.iterdir()) == []


class Evil:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    torch.save({"model": Evil(marker)}, tmp_path / "evil.pt")
    (tmp_path / "bare.pt").write_bytes(pickle.dumps(Evil(marker)))
    for name in ("evil.pt", "bare.pt"):
        with pytest.raises(WeightsError, match=name):
            load_network(tmp_path / name)
    assert not marker.exists()
    with pytest.raises(WeightsNotFoundError):
        load_network(tmp_path / "none.pt")


def test_commands(checkpoint: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, onnx = tmp_path / "c.yaml", tmp_path / "net.onnx"
    config.write_text(settings(1).to_yaml())
    arguments = ["export", str(checkpoint), "--out", str(onnx), "--size", "256", "--name", "net"]
    assert command(arguments) == 0
    assert {p.name for p in tmp_path.iterdir()} == {"c.yaml", "net.onnx", "net.pt", "registry.json"}
    arguments = ["evaluate", "--config", str(config), "--data", str(data), "--weights", str(onnx)]
    arguments += ["--out", str(tmp_path / "e")]
    assert command(arguments) == 0
    report = json.loads((tmp_path / "e" / "evaluation-four_band.json").read_text())
    place = report["labels"]["corrected"]["places"]["painted"]
    assert place["tp"] + place["fn"] == place["labels"] == 8
    assert "| painted |" in (tmp_path / "e" / "evaluation-four_band.md").read_text()
    cached = list((tmp_path / "e" / "cache").iterdir())
    assert command([*arguments, "--bands", "true"]) == 0
    assert len(list((tmp_path / "e" / "cache").iterdir())) == len(cached) + 1
    capsys.readouterr()
    assert command(["export", str(tmp_path / "none.pt"), "--out", str(onnx)]) == 2
    assert "no checkpoint" in capsys.readouterr().err
    assert command(["evaluate", "--data", str(tmp_path / "none")]) == 2
    assert command(["export", str(checkpoint), "--out", "x.pt"]) == 2
    assert command(["evaluate", "--confidence", "0.3"]) == 2
