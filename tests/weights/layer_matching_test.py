import dataclasses

import h5py
import keras
import numpy as np
import pytest

from tf_finetune.weights import layer_matching


@dataclasses.dataclass(frozen=True)
class _Variable:
    shape: tuple[int, ...]


def _units(*layers):
    return [
        layer_matching.Unit(
            name=name,
            kind=(kind,),
            order=(place,),
            variables=tuple(_Variable(shape) for shape in shapes),
        )
        for place, (name, kind, *shapes) in enumerate(layers)
    ]


def _entries(*layers):
    return [
        layer_matching.Entry(
            label=name or f"{kind} {place}",
            name=name,
            kind=None if kind is None else (kind,),
            order=(place,),
            arrays=tuple(np.zeros(shape) for shape in shapes),
            path=str(place),
        )
        for place, (name, kind, *shapes) in enumerate(layers)
    ]


def _places(pairs):
    return [(unit.name, entry.path) for unit, entry in pairs]


def test_chosen_names_match_in_any_order():
    units = _units(("stem", "conv2d", (3, 8)), ("last", "conv2d", (8, 8)))
    entries = _entries(("last", None, (8, 8)), ("stem", None, (3, 8)))
    found = layer_matching.match_layers(units, entries, ordered=False)
    assert _places(found.by_name) == [("stem", "1"), ("last", "0")]
    assert not found.by_order
    assert not found.unfit


def test_chosen_name_with_one_wrong_shape_does_not_fit():
    units = _units(("stem", "conv2d", (3, 8), (8,)))
    entries = _entries(("stem", None, (3, 8), (9,)))
    found = layer_matching.match_layers(units, entries, ordered=False)
    assert _places(found.unfit) == [("stem", "0")]
    assert not found.pairs


def test_numbered_names_match_by_order_whatever_their_numbers():
    units = _units(
        ("conv2d_94", "conv2d", (3, 8)), ("conv2d_95", "conv2d", (8, 8))
    )
    entries = _entries((None, "conv2d", (3, 8)), (None, "conv2d", (8, 8)))
    found = layer_matching.match_layers(units, entries, ordered=False)
    assert _places(found.by_order) == [("conv2d_94", "0"), ("conv2d_95", "1")]


def test_layers_around_the_model_are_left_out():
    units = _units(("dense", "dense", (4, 4)), ("dense_1", "dense", (4, 2)))
    entries = _entries(
        (None, "dense", (9, 4)),
        (None, "dense", (4, 4)),
        (None, "dense", (4, 2)),
        (None, "dense", (2, 7)),
    )
    found = layer_matching.match_layers(units, entries, ordered=False)
    assert _places(found.by_order) == [("dense", "1"), ("dense_1", "2")]


def test_file_that_was_cut_off_fills_the_beginning():
    units = _units(("dense", "dense", (4, 4)), ("dense_1", "dense", (4, 2)))
    entries = _entries((None, "dense", (4, 4)))
    found = layer_matching.match_layers(units, entries, ordered=False)
    assert _places(found.by_order) == [("dense", "0")]


def test_sequence_that_differs_in_the_middle_matches_nothing():
    units = _units(
        ("dense", "dense", (4, 4)),
        ("dense_1", "dense", (4, 5)),
        ("dense_2", "dense", (5, 4)),
    )
    entries = _entries(
        (None, "dense", (4, 4)),
        (None, "dense", (4, 6)),
        (None, "dense", (5, 4)),
    )
    assert not layer_matching.match_layers(units, entries, ordered=False).pairs


def test_same_network_under_other_names_needs_an_ordered_file():
    units = _units(("a", "conv2d", (3, 8)), ("b", "dense", (8, 2)))
    entries = _entries(("x", None, (3, 8)), ("y", None, (8, 2)))
    found = layer_matching.match_layers(units, entries, ordered=True)
    assert _places(found.by_order) == [("a", "0"), ("b", "1")]
    assert not layer_matching.match_layers(units, entries, ordered=False).pairs


def test_part_of_another_network_is_not_taken_by_order():
    units = _units(("a", "conv2d", (3, 8)), ("b", "dense", (8, 2)))
    entries = _entries(("x", None, (3, 8)))
    assert not layer_matching.match_layers(units, entries, ordered=True).pairs


def test_split_number():
    assert layer_matching.split_number("conv2d") == ("conv2d", 0)
    assert layer_matching.split_number("conv2d_17") == ("conv2d", 17)
    assert layer_matching.split_number("conv_dw_1_bn") == ("conv_dw_1_bn", 0)


@pytest.mark.parametrize(
    "name", ["Conv2D", "DepthwiseConv2D", "BatchNormalization", "LayerScale"]
)
def test_snake_case_is_that_of_keras(name):
    expected = {
        "Conv2D": "conv2d",
        "DepthwiseConv2D": "depthwise_conv2d",
        "BatchNormalization": "batch_normalization",
        "LayerScale": "layer_scale",
    }
    assert layer_matching.to_snake_case(name) == expected[name]


def _model():
    images = keras.Input([8, 8, 3])
    stem = keras.Sequential(
        [keras.layers.Conv2D(4, 3, name="stem"), keras.layers.ReLU()]
    )
    x = keras.layers.Rescaling(1 / 255)(images)
    x = stem(x)
    x = keras.layers.DepthwiseConv2D(3)(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.DepthwiseConv2D(3, use_bias=False)(x)
    return keras.Model(images, x)


def test_leaves_are_placed_as_keras_places_them_in_a_file(tmp_path):
    model = _model()
    path = tmp_path / "x.weights.h5"
    model.save_weights(path)
    found = {unit.name: unit for unit in layer_matching.list_layers(model)}
    assert found["stem"].kind == ("sequential", "conv2d")
    with h5py.File(path) as file:
        for unit in found.values():
            keys = [
                f"{kind}_{number}" if number else kind
                for kind, number in zip(unit.kind, unit.order, strict=True)
            ]
            place = "layers/" + "/layers/".join(keys) + "/vars"
            assert file[place].attrs["name"] == unit.name
            shapes = [file[place][key].shape for key in sorted(file[place])]
            assert list(unit.shapes) == shapes


def test_wholes_keep_a_nested_model_in_one_piece():
    model = _model()
    first = layer_matching.list_top_layers(model)[0]
    assert first.kind == ("sequential",)
    assert first.shapes == ((3, 3, 3, 4), (4,))


def test_numbered_says_who_chose_the_name():
    model = _model()
    numbered = {
        unit.name: unit.is_numbered
        for unit in layer_matching.list_layers(model)
    }
    assert not numbered.pop("stem")
    assert not numbered.pop("norm")
    assert list(numbered.values()) == [True, True]
