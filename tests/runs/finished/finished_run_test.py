"""A finished run whose model was exchanged for one that carries code."""

import json
import sys
import zipfile

import keras
import pytest

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.runs.finished import finished_run
from tf_finetune.workdir import lifecycle, workdir_files


@pytest.fixture
def place(tmp_path):
    """A workdir that looks finished, without a model."""
    config = options.from_keywords(
        train_config.TrainConfig, {"data": "/pictures"}
    )
    found = workdir_files.Workdir(tmp_path / "run")
    with lifecycle.open_workdir(found, config):
        lifecycle.mark_begun(found, config, {"model": {"image_size": 4}})
        lifecycle.mark_finished(found, config, {})
    return found


def _refused(place, marker):
    with pytest.raises(errors.RunError, match=r"model\.keras cannot be read"):
        finished_run.load_finished(str(place.path))
    assert not marker.exists()


def test_code_in_a_lambda_does_not_run(place, tmp_path):
    marker = tmp_path / "ran"
    inputs = keras.Input([4, 4, 3])
    outputs = keras.layers.Lambda(
        lambda x, path=str(marker): (open(path, "w").close(), x)[1]
    )(inputs)
    keras.Model(inputs, outputs).save(place.model)
    assert marker.exists()  # It runs where the model is built.
    marker.unlink()
    _refused(place, marker)


@pytest.mark.parametrize("module", ["trap", "os", "builtins"])
def test_a_module_that_the_model_names_is_not_imported(
    place, tmp_path, monkeypatch, module
):
    marker = tmp_path / "ran"
    (tmp_path / "trap.py").write_text(f"open({str(marker)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    inputs = keras.Input([4, 4, 3])
    layer = keras.layers.Rescaling(1.0)
    keras.Model(inputs, layer(inputs)).save(place.model)
    with zipfile.ZipFile(place.model) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(content["config.json"])
    config["config"]["layers"][1] |= {
        "module": module,
        "class_name": {"os": "system", "builtins": "exec"}.get(module, "Trap"),
        "registered_name": None,
        "config": f"touch {marker}",
    }
    content["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(place.model, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    _refused(place, marker)
    assert "trap" not in sys.modules


@pytest.mark.parametrize("kept", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_model_is_one_sentence(place, tmp_path, kept):
    inputs = keras.Input([4, 4, 3])
    keras.Model(inputs, keras.layers.Dense(9)(inputs)).save(place.model)
    content = place.model.read_bytes()
    place.model.write_bytes(content[: int(kept * len(content))])
    _refused(place, tmp_path / "ran")


def test_a_model_that_is_gone_is_one_sentence(place, tmp_path):
    _refused(place, tmp_path / "ran")
