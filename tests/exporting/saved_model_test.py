"""The SavedModel, loaded the way a server loads it."""

import dataclasses
import os
import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tf_finetune import errors, files
from tf_finetune.exporting import saved_model

_LOAD = """
    import json, sys
    import numpy as np
    sys.modules["keras"] = None  # Not needed, so not to be found.
    import tensorflow as tf

    model = tf.saved_model.load(sys.argv[1])
    contents = [open(path, "rb").read() for path in sys.argv[2:]]
    answer = model.signatures["serving_default"](
        image_bytes=tf.constant(contents)
    )
    arrays = model.signatures["serve_array"]
    size = arrays.structured_input_signature[1]["images"].shape[1]
    answer_to_black = arrays(images=tf.zeros([2, size, size, 3]))
    print(json.dumps({
        "classes": [name.decode() for name in answer["classes"].numpy()],
        "probabilities": answer["probabilities"].numpy().tolist(),
        "dtype": answer["probabilities"].dtype.name,
        "black": answer_to_black["probabilities"].numpy().tolist(),
        "foreign": sorted(
            name for name in sys.modules
            if name.split(".")[0] == "tf_finetune"
        ),
    }))
"""


def test_a_fresh_process_without_this_package_serves_jpeg_bytes(
    make_job, pictures, tmp_path
):
    job = make_job()
    version = saved_model.write(job)

    answer = _in_fresh_process(version, pictures, tmp_path)

    assert answer["foreign"] == []
    assert answer["dtype"] == "float32"
    expected = job.proof.probabilities
    np.testing.assert_allclose(answer["probabilities"], expected, atol=1e-5)
    best = np.argmax(expected, axis=1)
    assert answer["classes"] == [job.class_names[i] for i in best]
    black = job.model.predict_on_batch(np.zeros([2, 24, 24, 3], "float32"))
    np.testing.assert_allclose(answer["black"], black, atol=1e-5)


def _in_fresh_process(version, pictures, tmp_path):
    script = tmp_path / "load.py"
    script.write_text(textwrap.dedent(_LOAD))
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-P", script, version, *pictures]
        if sys.version_info >= (3, 11)
        else [sys.executable, script, version, *pictures],
        cwd=tmp_path,
        env=environment | {"TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = tmp_path / "answer.json"
    answer.write_text(done.stdout.splitlines()[-1])
    return files.read_json(answer)


def test_versions_count_up_from_the_greatest(make_job, tmp_path):
    (tmp_path / "export" / "7").mkdir(parents=True)
    (tmp_path / "export" / "notes").mkdir()

    assert saved_model.write(make_job()) == tmp_path / "export" / "8"


def test_labels_lie_among_the_assets_in_the_order_of_the_outputs(make_job):
    version = saved_model.write(make_job())

    labels = (version / "assets" / "labels.txt").read_text()
    assert labels == "ants\nbees\nwasps\n"


def test_parity_of_both_signatures_is_recorded_beside_the_version(make_job):
    version = saved_model.write(make_job())

    figures = files.read_json(version.parent / "parity.json")["1"]
    assert figures["pictures"] == 5
    for signature in ("serving_default", "serve_array"):
        assert figures[signature]["max_abs_difference"] <= 1e-5
        assert figures[signature]["top_1_agreement"] == 1.0


def test_an_export_that_computes_something_else_leaves_nothing(
    make_job, tmp_path
):
    with pytest.raises(errors.RunError, match="differs from the evaluation"):
        saved_model.write(make_job(spoil=1e-3))

    assert list((tmp_path / "export").iterdir()) == []


def test_a_killed_export_leaves_no_version_and_is_swept_up_later(
    make_job, tmp_path, monkeypatch
):
    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    folder = tmp_path / "export"
    with monkeypatch.context() as patch:
        patch.setattr(saved_model, "_proven", die)
        # What kill -9 leaves: nobody clears up.
        patch.setattr(saved_model.staging.shutil, "rmtree", lambda *_, **__: 0)
        with pytest.raises(Killed):
            saved_model.write(make_job())
    left = [path.name for path in folder.iterdir()]
    assert len(left) == 1 and left[0].startswith(".tmp-")

    assert saved_model.write(make_job()) == folder / "1"
    assert sorted(p.name for p in folder.iterdir()) == ["1", "parity.json"]


def test_dropout_is_off_and_answers_repeat(make_job, pictures):
    tf = pytest.importorskip("tensorflow")
    version = saved_model.write(make_job())
    serve = tf.saved_model.load(str(version)).signatures["serving_default"]
    contents = tf.constant([pathlib.Path(pictures[0]).read_bytes()] * 3)

    first, second = (
        serve(image_bytes=contents)["probabilities"].numpy() for _ in range(2)
    )

    np.testing.assert_array_equal(first, second)


def test_class_names_that_are_no_utf8_survive(make_job):
    name = os.fsdecode(b"caf\xe9")
    job = dataclasses.replace(make_job(), class_names=("ants", "bees", name))
    version = saved_model.write(job)

    labels = (version / "assets" / "labels.txt").read_bytes()
    assert labels == b"ants\nbees\ncaf\xe9\n"


def test_a_nested_mobilenet_is_exported_exactly(keras, pictures, tmp_path):
    from tf_finetune.data import decoding
    from tf_finetune.exporting import job as jobs

    backbone = keras.applications.MobileNet(
        input_shape=(64, 64, 3), alpha=0.25, weights=None, include_top=False
    )
    images = keras.Input([64, 64, 3])
    x = keras.layers.Rescaling(1 / 127.5, -1)(images)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x))
    model = keras.Model(images, keras.layers.Dense(4, "softmax")(x))
    squares = [
        decoding.load(path, image_size=64, resize="crop") for path in pictures
    ]
    proof = jobs.Proof(
        paths=pictures, probabilities=model.predict(np.stack(squares))
    )
    job = jobs.ExportJob(
        model=model,
        class_names=("a", "b", "c", "d"),
        image_size=64,
        resize="crop",
        destination=tmp_path,
        proof=proof,
    )

    assert saved_model.write(job) == tmp_path / "1"
