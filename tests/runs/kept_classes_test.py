"""Tests of tf_finetune/runs/kept_classes.py."""

import numpy as np
import pytest
from PIL import Image

import tf_finetune as tff
from tf_finetune import errors

_QUIET = {"report": lambda text: None}


@pytest.fixture(scope="module")
def settings():
    return {
        "backbone": "small_cnn",
        "image_size": 32,
        "epochs": 0,
        "seed": 3,
        "validation_fraction": 0.2,
        "test_fraction": 0.2,
    }


@pytest.fixture(scope="module")
def earlier(picture_folder, settings, tmp_path_factory):
    """A run on the classes "bright" and "dark"."""
    return tff.fine_tune(
        picture_folder,
        weights="digits",
        workdir=str(tmp_path_factory.mktemp("earlier") / "run"),
        **settings,
        **_QUIET,
    )


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
    earlier, more_pictures, settings, tmp_path
):
    run = tff.fine_tune(
        more_pictures,
        weights=str(earlier.workdir),
        classes="keep",
        class_map="night:dark",
        workdir=str(tmp_path / "run"),
        **settings,
        **_QUIET,
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


def test_pictures_of_other_classes_alone_are_refused(
    earlier, more_pictures, settings, tmp_path
):
    with pytest.raises(errors.UsageError, match="none of the classes"):
        tff.fine_tune(
            _make_others(tmp_path, more_pictures),
            weights=str(earlier.workdir),
            classes="keep",
            workdir=str(tmp_path / "run"),
            **settings,
            **_QUIET,
        )
    assert not (tmp_path / "run").exists()


def _make_others(folder, pictures):
    (folder / "others").mkdir()
    for name, source in (("a", "bright"), ("b", "stripes")):
        (folder / "others" / name).symlink_to(pictures / source)
    return folder / "others"
