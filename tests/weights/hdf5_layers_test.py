import h5py
import numpy as np
import pytest

from tf_finetune import errors
from tf_finetune.weights import hdf5_layers


def test_names_cut_into_several_attributes_are_joined(tmp_path):
    names = [f"layer_with_a_long_name_{number:04}" for number in range(40)]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["layer_names0"] = [name.encode() for name in names[:25]]
        file.attrs["layer_names1"] = [name.encode() for name in names[25:]]
        for name in names:
            file.create_group(name).attrs["weight_names"] = []
    with h5py.File(tmp_path / "x.h5") as file:
        assert hdf5_layers.is_classic(file)
        assert [
            each.name for each in hdf5_layers.read_classic_layers(file)
        ] == names


def test_layer_name_with_a_slash_is_one_layer(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["layer_names"] = [b"conv1/bn"]
        group = file.create_group("conv1/bn")
        group.attrs["weight_names"] = [b"conv1/bn/gamma:0"]
        group["conv1/bn/gamma:0"] = np.float32([2])
    with h5py.File(tmp_path / "x.h5") as file:
        (layer,) = hdf5_layers.read_classic_layers(file)
    assert layer.path == "conv1/bn"
    assert layer.arrays[0].tolist() == [2]


def test_named_but_absent_array_is_damage(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        file.create_group("dense").attrs["weight_names"] = [b"kernel"]
    with (
        h5py.File(tmp_path / "x.h5") as file,
        pytest.raises(errors.RunError, match="names 'kernel'"),
    ):
        hdf5_layers.read_classic_layers(file)


def test_text_where_numbers_belong_is_damage(tmp_path):
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = "rm -rf"
    with (
        h5py.File(tmp_path / "x.weights.h5") as file,
        pytest.raises(errors.RunError, match="not numbers"),
    ):
        hdf5_layers.read_keras3_layers(file)


def test_bfloat16_is_widened_exactly(tmp_path):
    # 1.5 and -2 in bfloat16 are the upper halves of their float32 bits.
    bits = np.array([0x3FC0, 0xC000], np.uint16)
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        values = file.create_dataset(
            "layers/dense/vars/0", data=bits.view("V2")
        )
        values.attrs["dtype"] = "bfloat16"
    with h5py.File(tmp_path / "x.weights.h5") as file:
        (layer,) = hdf5_layers.read_keras3_layers(file)
    assert layer.arrays[0].dtype == np.float32
    assert layer.arrays[0].tolist() == [1.5, -2.0]


def test_names_without_end_are_refused_with_their_number(tmp_path):
    names = np.array([b"n"] * 30_000)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["layer_names0"] = names
        file.attrs["layer_names1"] = names
    with (
        h5py.File(tmp_path / "x.h5") as file,
        pytest.raises(errors.RunError, match="lists 60,000 names, and 40,000"),
    ):
        hdf5_layers.read_classic_layers(file)


def test_an_array_that_is_named_often_is_read_once(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense"]
        group = file.create_group("dense")
        group.attrs["weight_names"] = [b"kernel"] * 3
        group["kernel"] = np.ones(4, "f4")
    with h5py.File(tmp_path / "x.h5") as file:
        (layer,) = hdf5_layers.read_classic_layers(file)
    assert len({id(each) for each in layer.arrays}) == 1


@pytest.mark.parametrize(
    "name",
    [
        "layers\\dense/vars/{}",
        "layers\\dense\\vars/{}",
        "layers\\dense\\vars\\{}",
        "layers/dense\\vars/{}",
    ],
)
def test_backslashes_in_names_are_slashes(tmp_path, name):
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        file[name.format(0)] = np.ones((2, 3), "f4")
        file[name.format(1)] = np.zeros(3, "f4")
    with h5py.File(tmp_path / "x.weights.h5") as file:
        (layer,) = hdf5_layers.read_keras3_layers(file)
    assert layer.path == "layers/dense"
    assert [each.shape for each in layer.arrays] == [(2, 3), (3,)]


def test_an_array_under_both_slashes_is_damage(tmp_path):
    with h5py.File(tmp_path / "x.weights.h5", "w") as file:
        file["layers/dense/vars/0"] = np.ones(3, "f4")
        file["layers\\dense/vars/0"] = np.zeros(3, "f4")
    with (
        h5py.File(tmp_path / "x.weights.h5") as file,
        pytest.raises(errors.RunError, match="twice"),
    ):
        hdf5_layers.read_keras3_layers(file)
