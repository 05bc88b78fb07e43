"""Tests of tf_finetune/runs/kept_classes.py."""

import json

import numpy as np
import pytest
from PIL import Image

import tf_finetune as tff
from tf_finetune import errors

_QUIET = {"report": lambda text: None}


_SETTINGS = {
    "backbone": "small_cnn",
    "image_size": 32,
    "epochs": 0,
    "recipe": "none",
    "seed": 3,
    "validation_fraction": 0.2,
    "test_fraction": 0.2,
}


def _train(data, start, place, **changes):
    return tff.fine_tune(
        data,
        weights=str(start),
        workdir=str(place),
        **{**_SETTINGS, **_QUIET, **changes},
    )


@pytest.fixture(scope="module")
def earlier(picture_folder, tmp_path_factory):
    """A run on the classes "bright" and "dark"."""
    place = tmp_path_factory.mktemp("earlier") / "run"
    return _train(picture_folder, "digits", place)


@pytest.fixture(scope="module")
def more_pictures(picture_folder, tmp_path_factory):
    """Its pictures, "dark" under another name, and a third class."""
    folder = tmp_path_factory.mktemp("more")
    (folder / "bright").symlink_to(picture_folder / "bright")
    (folder / "night").symlink_to(picture_folder / "dark")
    (folder / "stripes").mkdir()
    random = np.random.default_rng(1)
    for number in range(15):
        pixels = random.integers(0, 100, [32, 32, 3], dtype="uint8")
        pixels[::4] += 150
        path = folder / "stripes" / f"{number}.png"
        Image.fromarray(pixels).save(path)
    return folder


def test_kept_columns_are_bit_equal_and_new_ones_are_solved(
    earlier, more_pictures, tmp_path
):
    run = _train(
        more_pictures,
        earlier.workdir,
        tmp_path / "run",
        classes="keep",
        class_map="night:dark",
    )
    assert run.class_names == ("bright", "night", "stripes")
    before = earlier.model.get_layer("logits").get_weights()
    after = run.model.get_layer("logits").get_weights()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new[..., :2], old)
        assert np.abs(new[..., 2]).min() > 0
    plan = (run.workdir / "plan.txt").read_text("utf-8")
    assert "1 kept, 1 renamed, 1 new" in plan
    assert "night    dark    renamed" in plan
    assert run.evaluation["test"]["accuracy"] > 0.8


@pytest.fixture(scope="module")
def others(more_pictures, picture_folder, tmp_path_factory):
    """Pictures of two classes that the earlier run does not know."""
    folder = tmp_path_factory.mktemp("others")
    (folder / "stripes").symlink_to(more_pictures / "stripes")
    (folder / "noise").mkdir()
    random = np.random.default_rng(2)
    for number in range(15):
        pixels = random.integers(0, 255, [32, 32, 3], dtype="uint8")
        path = folder / "noise" / f"{number}.png"
        Image.fromarray(pixels).save(path)
    return folder


@pytest.fixture(scope="module")
def extended(earlier, others, tmp_path_factory):
    """A fine-tuned run on new classes alone, beside those of the earlier."""
    return _train(
        others,
        earlier.workdir,
        tmp_path_factory.mktemp("extended") / "run",
        classes="keep",
        class_weight="balanced",
        label_smoothing=0.1,
        ema_momentum=0.9,
        augmentation="none",
        trainable="all",
        epochs=2,
    )


def test_classes_without_pictures_stay_outputs_with_their_columns(
    earlier, extended
):
    assert extended.class_names == ("noise", "stripes", "bright", "dark")
    before = earlier.model.get_layer("logits").get_weights()
    after = extended.model.get_layer("logits").get_weights()
    for old, new in zip(before, after, strict=True):
        np.testing.assert_array_equal(new[..., 2:], old)
    plan = (extended.workdir / "plan.txt").read_text("utf-8")
    assert "2 new, 2 kept without pictures" in plan
    assert "bright   bright  kept without pictures" in plan
    found = json.loads((extended.workdir / "data.json").read_text("utf-8"))
    assert found["classes"]["train"]["bright"] == 0
    row = extended.evaluation["test"]["per_class"]["bright"]
    assert row == {"precision": None, "recall": None, "f1": None, "support": 0}
    labels = (extended.workdir / "labels.txt").read_text("utf-8")
    assert labels.split() == ["noise", "stripes", "bright", "dark"]


def test_classes_without_pictures_are_still_recognized(
    extended, picture_folder
):
    # New columns that are solved against nothing recognize none of them.
    found = tff.evaluate(
        str(extended.workdir), data=str(picture_folder), **_QUIET
    )
    (figures,) = [
        each
        for each in found.values()
        if isinstance(each, dict) and "accuracy" in each
    ]
    assert figures["accuracy"] > 0.8
    assert extended.evaluation["train"]["accuracy"] > 0.8


def test_a_run_with_classes_without_pictures_is_evaluated_again(extended):
    found = tff.evaluate(extended.workdir, **_QUIET)
    for split in ("train", "validation", "test"):
        assert (
            found[split]["accuracy"] == extended.evaluation[split]["accuracy"]
        )


def test_one_new_class_alone_is_learned_beside_kept_ones(
    earlier, others, tmp_path
):
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "noise").symlink_to(others / "noise")
    run = _train(
        tmp_path / "one",
        earlier.workdir,
        tmp_path / "run",
        classes="keep",
        class_map=":bright",
    )
    assert run.class_names == ("noise", "dark")
    assert np.isfinite(run.model.get_layer("logits").get_weights()[0]).all()


def test_pictures_of_other_classes_alone_are_refused(earlier, others, tmp_path):
    with pytest.raises(errors.UsageError, match="none of the classes"):
        _train(
            others, earlier.workdir, tmp_path / "run", classes="keep_present"
        )
    assert not (tmp_path / "run").exists()
