"""Feature maps and stages, on graphs small enough to see through."""

import keras
import pytest

from tf_finetune.backbones import build, topology

_layers = keras.layers


def _convolution(x, name, strides=1, kernel=3):
    return _layers.Conv2D(4, kernel, strides, padding="same", name=name)(x)


def _found(model):
    return {
        stride: next(op.name for op in model.operations if op.output is tensor)
        for stride, tensor in topology.find_feature_maps(model).items()
    }


def test_the_last_layer_at_each_stride():
    images = keras.Input([32, 32, 3])
    x = _convolution(images, "a", strides=2)
    x = _layers.ReLU(name="a_relu")(x)
    x = _layers.ZeroPadding2D(1, name="pad")(x)
    x = _layers.MaxPooling2D(3, 2, name="pool")(x)
    x = _convolution(x, "b")
    x = _layers.Cropping2D(1, name="crop")(x)
    x = _convolution(x, "c", strides=4)
    model = keras.Model(images, x)
    assert _found(model) == {2: "a_relu", 4: "b", 16: "c"}


def test_a_feature_map_is_no_inside_of_a_residual_block():
    images = keras.Input([32, 32, 3])
    x = _convolution(images, "stem", strides=2)
    inside = _convolution(x, "one")
    x = _layers.Add(name="add")([x, _convolution(inside, "two")])
    # The last tensors of stride 2 lie on one of two branches.
    branch = _convolution(_convolution(x, "deep"), "down", strides=2)
    shortcut = _convolution(x, "shortcut", strides=2)
    x = _layers.Add(name="end")([branch, shortcut])
    model = keras.Model(images, x)
    assert _found(model) == {2: "add", 4: "end"}
    stages = topology.find_stages(model, topology.find_feature_maps(model))
    assert [stage.name for stage in stages] == ["stage1", "stage2"]
    assert set(stages[0].layer_names) == {
        images._keras_history.operation.name,
        "stem",
        "one",
        "two",
        "add",
    }
    assert set(stages[1].layer_names) == {"deep", "down", "shortcut", "end"}


@pytest.mark.parametrize("keepdims", [False, True])
def test_squeeze_and_excitation_changes_no_stride(keepdims):
    images = keras.Input([32, 32, 3])
    x = _convolution(images, "a", strides=2)
    gate = _layers.GlobalAveragePooling2D(keepdims=keepdims)(x)
    gate = _layers.Reshape([1, 1, 4])(gate)
    gate = _convolution(gate, "gate", kernel=1)
    x = _layers.Multiply(name="excited")([x, gate])
    x = _convolution(x, "b", strides=2)
    assert _found(keras.Model(images, x)) == {2: "excited", 4: "b"}


def test_rows_of_tokens_are_no_feature_maps():
    images = keras.Input([32, 32, 3])
    x = _convolution(images, "patches", strides=4)
    x = _layers.Reshape([64, 4], name="tokens")(x)
    x = _layers.Dense(4, name="mixed")(x)
    x = _layers.Reshape([8, 8, 4], name="map")(x)
    x = _layers.Reshape([64, 4], name="flat")(x)
    # Back to a map in one layer with the convolution behind it.
    end = keras.Sequential(
        [_layers.Reshape([8, 8, 4]), _layers.Conv2D(4, 2, 2)], name="end"
    )
    assert _found(keras.Model(images, end(x))) == {4: "map", 8: "end"}


def test_cells_that_look_two_cells_back_end_in_a_merge():
    images = keras.Input([32, 32, 3])
    first = _convolution(images, "first", strides=2)
    beside = _convolution(images, "beside", strides=2)
    second = _layers.Add(name="second")([first, beside])
    third = _layers.Concatenate(name="third")(
        [_convolution(second, "two"), first]
    )
    # What is reduced is the third cell; the second goes along beside it.
    x = _convolution(third, "down", strides=2)
    prepared = _layers.ReLU(name="prepared")(second)
    prepared = _layers.Cropping2D(0, name="cropped")(prepared)
    prepared = _convolution(prepared, "along", strides=2)
    x = _layers.Add(name="end")([x, prepared])
    assert _found(keras.Model(images, x)) == {2: "third", 4: "end"}


