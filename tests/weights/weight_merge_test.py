import keras
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.weights import merge_report, weight_merge, weights_file


def _body(x, width=4):
    """Named and numbered layers, a fork, and a nested model."""
    x = keras.layers.Conv2D(width, 3, name="stem", use_bias=False)(x)
    x = keras.layers.BatchNormalization(name="stem_bn")(x)
    left = keras.layers.Conv2D(width, 1)(x)
    right = keras.layers.Conv2D(width, 3, padding="same")(x)
    right = keras.layers.BatchNormalization(scale=False)(right)
    x = keras.layers.Add()([left, right])
    down = keras.Sequential(
        [
            keras.layers.DepthwiseConv2D(3, name="down_conv"),
            keras.layers.LayerNormalization(name="down_norm"),
        ],
        name="down",
    )
    return keras.layers.SeparableConv2D(width, 3)(down(x))


def _network(width=4):
    """The body alone, as keras.applications builds it."""
    images = keras.Input([16, 16, 3])
    return keras.Model(images, _body(images, width))


def _ours(width=4):
    """The body behind preprocessing, as a backbone has it."""
    images = keras.Input([16, 16, 3])
    x = keras.layers.Rescaling(1 / 127.5, -1.0, name="preprocess")(images)
    return keras.Model(images, _body(x, width))


def _with_top(body):
    x = keras.layers.GlobalAveragePooling2D()(body.output)
    x = keras.layers.Dropout(0.1)(x)
    return keras.Model(body.input, keras.layers.Dense(5)(x))


def _inside_another(body):
    return keras.Sequential(
        [
            keras.Input([16, 16, 3]),
            keras.layers.Conv2D(3, 1),
            body,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5),
        ]
    )


def _assert_refused(model, path, words):
    """Asserts that the weights of a file are refused and none is taken."""
    before = model.get_weights()
    with pytest.raises(errors.RunError, match=words):
        weight_merge.merge(model, weights_file.read_weights(path))
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
@pytest.mark.parametrize("around", ["nothing", "top", "model"])
def test_weights_arrive_exactly(tmp_path, randomize, suffix, around):
    network = _network()
    wrap = {
        "nothing": lambda body: body,
        "top": _with_top,
        "model": _inside_another,
    }[around]
    whole = randomize(wrap(network))
    path = tmp_path / f"x{suffix}"
    (whole.save_weights if suffix == ".weights.h5" else whole.save)(path)
    ours = randomize(_ours(), seed=1)
    report = weight_merge.merge(ours, weights_file.read_weights(path))
    assert report.complete
    for found, expected in zip(
        ours.get_weights(), network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    assert len(report.unused) == {"nothing": 0, "top": 1, "model": 2}[around]


def test_merged_model_computes_what_the_saved_one_did(tmp_path, randomize):
    network = randomize(_network())
    network.save_weights(tmp_path / "x.weights.h5")
    ours = _ours()
    weight_merge.merge(
        ours, weights_file.read_weights(tmp_path / "x.weights.h5")
    )
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 16, 16, 3))
    np.testing.assert_allclose(
        ours(pixels.astype("f4")),
        network((pixels / 127.5 - 1).astype("f4")),
        rtol=1e-4,
        atol=1e-4,
    )


