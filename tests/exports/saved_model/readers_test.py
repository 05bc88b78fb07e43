"""A SavedModel as its other readers see it: converters, Keras, the CLI."""

import numpy as np
import pytest

tf = pytest.importorskip("tensorflow")
keras = pytest.importorskip("keras")

from tensorflow.python.framework import convert_to_constants  # noqa: E402
from tensorflow.python.tools import saved_model_cli  # noqa: E402

from tf_finetune import errors  # noqa: E402
from tf_finetune.exports.saved_model import (  # noqa: E402
    image_saved_model,
    image_signatures,
    signature_checks,
)

pytestmark = pytest.mark.slow

_WITH_STRINGS = ("serving_default", "embed", "classify")


@pytest.fixture(scope="module")
def exported(tmp_path_factory, build_job):
    """A version's folder, pictures and what the model says of them."""
    job = build_job(destination=tmp_path_factory.mktemp("exports") / "export")
    images = np.random.default_rng(0).uniform(0, 255, [2, 24, 24, 3])
    images = images.astype("float32")
    with pytest.MonkeyPatch.context() as patch:
        # What readers find is compared here, not in a process of its own.
        patch.setattr(signature_checks, "check_signatures", lambda *_, **__: {})
        written = str(image_saved_model.write(job))
    return written, images, job.model.predict_on_batch(images)


def _of_litert(content, images, output):
    interpreter = tf.lite.Interpreter(model_content=content)
    return interpreter.get_signature_runner()(images=images)[output]


def test_the_converter_gives_the_numbers_of_the_evaluation(exported):
    folder, images, expected = exported
    converter = tf.lite.TFLiteConverter.from_saved_model(
        folder, signature_keys=["serve_array"]
    )
    got = _of_litert(converter.convert(), images, "probabilities")
    np.testing.assert_allclose(got, expected, atol=1e-4)


def test_a_concrete_function_converts_to_the_same(exported):
    folder, images, expected = exported
    loaded = tf.saved_model.load(folder)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [loaded.signatures["serve_array"]], loaded
    )
    got = _of_litert(converter.convert(), images, "probabilities")
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize("keys", [None, ["serving_default"]])
def test_what_takes_encoded_pictures_is_refused_by_the_converter(
    exported, keys
):
    folder, _, _ = exported
    converter = tf.lite.TFLiteConverter.from_saved_model(
        folder, signature_keys=keys
    )
    with pytest.raises(Exception, match="Some ops are not supported"):
        converter.convert()


def test_whoever_loads_it_finds_its_variables(exported):
    folder, _, _ = exported
    loaded = tf.saved_model.load(folder)
    # A kernel and a bias of a convolution with batch norm in it, and of what
    # makes logits.
    shapes = [tuple(each.shape) for each in loaded.variables]
    assert shapes == [(3, 3, 3, 8), (8,), (8, 3), (3,)]
    assert len(loaded.trainable_variables) == 4
    assert not loaded.non_trainable_variables
    kept = {id(each) for each in loaded.variables}
    for signature in loaded.signatures.values():
        assert {id(each) for each in signature.variables} <= kept


def test_its_functions_freeze(exported):
    folder, images, expected = exported
    loaded = tf.saved_model.load(folder)
    frozen = convert_to_constants.convert_variables_to_constants_v2(
        loaded.signatures["serve_array"]
    )
    assert len(frozen.inputs) == 1
    (probabilities,) = [
        each
        for each in frozen(images=tf.constant(images))
        if each.shape == expected.shape and each.dtype == tf.float32
    ][:1]
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)


def test_keras_takes_it_as_a_layer(exported):
    folder, images, expected = exported
    layer = keras.layers.TFSMLayer(folder, call_endpoint="serve_array")
    assert len(layer.weights) == 4
    np.testing.assert_allclose(
        layer(images)["probabilities"], expected, atol=1e-5
    )


def _tell(*words):
    arguments = saved_model_cli.create_parser().parse_args(words)
    arguments.func()


def test_saved_model_cli_shows_and_runs_it(exported, tmp_path, capsys):
    folder, images, expected = exported
    _tell("show", "--dir", folder, "--all")
    shown = capsys.readouterr().out
    for name in ("serve_array", *_WITH_STRINGS):
        assert f"signature_def['{name}']" in shown
    np.save(tmp_path / "images.npy", images)
    _tell(
        "run", "--dir", folder, "--tag_set", "serve", "--signature_def",
        "serve_array", "--inputs", f"images={tmp_path / 'images.npy'}",
        "--outdir", str(tmp_path),
    )  # fmt: skip
    got = np.load(tmp_path / "probabilities.npy")
    np.testing.assert_allclose(got, expected, atol=1e-5)


def test_an_export_that_hides_its_variables_is_refused(
    make_job, tmp_path, monkeypatch
):
    track = image_signatures.TrackableModel.__init__

    def hide(self, model, assets):
        track(self, model, assets)
        # Keras' wrappers, under which a session does not find them.
        self.variables = list(model.weights)
        del self.trainable_variables, self.non_trainable_variables

    monkeypatch.setattr(image_signatures.TrackableModel, "__init__", hide)
    with pytest.raises(errors.RunError, match="saved_model.py ended"):
        image_saved_model.write(make_job())
    assert not list((tmp_path / "export").glob("[0-9]*"))
