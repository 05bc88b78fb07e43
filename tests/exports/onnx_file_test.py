"""The ONNX file, run by ONNX Runtime."""

import dataclasses
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from tf_finetune import errors

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
tf2onnx = pytest.importorskip("tf2onnx")
pytest.importorskip("tensorflow")

from tf_finetune.exports import onnx_file  # noqa: E402


def test_any_batch_of_pixels_gives_probabilities(make_job):
    job = make_job()
    path = onnx_file.write(job)

    assert path == job.destination / "model.onnx"
    session = onnxruntime.InferenceSession(str(path))
    (source,), (target,) = session.get_inputs(), session.get_outputs()
    assert (source.name, source.type) == ("images", "tensor(float)")
    assert source.shape == ["batch", 24, 24, 3]
    assert (target.name, target.shape) == ("probabilities", ["batch", 3])
    for count in (1, 4):
        images = np.random.default_rng(0).uniform(0, 255, (count, 24, 24, 3))
        images = images.astype("float32")
        (got,) = session.run(None, {"images": images})
        np.testing.assert_allclose(
            got, job.model.predict_on_batch(images), atol=1e-4
        )


def test_labels_are_in_the_metadata_whatever_their_bytes(make_job):
    names = ("ants", "bées", os.fsdecode(b"caf\xe9"))
    path = onnx_file.write(dataclasses.replace(make_job(), class_names=names))

    session = onnxruntime.InferenceSession(str(path))
    told = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(told["labels"])) == names
    assert "each class" in told["output"]


def test_what_was_decided_on_validation_is_in_the_metadata(make_job):
    decision = {"thresholds": {"a": 0.25, "b": 0.5, "c": 0.75}}
    path = onnx_file.write(dataclasses.replace(make_job(), decision=decision))

    session = onnxruntime.InferenceSession(str(path))
    found = session.get_modelmeta().custom_metadata_map["decision"]
    assert json.loads(found) == decision


def test_a_mixed_precision_model_is_written_in_float32(make_job, mixed_model):
    path = onnx_file.write(make_job(model=mixed_model))

    kinds = {each.data_type for each in onnx.load(path).graph.initializer}
    assert onnx.TensorProto.FLOAT in kinds
    assert onnx.TensorProto.FLOAT16 not in kinds


def test_a_pass_of_the_converter_that_fails_is_left_out(make_job, monkeypatch):
    def failing(_, graph):
        for node in graph.get_nodes():
            graph.remove_node(node.name)
        raise KeyError("of the converter")

    monkeypatch.setattr(
        tf2onnx.optimizer.ConstFoldOptimizer, "_optimize", failing
    )

    assert onnx_file.write(make_job()).exists()


def test_what_other_formats_share_changes_no_byte(make_job, tmp_path):
    pytest.importorskip("ai_edge_litert")
    from tf_finetune.exports import litert_formats

    job = make_job()
    alone = onnx_file.write(job).read_bytes()
    fresh = dataclasses.replace(job, destination=tmp_path / "again", shared={})
    first = litert_formats.write(fresh).read_bytes()

    assert onnx_file.write(fresh).read_bytes() == alone
    assert litert_formats.write(fresh).read_bytes() == first


def test_a_failed_proof_leaves_no_file(make_job, tmp_path):
    with pytest.raises(errors.RunError, match="differs from the evaluation"):
        onnx_file.write(make_job(spoil=1e-3))

    assert list((tmp_path / "export").iterdir()) == []


_NETWORK = """
import pathlib, sys
import keras
import numpy as np
from tf_finetune.data.images import decoding
from tf_finetune.exports import job as jobs
from tf_finetune.exports import onnx_file

def pixels(path):
    image = decoding.load_file(path, picture_options.Square(32))
    return np.asarray(image)[None]

keras.utils.set_random_seed(0)
images = keras.Input([32, 32, 3])
x = images
for _ in range(3):
    x = keras.layers.ReLU(6.0)(keras.layers.Conv2D(4, 3, padding="same")(x))
    x = keras.layers.BatchNormalization()(x)
x = keras.layers.Dense(2, "softmax")(keras.layers.GlobalMaxPooling2D()(x))
model = keras.Model(images, x)
proof = jobs.ParityReference(
    paths=(sys.argv[1],), predictions=model.predict(pixels(sys.argv[1]))
)
onnx_file.write(
    jobs.ExportJob(
        task="classification",
        model=model,
        class_names=("a", "b"),
        image_size=32,
        resize="squash",
        destination=pathlib.Path(sys.argv[2]),
        proof=proof,
    )
)
"""


def test_files_of_two_processes_are_equal(tmp_path, pictures):
    # Names that come from Python's hashes differ from process to process.
    written = []
    for seed in ("1", "2"):
        path = tmp_path / f"{seed}.onnx"
        subprocess.run(
            [sys.executable, "-c", _NETWORK, pictures[0], path],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        )
        written.append(path.read_bytes())
    assert written[0] == written[1]


def test_a_network_that_the_converter_does_not_know_is_refused(
    keras, make_job, tmp_path
):
    images = keras.Input([32, 32, 3])
    x = keras.layers.GlobalAveragePooling2D()(images)
    x = keras.layers.Dense(3, "sigmoid")(x)
    model = keras.Model(images, keras.ops.erfinv(x * 0.9))

    with pytest.raises(errors.RunError, match="ONNX: .* operations Erfinv"):
        onnx_file.write(make_job(model=model))

    assert list((tmp_path / "export").iterdir()) == []


pytest.importorskip("tf2onnx")


tf = pytest.importorskip("tensorflow")


def test_erfc_is_computed_without_erfc():
    with tf.Graph().as_default() as graph:
        numbers = tf.compat.v1.placeholder(tf.float32, [None], name="numbers")
        tf.math.erfc(numbers, name="complement")
    translated = onnx_file.translate_graph(graph.as_graph_def())

    assert "Erfc" not in {node.op for node in translated.node}
    given = np.linspace(-4, 4, 33, dtype="float32")
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(translated, name="")
        with tf.compat.v1.Session(graph=graph) as session:
            got = session.run("complement:0", {"numbers:0": given})
    expected = [math.erfc(number) for number in given]
    np.testing.assert_allclose(got, expected, atol=2e-7)


def _grouped(keras):
    return keras.layers.Conv2D(6, 3, groups=3, activation="gelu")


def _convnext(keras):
    """The family's network with a block in each of its stages."""
    from keras.src.applications import convnext

    return convnext.ConvNeXt(
        depths=(1, 1, 1, 1),
        projection_dims=(4, 8, 12, 16),
        # By default what is tested here counts a millionth.
        layer_scale_init_value=1.0,
        include_top=False,
        weights=None,
        input_shape=(32, 32, 3),
        name="convnext",
    )


@pytest.mark.parametrize("made", [_grouped, _convnext])
def test_convolutions_in_groups_and_exact_gelu_are_held(keras, make_job, made):
    keras.utils.set_random_seed(0)
    images = keras.Input([32, 32, 3])
    x = made(keras)(keras.layers.Rescaling(1 / 64, -2)(images))
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(images, keras.layers.Dense(3, "softmax")(x))
    job = make_job(model=model)

    path = onnx_file.write(job)

    session = onnxruntime.InferenceSession(str(path))
    pixels = np.random.default_rng(0).uniform(0, 255, (3, 32, 32, 3))
    pixels = pixels.astype("float32")
    (got,) = session.run(None, {"images": pixels})
    expected = model.predict_on_batch(pixels)
    assert np.ptp(expected, axis=0).max() > 1e-3
    np.testing.assert_allclose(got, expected, atol=1e-5)
