"""Tests of tf_finetune/tasks/segmentation/drawing.py."""

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tf_finetune.tasks.segmentation import drawing


@pytest.fixture
def example():
    generator = np.random.default_rng(0)
    true = generator.choice([0, 1, 255], size=[30, 40]).astype("uint8")
    return drawing.Example(
        title="street $1.jpg",
        image=generator.integers(0, 256, [30, 40, 3]).astype("uint8"),
        true=true,
        predicted=generator.integers(0, 2, [30, 40]).astype("uint8"),
    )


def test_colours_are_those_of_pascal_voc_and_all_differ():
    colours = drawing.palette()
    assert colours[:4].tolist() == [
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
    ]
    assert colours[255].tolist() == [0, 0, 0]
    assert len(np.unique(colours, axis=0)) == 256


def test_a_written_mask_holds_the_indices_and_shows_colours(tmp_path, example):
    drawing.write_mask(tmp_path / "mask.png", example.true)
    with Image.open(tmp_path / "mask.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), example.true)
        np.testing.assert_array_equal(
            np.asarray(picture.convert("RGB")), drawing.coloured(example.true)
        )


def test_an_overlay_mixes_and_leaves_ignored_pixels_bare(example):
    found = drawing.overlay(example.image, example.true)
    bare = example.true == 255
    np.testing.assert_array_equal(found[bare], example.image[bare])
    mixed = 0.45 * example.image + 0.55 * drawing.coloured(example.true)
    np.testing.assert_allclose(found[~bare], mixed[~bare], atol=0.51)


def test_pictures_are_drawn_beside_truth_and_prediction(tmp_path, example):
    path = tmp_path / "examples.png"
    drawing.comparison([example, example], ["$a", "b_$"], path)
    with Image.open(path) as picture:
        assert picture.size == (1000, 600)
        colours = {c for _, c in picture.convert("RGB").getcolors(10**6)}
    assert {(128, 0, 0), (0, 128, 0)} <= colours


def test_a_picture_is_written_as_it_is(tmp_path, example):
    drawing.write_picture(tmp_path / "a.png", example.image)
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), example.image)


def test_photographs_are_drawn_without_gigabytes(tmp_path):
    side = 2000
    mask = np.zeros([side, side], "uint8")
    mask[: side // 2] = 1
    large = drawing.Example(
        title="large",
        image=np.zeros([side, side, 3], "uint8"),
        true=mask,
        predicted=mask,
    )
    tracemalloc.start()
    drawing.comparison([large] * 2, ["a", "b"], tmp_path / "large.png")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50e6
    with Image.open(tmp_path / "large.png") as picture:
        colours = {c for _, c in picture.convert("RGB").getcolors(10**6)}
    assert {(128, 0, 0), (0, 128, 0)} <= colours
