"""Model files that ask for more than a network; Keras is not asked."""

import json
import os
import zipfile

import h5py
import pytest

from tf_finetune import errors
from tf_finetune.untrusted import model_configs


def _layer(name, config=None, module="keras.layers"):
    return {"module": module, "class_name": name, "config": config or {}}


def _model(*layers, module="keras", name="Sequential"):
    return _layer(name, {"name": "m", "layers": [*layers]}, module)


def _write(path, config, members=()):
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file["layers/dense/vars/0"] = [1.0, 2.0]
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(path.with_suffix(".h5"), "model.weights.h5")
        text = config if isinstance(config, str) else json.dumps(config)
        archive.writestr("config.json", text)
        for each in members:
            archive.writestr(each, "x")
    return path


def _check(path):
    return model_configs.read_checked_config(path, within=path.parent)


def _refused(path, words):
    with pytest.raises(errors.RunError, match=words) as found:
        _check(path)
    text = str(found.value)
    assert text.startswith(f"{path} cannot be read: ") and text.isprintable()
    assert "Train it again, or copy" in text


def test_plain_layers_of_models_in_models_are_let_through(tmp_path):
    inner = _layer("Functional", module="keras.src.models.functional")
    relu = {"class_name": "function", "module": "builtins", "config": "relu"}
    config = _model(
        _layer("InputLayer", {"batch_shape": [None, 8, 8, 3]}),
        _layer("Conv2D", {"activation": relu, "dtype": _layer(
            "DTypePolicy", {"name": "float32"}, "keras")}),
        _layer("LayerScale", module="keras.src.applications.convnext"),
        _layer("Multiply", module="keras.src.ops.numpy"),
        _layer("StringLookup", {"vocabulary": ["a", "b"]}),
        _layer("Mine", module="my_layers"),
        {"class_name": "__numpy__", "config": {"value": [1.0]}},
        inner,
    )  # fmt: skip
    path = _write(tmp_path / "m.keras", config, ["labels.txt", "assets/a.txt"])
    assert _check(path) == config


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (_layer("Lambda"), r"keras\.layers\.Lambda, which can"),
        (_layer("TFSMLayer", {"filepath": "x"}), "TFSMLayer"),
        (_layer("TorchModuleWrapper"), "TorchModuleWrapper"),
        (_layer("JaxLayer"), "JaxLayer"),
        (_layer("Lambda", module="keras.src.layers.core.lambda_layer"),
         "Lambda"),
        (_layer("Lambda", module=None), "Lambda"),
        (_layer("__lambda__", {"value": "x"}, None), "__lambda__"),
        (_layer("__typespec__", module="os"), "__typespec__"),
        (_layer("StringLookup", {"vocabulary": "/etc/passwd"}),
         "StringLookup for the vocabulary in another file"),
        (_layer("get_file", module="keras.utils"), r"keras\.utils\.get_file"),
        (_layer("load_model", module="keras.saving"), "load_model"),
        (_layer("load_model", module="keras.models"), "load_model"),
        (_layer("X", module="keras_hub.models"), "keras_hub"),
        (_layer("X", module="keras.src.utils.file_utils"), "file_utils"),
        (_layer("Dense", {"activation": {"class_name": "function",
                                         "module": "keras.utils",
                                         "config": "get_file"}}), "get_file"),
        (_layer("Dense", {"activation": {"class_name": "function",
                                         "module": "os",
                                         "config": "system"}}), "system"),
        (_layer("Dense", {"activation": {"class_name": "function",
                                         "module": "builtins",
                                         "config": ["exec"]}}), "exec"),
        ({"class_name": 5, "config": {}}, "is not text"),
        ({"class_name": "Dense", "module": [], "config": {}}, "is not text"),
        (_layer("x\x1b[31m\u202e", module="keras.utils"), r"\\x1b"),
    ],
)  # fmt: skip
def test_what_could_read_files_or_run_code_is_refused(tmp_path, asked, words):
    for number, config in enumerate(
        (
            _model(asked),
            _model(_model(_layer("TimeDistributed", {"layer": asked}))),
            {**_model(), "build_config": {"deep": [[asked]]}},
        )
    ):
        _refused(_write(tmp_path / f"{number}.keras", config), words)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("", "damaged|cannot be read"),
        ("[1, 2]", "describes no model"),
        ("7", "describes no model"),
        ("{}", "describes no model"),
        ("[" * 100_000, "cannot be read"),
        (json.dumps(_model(*[_layer("ReLU")] * 10_001)), "10,001 layers"),
        (json.dumps(_model(*[[{"class_name": "ReLU"}] * 999] * 201)),
         "more than 200,000 objects"),
        ('{"class_name": "Sequential", "module": "keras", "config": '
         + "[" * 200 + "]" * 200 + "}", "levels"),
    ],
)  # fmt: skip
def test_a_config_of_no_network_is_one_sentence(tmp_path, config, words):
    _refused(_write(tmp_path / "m.keras", config), words)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "not a zip"),
        (lambda path: path.write_bytes(b""), "file signature not found"),
        (lambda path: path.unlink(), "read: No such file or directory. Train"),
    ],
)
def test_a_damaged_file_is_named_once_with_one_advice(tmp_path, damage, reason):
    path = _write(tmp_path / "m.keras", _model())
    damage(path)
    with pytest.raises(errors.RunError, match=reason) as found:
        model_configs.read_checked_config(path, within=tmp_path)
    text = str(found.value)
    assert text.count(str(path)) == 1
    assert text.endswith("Train it again, or copy its folder again.")
    assert "Copy or download" not in text


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "assets/../../x", "..\\x", "C:\\x", "a/b/../../.."],
)
def test_a_part_that_would_leave_its_folder_is_refused(tmp_path, name):
    path = _write(tmp_path / "m.keras", _model(), [name])
    _refused(path, "outside of it")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "link"])
def test_what_is_no_file_of_the_folder_is_refused(tmp_path, kind):
    path = tmp_path / "run" / "model.keras"
    path.parent.mkdir()
    outside = _write(tmp_path / "m.keras", _model())
    {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(outside),
    }[kind]()
    _refused(path, "outside of" if kind == "link" else "not a regular file")


@pytest.mark.parametrize("bomb", ["model.weights.h5", "config.json"])
def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path, bomb):
    path = tmp_path / "m.keras"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(bomb, "w", force_zip64=True) as file,
    ):
        for _ in range(40):
            file.write(b" " * (1 << 23))
    _refused(path, "is the limit")


def test_a_file_that_is_not_there_is_one_sentence(tmp_path):
    _refused(tmp_path / "model.keras", "No such file")
