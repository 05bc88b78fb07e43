"""Every script of scripts/benchmark/, run at toy size in this process.

Figures are not looked at: two pictures on a busy machine say nothing of speed.
"""

import importlib.util
import json
import math
import pathlib
import shutil
import sys

import numpy as np
import pytest
import quiet
from PIL import Image

_FOLDER = pathlib.Path(__file__).resolve().parents[1] / "scripts" / "benchmark"
_SMALLER = {"_BATCH": 2, "_WARM": 1, "_STEPS": 1, "_EPOCHS": 1, "_SIDE": 64}


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> pathlib.Path:
    """train/ and val/ of two classes of noise, four JPEGs each."""
    folder = tmp_path_factory.mktemp("photos")
    generator = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("ants", "bees"):
            place = folder / split / kind
            place.mkdir(parents=True)
            for number in range(4):
                pixels = generator.integers(0, 255, (40, 50, 3), dtype="uint8")
                pixels //= 1 + (kind == "bees")
                Image.fromarray(pixels).save(place / f"{number}.jpg")
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    """A file of random weights of MobileNet 0.25."""
    import keras

    path = tmp_path_factory.mktemp("weights") / "notop.weights.h5"
    network = keras.applications.MobileNet(
        alpha=0.25, include_top=False, weights=None, input_shape=(224, 224, 3)
    )
    network.save_weights(path)
    return str(path)


@pytest.fixture
def script(monkeypatch, capsys):
    """Runs a script's `main` with small constants; gives its JSON line."""

    def run(name: str, *arguments: str) -> dict[str, float]:
        path = _FOLDER / name
        monkeypatch.syspath_prepend(str(path.parent))
        title = f"benchmark_{name.replace('/', '_').removesuffix('.py')}"
        spec = importlib.util.spec_from_file_location(title, path)
        module = importlib.util.module_from_spec(spec)
        monkeypatch.setitem(sys.modules, title, module)
        spec.loader.exec_module(module)
        for constant, value in _SMALLER.items():
            if hasattr(module, constant):
                monkeypatch.setattr(module, constant, value)
        monkeypatch.setattr(sys, "argv", [str(path), *arguments])
        takes_all = module.main.__code__.co_argcount == 0
        module.main(*([] if takes_all else arguments))
        lines = capsys.readouterr().out.strip().splitlines()
        found = [json.loads(each) for each in lines if each[:1] == "{"]
        return found[-1] if found else {}

    return run


def _check(figures: dict[str, float], *names: str) -> None:
    assert {*figures} == {*names}
    for value in figures.values():
        assert math.isfinite(value) and value >= 0


@pytest.mark.parametrize("level", ["none", "light"])
def test_input_is_read_by_ours_and_by_keras(script, photos, level):
    folder = str(photos / "train")
    _check(script("ours/input.py", folder, level, "1"), "rate")
    _check(script("peers/keras_input.py", folder, level, "area", "1"), "rate")


def test_a_forward_pass_and_the_memory_peer_run(script, photos, weights):
    path = weights
    script("peers/keras_forward.py", str(photos), path)
    _check(script("peers/keras_memory.py", str(photos), path), "accuracy")


def test_a_head_is_trained_by_ours_and_by_keras(
    script, photos, weights, tmp_path
):
    path, name = weights, "mobilenet@0.25"
    _check(
        script("ours/train.py", str(photos), name, path, str(tmp_path)),
        "accuracy",
        "without_start",
    )
    _check(
        script("peers/keras_head.py", str(photos), name, path, "--tuned=third"),
        "accuracy",
        "without_start",
        "reached",
    )


@pytest.mark.campaign
def test_keras_guide_predicts_the_test_pictures(
    script, photos, weights, tmp_path
):
    shutil.copytree(photos, tmp_path / "photos")
    shutil.copytree(photos / "val", tmp_path / "photos" / "test")
    output = tmp_path / "predictions.npz"
    arguments = ["mobilenet@0.25", weights, str(output)]
    script(
        "peers/keras_guide.py", str(tmp_path / "photos"), *arguments,
        "--image_size=32", "--seconds=1",
    )  # fmt: skip
    with np.load(output) as arrays:
        assert arrays["labels"].tolist() == [0] * 4 + [1] * 4
        np.testing.assert_allclose(
            arrays["probabilities"].sum(axis=1), np.ones(8), rtol=1e-6
        )


@pytest.mark.campaign
def test_a_step_is_taken_by_ours_and_by_keras(script):
    _check(
        script("ours/step.py", "mobilenet_v2"),
        "rate",
        "share of matrix product",
    )
    _check(script("peers/keras_step.py", "mobilenet_v2"), "rate")


@pytest.mark.campaign
def test_a_finished_run_is_asked_by_ours_and_by_keras(script, photos, tmp_path):

    run = quiet.fine_tune(
        photos,
        backbone="mobilenet@0.25",
        weights="none",
        image_size=224,
        epochs=0,
        workdir=tmp_path / "run",
        cache_dir=tmp_path / "cache",
    )
    run.export("saved_model", report=lambda text: None)
    folder, model = str(photos / "val"), str(run.workdir / "model.keras")
    export = str(run.workdir / "export")
    _check(script("ours/predict.py", folder, str(run.workdir)), "rate")
    _check(script("ours/predict.py", folder, export), "rate")
    _check(script("peers/keras_predict.py", folder, model), "rate")
    for kind in ("arrays", "bytes"):
        _check(script("ours/serving.py", folder, export, kind), "rate")
    # Asks for arrays too, once they are decoded.
    _check(script("peers/keras_serving.py", folder, model, "bytes"), "rate")


def test_the_peers_in_pytorch_run_where_it_is(script, photos, weights):
    pytest.importorskip("torch")
    path, name = weights, "mobilenet@0.25"
    script("peers/torch_head.py", str(photos), name, path)
    _check(
        script("peers/torch_input.py", str(photos / "train"), "light", "1"),
        "rate",
    )
    _check(script("peers/torch_step.py", "mobilenet_v2", "eager"), "rate")


@pytest.mark.parametrize(
    ("name", "package"),
    [("peers/fastai_fine_tune.py", "fastai"), ("peers/timm_recipe.py", "timm")],
)
def test_recipes_in_pytorch_predict_the_test_pictures(
    name, package, script, photos, weights, tmp_path
):
    pytest.importorskip(package)
    shutil.copytree(photos, tmp_path / "photos")
    shutil.copytree(photos / "val", tmp_path / "photos" / "test")
    output = tmp_path / "predictions.npz"
    arguments = ["mobilenet@0.25", weights, str(output)]
    script(name, str(tmp_path / "photos"), *arguments, "--seconds=1")
    with np.load(output) as arrays:
        assert arrays["probabilities"].shape == (8, 2)


def test_adapters_of_peft_are_saved_loaded_and_merged(script, photos, weights):
    pytest.importorskip("peft")
    name = "peers/peft_adapter.py"
    found = script(
        name, str(photos), "mobilenet@0.25", weights, "--image_size=64"
    )
    assert found["merged"] == found["last"]
    assert found["bytes"] > 4 * found["numbers"] and found["moved"] > 0
    assert found["loaded_difference"] == 0


def test_every_script_is_run_by_these_tests():
    text = pathlib.Path(__file__).read_text("utf-8")
    for path in [*_FOLDER.glob("ours/*.py"), *_FOLDER.glob("peers/*.py")]:
        name = f"{path.parent.name}/{path.name}"
        # Those two are parts of others.
        parts = ("peers/torch_networks.py", "peers/recipe_flags.py")
        assert f'"{name}"' in text or name in parts
