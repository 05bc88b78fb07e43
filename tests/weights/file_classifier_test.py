import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.weights import file_classifier, loading


def _backbone_model():
    images = keras.Input([16, 16, 3])
    x = keras.layers.Conv2D(4, 3, name="stem")(images)
    return keras.Model(images, keras.layers.BatchNormalization(name="bn")(x))


def _whole(*, hidden=False, classes=5):
    backbone = _backbone_model()
    x = keras.layers.GlobalAveragePooling2D()(backbone.output)
    if hidden:
        x = keras.layers.Dense(4, name="hidden")(x)
    x = keras.layers.Dense(classes, activation="softmax", name="predictions")(x)
    return keras.Model(backbone.input, x)


@pytest.fixture
def read(make_backbone, tmp_path, randomize):
    def call(model, name):
        randomize(model).save(tmp_path / name)
        loaded = loading.load(
            make_backbone(_backbone_model()), str(tmp_path / name)
        )
        return file_classifier.read_classifier(loaded, features=4)

    return call


@pytest.mark.parametrize("name", ["whole.h5", "whole.keras"])
def test_the_last_dense_layer_is_the_classifier(read, name):
    model = _whole()
    found = read(model, name)
    kernel, bias = model.get_layer("predictions").get_weights()
    np.testing.assert_array_equal(found.kernel, kernel)
    np.testing.assert_array_equal(found.bias, bias)


def test_a_convolution_on_pooled_features_is_one_too(
    make_backbone, tmp_path, randomize
):
    # As MobileNet ends.
    backbone = _backbone_model()
    x = keras.layers.GlobalAveragePooling2D(keepdims=True)(backbone.output)
    x = keras.layers.Conv2D(5, 1, name="conv_preds")(x)
    model = randomize(keras.Model(backbone.input, x))
    model.save(tmp_path / "x.h5")
    loaded = loading.load(
        make_backbone(_backbone_model()), str(tmp_path / "x.h5")
    )
    found = file_classifier.read_classifier(loaded, features=4)
    kernel, bias = model.get_layer("conv_preds").get_weights()
    np.testing.assert_array_equal(found.kernel, kernel[0, 0])
    np.testing.assert_array_equal(found.bias, bias)


def test_a_file_without_top_has_none(read):
    with pytest.raises(errors.UsageError, match="holds no classifier"):
        read(_backbone_model(), "no_top.h5")


def test_a_top_of_several_layers_is_refused_by_name(read):
    with pytest.raises(errors.UsageError, match="hidden, predictions"):
        read(_whole(hidden=True), "whole.h5")