def test_strides_of_nested_models_multiply():
    images = keras.Input([32, 32, 3])
    inner = keras.Sequential(
        [_layers.Conv2D(4, 2, 2), _layers.Conv2D(4, 2, 2)], name="stem"
    )
    x = _layers.ReLU(name="end")(inner(images))
    assert _found(keras.Model(images, x)) == {4: "end"}


def test_operations_that_are_no_layers_keep_the_stride():
    images = keras.Input([32, 32, 3])
    x = _convolution(keras.ops.flip(images, axis=-1), "a", strides=2)
    model = keras.Model(images, keras.ops.relu(x))
    maps = topology.find_feature_maps(model)
    assert list(maps) == [2]
    (stage,) = topology.find_stages(model, maps)
    assert set(stage.layer_names) == {layer.name for layer in model.layers}


# Of Keras 3.15; names that Keras does not number.
_NAMES = {
    "resnet50": {
        2: "conv1_relu",
        4: "conv2_block3_out",
        8: "conv3_block4_out",
        16: "conv4_block6_out",
        32: "conv5_block3_out",
    },
    "resnet50_v2": {
        2: "conv1_conv",
        4: "conv2_block2_out",
        8: "conv3_block3_out",
        16: "conv4_block5_out",
        32: "post_relu",
    },
    "mobilenet": {
        2: "conv_pw_1_relu",
        4: "conv_pw_3_relu",
        8: "conv_pw_5_relu",
        16: "conv_pw_11_relu",
        32: "conv_pw_13_relu",
    },
    "mobilenet_v2": {
        2: "block_1_expand_relu",
        4: "block_3_expand_relu",
        8: "block_6_expand_relu",
        16: "block_13_expand_relu",
        32: "out_relu",
    },
    "vgg16": {
        2: "block2_conv2",
        4: "block3_conv3",
        8: "block4_conv3",
        16: "block5_conv3",
        32: "block5_pool",
    },
    "densenet121": {
        2: "conv1_relu",
        4: "pool2_conv",
        8: "pool3_conv",
        16: "pool4_conv",
        32: "relu",
    },
    "efficientnet_b0": {
        2: "block2a_expand_activation",
        4: "block3a_expand_activation",
        8: "block4a_expand_activation",
        16: "block6a_expand_activation",
        32: "top_activation",
    },
}


@pytest.mark.parametrize("name", sorted(_NAMES))
def test_feature_maps_of_well_known_networks(name):
    assert _found(build.build(name, image_size=32).model) == _NAMES[name]


def test_cells_of_nasnet():
    maps = build.build("nasnet_mobile", image_size=224).feature_maps
    assert {stride: each.shape[1:] for stride, each in maps.items()} == {
        2: (111, 111, 32),
        4: (56, 56, 44),
        8: (28, 28, 264),
        16: (14, 14, 528),
        32: (7, 7, 1056),
    }


def test_numbered_names_do_not_matter():
    first, second = (
        build.build("mobilenet_v3_small", image_size=32) for _ in range(2)
    )
    assert _found(first.model) != _found(second.model)

    def places(backbone):
        outputs = [id(each.output) for each in backbone.model.operations]
        return [outputs.index(id(m)) for m in backbone.feature_maps.values()]

    assert places(first) == places(second)


def test_calls_are_those_of_the_graph_itself():
    images = keras.Input((4, 4, 3))
    layer = keras.layers.Conv2D(2, 1)
    model = keras.Model(images, layer(images))
    above = keras.Input((4, 4, 3))
    part = keras.Model(above, layer(above))
    for graph in (model, part):
        assert topology.find_calls(graph)[layer].output_tensors == graph.outputs


def test_a_layer_that_is_called_twice_is_refused():
    images = keras.Input((4, 4, 3))
    layer = keras.layers.Conv2D(3, 1)
    model = keras.Model(images, layer(layer(images)), name="twice")
    with pytest.raises(ValueError, match="twice calls an operation twice"):
        topology.find_calls(model)
