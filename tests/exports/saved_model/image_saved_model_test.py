"""The SavedModel, loaded the way a server loads it."""

import dataclasses
import os
import pathlib

import numpy as np
import pytest
from scipy import special

from tf_finetune import errors, files
from tf_finetune.config import picture_options
from tf_finetune.exports import pending_exports
from tf_finetune.exports.parity import fresh_process, parity_check
from tf_finetune.exports.saved_model import image_saved_model, signature_checks


def _contents(pictures):
    return [pathlib.Path(path).read_bytes() for path in pictures]


@pytest.fixture(scope="module")
def exported(tmp_path_factory, build_job):
    """A version, and the job it was made of."""
    job = build_job(destination=tmp_path_factory.mktemp("exports") / "export")
    return image_saved_model.write(job), job


@pytest.fixture(scope="module")
def asked(exported, pictures):
    """Inputs of each signature, good ones and bad ones."""
    pytest.importorskip("tensorflow")
    contents = _contents(pictures)
    images = np.random.default_rng(0).uniform(0, 255, (3, 24, 24, 3))
    return {
        "serving_default/image_bytes": fresh_process.make_string_array(
            [*contents, b"", b"no picture", contents[0][:200]]
        ),
        "serve_array/images": images.astype("float32"),
        "embed/image_bytes": fresh_process.make_string_array(
            [contents[1], b"bad"]
        ),
        "classify/inputs": fresh_process.make_string_array(
            [_example(name, contents[0]) for name in ("image_bytes", "another")]
        ),
    }


def _example(name, contents):
    import tensorflow as tf

    value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[contents]))
    features = tf.train.Features(feature={name: value})
    return tf.train.Example(features=features).SerializeToString()


@pytest.fixture(scope="module")
def answer(exported, asked):
    """What a process without this package answers, by signature."""
    version, _ = exported
    return fresh_process.run_script(
        fresh_process.RUNTIMES / "saved_model.py", version, asked
    )


def test_a_fresh_process_without_this_package_serves_encoded_pictures(
    exported, answer
):
    _, job = exported

    begin = "serving_default/"
    got = {
        key.removeprefix(begin): each
        for key, each in answer.items()
        if key.startswith(begin)
    }
    expected = job.proof.predictions
    assert set(got) == {
        "classes", "probabilities", "top_k_classes", "top_k_probabilities",
        "error",
    }  # fmt: skip
    assert got["probabilities"].dtype == np.float32
    np.testing.assert_allclose(got["probabilities"][:5], expected, atol=1e-5)
    order = np.argsort(-expected, axis=1)
    names = np.array([each.encode() for each in job.class_names], object)
    assert got["classes"][:5].tolist() == names[order[:, 0]].tolist()
    assert got["top_k_classes"][:5].tolist() == names[order].tolist()
    np.testing.assert_allclose(
        got["top_k_probabilities"][:5], -np.sort(-expected), atol=1e-5
    )
    assert [bool(each) for each in got["error"]] == [False] * 5 + [True] * 3
    assert got["classes"][5:].tolist() == [b""] * 3
    assert not got["probabilities"][5:].any()


def test_pixels_are_served_as_the_model_answers(exported, asked, answer):
    _, job = exported

    np.testing.assert_allclose(
        answer["serve_array/probabilities"],
        job.model.predict_on_batch(asked["serve_array/images"]),
        atol=1e-5,
    )
    assert "serve_array/error" not in answer


def test_pooled_features_are_served(exported, asked, answer, keras):
    _, job = exported

    pooled = job.model.get_layer(index=-4)
    assert isinstance(pooled, keras.layers.GlobalAveragePooling2D)
    extractor = keras.Model(job.model.inputs, pooled.output)
    good = asked["embed/image_bytes"][0]
    expected = extractor.predict_on_batch(
        parity_check.decode_images([good], job)
    )
    got = answer["embed/features"]
    np.testing.assert_allclose(got[:1], expected, rtol=1e-4, atol=1e-5)
    assert not got[1].any()
    assert [bool(each) for each in answer["embed/error"]] == [False, True]


def test_classify_takes_examples_and_is_called_so(exported, answer):
    from tf_finetune.exports.saved_model import image_signatures

    version, job = exported
    own = {key for key in answer if key.startswith("classify/")}
    assert own == {"classify/classes", "classify/scores"}
    names = [each.encode() for each in job.class_names]
    assert answer["classify/classes"].tolist() == [names, [b""] * 3]
    np.testing.assert_allclose(
        answer["classify/scores"][0], job.proof.predictions[0], atol=1e-5
    )
    assert image_signatures.read_methods(version) == {
        "serving_default": "tensorflow/serving/predict",
        "serve_array": "tensorflow/serving/predict",
        "embed": "tensorflow/serving/predict",
        "classify": "tensorflow/serving/classify",
    }


