"""Tests of tf_finetune/model/freeze_boundary.py."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_finetune.backbones import build
from tf_finetune.config import picture_options
from tf_finetune.model import freeze_boundary, inference

_SQUARE = picture_options.Square(16)
_BLACK, _SCALED = (
    picture_options.Square(16, pixels=picture_options.PixelOptions(**changes))
    for changes in ({"background": "black"}, {"pixel_range": (0, 4095)})
)

_KEY = (
    "import keras\n"
    "from tf_finetune.backbones import build\n"
    "from tf_finetune.config import picture_options\n"
    "from tf_finetune.model import freeze_boundary\n"
    "{before}"
    "keras.utils.set_random_seed(0)\n"
    "model = build.build('mobilenet_v3_small', image_size=32).model\n"
    "square = picture_options.Square(32)\n"
    "print(freeze_boundary.hash_network(model, square))\n"
)


def _network(name: str, size: int = 64) -> keras.Model:
    keras.utils.set_random_seed(0)
    backbone = build.build(name, image_size=size).model
    pooled = keras.layers.GlobalAveragePooling2D(name="pooled")
    logits = keras.layers.Dense(3, name="logits")
    return keras.Model(backbone.inputs[0], logits(pooled(backbone.outputs[0])))


def _images(size: int = 64) -> np.ndarray:
    shape = (3, size, size, 3)
    return np.random.default_rng(0).uniform(0, 255, shape).astype("float32")


def _from_first(model: keras.Model, layer: str) -> set[str]:
    """The layers with weights from one on, as a fine-tuned top has them."""
    names = [each.name for each in model.layers]
    start = names.index(layer)
    return {each.name for each in model.layers[start:] if each.weights}


def _joined(cut: freeze_boundary.Boundary, images: np.ndarray) -> np.ndarray:
    """What the two parts give one after the other, through flat rows."""
    tensors = keras.tree.flatten(
        inference.compile_step(cut.build_prefix())(images)
    )
    rows = cut.flat(tensors)
    assert rows.shape == (len(images), cut.width)
    inputs = keras.tree.flatten(cut.tensors(rows))
    return np.asarray(inference.compile_step(cut.suffix)(*inputs))


@pytest.mark.parametrize(
    ("name", "first", "tensors"),
    [
        ("small_cnn", "logits", 1),
        ("resnet18", "conv5_block1_1_conv", 1),
        ("resnet18", "conv5_block2_2_conv", 2),
        ("densenet121", "conv5_block16_2_conv", 2),
        ("mobilenet_v2", "block_15_depthwise", 1),
    ],
)
def test_both_parts_together_are_the_network(name, first, tensors):
    model = _network(name)
    found = freeze_boundary.find_boundary(model, _from_first(model, first))
    assert len(found.names) == tensors
    images = _images()
    expected = np.asarray(inference.compile_step(model)(images))
    np.testing.assert_allclose(
        _joined(found, images), expected, rtol=1e-5, atol=1e-6
    )


def test_nothing_that_trains_lies_below_the_cut_and_all_of_it_above():
    model = _network("resnet18")
    moving = _from_first(model, "conv4_block2_1_conv")
    found = freeze_boundary.find_boundary(model, moving)
    below = {layer.name for layer in found.build_prefix().layers}
    above = {layer.name for layer in found.suffix.layers}
    assert not below & moving
    assert moving <= above
    assert model.get_layer("logits") in found.suffix.layers


def test_a_layer_in_the_middle_moves_the_cut_below_it():
    model = _network("resnet18")
    found = freeze_boundary.find_boundary(
        model, {"conv3_block1_1_conv", "logits"}
    )
    assert "conv3_block1_1_conv" in [e.name for e in found.suffix.layers]
    assert found.frozen_share < 0.5


def test_of_equal_cuts_the_later_and_of_all_the_smallest_is_taken():
    """An expanding 1 x 1 convolution is cheap to repeat and large to keep."""
    model = _network("mobilenet_v2", 224)
    found = freeze_boundary.find_boundary(
        model, _from_first(model, "block_13_depthwise")
    )
    assert found.names == ("block_12_add",)
    assert found.width == 14 * 14 * 96


def test_the_share_is_that_of_the_multiplications():
    images = keras.Input([8, 8, 3])
    x = keras.layers.Conv2D(4, 3, padding="same", name="below")(images)
    x = keras.layers.Conv2D(4, 1, strides=2, name="above")(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(images, keras.layers.Dense(2, name="logits")(x))
    found = freeze_boundary.find_boundary(model, {"above", "logits"})
    below, above = 64 * 27 * 4, 16 * 4 * 4 + 64 * 2
    assert found.frozen_share == pytest.approx(below / (below + above))


@pytest.mark.parametrize("moving", ["everything", "the first layer"])
def test_no_cut_where_nothing_below_has_weights(moving):
    model = _network("small_cnn", 16)
    weighted = [layer.name for layer in model.layers if layer.weights]
    chosen = weighted if moving == "everything" else [weighted[0], "logits"]
    assert freeze_boundary.find_boundary(model, {*chosen}) is None


def test_no_cut_where_too_many_tensors_cross():
    images = keras.Input([4, 4, 2])
    branches = [
        keras.layers.Conv2D(8, 1, name=f"branch{number}")(images)
        for number in range(6)
    ]
    moved = [
        keras.layers.Conv2D(1, 1, name=f"moved{number}")(each)
        for number, each in enumerate(branches)
    ]
    model = keras.Model(images, keras.layers.Concatenate()(moved))
    assert (
        freeze_boundary.find_boundary(
            model, {f"moved{number}" for number in range(6)}
        )
        is None
    )


def test_training_the_upper_part_trains_the_network():
    model = _network("small_cnn", 16)
    found = freeze_boundary.find_boundary(model, {"logits"})
    for layer in model.layers:
        layer.trainable = layer.name == "logits"
    before = np.asarray(model.get_layer("logits").kernel)
    images = _images(16)
    rows = tf.concat(
        keras.tree.flatten(
            inference.compile_step(found.build_prefix())(images)
        ),
        axis=0,
    )
    found.suffix.compile(optimizer="sgd", loss="mse")
    found.suffix.train_on_batch(rows, np.ones([3, 3]))
    assert (np.asarray(model.get_layer("logits").kernel) != before).any()
    np.testing.assert_allclose(
        _joined(found, images),
        np.asarray(inference.compile_step(model)(images)),
        rtol=1e-5,
    )


def test_what_crosses_may_be_what_is_wanted_above_the_cut():
    model = _network("small_cnn")
    found = freeze_boundary.find_boundary(model, {"logits"})
    pooled = model.get_layer("pooled").output
    wanted = [*found.boundary_tensors, pooled]
    images = _images()
    crossing = keras.tree.flatten(
        inference.compile_step(found.build_prefix())(images)
    )
    above = keras.tree.flatten(found.build_upper_part(wanted)(crossing[0]))
    whole = keras.Model(model.inputs, wanted)(images)
    for one, other in zip(above, keras.tree.flatten(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def _extractor(seed: int = 0, rate: float = 0.0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    base = build.build("small_cnn", image_size=16).model
    pooled = keras.layers.GlobalAveragePooling2D()(base.outputs[0])
    return keras.Model(base.inputs[0], keras.layers.Dropout(rate)(pooled))


def test_the_key_is_the_same_for_the_same_network_anywhere(start, tmp_path):
    found = set()
    for before in (
        "",
        "build.build('mobilenet_v3_small', image_size=32)\n",
    ):
        code = _KEY.format(before=before)
        done = start(["-c", code], tmp_path).wait(timeout=300)
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


def test_the_key_differs_for_whatever_changes_what_comes_out(monkeypatch):
    model = _extractor()
    pooling = model.layers[-2]
    found = [
        freeze_boundary.hash_network(model, _SQUARE),
        freeze_boundary.hash_network(_extractor(seed=1), _SQUARE),
        freeze_boundary.hash_network(_extractor(rate=0.1), _SQUARE),
        freeze_boundary.hash_network(model, picture_options.Square(17)),
        freeze_boundary.hash_network(model, picture_options.Square(16, "crop")),
        freeze_boundary.hash_network(model, _BLACK),
        freeze_boundary.hash_network(model, _SCALED),
        freeze_boundary.hash_network(
            keras.Model(model.inputs[0], [model.outputs[0], pooling.output]),
            _SQUARE,
        ),
    ]
    changed = _extractor()
    kernel = changed.get_layer("stem_conv").kernel
    value = np.array(kernel)
    value[0, 0, 0, 0] += 1e-6
    kernel.assign(value)
    found.append(freeze_boundary.hash_network(changed, _SQUARE))
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "other kernels")
    found.append(freeze_boundary.hash_network(model, _SQUARE))
    monkeypatch.undo()
    assert len(set(found)) == len(found)
    assert freeze_boundary.hash_network(_extractor(), _SQUARE) == found[0]
