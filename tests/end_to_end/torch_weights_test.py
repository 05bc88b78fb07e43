"""A run that begins with a PyTorch file, resumed, continued and exported."""

import shutil

import keras
import numpy as np
import pytest
import quiet
import torch_files
import torch_golden as golden

from tf_finetune import errors, workflow
from tf_finetune.backbones import build
from tf_finetune.config import options, train_config
from tf_finetune.weights import loading
from tf_finetune.workdir import workdir_files


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    arrays = golden.fill_arrays(golden.read_vector("mobilenet_v2")["arrays"])
    path = tmp_path_factory.mktemp("weights") / "mobilenet_v2.pth"
    return torch_files.write_state_dict(path, arrays)


@pytest.fixture(scope="module")
def flags(weights):
    return {
        "backbone": "mobilenet_v2",
        "weights": str(weights),
        "epochs": 1,
        "augmentation": "none",
        "cache": "off",
    }


@pytest.fixture(scope="module")
def trained(pictures, train, flags, tmp_path_factory):
    return train(pictures, tmp_path_factory.mktemp("runs") / "run", **flags)


def test_the_graph_of_the_file_is_chosen_told_and_recorded(trained):
    run, said = trained
    place = workdir_files.Workdir(run.workdir)
    flags = place.run_flags.read_text("utf-8").splitlines()
    assert "--backbone=mobilenet_v2+torch" in flags
    for text in (said, place.plan.read_text("utf-8")):
        assert "mobilenet_v2.pth is a PyTorch file" in text
        assert "strided convolutions pad both sides" in text
    names = [layer.name for layer in run.model.layers]
    assert "Conv1_torch_pad" in names


def test_the_saved_model_computes_the_same(trained):
    run, _ = trained
    plain = keras.saving.load_model(run.workdir / "model.keras")
    images = np.random.default_rng(0).uniform(0, 255, [3, 32, 32, 3])
    images = images.astype("float32")
    np.testing.assert_array_equal(plain(images), run.model(images))


@pytest.mark.campaign
def test_the_run_is_evaluated_again_and_exported(trained, settings):
    run, _ = trained
    again = quiet.evaluate(run.workdir, cache_dir=settings["cache_dir"])
    assert again["test"]["accuracy"] == run.evaluation["test"]["accuracy"]
    quiet.export(run.workdir, format="saved_model")
    assert any((run.workdir / "export").rglob("saved_model.pb"))


@pytest.mark.campaign
def test_the_run_is_repeated_from_its_flags(trained, tmp_path):
    run, _ = trained
    config = options.from_flagfile(
        train_config.TrainConfig,
        str(run.workdir / "run.flags"),
        within=run.workdir,
    )
    again = workflow.train_run(
        options.replace(config, workdir=str(tmp_path / "again")),
        report=lambda text: None,
    )
    assert again.evaluation["test"] == run.evaluation["test"]


def test_its_weights_moved_elsewhere_do_not_load_into_the_graph_of_keras(
    trained, pictures, flags, tmp_path
):
    run, _ = trained
    moved = tmp_path / "moved.weights.h5"
    shutil.copy(run.workdir / "model.weights.h5", moved)
    with pytest.raises(
        errors.UsageError, match=r"Use --backbone=mobilenet_v2\+torch"
    ):
        loading.load(build.build("mobilenet_v2", image_size=32), str(moved))
    own = build.build("mobilenet_v2+torch", image_size=32)
    loading.load(own, str(moved))
    np.testing.assert_array_equal(
        own.model.get_layer("Conv1").kernel,
        run.model.get_layer("Conv1").kernel,
    )


def test_it_is_exported_to_torch_and_read_again(trained, flags):
    run, _ = trained
    (path,) = quiet.export(run.workdir, format="torch")
    again = build.build("mobilenet_v2+torch", image_size=32)
    loading.load(again, str(path))
    for layer in again.model.layers:
        mine = run.model.get_layer(layer.name).get_weights()
        for one, other in zip(mine, layer.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_workdir_is_the_start_of_another_run(
    trained, train, pictures, flags, tmp_path
):
    run, _ = trained
    more = {**flags, "weights": str(run.workdir)}
    with pytest.raises(
        errors.UsageError, match=r"Use --backbone=mobilenet_v2\+torch"
    ):
        train(pictures, tmp_path / "a", **more)
    more["backbone"] = "mobilenet_v2+torch"
    continued, _ = train(pictures, tmp_path / "b", **more)
    assert "Conv1_torch_pad" in [e.name for e in continued.model.layers]
