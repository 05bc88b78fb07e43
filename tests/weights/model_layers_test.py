import h5py
import keras
import pytest

from tf_finetune.weights import model_layers


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
    assert model_layers.to_snake_case(name) == expected[name]


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
    found = {unit.name: unit for unit in model_layers.list_layers(model)}
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
    first = model_layers.list_top_layers(model)[0]
    assert first.kind == ("sequential",)
    assert first.shapes == ((3, 3, 3, 4), (4,))


def test_numbered_says_who_chose_the_name():
    model = _model()
    numbered = {
        unit.name: unit.is_numbered for unit in model_layers.list_layers(model)
    }
    assert not numbered.pop("stem")
    assert not numbered.pop("norm")
    assert list(numbered.values()) == [True, True]
