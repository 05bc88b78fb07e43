import os
import pickle
import resource
import struct
import zipfile

import ml_dtypes
import numpy as np
import pytest
import torch_files as files

from tf_finetune import errors
from tf_finetune.weights.torch import reader

_ARRAYS = {
    "conv1.weight": np.arange(24, dtype="float32").reshape(2, 3, 2, 2),
    "bn1.running_var": np.array([1.5, 2.5], "float32"),
    "bn1.num_batches_tracked": np.array(7, "int64"),
    "half": np.array([0.5, -2], "float16"),
}


def _write(path, kind, arrays=_ARRAYS):
    if kind == "safetensors":
        return files.write_safetensors(path, arrays)
    write = files.write_zip if kind == "zip" else files.write_legacy
    return write(path, files.make_tensors(arrays))


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_arrays_are_read_bit_by_bit_whatever_the_suffix(tmp_path, kind):
    found = reader.read_state_dict(_write(tmp_path / "x.bin", kind))
    assert list(found.arrays) == list(_ARRAYS)
    for name, array in _ARRAYS.items():
        assert found.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(found.arrays[name], array)
    assert len(found.sha256) == 64


@pytest.mark.parametrize("write", [files.write_zip, files.write_legacy])
def test_views_share_a_storage_and_keep_their_strides(tmp_path, write):
    storage = files.Storage("0", np.arange(12, dtype="float32"))
    views = {
        "transposed": files.Tensor(storage, (3, 2), (1, 3), offset=2),
        "old": files.Tensor(storage, (2, 2), (4, 1), old=True),
        "scalar": files.Tensor(storage, (), offset=11),
        "empty": files.Tensor(storage, (0, 4), offset=12),
    }
    views["parameter"] = files.Call(
        files.Global("torch._utils", "_rebuild_parameter"),
        files.Tensor(storage, (4,), offset=8),
        True,
        {},
    )
    arrays = reader.read_state_dict(write(tmp_path / "x", views)).arrays
    numbers = np.arange(12, dtype="float32")
    np.testing.assert_array_equal(
        arrays["transposed"], numbers[2:8].reshape(2, 3).T
    )
    np.testing.assert_array_equal(arrays["old"], [[0, 1], [4, 5]])
    assert arrays["scalar"] == 11
    assert arrays["empty"].shape == (0, 4)
    np.testing.assert_array_equal(arrays["parameter"], [8, 9, 10, 11])


def test_bfloat16_is_read(tmp_path):
    numbers = np.array([1.5, -3.0, 1e30], ml_dtypes.bfloat16)
    tensor = files.Tensor(files.Storage("0", numbers, "bfloat16"), (3,))
    path = files.write_zip(tmp_path / "x.pt", {"w": tensor})
    found = reader.read_state_dict(path).arrays["w"]
    np.testing.assert_array_equal(
        found.astype("float32"), numbers.astype("float32")
    )


def test_ordered_dict_with_attributes_is_a_dict(tmp_path):
    tensor = files.Tensor(files.Storage("0", np.ones(2, "float32")), (2,))
    ordered = files.Call(files.Global("collections", "OrderedDict"))
    content = files.dump({"w": tensor})
    # An empty OrderedDict that SETITEM fills and BUILD gives attributes.
    start = content[:2] + files.dump(ordered)[2:-1]
    rest = files.dump(tensor)[2:-1]
    state = b"}X\x09\x00\x00\x00_metadata}sb"
    program = start + b"X\x01\x00\x00\x00w" + rest + b"s" + state + b"."
    path = files.write_zip(tmp_path / "x.pth", {"w": tensor})
    with (
        zipfile.ZipFile(path) as old,
        zipfile.ZipFile(tmp_path / "y.pth", "w") as new,
    ):
        for name in old.namelist():
            is_pickle = name.endswith(".pkl")
            new.writestr(name, program if is_pickle else old.read(name))
    found = reader.read_state_dict(tmp_path / "y.pth")
    np.testing.assert_array_equal(found.arrays["w"], [1, 1])


def test_network_inside_a_checkpoint_and_prefixes_are_found(tmp_path):
    arrays = {f"module.{name}": each for name, each in _ARRAYS.items()}
    value = {
        "epoch": 3,
        "best": 0.5,
        "state_dict": files.make_tensors(arrays),
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
    }
    found = reader.read_state_dict(files.write_zip(tmp_path / "x.pth", value))
    assert list(found.arrays) == list(_ARRAYS)
    assert found.prefix == "module."


