"""Tests of tf_finetune/recommendation/network_costs.py."""

import keras
import numpy as np
import pytest

from tf_finetune.backbones import build
from tf_finetune.recommendation import network_costs


def test_multiply_adds_of_layers_are_those_counted_by_hand():
    inputs = keras.Input([8, 8, 3])
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same")(inputs)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(10)(x))
    # 4·4 positions of 3·3·3·4 and of 3·3·4, and once 4·10.
    assert network_costs.count_multiply_adds(model) == 16 * (108 + 36) + 40


@pytest.mark.parametrize(
    ("name", "millions"), [("mobilenet@0.25", 41), ("mobilenet_v2", 300)]
)
def test_multiply_adds_of_a_network_are_the_published_ones(name, millions):
    # Of 224 pixels: Howard et al. 2017, table 6; the README of MobileNetV2.
    model = build.build(name, image_size=224).model
    found = network_costs.count_multiply_adds(model)
    assert found / 1e6 == pytest.approx(millions, rel=0.03)


def test_sizes_are_four_bytes_and_one_byte_a_parameter():
    size = network_costs.NetworkSize(
        parameters=218_544, multiply_adds=1, width=256
    )
    assert size.megabytes_float32 == pytest.approx(0.874176)
    assert size.megabytes_int8 == pytest.approx(0.218544)


def test_graphs_are_timed_in_processes_of_their_own(tmp_path):
    inputs = keras.Input([16, 16, 3])
    x = keras.layers.Conv2D(4, 3)(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(x))
    network_costs.write_graph(model, 16, tmp_path, "small")
    network_costs.write_graph(model, 16, tmp_path, "damaged")
    (tmp_path / "damaged.pb").write_bytes(b"no graph")
    found = network_costs.time_graphs(tmp_path)
    assert set(found) == {"small"}
    assert 0 < found["small"].batch_1 < 1000
    assert found["small"].batch_32 > 0
    assert np.isfinite(found["small"].memory_megabytes)