def test_nested_model_frozen_in_part_arrives_exactly(tmp_path, randomize):
    network = randomize(_network())
    whole = _inside_another(network)
    # A classic file then holds these behind those that train.
    for layer in network.layers[:4]:
        layer.trainable = False
    whole.save(tmp_path / "x.h5")
    ours = randomize(_ours(), seed=1)
    assert weight_merge.merge(
        ours, weights_file.read_weights(tmp_path / "x.h5")
    ).complete
    for found, expected in zip(
        ours.get_weights(), network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_own_file_goes_back_into_a_new_process_counter(tmp_path, randomize):
    saved = randomize(_with_top(_ours()))
    saved.save_weights(tmp_path / "x.weights.h5")
    for _ in range(3):
        keras.layers.Conv2D(1, 1)  # Moves Keras' counter of names.
    ours = randomize(_ours(), seed=1)
    report = weight_merge.merge(
        ours, weights_file.read_weights(tmp_path / "x.weights.h5")
    )
    assert report.complete
    expected = saved.get_weights()[: len(ours.get_weights())]
    for found, value in zip(ours.get_weights(), expected, strict=True):
        np.testing.assert_array_equal(found, value)


def test_keras3_file_without_names_is_matched_by_counts(tmp_path, randomize):
    import h5py

    network = randomize(_network())
    path = tmp_path / "x.weights.h5"
    network.save_weights(path)
    with h5py.File(path, "a") as file:
        # As the first versions of Keras 3 wrote it.
        file.visititems(lambda _, node: node.attrs.pop("name", None) and None)
    ours = randomize(_ours(), seed=1)
    assert weight_merge.merge(ours, weights_file.read_weights(path)).complete
    for found, expected in zip(
        ours.get_weights(), network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_normalization_uses_what_it_loaded(tmp_path, write_classic):
    images = keras.Input([2, 2, 3])
    x = keras.layers.Normalization(axis=-1)(images)
    model = keras.Model(images, keras.layers.Dense(1, name="top")(x))
    kernel = np.ones((3, 1), np.float32)
    path = write_classic(
        tmp_path / "x.h5",
        {
            "normalization_4": {
                "normalization_4/mean:0": np.float32([1, 1, 1]),
                "normalization_4/variance:0": np.float32([4, 4, 4]),
                "normalization_4/count:0": np.int64(9),
            },
            "top": {"kernel:0": kernel, "bias:0": np.float32([0])},
        },
    )
    weight_merge.merge(model, weights_file.read_weights(path))
    # (5 - 1) / sqrt(4) summed over three channels.
    pixels = np.full((1, 2, 2, 3), 5, np.float32)
    np.testing.assert_allclose(model(pixels), np.full((1, 2, 2, 1), 6.0))


def test_missing_and_unused_layers_are_named(tmp_path, write_classic):
    images = keras.Input([4])
    x = keras.layers.Dense(3, name="first")(images)
    model = keras.Model(images, keras.layers.Dense(2, name="second")(x))
    path = write_classic(
        tmp_path / "x.h5",
        {
            "first": {"k": np.ones((4, 3), "f4"), "b": np.ones(3, "f4")},
            "other": {"k": np.ones((9, 9), "f4")},
        },
    )
    before = model.get_layer("second").get_weights()
    report = weight_merge.merge(model, weights_file.read_weights(path))
    assert report.matched == ("first",)
    assert report.missing == ("second",)
    assert report.unused == ("other",)
    assert not report.complete
    assert report.summary() == (
        "1 of 2 layers took their weights (67 % of the kernels' parameters); "
        "not in the file (1): second; without a place in the network (1): other"
    )
    after = model.get_layer("second").get_weights()
    np.testing.assert_array_equal(before[0], after[0])


def test_layer_that_fits_in_part_keeps_all_of_its_own(tmp_path, write_classic):
    images = keras.Input([4])
    x = keras.layers.Dense(3, name="a")(images)
    x = keras.layers.Dense(3, name="b")(x)
    model = keras.Model(images, keras.layers.Dense(3, name="c")(x))
    path = write_classic(
        tmp_path / "x.h5",
        {
            "a": {"k": np.ones((4, 3), "f4"), "b": np.ones(3, "f4")},
            "b": {"k": np.ones((3, 3), "f4"), "b": np.ones(3, "f4")},
            "c": {"k": np.full((3, 3), 9, "f4"), "b": np.zeros(7, "f4")},
        },
    )
    report = weight_merge.merge(model, weights_file.read_weights(path))
    (mismatch,) = report.mismatched
    assert str(mismatch) == "c (model (3,), file (7,))"
    assert not np.any(model.get_layer("c").get_weights()[0] == 9)


@pytest.mark.parametrize(
    ("first", "words"),
    [
        # As of a network for gray pictures.
        (np.ones((1, 3), "f4"), r"a \(model \(4, 3\), file \(1, 3\)\)"),
        (None, r"a \(not in the file\)"),
    ],
)
def test_a_random_kernel_is_not_left_in_front_of_others(
    tmp_path, write_classic, first, words
):
    images = keras.Input([4])
    x = keras.layers.Dense(3, name="a")(images)
    x = keras.layers.Dense(3, name="b")(x)
    model = keras.Model(images, keras.layers.Dense(9, name="c")(x))
    layers = {
        "a": {"k": first, "b": np.ones(3, "f4")},
        "b": {"k": np.ones((3, 3), "f4"), "b": np.ones(3, "f4")},
        "c": {"k": np.ones((3, 9), "f4"), "b": np.ones(9, "f4")},
    }
    if first is None:
        del layers["a"]
    path = write_classic(tmp_path / "x.h5", layers)
    words = f"1 of 3 layers with kernels .*: {words}"
    _assert_refused(model, path, words)


def test_other_width_is_an_error_that_says_so(tmp_path, randomize):
    network = randomize(_network(width=6))
    network.save_weights(tmp_path / "x.weights.h5")
    _assert_refused(_ours(), tmp_path / "x.weights.h5", "another width or size")


def test_other_network_is_an_error_with_names_of_both(tmp_path, write_classic):
    path = write_classic(
        tmp_path / "x.h5", {"block1_conv1": {"k": np.ones((3, 3, 3, 64), "f4")}}
    )
    with pytest.raises(errors.RunError) as caught:
        weight_merge.merge(_ours(), weights_file.read_weights(path))
    assert "block1_conv1 [3, 3, 3, 64]" in str(caught.value)
    assert "stem" in str(caught.value)
    assert "another backbone" in str(caught.value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_leave_the_model_alone(
    tmp_path, randomize, value
):
    network = randomize(_network())
    variable = network.get_layer("down").weights[-1]
    variable.assign(np.full(variable.shape, value, np.float32))
    network.save_weights(tmp_path / "x.weights.h5")
    _assert_refused(
        _ours(), tmp_path / "x.weights.h5", "NaN or infinite.*'down_norm'"
    )


def test_deeper_network_is_not_taken_for_a_top(tmp_path, write_classic):
    images = keras.Input([8, 8, 3])
    x = keras.layers.Conv2D(2, 3, use_bias=False, name="block1")(images)
    model = keras.Model(images, x)
    path = write_classic(
        tmp_path / "x.h5",
        {
            "block1": {"k": np.ones((3, 3, 3, 2), "f4")},
            "block2": {"k": np.ones((3, 3, 2, 2), "f4")},
            "logits": {"k": np.ones((1, 1, 2, 5), "f4")},
        },
    )
    report = weight_merge.merge(model, weights_file.read_weights(path))
    assert report.complete
    assert not report.clean
    assert report.deeper == ("block2",)
    assert "deeper network?" in report.summary()


def test_few_layers_that_agree_by_chance_are_not_a_match(
    tmp_path, write_classic
):
    x = images = keras.Input([2])
    for name in "abcde":
        x = keras.layers.Dense(2, use_bias=False, name=name)(x)
    model = keras.Model(images, x)
    path = write_classic(
        tmp_path / "x.h5",
        {"a": {"k": np.ones((2, 2), "f4")}, "z": {"k": np.ones((9, 9), "f4")}},
    )
    with pytest.raises(errors.RunError, match="1 of 5 layers.*another back"):
        weight_merge.merge(model, weights_file.read_weights(path))


def test_long_lists_are_cut(tmp_path):
    report = merge_report.MergeReport(
        matched=("a",),
        by_order=(),
        missing=tuple(f"m{number}" for number in range(11)),
        unused=(),
        mismatched=(),
        prefix="layers/functional/layers",
    )
    assert report.summary() == (
        "1 of 12 layers took their weights, from 'layers/functional/layers' "
        "in the file; not in the file (11): m0, m1, m2, m3, m4, m5, m6, m7 "
        "and 3 more"
    )
