"""Tests of tf_finetune/weights/torch/safetensors_writer.py."""

import json
import struct

import numpy as np
import pytest

from tf_finetune.weights.torch import reader, safetensors_writer

_ARRAYS = {
    "b.weight": np.arange(6, dtype="float32").reshape(2, 3).T,
    "a.count": np.array(7, "int64"),
    "a.empty": np.zeros([0, 4], "float32"),
}


def test_the_reader_gets_the_arrays_back(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors_writer.write_file(path, _ARRAYS, {"format": "pt"})
    found = reader.read_state_dict(path).arrays
    assert set(found) == set(_ARRAYS)
    for name, array in _ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


def test_the_header_is_that_of_the_format(tmp_path):
    path = tmp_path / "x.safetensors"
    safetensors_writer.write_file(path, _ARRAYS, {"format": "pt"})
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    assert length % 8 == 0
    assert json.loads(content[8 : 8 + length]) == {
        "__metadata__": {"format": "pt"},
        "a.count": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]},
        "a.empty": {"dtype": "F32", "shape": [0, 4], "data_offsets": [8, 8]},
        "b.weight": {"dtype": "F32", "shape": [3, 2], "data_offsets": [8, 32]},
    }
    numbers = np.frombuffer(content[8 + length + 8 :], "<f4")
    assert numbers.tolist() == [0, 3, 1, 4, 2, 5]


def test_equal_arrays_give_equal_bytes(tmp_path):
    turned = dict(reversed(_ARRAYS.items()))
    for name, arrays in (("x", _ARRAYS), ("y", turned)):
        safetensors_writer.write_file(tmp_path / name, arrays, {})
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()


def test_other_types_are_no_weights(tmp_path):
    with pytest.raises(KeyError, match="complex64"):
        safetensors_writer.write_file(
            tmp_path / "x", {"a": np.zeros(2, "complex64")}, {}
        )
