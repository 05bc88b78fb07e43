"""Tests of tf_finetune/tasks/segmentation/mask_images.py."""

import pathlib
import re
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tf_finetune import serving
from tf_finetune.tasks.segmentation import mask_images


@pytest.fixture
def example():
    generator = np.random.default_rng(0)
    true = generator.choice([0, 1, 255], size=[30, 40]).astype("uint8")
    return mask_images.Example(
        title="street $1.jpg",
        image=generator.integers(0, 256, [30, 40, 3]).astype("uint8"),
        true=true,
        predicted=generator.integers(0, 2, [30, 40]).astype("uint8"),
    )


def _distances(colors):
    """CIELAB distances of all pairs."""
    places = mask_images._convert_to_lab(colors.astype("float64"))
    gaps = np.linalg.norm(places[:, np.newaxis] - places, axis=-1)
    return gaps[np.triu_indices(len(gaps), 1)]


def test_cielab_is_that_of_the_standard():
    # White, black and the red of sRGB.
    found = mask_images._convert_to_lab(
        np.array([[255.0] * 3, [0] * 3, [255, 0, 0]])
    )
    expected = [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.20]]
    np.testing.assert_allclose(found, expected, atol=0.1)


def test_colors_are_told_apart_and_black_is_ignored():
    colors = mask_images.build_palette()
    assert colors[0].tolist() == [219, 36, 36]
    assert colors[255].tolist() == [0, 0, 0]
    assert len(np.unique(colors, axis=0)) == 256
    # Those of PASCAL VOC, which were used before, lie 11 and 6 apart.
    assert _distances(colors[:12]).min() > 50
    assert _distances(colors[:32]).min() > 30
    assert _distances(colors).min() > 2.3  # Just noticeable.


def test_the_page_of_the_server_has_the_same_colors():
    page = pathlib.Path(serving.__file__).parent / "web/assets/page.html"
    text = page.read_text("utf-8")
    literal = text[text.index("const PALETTE = (") :]
    digits = "".join(re.findall(r'"([0-9a-f]+)"', literal.split(";")[0]))
    expected = "".join(f"{v:02x}" for v in mask_images.build_palette().ravel())
    assert digits == expected


def test_a_written_mask_holds_the_indices_and_shows_colors(tmp_path, example):
    mask_images.write_mask(tmp_path / "mask.png", example.true)
    with Image.open(tmp_path / "mask.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), example.true)
        np.testing.assert_array_equal(
            np.asarray(picture.convert("RGB")),
            mask_images.color_mask(example.true),
        )


def test_an_overlay_mixes_and_leaves_ignored_pixels_bare(example):
    found = mask_images.overlay_mask(example.image, example.true)
    bare = example.true == 255
    np.testing.assert_array_equal(found[bare], example.image[bare])
    mixed = 0.45 * example.image + 0.55 * mask_images.color_mask(example.true)
    np.testing.assert_allclose(found[~bare], mixed[~bare], atol=0.51)


def test_pictures_are_drawn_beside_truth_and_prediction(tmp_path, example):
    path = tmp_path / "examples.png"
    mask_images.draw_comparison([example, example], ["$a", "b_$"], path)
    with Image.open(path) as picture:
        assert picture.size == (1000, 600)
        colors = {c for _, c in picture.convert("RGB").getcolors(10**6)}
    assert {
        tuple(c) for c in mask_images.build_palette()[:2].tolist()
    } <= colors


def test_a_picture_is_written_as_it_is(tmp_path, example):
    mask_images.write_picture(tmp_path / "a.png", example.image)
    with Image.open(tmp_path / "a.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), example.image)


def test_photographs_are_drawn_without_gigabytes(tmp_path):
    side = 2000
    mask = np.zeros([side, side], "uint8")
    mask[: side // 2] = 1
    large = mask_images.Example(
        title="large",
        image=np.zeros([side, side, 3], "uint8"),
        true=mask,
        predicted=mask,
    )
    tracemalloc.start()
    mask_images.draw_comparison([large] * 2, ["a", "b"], tmp_path / "large.png")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 50e6
    with Image.open(tmp_path / "large.png") as picture:
        colors = {c for _, c in picture.convert("RGB").getcolors(10**6)}
    assert {
        tuple(c) for c in mask_images.build_palette()[:2].tolist()
    } <= colors
