import json
import os
import pathlib
import subprocess
import sys
import zipfile

import h5py
import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.weights import weights_file

_KERNEL = np.arange(6, dtype=np.float32).reshape(2, 3)
_BIAS = np.array([7, 8, 9], np.float32)


def _assert_dense(file, kind):
    (layer,) = [each for each in file.layers if each.arrays]
    assert file.kind == kind
    assert layer.name == "dense"
    np.testing.assert_array_equal(layer.arrays[0], _KERNEL)
    np.testing.assert_array_equal(layer.arrays[1], _BIAS)


def test_classic_file_keeps_order_and_layers_without_weights(
    tmp_path, write_classic
):
    path = write_classic(
        tmp_path / "x.h5",
        {
            "zero": {},
            "dense": {"dense/kernel:0": _KERNEL, "dense/bias:0": _BIAS},
            "after": {},
        },
    )
    file = weights_file.read_weights(path)
    _assert_dense(file, "classic_h5")
    assert [each.path for each in file.layers] == ["zero", "dense", "after"]
    assert file.sha256 == files.sha256(path)


def test_whole_model_h5_is_read_below_model_weights(tmp_path, write_classic):
    path = write_classic(
        tmp_path / "x.h5",
        {"dense": {"dense/kernel:0": _KERNEL, "dense/bias:0": _BIAS}},
        inside="model_weights",
    )
    with h5py.File(path, "a") as opened:
        opened.attrs["model_config"] = json.dumps({"class_name": "Functional"})
        opened.create_group("optimizer_weights")["momentum"] = _KERNEL
    file = weights_file.read_weights(path)
    _assert_dense(file, "classic_h5")
    assert file.config == {"class_name": "Functional"}


def test_keras3_weights_skip_optimizer_and_seeds(tmp_path, write_keras3):
    path = write_keras3(
        tmp_path / "x.weights.h5",
        {
            "layers/dense": ("dense", [_KERNEL, _BIAS]),
            "layers/dropout/seed_generator": ("seed", [np.zeros(2, "u4")]),
            "optimizer": ("adam", [_KERNEL]),
        },
    )
    file = weights_file.read_weights(path)
    _assert_dense(file, "keras3_h5")
    assert len(file.layers) == 1


def test_keras3_variables_are_ordered_as_numbers(tmp_path, write_keras3):
    arrays = [np.float32([number]) for number in range(12)]
    path = write_keras3(
        tmp_path / "x.weights.h5", {"layers/many": ("many", arrays)}
    )
    (layer,) = weights_file.read_weights(path).layers
    assert [int(each[0]) for each in layer.arrays] == list(range(12))


def test_workdir_tells_its_backbone(tmp_path, write_keras3):
    write_keras3(
        tmp_path / "model.weights.h5",
        {"layers/dense": ("dense", [_KERNEL, _BIAS])},
    )
    (tmp_path / "run.flags").write_text(
        "# replays\n--data=x\n--backbone=mobilenet@0.25\n--seed=1\n"
    )
    file = weights_file.read_weights(tmp_path)
    _assert_dense(file, "workdir")
    assert file.backbone == "mobilenet@0.25"
    assert file.path == tmp_path / "model.weights.h5"


def test_reading_a_keras_file_runs_no_code_from_it(tmp_path, write_keras3):
    trap = tmp_path / "trap.py"
    trap.write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    )
    config = {
        "class_name": "Trap",
        "module": "trap",
        "registered_name": "trap>Trap",
        "config": {
            "layers": [
                {
                    "class_name": "Lambda",
                    "config": {
                        "function": {
                            "class_name": "__lambda__",
                            "config": {
                                "code": "4wEAAAAAAAAA",
                                "defaults": None,
                            },
                        }
                    },
                }
            ]
        },
    }
    path = write_keras3(
        tmp_path / "x.keras",
        {"layers/dense": ("dense", [_KERNEL, _BIAS])},
        config,
    )
    code = (
        "import pathlib, sys\n"
        "from tf_finetune.weights import weights_file\n"
        f"file = weights_file.read_weights(pathlib.Path({str(path)!r}))\n"
        "assert file.kind == 'keras' and len(file.layers) == 1\n"
        "for name in ('tensorflow', 'keras', 'trap'):\n"
        "    assert name not in sys.modules, name\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.h5", b"<!DOCTYPE html><html>404</html>", "is a web page"),
        ("x.h5", b"version https://git-lfs.github.com/spec/v1", "LFS pointer"),
        ("x.pth", b"\x80\x02\x8a\nl\xfc\x9cF", "is a PyTorch file"),
        ("x", b"\x80\x04\x95abc", "is a PyTorch file"),
        ("x.h5", b"", "is an empty file"),
        ("x.safetensors", b'\x10\0\0\0\0\0\0\0{"a":{}}', "safetensors"),
        ("x.h5", b"hello", "named .h5 but is not HDF5"),
        ("x.bin", b"hello", "not a weights file of a known"),
    ],
)
def test_foreign_file_is_named_for_what_it_is(tmp_path, name, content, words):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(errors.UsageError, match=words) as caught:
        weights_file.read_weights(path)
    assert str(path) in str(caught.value)
    assert "Readable are" in str(caught.value)


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("archive/data.pkl", "is a PyTorch file"),
        ("kernel.npy", "NumPy .npz"),
        ("model.weights.json", "split over several files"),
        ("photo.jpg", "without model.weights.h5"),
    ],
)
def test_foreign_zip_is_named_for_what_it_is(tmp_path, member, words):
    path = tmp_path / "x.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "x")
    with pytest.raises(errors.UsageError, match=words):
        weights_file.read_weights(path)


