"""A tiny model and real encoded pictures with known answers."""

import io
import pathlib

import numpy as np
import pytest
from PIL import Image

SIZE = 24
CLASS_NAMES = ("ants", "bees", "wasps")


@pytest.fixture(scope="session")
def keras():
    """Keras, imported only by tests that need it."""
    return pytest.importorskip("keras")


@pytest.fixture(scope="session")
def tiny_model(keras):
    """A conv net with preprocessing and batch norm, 24 pixels, 3 classes."""
    return _model(keras)


@pytest.fixture(scope="session")
def mixed_model(keras):
    """The same in mixed precision."""
    return _model(keras, dtype="mixed_float16")


def _model(keras, dtype="float32"):
    """Returns a functional model with random weights that matter."""
    keras.utils.set_random_seed(0)
    layers = keras.layers
    images = keras.Input([SIZE, SIZE, 3], name="images")
    x = layers.Rescaling(1 / 127.5, -1, dtype=dtype)(images)
    x = layers.Conv2D(8, 3, strides=2, dtype=dtype)(x)
    x = layers.BatchNormalization(dtype=dtype)(x)
    x = layers.ReLU(dtype=dtype)(x)
    x = layers.GlobalAveragePooling2D(dtype=dtype)(x)
    x = layers.Dropout(0.5, dtype=dtype)(x)
    logits = layers.Dense(3, dtype=dtype)(x)
    outputs = layers.Activation("softmax", dtype="float32")(logits)
    model = keras.Model(images, outputs)
    generator = np.random.default_rng(0)
    model.set_weights(
        [
            np.abs(generator.normal(size=w.shape)) + 0.1
            if "variance" in w.path
            else generator.normal(size=w.shape)
            for w in model.weights
        ]
    )
    return model


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> tuple[str, ...]:
    """Five files: JPEG, PNG and WebP of different shapes."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(1)
    paths = []
    for i, (suffix, shape) in enumerate(
        [("jpg", (40, 30)), ("png", (24, 24)), ("webp", (31, 50))]
        + [("jpg", (64, 48)), ("png", (17, 80))]
    ):
        coarse = generator.integers(0, 256, (4, 4, 3), dtype="uint8")
        picture = Image.fromarray(coarse).resize(shape)
        path = folder / f"{i}.{suffix}"
        path.write_bytes(_encoded(picture, suffix))
        paths.append(str(path))
    return tuple(paths)


def _encoded(picture: Image.Image, suffix: str) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "jpeg" if suffix == "jpg" else suffix)
    return stream.getvalue()


@pytest.fixture(scope="session")
def build_job(tiny_model, pictures):
    """A function that builds a job; by default its proof is right."""
    from tf_finetune.exports import job as jobs

    def build(*, destination, model=tiny_model, spoil=0.0):
        proof = jobs.ParityReference(
            paths=pictures,
            predictions=_expected(model, pictures) + spoil,
            batch_size=2,
        )
        return jobs.ExportJob(
            task="classification",
            model=model,
            class_names=CLASS_NAMES[: model.output_shape[-1]],
            image_size=model.input_shape[1],
            resize="squash",
            destination=pathlib.Path(destination),
            proof=proof,
            measuring_seconds=0.2,
        )

    return build


@pytest.fixture
def make_job(build_job, tmp_path):
    """The same with a destination of the test's own."""

    def make(*, destination=tmp_path / "export", **changes):
        return build_job(destination=destination, **changes)

    return make


def _expected(model, paths) -> np.ndarray:
    """Returns what the model says of the decoded files, all in one batch."""
    from tf_finetune.config import picture_options
    from tf_finetune.data.images import decoding

    square = picture_options.Square(model.input_shape[1])
    images = [np.asarray(decoding.load_file(path, square)) for path in paths]
    return model.predict_on_batch(np.stack(images))