def test_two_networks_are_refused_unless_one_is_named(tmp_path):
    first = files.Tensor(files.Storage("0", np.ones(1, "float32")), (1,))
    second = files.Tensor(files.Storage("1", np.zeros(1, "float32")), (1,))
    value = {"model": {"w": first}, "model_ema": {"w": second}}
    path = files.write_zip(tmp_path / "x.pth", value)
    with pytest.raises(errors.UsageError, match="model, model_ema.*FILE::"):
        reader.read_state_dict(path)
    found = reader.read_state_dict(path, part="model_ema")
    assert found.arrays["w"] == 0
    with pytest.raises(errors.UsageError, match="no network named 'ema'"):
        reader.read_state_dict(path, part="ema")


def test_optimizer_state_alone_is_named(tmp_path):
    tensor = files.Tensor(files.Storage("0", np.ones(1, "float32")), (1,))
    value = {"optimizer": {"state": {0: {"exp_avg": tensor}}}}
    path = files.write_zip(tmp_path / "x.pth", value)
    with pytest.raises(errors.UsageError, match="state of an optimizer"):
        reader.read_state_dict(path)


class _Code:
    def __reduce__(self):
        return os.system, ("touch ran",)


def test_code_in_a_pickle_is_refused_by_name_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = files.write_zip(tmp_path / "x.pth", {"w": _Code()})
    with pytest.raises(errors.RunError, match=r"wants posix\.system"):
        reader.read_state_dict(path)
    legacy = files.write_legacy(tmp_path / "y.pth", {"w": _Code()})
    with pytest.raises(errors.RunError, match=r"wants posix\.system"):
        reader.read_state_dict(legacy)
    (tmp_path / "z.pth").write_bytes(pickle.dumps(_Code(), protocol=4))
    with pytest.raises(errors.RunError, match=r"wants posix\.system"):
        reader.read_state_dict(tmp_path / "z.pth")
    assert not (tmp_path / "ran").exists()


def test_whole_model_is_refused_with_advice(tmp_path):
    layer = files.Call(files.Global("torch.nn.modules.conv", "Conv2d"))
    net = files.Call(files.Global("__main__", "Net"), layer)
    path = files.write_zip(tmp_path / "x.pth", net)
    with pytest.raises(
        errors.RunError, match=r"whole pickled model.*net\.state_dict\(\)"
    ):
        reader.read_state_dict(path)


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((1 << 20, 1 << 20), (0, 0), 0),
        ((4,), (1,), 1),
        ((2, 2), (3, 1), 0),
        ((2,), (-1,), 2),
        ((1,), (1,), -1),
        ((2, 2), (1,), 0),
        ((1,) * 17, (1,) * 17, 0),
    ],
)
def test_views_beyond_their_storage_are_refused(
    tmp_path, shape, strides, offset
):
    storage = files.Storage("0", np.zeros(4, "float32"))
    tensor = files.Tensor(storage, shape, strides, offset)
    path = files.write_zip(tmp_path / "x.pth", {"w": tensor})
    with pytest.raises(errors.RunError, match="tensor"):
        reader.read_state_dict(path)


def test_memo_index_of_any_size_costs_nothing(tmp_path):
    # LONG_BINPUT 0xfffffffe
    program = b"\x80\x02}r\xfe\xff\xff\xff."
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("a/data.pkl", program)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(errors.UsageError, match="holds no tensors"):
        reader.read_state_dict(tmp_path / "x.pth")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < 64 << 10  # KiB


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (b"\x80\x02]" + b"]" * 1_000_001 + b".", "1,000,000 instructions"),
        (b"\x80\x02X\xff\xff\xff\x7fabc.", "larger than"),
        (b"\x80\x02(((.", "holds a"),
        (b"\x80\x02h\x05.", "damaged"),
        (b"\x80\x02}", "damaged"),
        (b"\x80\x02\x82\x01.", "EXT1"),
        (b"\x80\x02cposix\nsystem\n)\x81.", r"posix\.system"),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93).", r"posix\.system"),
        (b"\x80\x02}X\x01\x00\x00\x00a)R.", "damaged"),
        (b"\x80\x02})K\x01s.", "neither text nor number"),
        # Lists of lists: printed, they would have 2**60 elements.
        (b"\x80\x02]" + b"q\x00](h\x00h\x00e" * 60 + b")R.", "damaged"),
        (b"\x80\x04]" + b"\x94](h\x00h\x00e" * 9 + b"]\x93.", "damaged"),
    ],
)
def test_damaged_and_hostile_pickles_are_refused(tmp_path, program, words):
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("a/data.pkl", program)
    with pytest.raises((errors.RunError, errors.UsageError), match=words):
        reader.read_state_dict(tmp_path / "x.pth")


