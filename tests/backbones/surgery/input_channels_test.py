"""Networks for other numbers of channels."""

import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.backbones import build
from tf_finetune.backbones.surgery import input_channels

# One of each preprocessing, and those that do it themselves.
_NAMES = (
    "small_cnn",  # "tf": every color alike.
    "resnet18",  # "torch", padding before the first convolution.
    "vgg16",  # "caffe": BGR.
    "efficientnet_b0",  # Rescaling and Normalization.
    "convnext_tiny",  # Normalization, the stem a nested model.
    "mobilenet_v3_small",
)


def _assert_close(found, expected):
    expected = np.asarray(expected)
    scale = np.abs(expected).max()
    assert scale > 1e-6
    # Rounding of float32 through all the layers.
    np.testing.assert_allclose(found, expected, atol=1e-5 * scale, rtol=0)


def _stem(model):
    """Returns what the first convolution gives."""
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.Sequential)):
            return keras.Model(model.inputs[0], layer.output)
    raise LookupError("no convolution")


@pytest.mark.parametrize("name", _NAMES)
def test_a_gray_picture_gives_what_its_rgb_copy_gave(
    name, make_backbone, images, assert_survived
):
    color = make_backbone(name)
    gray, change = input_channels.convert_to_luminance(color)
    pixels = images[..., :1]
    copied = np.repeat(pixels, 3, axis=-1)
    stem, expected = (_stem(b.model)(copied) for b in (gray, color))
    scale = np.abs(np.asarray(expected)).max()
    np.testing.assert_allclose(stem, expected, atol=1e-6 * scale, rtol=1e-6)
    _assert_close(gray.model(copied), color.model(copied))
    one, _ = input_channels.adapt_channels(color, 1)
    assert one.model.input_shape == (None, 64, 64, 1)
    _assert_close(one.model(pixels), color.model(copied))
    assert_survived(
        color.model,
        gray.model,
        but=[change.layers, "stem", "sequential", "normalization"]
        + [e.name for e in color.model.layers if "stem" in e.name],
    )
    assert change.new < change.dropped or name == "vgg16"
    assert list(gray.feature_maps) == list(color.feature_maps)


def test_luminance_is_what_is_seen(make_backbone, images):
    gray, _ = input_channels.convert_to_luminance(make_backbone("small_cnn"))
    luminance = images @ np.array([0.299, 0.587, 0.114], "float32")
    copied = np.repeat(luminance[..., np.newaxis], 3, axis=-1)
    _assert_close(gray.model(images), gray.model(copied))


def test_more_channels_keep_those_of_the_colors_and_begin_with_their_mean(
    make_backbone, images
):
    color = make_backbone("vgg16")
    wide, change = input_channels.adapt_channels(color, 5)
    kernel = np.asarray(color.model.get_layer("block1_conv1").kernel)
    kernel = kernel[:, :, ::-1]  # Its channels are B, G, R.
    new = np.asarray(wide.model.get_layer("block1_conv1").kernel)
    np.testing.assert_array_equal(new[:, :, :3], kernel)
    for place in (3, 4):
        expected = kernel.mean(axis=2) / 2
        np.testing.assert_allclose(new[:, :, place], expected, rtol=1e-5)
    assert change.new == new.size
    # A channel at its own mean adds nothing.
    mean = np.full([2, 64, 64, 2], np.mean([103.939, 116.779, 123.68]))
    pixels = np.concatenate([images, mean], axis=-1).astype("float32")
    _assert_close(wide.model(pixels), color.model(images))


def test_arrays_of_many_channels_are_learned_from_and_saved(
    make_backbone, tmp_path
):
    backbone, _ = input_channels.adapt_channels(
        make_backbone("small_cnn", 16), 7
    )
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.model.outputs[0])
    logits = keras.layers.Dense(2)(pooled)
    model = keras.Model(backbone.model.inputs[0], logits)
    generator = np.random.default_rng(0)
    pixels = generator.uniform(0, 255, [8, 16, 16, 7]).astype("float32")
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True))
    model.fit(pixels, np.arange(8) % 2, verbose=0)
    model.save(tmp_path / "m.keras")
    again = keras.saving.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(again(pixels), model(pixels))


def test_what_does_not_begin_with_a_convolution_is_refused(make_backbone):
    whole = make_backbone("small_cnn")
    images = keras.Input([64, 64, 3], name="images")
    x = keras.layers.DepthwiseConv2D(3, name="odd")(images)
    model = keras.Model(images, x)
    odd = build.backbones.Backbone(
        spec=whole.spec,
        alpha=None,
        image_size=64,
        model=model,
        feature_maps={1: x},
        stages=(),
    )
    with pytest.raises(errors.UsageError, match="images, odd"):
        input_channels.adapt_channels(odd, 1)
