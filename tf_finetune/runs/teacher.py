"""A teacher in memory: compiled from pictures to logits."""

import dataclasses
import hashlib
import pathlib

import keras
import numpy as np
import tensorflow as tf

from tf_finetune import errors, files
from tf_finetune.config import picture_options, train_config
from tf_finetune.feature_cache import fill
from tf_finetune.model import freeze_boundary, inference
from tf_finetune.runs.finished import finished_run, model_file
from tf_finetune.semi_supervised import teacher_source
from tf_finetune.tasks import contracts

_SIGNATURE = "serve_array"
_HEAD_LAYER = "logits"
# Probabilities of 0 have no logarithm, nor 1 minus those rounded to 1.
_LEAST = float(np.finfo("float32").tiny)
_LEAST_REST = 2.0**-25


@dataclasses.dataclass(frozen=True, kw_only=True)
class Teacher:
    """A trained model that answers for pictures.

    Attributes:
        source: The model on disk.
        order: Index of each class of the student among its outputs.
        compute_logits: Function of [batch, size, size, 3] RGB 0..255 to one
            tensor of logits [batch, outputs], in the teacher's order.
        features: Model from pictures to the inputs [batch, width] of its last
            layer; None where that is not a dense layer.
        square: What its pictures are decoded into.
        key: Hash of its network, weights and preprocessing, 32 hexadecimal
            digits: its fingerprint, and the key of its cached logits.
        learned: SHA-256 of the pictures it is known to be trained on.
        is_probe: Whether its head was solved on frozen features.
    """

    source: teacher_source.TeacherSource
    order: tuple[int, ...]
    compute_logits: fill.Network
    features: keras.Model | None
    square: picture_options.Square
    key: str
    learned: frozenset[str]
    is_probe: bool


def load_teacher(
    config: train_config.TrainConfig,
    network: contracts.Network,
    names: tuple[str, ...],
    *,
    image_size: int,
) -> Teacher:
    """Loads the teacher that `--teacher` names.

    Args:
        config: The student's config. A model that does not tell how pictures
            become square gets them as the student does.
        network: Network part of the student's task.
        names: Classes of the student.
        image_size: Side of the student's input, for a teacher of any size.

    Raises:
        UsageError: It is no model of these classes.
        RunError: Its files cannot be read or would not be safe to read.
    """
    source = teacher_source.read_source(
        config.unlabeled.teacher, config.model.task
    )
    order = teacher_source.match_classes(source, names)
    if source.kind == "saved_model":
        return _load_saved_model(source, order, config, network)
    preprocessing = config.model
    if source.kind == "workdir":
        found = finished_run.load_finished(str(source.path))
        model, preprocessing = found.model, found.config.model
    else:
        model = model_file.load_model(source.path, within=source.path.parent)
    size = _find_size(source, model.input_shape, len(order), image_size)
    square = preprocessing.make_square(size)
    logits = network.find_logits(model)
    whole = keras.Model(model.inputs[0], logits)
    step = inference.compile_step(whole)
    return Teacher(
        source=source,
        order=order,
        compute_logits=lambda images: [inference.apply_step(step, images)],
        features=_find_features(model, len(order)),
        square=square,
        key=freeze_boundary.hash_network(whole, square),
        learned=source.read_learned(),
        is_probe=source.is_probe(),
    )


def hash_features(teacher: Teacher) -> str:
    """Hashes the network of a teacher's features: the key of cached ones."""
    return freeze_boundary.hash_network(teacher.features, teacher.square)


def _find_size(
    source: teacher_source.TeacherSource,
    shape: tuple,
    outputs: int,
    image_size: int,
) -> int:
    """Returns the side of a teacher's input; checks that it takes pictures."""
    if (
        not (isinstance(shape, tuple) and len(shape) == 4 and shape[-1] == 3)
        or shape[1] != shape[2]
    ):
        raise errors.RunError(
            f"{source.path} does not take square pictures of three channels, "
            f"but {shape}; it cannot be the teacher of {outputs} classes."
        )
    return shape[1] or image_size


def _find_features(model: keras.Model, outputs: int) -> keras.Model | None:
    """Builds the model of the last dense layer's inputs, if that is linear."""
    heads = [e for e in model.layers if e.name == _HEAD_LAYER]
    if len(heads) != 1 or not isinstance(heads[0], keras.layers.Dense):
        return None
    if heads[0].units != outputs or len(heads[0].input.shape) != 2:
        return None
    return keras.Model(model.inputs[0], heads[0].input)


def _load_saved_model(
    source: teacher_source.TeacherSource,
    order: tuple[int, ...],
    config: train_config.TrainConfig,
    network: contracts.Network,
) -> Teacher:
    """Loads an exported SavedModel, which is a program of the user's own."""
    try:
        loaded = tf.saved_model.load(str(source.path))
        taken = loaded.signatures[_SIGNATURE].structured_input_signature[1]
        ((name, images),) = taken.items()
    except (OSError, ValueError, LookupError, tf.errors.OpError) as error:
        raise errors.RunError(
            f"{source.path} is no SavedModel of pictures that this package "
            f"exported: {error}"
        ) from error
    size = _find_size(source, tuple(images.shape), len(order), 0)
    key = _hash_folder(source.path, size, config)

    def compute(pictures: tf.Tensor) -> list[tf.Tensor]:
        # Variables live as long as `loaded` does.
        found = loaded.signatures[_SIGNATURE](**{name: pictures})
        return [_invert(found["probabilities"], network.activation)]

    return Teacher(
        source=source,
        order=order,
        compute_logits=compute,
        features=None,
        square=config.model.make_square(size),
        key=key,
        learned=frozenset(),
        is_probe=False,
    )


def _invert(probabilities: tf.Tensor, activation: str) -> tf.Tensor:
    """Returns logits of probabilities; of a softmax up to a constant each."""
    log = tf.math.log(tf.maximum(probabilities, _LEAST))
    if activation == "softmax":
        return log
    return log - tf.math.log(tf.maximum(1.0 - probabilities, _LEAST_REST))


def _hash_folder(
    folder: pathlib.Path, size: int, config: train_config.TrainConfig
) -> str:
    """Hashes the files of a SavedModel and how pictures reach it."""
    digest = hashlib.sha256(
        f"{size} {config.model.resize} {config.model.pixels.key}".encode()
    )
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name} {files.sha256(path)}\n".encode())
    return digest.hexdigest()[:32]
