"""Tests of the groups of channels that are chosen alike."""

import keras
import pytest

from tf_finetune import errors
from tf_finetune.transplants import channel_groups


def _find(build):
    images = keras.Input((8, 8, 3))
    tensors = build(images)
    model = keras.Model(images, tensors[-1])
    found = channel_groups.find_groups(model)
    return [found.of_tensor[id(each)] for each in tensors], found.sizes


def test_norms_activations_and_depthwise_convolutions_keep_channels():
    def build(images):
        conv = keras.layers.Conv2D(4, 1)(images)
        norm = keras.layers.BatchNormalization()(conv)
        deep = keras.layers.DepthwiseConv2D(3)(keras.layers.ReLU()(norm))
        return conv, norm, deep, keras.layers.Conv2D(5, 1)(deep)

    (conv, norm, deep, last), sizes = _find(build)
    assert conv == norm == deep != last
    assert sizes[conv[0]] == 4
    assert sizes[last[0]] == 5


def test_a_sum_pairs_the_channels_of_its_tensors():
    def build(images):
        one = keras.layers.Conv2D(4, 1)(images)
        two = keras.layers.Conv2D(4, 1)(one)
        return one, two, keras.layers.Add()([one, two])

    (one, two, both), _ = _find(build)
    assert one == two == both


def test_a_product_with_pooled_weights_pairs_them_too():
    def build(images):
        one = keras.layers.Conv2D(4, 1)(images)
        pooled = keras.layers.GlobalAveragePooling2D(keepdims=True)(one)
        weights = keras.layers.Conv2D(4, 1)(keras.layers.Conv2D(2, 1)(pooled))
        return one, weights, keras.layers.Multiply()([one, weights])

    (one, weights, product), sizes = _find(build)
    assert one == weights == product
    assert 2 in sizes.values()


def test_a_concatenation_is_made_of_several_groups():
    def build(images):
        one = keras.layers.Conv2D(4, 1)(images)
        two = keras.layers.Conv2D(2, 1)(one)
        return one, two, keras.layers.Concatenate()([one, two])

    (one, two, both), _ = _find(build)
    assert both == (*one, *two)


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv2D(6, 1, groups=3),
        keras.layers.SeparableConv2D(6, 3),
        keras.layers.Flatten(),
    ],
)
def test_other_relations_of_channels_are_refused_by_name(layer):
    with pytest.raises(errors.UsageError, match=layer.name):
        _find(lambda images: [layer(images)])
