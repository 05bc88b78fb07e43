"""Tests of tf_finetune/runs/adapter_record.py: the base, runs without file."""

import pathlib
import types

import numpy as np
import pytest

from tf_finetune.adaptation import adapter_file
from tf_finetune.backbones import catalog as backbones
from tf_finetune.runs import adapter_record
from tf_finetune.workdir import workdir_files


def _make_context(folder: pathlib.Path, numbers: dict | None):
    """Returns a stand-in for the parts of a run's context that are read."""
    make = types.SimpleNamespace
    return make(
        place=workdir_files.Workdir(folder),
        stages=(),
        networks=make(boundary=None),
        adapted=make(adapter=make(find_merged=lambda: numbers)),
        assembly=make(head=make(weights=[np.zeros(2)])),
        config=make(model=make(adapter_precision="float16")),
    )


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (None, "the kept model (ada_bn) is not the pretrained network"),
        ({"3_conv/kernel/a": np.full(2, 1e6)}, "float16 cannot hold"),
    ],
)
def test_a_run_ends_without_a_file_where_none_is_possible(
    tmp_path, monkeypatch, caplog, numbers, words
):
    facts = {"format": adapter_file.FORMAT}
    monkeypatch.setattr(adapter_record, "_describe", lambda *_: facts)
    result = types.SimpleNamespace(chosen=types.SimpleNamespace(name="ada_bn"))
    adapter_record.write_adapter(_make_context(tmp_path, numbers), result, {})
    assert words in caplog.text
    assert not [*tmp_path.iterdir()]


def test_the_base_of_a_filled_backbone_is_its_file_in_the_cache():
    make = types.SimpleNamespace
    path = pathlib.Path("cache/transplants/0a1b.weights.h5")
    context = make(
        assembly=make(
            backbone=make(spec=backbones.find_spec("mobilenet")[0]),
            loaded=make(path=path),
            seed=3,
        ),
    )
    trained = make(
        options=make(init_from="mobilenet@0.5=large.h5", weights="imagenet"),
        adapted=make(adapter=make(base_sha256="00ff")),
    )
    assert adapter_record._describe_base(context, trained) == {
        "sha256": "00ff",
        "weights": None,
        "file": "transplants/0a1b.weights.h5 in --cache_dir",
        "seed": 3,
    }