def test_a_server_finds_its_settings_beside_the_versions(exported):
    version, _ = exported

    assert (version / "assets.extra/tf_serving_warmup_requests").stat().st_size
    config = (version.parent / "model.config").read_text()
    assert 'name: "model"' in config
    assert (
        "max_batch_size {"
        in (version.parent / "batching_parameters.txt").read_text()
    )


def test_batch_norm_is_folded_and_counted(exported):
    version, _ = exported

    figures = files.read_json(version.parent / "parity.json")["1"]
    assert figures["batch_norms_folded"] == 1


_EXPORT = """
import sys
import keras, numpy as np, pathlib
from tf_finetune.exports.saved_model import (
    image_saved_model,
    signature_checks,
)
from tf_finetune.exports import job as jobs
model = keras.saving.load_model(sys.argv[1], compile=False)
proof = jobs.ParityReference(
    paths=tuple(sys.argv[3:]),
    predictions=np.load(sys.argv[2] + ".npy"),
)
# Computing with what is written changes nothing of it.
signature_checks.check_signatures = lambda *_, **__: {}
image_saved_model.write(jobs.ExportJob(
    task="classification",
    model=model, class_names=("ants", "bees", "wasps"), image_size=24,
    resize="squash", destination=pathlib.Path(sys.argv[2]), proof=proof,
))
"""


def test_the_same_command_writes_the_same_bytes(
    exported, pictures, tmp_path, start
):
    _, job = exported
    job.model.save(tmp_path / "model.keras")
    for name in ("a", "b"):
        np.save(tmp_path / f"{name}.npy", job.proof.predictions)
        done = start(
            ["-c", _EXPORT, tmp_path / "model.keras", tmp_path / name]
            + [*pictures],
            tmp_path,
        ).wait(timeout=300)
        assert done.returncode == 0, done.stderr

    first, second = (_files(tmp_path / name / "1") for name in ("a", "b"))
    # How many requests warm a server up depends on what was measured.
    for each in (first, second):
        each.pop("assets.extra/tf_serving_warmup_requests")
    assert first == second
    assert set(first) >= {
        "saved_model.pb",
        "assets/labels.txt",
        "variables/variables.index",
        "variables/variables.data-00000-of-00001",
    }


def _files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def unchecked(monkeypatch):
    """No other process computes: what is exported is no subject of a test."""
    monkeypatch.setattr(
        signature_checks, "check_signatures", lambda *_, **__: {}
    )


def test_versions_count_up_from_the_greatest(make_job, tmp_path, unchecked):
    (tmp_path / "export" / "7").mkdir(parents=True)
    (tmp_path / "export" / "notes").mkdir()

    assert image_saved_model.write(make_job()) == tmp_path / "export" / "8"


def test_labels_lie_among_the_assets_in_the_order_of_the_outputs(exported):
    version, _ = exported

    labels = (version / "assets" / "labels.txt").read_text()
    assert labels == "ants\nbees\nwasps\n"


def test_parity_of_every_signature_is_recorded_beside_the_version(exported):
    version, _ = exported

    figures = files.read_json(version.parent / "parity.json")["1"]
    assert figures["pictures"] == 5
    assert figures["embed"]["max_abs_difference"] <= 1e-4
    for signature in ("serving_default", "serve_array", "classify"):
        assert figures[signature]["max_abs_difference"] <= 1e-5
        assert figures[signature]["top_1_agreement"] == 1.0


def test_an_export_that_computes_something_else_leaves_nothing(
    make_job, tmp_path
):
    with pytest.raises(errors.RunError, match="differs from the evaluation"):
        image_saved_model.write(make_job(spoil=1e-3))

    assert list((tmp_path / "export").iterdir()) == []


@pytest.fixture
def prove(make_job, monkeypatch):
    """A function that proves answers as if an export had given them."""
    tf = pytest.importorskip("tensorflow")
    from tf_finetune.tasks import catalog as tasks

    def call(said, *, change=lambda answer: answer, **changes):
        """Checks the decision `said` about the right predictions."""
        job = dataclasses.replace(make_job(), **changes)
        served = (
            tasks.TASKS.get(job.task)
            .with_decision(said)
            .network.serve(tf.constant(job.proof.predictions), job.class_names)
        )
        answer = change({name: each.numpy() for name, each in served.items()})
        answers = {
            f"{way}/{name}": each
            for way in ("serving_default", "serve_array")
            for name, each in answer.items()
        }
        monkeypatch.setattr(
            signature_checks,
            "call_signatures",
            lambda *_, **__: answers,
        )
        inputs = {
            "image_bytes": fresh_process.make_string_array(
                _contents(job.proof.paths)
            )
        }
        return signature_checks.check_signatures(
            "folder", "1", inputs, job, variables=0
        )

    return call


