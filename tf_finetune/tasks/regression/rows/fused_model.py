"""Keras model of table rows: several pictures and columns → targets."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from tf_finetune.tasks.regression import network, target_transforms
from tf_finetune.tasks.regression.rows import (
    column_features,
    fusion_parts,
    stacking,
)

IMAGES, NUMBERS, WORDS = "images", "numbers", "words"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowShape:
    """Input sizes of a fused model.

    Attributes:
        pictures: Number of pictures per row.
        numbers: Number of numeric columns.
        words: Number of categorical columns.
    """

    pictures: int
    numbers: int
    words: int


def build_model(
    extractor: keras.Model,
    solved: fusion_parts.FusionParts,
    stack: stacking.Stack,
    transform: target_transforms.Transform,
    shape: RowShape,
) -> keras.Model:
    """Joins a network and the solved parts to one plain Keras model.

    Args:
        extractor: A picture → features [batch, width]; becomes a part of
            the model.
        solved: The parts.
        stack: The weight of each.
        transform: From standardized targets to the user's units.
        shape: Of a row's inputs.

    Returns:
        A model of the inputs `images` float32 [batch, pictures, size, size,
        3], RGB 0..255; where there are any, `numbers` float32 [batch,
        numbers], NaN where one is missing, and `words` string [batch,
        words]; → targets [batch, targets].
    """
    images = keras.Input(
        [shape.pictures, *extractor.input_shape[1:]], name=IMAGES
    )
    inputs = {IMAGES: images, **_build_column_inputs(shape)}
    # All pictures' parts are linear in the features: one dense layer for all.
    kernel, bias = solved.kernel(stack)
    logits = _add_dense(
        _join_features(extractor, images),
        kernel,
        bias + stack.bias,
        "pictures_part",
    )
    if solved.columns:
        weight = stack.weights[stack.parts.index(fusion_parts.COLUMNS)]
        beside = _add_columns(solved.columns, weight, inputs)
        logits = keras.layers.Add(name="sum_of_parts", dtype="float32")(
            [logits, beside]
        )
    values = network.add_output_layers(logits, transform)
    return keras.Model(inputs, values, name="fused")


def build_from_network(
    trainer: keras.Model,
    transform: target_transforms.Transform,
    shape: RowShape,
) -> keras.Model:
    """Builds a model that averages a network's logits over a row's pictures.

    Args:
        trainer: A picture → standardized targets; becomes a part of the
            model.
        transform: From standardized targets to the user's units.
        shape: Of a row's inputs; columns are accepted and ignored.
    """
    images = keras.Input(
        [shape.pictures, *trainer.input_shape[1:]], name=IMAGES
    )
    each = _apply_to_pictures(trainer, images)
    logits = keras.ops.mean(each, axis=1)
    inputs = {IMAGES: images, **_build_column_inputs(shape)}
    return keras.Model(
        inputs, network.add_output_layers(logits, transform), name="fused"
    )


def _build_column_inputs(shape: RowShape) -> dict[str, keras.KerasTensor]:
    found = {}
    if shape.numbers:
        found[NUMBERS] = keras.Input([shape.numbers], name=NUMBERS)
    if shape.words:
        found[WORDS] = keras.Input([shape.words], name=WORDS, dtype="string")
    return found


def _apply_to_pictures(
    model: keras.Model, images: keras.KerasTensor
) -> keras.KerasTensor:
    """Applies a model to each picture; [batch, pictures, outputs]."""
    # Pictures become the batch, so that any model of one picture works.
    count, *shape = images.shape[1:]
    single = keras.ops.reshape(images, [-1, *shape])
    answers = model(single, training=False)
    return keras.ops.reshape(answers, [-1, count, answers.shape[-1]])


def _join_features(
    extractor: keras.Model, images: keras.KerasTensor
) -> keras.KerasTensor:
    return keras.layers.Flatten(name="joined_features")(
        _apply_to_pictures(extractor, images)
    )


def _add_columns(
    solution: column_features.ColumnsSolution,
    weight: np.ndarray,
    inputs: dict[str, keras.KerasTensor],
) -> keras.KerasTensor:
    """Adds the columns' share of the logits, [batch, targets]."""
    encoding, kernel = solution.encoding, solution.ridge.kernel * weight
    count = len(encoding.median)
    features, rows = [], []
    if count:
        values = _encode_numbers(encoding, inputs[NUMBERS])
        left, right = encoding.pairs
        features.append(values)
        rows.append(kernel[: count + len(left)])
        if len(left):
            features.append(
                keras.ops.multiply(
                    keras.ops.take(values, left, axis=1),
                    keras.ops.take(values, right, axis=1),
                )
            )
    start = count + len(encoding.pairs[0])
    for place, seen in enumerate(encoding.words):
        features.append(_encode_word(inputs[WORDS], place, seen))
        mine = kernel[start : start + len(seen)] * encoding.word_weight
        # A zero row for StringLookup's first place: words not seen in training.
        rows += [np.zeros([1, kernel.shape[1]]), mine]
        start += len(seen)
    joined = features[0]
    if len(features) > 1:
        joined = keras.layers.Concatenate(name="columns", dtype="float32")(
            features
        )
    bias = solution.ridge.bias * weight
    return _add_dense(joined, np.concatenate(rows), bias, "columns_part")


def _encode_numbers(
    encoding: column_features.ColumnEncoding, numbers: keras.KerasTensor
) -> keras.KerasTensor:
    """Encodes numbers in the graph as `ColumnEncoding` does in NumPy."""
    ops = keras.ops
    known = ops.where(ops.isnan(numbers), _as_float32(encoding.median), numbers)
    bounded = ops.minimum(
        ops.maximum(known, _as_float32(encoding.low)),
        _as_float32(encoding.high),
    )
    logged = encoding.logged.astype("float64")
    # log(1) = 0 where no logarithm is taken.
    logarithms = ops.log(
        ops.add(
            ops.multiply(bounded, _as_float32(logged)), _as_float32(1 - logged)
        )
    )
    plain = ops.multiply(bounded, _as_float32(1 - logged))
    # Subtract the mean first: for a date of eight digits, x · scale + offset
    # would lose all digits in float32.
    centered = ops.subtract(
        ops.add(logarithms, plain), _as_float32(encoding.mean)
    )
    return ops.multiply(centered, _as_float32(1 / encoding.deviation))


def _encode_word(
    words: keras.KerasTensor, place: int, seen: Sequence[str]
) -> keras.KerasTensor:
    """One-hot encodes words, [batch, 1 + seen]; the first: not seen."""
    lookup = keras.layers.StringLookup(
        vocabulary=list(seen), output_mode="one_hot", name=f"word_{place}"
    )
    return lookup(words[:, place : place + 1])


def _as_float32(values: np.ndarray) -> np.ndarray:
    # Keras saves NumPy arrays in a model's file, but not lists.
    return np.asarray(values, "float32")


def _add_dense(
    inputs: keras.KerasTensor, kernel: np.ndarray, bias: np.ndarray, name: str
) -> keras.KerasTensor:
    layer = keras.layers.Dense(kernel.shape[1], dtype="float32", name=name)
    outputs = layer(inputs)
    layer.set_weights([kernel.astype("float32"), bias.astype("float32")])
    return outputs
