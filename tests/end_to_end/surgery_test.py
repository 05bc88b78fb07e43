"""A run whose network is operated on, from pictures to an export."""

import keras
import numpy as np
import pytest
import quiet

from tf_finetune import errors, files
from tf_finetune.config import conditions, options, train_config

_SURGERY = {
    "backbone": "resnet18+se",
    "weights": "none",
    "cut_at": "stage3",
    "norm": "group",
    "input_channels": 1,
    "head_layers": "16,batch_norm,relu,dropout:0.1",
    "trainable": "stage3",
    "cache": "off",
}

# What a run of the head alone does not read, and what it is told anew.
_OTHER = {
    "weights",
    *(
        name
        for name, field, _, _ in options.list_options(train_config.TrainConfig)
        if conditions.FINE_TUNING.items()
        <= dict(field.metadata["used_by"]).items()
    ),
}


@pytest.fixture(scope="module")
def operated(pictures, train, tmp_path_factory):
    """The finished run and what it printed."""
    place = tmp_path_factory.mktemp("runs") / "run"
    return train(pictures, place, **_SURGERY, epochs=1)


def test_the_plan_is_a_before_and_after(operated):
    run, said = operated
    plan = (run.workdir / "plan.txt").read_text()
    assert plan.strip() in said
    for words in (
        "surgery (before → after)",
        "--cut_at=stage3: above conv3_block2_out",
        "--input_channels=1: conv1_conv",
        "+se: conv2_block1_add … conv3_block2_add (4)",
        "--norm=group: conv1_bn … conv3_block2_2_bn",
        "--head_layers: head_dense1 … logits (5)",
        "head: linear, 16, batch_norm, relu, dropout:0.1",
    ):
        assert words in plan


def test_evaluating_again_and_predicting_give_the_same(
    operated, pictures, settings, tmp_path
):
    run, _ = operated
    again = quiet.evaluate(run.workdir, cache_dir=settings["cache_dir"])
    for split in ("validation", "test"):
        for name in ("accuracy", "log_loss"):
            # From pictures now, from cached activations in the run.
            assert again[split][name] == pytest.approx(
                run.evaluation[split][name], rel=1e-5
            )
    plain = keras.saving.load_model(run.workdir / "model.keras")
    images = np.random.default_rng(0).uniform(0, 255, [3, 32, 32, 3])
    images = images.astype("float32")
    np.testing.assert_array_equal(plain(images), run.model(images))
    gray = np.repeat(images @ np.float32([0.299, 0.587, 0.114]), 3)
    gray = gray.reshape(images.shape)
    np.testing.assert_allclose(plain(gray), plain(images), atol=1e-5)


def test_exports_are_proven(operated, tmp_path):
    run, _ = operated
    (written,) = quiet.export(
        run.workdir,
        "litert",
        output=str(tmp_path / "model.tflite"),
    )
    assert written.is_file()


@pytest.mark.slow
def test_its_weights_start_another_run_of_the_same_surgery(
    operated, pictures, settings, tmp_path
):
    run, _ = operated
    kept = {**settings, **_SURGERY}
    again = quiet.fine_tune(
        pictures,
        workdir=str(tmp_path / "again"),
        weights=str(run.workdir),
        epochs=0,
        **{k: kept[k] for k in kept if k not in _OTHER},
    )
    for name in ("conv3_block2_se_expand", "conv3_block2_2_bn", "conv1_conv"):
        ours, theirs = (
            each.model.get_layer(name).get_weights() for each in (again, run)
        )
        for mine, their in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(mine, their)
    report = files.read_json(again.workdir / "run.json")["weights"]["report"]
    assert "not in the file" not in report


def test_an_impossible_surgery_is_said_before_any_picture_is_decoded(
    pictures, train, tmp_path
):
    for flags, words in (
        ({"cut_at": "conv9"}, "--cut_at=conv9"),
        ({"head_layers": "64,rleu"}, "Did you mean 'relu'?"),
        ({"input_channels": 4}, "--input_channels must be 1"),
        ({"backbone": "small_cnn+se"}, "--backbone=small_cnn\\+se"),
    ):
        with pytest.raises(errors.UsageError, match=words):
            train(pictures, tmp_path / "none", **flags)