def _without_labels(answer):
    return {**answer, "labels": np.full_like(answer["labels"], b"bees")}


def test_what_does_not_follow_from_the_predictions_is_refused(prove):
    right = {"thresholds": {"ants": 0.0, "bees": 2.0, "wasps": 0.0}}
    turned = {"thresholds": {"ants": 2.0, "bees": 0.0, "wasps": 0.0}}
    changes = {"task": "multilabel", "decision": right}

    assert prove(right, **changes)["pictures"] == 5
    for said, change in ((turned, dict), (right, _without_labels)):
        with pytest.raises(errors.RunError, match="labels that do not"):
            prove(said, change=change, **changes)


def test_scores_of_strangeness_are_compared_with_the_logits(
    prove, make_job, tiny_model, keras
):
    from tf_finetune.tasks import probability_network

    logits = tiny_model.layers[-2].output
    softmax = probability_network.ProbabilityNetwork()
    ended = keras.Model(tiny_model.inputs, softmax.predictions(logits))
    job = make_job()
    images = parity_check.decode_images(_contents(job.proof.paths), job)
    values = keras.Model(tiny_model.inputs, logits).predict_on_batch(images)
    expected = -special.logsumexp(values, axis=1)

    def proven(by):
        return prove(
            {},
            change=lambda answer: {**answer, "ood_score": expected + by},
            model=ended,
            out_of_distribution=True,
        )

    assert proven(0)["ood_score"]["max_abs_difference"] < 1e-4
    with pytest.raises(errors.RunError, match=r"\(ood_score\) differs"):
        proven(0.1)


class _Killed(BaseException):
    pass


def _die(*_, **__):
    raise _Killed


_BESIDE = ["batching_parameters.txt", "model.config", "parity.json"]


@pytest.mark.parametrize("late", [False, True])
def test_a_killed_export_leaves_no_version_and_is_swept_up_later(
    make_job, tmp_path, monkeypatch, unchecked, late
):
    folder = tmp_path / "export"
    with monkeypatch.context() as patch:
        if late:
            patch.setattr(pending_exports.os, "rename", _die)
        else:
            patch.setattr(signature_checks, "check_signatures", _die)
        # What kill -9 leaves: nobody clears up.
        patch.setattr(pending_exports.shutil, "rmtree", lambda *_, **__: 0)
        with pytest.raises(_Killed):
            image_saved_model.write(make_job())
    left = sorted(path.name for path in folder.iterdir())
    assert left[0].startswith(".tmp-")
    # All that belongs to a version is there before the version is.
    assert left[1:] == (_BESIDE if late else [])

    assert image_saved_model.write(make_job()) == folder / "1"
    assert sorted(p.name for p in folder.iterdir()) == ["1", *_BESIDE]


def test_dropout_is_off_and_answers_repeat(exported, pictures):
    tf = pytest.importorskip("tensorflow")
    version, _ = exported
    serve = tf.saved_model.load(str(version)).signatures["serving_default"]
    contents = tf.constant([pathlib.Path(pictures[0]).read_bytes()] * 3)

    first, second = (
        serve(image_bytes=contents)["probabilities"].numpy() for _ in range(2)
    )

    np.testing.assert_array_equal(first, second)


def test_class_names_that_are_no_utf8_survive(make_job):
    name = os.fsdecode(b"caf\xe9")
    job = dataclasses.replace(make_job(), class_names=("ants", "bees", name))
    version = image_saved_model.write(job)

    labels = (version / "assets" / "labels.txt").read_bytes()
    assert labels == b"ants\nbees\ncaf\xe9\n"


@pytest.mark.slow
def test_a_nested_mobilenet_is_exported_exactly(keras, pictures, tmp_path):
    from tf_finetune.data.images import decoding
    from tf_finetune.exports import job as jobs

    backbone = keras.applications.MobileNet(
        input_shape=(64, 64, 3), alpha=0.25, weights=None, include_top=False
    )
    images = keras.Input([64, 64, 3])
    x = keras.layers.Rescaling(1 / 127.5, -1)(images)
    x = keras.layers.GlobalAveragePooling2D()(backbone(x))
    model = keras.Model(images, keras.layers.Dense(4, "softmax")(x))
    squares = [
        decoding.load_file(path, picture_options.Square(64, "crop"))
        for path in pictures
    ]
    proof = jobs.ParityReference(
        paths=pictures, predictions=model.predict(np.stack(squares))
    )
    job = jobs.ExportJob(
        task="classification",
        model=model,
        class_names=("a", "b", "c", "d"),
        image_size=64,
        resize="crop",
        destination=tmp_path,
        proof=proof,
    )

    assert image_saved_model.write(job) == tmp_path / "1"
