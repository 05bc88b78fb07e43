"""Backbones are compared on pictures by command and in Python."""

import json
import pathlib

import graph_optimizer
import keras
import numpy as np
import pytest
import quiet
from adaptation import adapter_cases as cases
from PIL import Image

import tf_finetune
from tf_finetune import errors
from tf_finetune.adaptation import adapter_file
from tf_finetune.backbones import build
from tf_finetune.recommendation import network_measuring


@pytest.fixture(scope="module")
def decoy(tmp_path_factory) -> pathlib.Path:
    """A file of random weights whose features are of the usual size."""
    keras.utils.set_random_seed(0)
    model = build.build("small_cnn", image_size=32).model
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(keras.random.uniform([32, 32, 32, 3], 0, 255, seed=0), training=True)
    path = tmp_path_factory.mktemp("decoy") / "decoy.weights.h5"
    model.save_weights(path)
    return path


@pytest.fixture(scope="module")
def settings(tmp_path_factory, decoy) -> dict:
    """Digits, on which the small network was pretrained, and its decoy."""
    folder = tmp_path_factory.mktemp("recommended")
    return {
        "data": "digits:5-9",
        "backbones": f"small_cnn=digits,small_cnn={decoy}",
        "output": str(folder / "output"),
        "cache_dir": str(folder / "cache"),
        "pictures_per_class": 20,
    }


@pytest.fixture(scope="module")
def found(settings):
    """The recommendation in Python."""
    # With its plot.
    with graph_optimizer.switched_on():
        return quiet.recommend(**settings)


def test_pretrained_weights_are_picked_before_random_ones(found):
    assert found.pick == "small_cnn=digits"
    assert (found.backbone, found.weights) == ("small_cnn", "digits")
    first, second = found.content["ranking"]
    assert first["scores"]["logme"] > second["scores"]["logme"]
    assert first["probe"]["accuracy"] > second["probe"]["accuracy"]


def test_the_files_hold_all_that_was_measured(found):
    content = json.loads((found.folder / "recommend.json").read_text())
    assert content == found.content
    assert (found.folder / "pareto.png").stat().st_size > 1000
    assert content["version"] == 1 and content["not_tried"] == []
    for row in content["ranking"]:
        assert row["parameters"] > 1e5 and row["multiply_adds"] > 1e6
        assert row["milliseconds"]["batch_32"] > 0
        assert row["memory_megabytes"] is not None
        assert row["rungs"][-1]["pictures"] == 100
    # One network with two sets of weights is timed once.
    first, second = content["ranking"]
    assert first["milliseconds"] == second["milliseconds"]


def test_a_second_call_measures_nothing(found, settings, monkeypatch):
    def refuse(*arguments, **keywords):
        raise AssertionError("it was built again")

    monkeypatch.setattr(network_measuring.NetworkMeasuring, "_build", refuse)
    again = quiet.recommend(**settings)
    assert again == found


def test_the_command_prints_the_table_and_the_command_to_run(
    found, settings, start, tmp_path
):
    flags = [f"--{name}={value}" for name, value in settings.items()]
    done = start(["-m", "tf_finetune.recommend", *flags], tmp_path).wait(200)
    assert done.returncode == 0, done.stderr
    assert "* small_cnn=digits" in done.stdout
    assert found.command in done.stdout
    assert "--backbone=small_cnn --weights=digits" in found.command


def test_limits_leave_networks_out(settings, tmp_path):
    limited = {**settings, "output": str(tmp_path)}
    with pytest.raises(errors.UsageError, match="the smallest has 0.7 MB"):
        tf_finetune.recommend(**limited, max_mb=0.1)
    with pytest.raises(errors.UsageError, match="the fastest takes"):
        tf_finetune.recommend(**limited, max_ms=1e-6)


def test_finalists_are_fine_tuned_within_the_budget(settings, tmp_path):
    given = {**settings, "output": str(tmp_path), "max_train_per_class": 10}
    given["pictures_per_class"] = 5
    unlimited = quiet.recommend(**given)
    assert unlimited.content["not_tried"] == []
    # What is in the cache needs no time; a run needs more than a second.
    short = quiet.recommend(**given, time_budget="1s")
    skipped = [each["what"] for each in short.content["not_tried"]]
    assert [each.endswith("fine-tuned") for each in skipped] == [True, True]
    assert short.content["ranking"] == unlimited.content["ranking"]
    long = quiet.recommend(**given, time_budget="1h")
    for row in long.content["ranking"]:
        tuned = row["fine_tuned"]
        assert 0 <= tuned["accuracy"] <= 1
        assert (pathlib.Path(tuned["workdir"]) / "evaluation.json").is_file()
    again = quiet.recommend(**given, time_budget="1h")
    assert again.content == long.content


def test_an_adapter_is_a_candidate(settings, tmp_path):
    adapter_file.write(
        tmp_path / "adapter.h5", cases.draw_adapter(0), "float32"
    )
    given = settings | {"output": str(tmp_path), "pictures_per_class": 5}
    given["backbones"] = f"small_cnn={tmp_path / 'adapter.h5'},small_cnn=digits"
    found = quiet.recommend(**given)
    # It changes random weights.
    assert found.weights == "digits"
    assert found.content["ranking"][1]["scores"]["logme"] is not None


@pytest.mark.real
def test_real_weights_are_picked_before_their_decoys(material, tmp_path, decoy):
    weights = material / "weights"
    found = quiet.recommend(
        material / "hymenoptera",
        backbones=(
            f"mobilenet@0.25={weights / 'mobilenet_0.25_224_notop.h5'}",
            f"small_cnn={decoy}",
        ),
        pictures_per_class=10,
        image_size=160,
        output=str(tmp_path / "output"),
        cache_dir=str(tmp_path / "cache"),
    )
    assert found.pick == "mobilenet@0.25"


def test_files_that_are_no_pictures_are_named(settings, tmp_path):
    for number in range(24):
        shade = np.full((32, 32, 3), 10 * number, "uint8")
        folder = tmp_path / "pictures" / ("dark" if number < 12 else "light")
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(shade).save(folder / f"{number}.png")
    (tmp_path / "pictures" / "dark" / "text.png").write_bytes(b"a text")
    said = []
    tf_finetune.recommend(
        **settings
        | {"data": str(tmp_path / "pictures"), "output": str(tmp_path / "out")},
        report=said.append,
    )
    assert "24 pictures, 1 dropped, 2 classes" in said[0]
    assert "text.png: not an image that can be used" in said[0]
