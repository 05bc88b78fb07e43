"""Tests of tf_finetune/weights/torch/state_dicts.py."""

import pathlib

import numpy as np
import pytest
import torch_golden as golden

from tf_finetune.backbones import build, torch_names
from tf_finetune.weights.torch import (
    families,
    layer_arrays,
    matching,
    reader,
    state_dicts,
)


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "mobilenet_v2",
        "efficientnet_b1",
        "densenet121",
        "googlenet",
        "inception_v3",
        "mobilenet_v3_large",
        "mobilenet_v3_small",
        "resnet50",
        "vgg19",
    ],
)
def test_arrays_that_were_read_are_written_again(name):
    vector, family = golden.read_vector(name), families.find_family(name)
    arrays = golden.fill_arrays(vector["arrays"])
    full = torch_names.find_torch_name(name) or name
    model = build.build(full, image_size=vector["side"]).model
    file = reader.StateDict(path=pathlib.Path("x"), sha256="", arrays=arrays)
    for variable, value in matching.match_arrays(model, family, file).values:
        variable.assign(value)

    layers = [*layer_arrays.iterate_layers(model)]
    written = state_dicts.build_state_dict(layers, family)

    counters = {n for n in written if n.endswith(".num_batches_tracked")}
    norms = {n for n in arrays if n.endswith(".running_var")}
    norms = {n for n in norms if not n.startswith(family.tops)}
    assert {n.rpartition(".")[0] for n in counters} == {
        n.rpartition(".")[0] for n in norms
    }
    for counter in counters:
        assert written[counter].dtype == "int64"
        assert written[counter].shape == ()
    expected = {n for n in arrays if not n.startswith(family.tops)}
    assert set(written) - counters == expected
    for each in expected:
        np.testing.assert_array_equal(written[each], arrays[each])


def test_variances_make_up_for_another_epsilon():
    import keras

    norm = keras.layers.BatchNormalization(epsilon=3e-3, name="bn")
    norm.build([None, 2])
    norm.moving_variance.assign([0.5, 1.0])
    family = families.Family(rules=((r"bn", lambda m: "bn1"),))
    found = state_dicts.build_state_dict([norm], family, epsilon=1e-3)
    np.testing.assert_allclose(found["bn1.running_var"], [0.502, 1.002])