def test_one_list_makes_no_more_than_one_dict(tmp_path):
    name = b"ccollections\nOrderedDict\n"
    pairs = b"](K\x01K\x02\x86e" + b"q\x00"
    program = b"\x80\x02" + pairs + (name + b"h\x00\x85R") * 2 + b"."
    with zipfile.ZipFile(tmp_path / "x.pth", "w") as archive:
        archive.writestr("a/data.pkl", program)
    with pytest.raises(errors.UsageError, match="its keys: none"):
        reader.read_state_dict(tmp_path / "x.pth")


def test_compressed_entries_are_refused(tmp_path):
    path = files.write_zip(
        tmp_path / "x.pth",
        files.make_tensors(_ARRAYS),
        compression=zipfile.ZIP_DEFLATED,
    )
    with pytest.raises(errors.RunError, match="is compressed"):
        reader.read_state_dict(path)


def test_big_endian_files_are_refused(tmp_path):
    tensors = files.make_tensors(_ARRAYS)
    path = files.write_zip(tmp_path / "x.pth", tensors, order=b"big")
    with pytest.raises(errors.RunError, match="big-endian"):
        reader.read_state_dict(path)
    path = files.write_legacy(tmp_path / "y.pth", tensors, little=False)
    with pytest.raises(errors.RunError, match="big-endian"):
        reader.read_state_dict(path)


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.99])
def test_truncated_files_are_refused(tmp_path, kind, share):
    path = _write(tmp_path / "x.pth", kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(errors.RunError, match="x.pth"):
        reader.read_state_dict(path)


@pytest.mark.parametrize("write", [files.write_zip, files.write_legacy])
def test_storage_of_another_size_is_refused(tmp_path, write):
    storage = files.Storage("0", np.zeros(4, "float32"), count=1 << 40)
    tensor = files.Tensor(storage, (1 << 40,))
    with pytest.raises(errors.RunError, match=r"bytes|ends too early"):
        reader.read_state_dict(write(tmp_path / "x.pth", {"w": tensor}))


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"dtype": "F32", "shape": [2], "data_offsets": [0, 800]}, "its place"),
        ({"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}, "its place"),
        ({"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}, "no count"),
        ({"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}, "no list"),
        ({"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}, "its place"),
        ({"dtype": "F8", "shape": [2], "data_offsets": [0, 8]}, "F8"),
        ([], "no tensor"),
    ],
)
def test_safetensors_beyond_their_file_are_refused(tmp_path, entry, words):
    path = files.write_safetensors(
        tmp_path / "x.safetensors", _ARRAYS, header={"w": entry}
    )
    with pytest.raises(errors.RunError, match=words):
        reader.read_state_dict(path)


def test_safetensors_may_not_share_bytes(tmp_path):
    entry = {"dtype": "F32", "shape": [1000], "data_offsets": [0, 4000]}
    path = files.write_safetensors(
        tmp_path / "x.safetensors",
        {"w": np.zeros(1000, "float32")},
        header={f"w{number}": entry for number in range(100)},
    )
    with pytest.raises(errors.RunError, match="the file"):
        reader.read_state_dict(path)


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 1 << 60) + b'{"a":{}}',
        struct.pack("<Q", 8) + b"{" + b'"a":' + b"zzz",
        struct.pack("<Q", 90_001) + b'{"a":' + b"[" * 90_000,
        struct.pack("<Q", 4) + b"{",
    ],
)
def test_safetensors_with_a_wrong_header_are_refused(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(errors.RunError, match="header|no JSON"):
        reader.read_state_dict(tmp_path / "x")


@pytest.mark.real
def test_published_resnet20_is_read(material):
    path = material / "weights" / "pytorch" / "resnet20-12fca82f.th"
    found = reader.read_state_dict(path)
    assert len(found.arrays) == 97
    assert found.prefix == "module."
    assert found.sha256.startswith("12fca82f")
    assert found.arrays["conv1.weight"].shape == (16, 3, 3, 3)
    assert all(np.isfinite(each).all() for each in found.arrays.values())