@pytest.mark.parametrize(
    ("inside", "words"),
    [
        ("saved_model.pb", "is a SavedModel folder"),
        ("run.flags", "not finished"),
        ("model.weights.h5", "not a workdir"),
        ("cat.jpg", "is a folder with cat.jpg"),
    ],
)
def test_foreign_folder_is_named_for_what_it_is(tmp_path, inside, words):
    (tmp_path / inside).write_text("x")
    with pytest.raises(errors.UsageError, match=words):
        weights_file.read_weights(tmp_path)


def test_missing_path(tmp_path):
    with pytest.raises(errors.UsageError, match="no such file or folder"):
        weights_file.read_weights(tmp_path / "nothing.h5")


def test_hdf5_without_layers_lists_what_it_holds(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["spectrum"] = _BIAS
    with pytest.raises(errors.UsageError, match="it holds: spectrum"):
        weights_file.read_weights(tmp_path / "x.h5")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_truncated_h5_is_damaged(tmp_path, write_classic, kept):
    path = write_classic(
        tmp_path / "x.h5", {"dense": {"kernel": np.zeros((100, 100), "f4")}}
    )
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(errors.RunError, match="damaged or incomplete"):
        weights_file.read_weights(path)


def test_truncated_keras_file_is_damaged(tmp_path, write_keras3):
    path = write_keras3(
        tmp_path / "x.keras", {"layers/dense": ("dense", [_KERNEL])}, {"a": 1}
    )
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(errors.RunError, match="damaged or incomplete"):
        weights_file.read_weights(path)


def test_file_whose_layers_have_no_weights(tmp_path, write_classic):
    path = write_classic(tmp_path / "x.h5", {"relu": {}})
    with pytest.raises(errors.RunError, match="holds no weights"):
        weights_file.read_weights(path)


def test_array_that_lies_in_another_file_is_refused(tmp_path, write_classic):
    (tmp_path / "secret").write_bytes(bytes(24))
    path = write_classic(tmp_path / "x.h5", {"dense": {"kernel": _KERNEL}})
    with h5py.File(path, "a") as file:
        del file["dense/kernel"]
        file["dense"].create_dataset(
            "kernel", (6,), "f4", external=[(str(tmp_path / "secret"), 0, 24)]
        )
    with pytest.raises(errors.RunError, match="lies in another file"):
        weights_file.read_weights(path)


@pytest.mark.parametrize(
    "link",
    [h5py.ExternalLink("other.h5", "/x"), h5py.SoftLink("/somewhere")],
    ids=["external", "soft"],
)
def test_link_is_refused(tmp_path, write_classic, link):
    path = write_classic(tmp_path / "x.h5", {"dense": {"kernel": _KERNEL}})
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["x"] = _KERNEL
    with h5py.File(path, "a") as file:
        file["somewhere"] = _KERNEL
        del file["dense/kernel"]
        file["dense"]["kernel"] = link
    with pytest.raises(errors.RunError, match="link to another place"):
        weights_file.read_weights(path)


def test_array_that_claims_far_more_than_it_stores_is_refused(
    tmp_path, write_classic
):
    path = write_classic(tmp_path / "x.h5", {"dense": {"kernel": _KERNEL}})
    with h5py.File(path, "a") as file:
        del file["dense/kernel"]
        file["dense"].create_dataset("kernel", (1 << 40,), "f4", chunks=True)
    with pytest.raises(errors.RunError, match="claims"):
        weights_file.read_weights(path)


def test_unreadable_path_is_a_usage_error(tmp_path):
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(errors.UsageError):
        weights_file.detect_kind(pathlib.Path(loop))
