"""Compiled inference of a model, on batches of any size."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.model import assembly, fast_batch_norm, freeze_boundary

Step = Callable[..., tf.Tensor]
"""A compiled forward pass: a batch of each input → the outputs."""

Batch = tf.Tensor | tuple[tf.Tensor, ...] | Mapping[str, tf.Tensor]
"""Values of a model's input, of several, or of several by name."""

# Rows per batch of `predict_rows`.
_ROWS = 4096


def compile_step(model: keras.Model) -> Step:
    """Compiles the forward pass of a model, in inference mode, for any batch.

    `Model.predict` compiles anew for the last batch, which is smaller.

    Args:
        model: Any inputs, one output or several.

    Returns:
        A function that takes one batch tensor per input, or for a model with a
        dict of inputs one dict of tensors. It reads the model's weights at each
        call.
    """
    # The batch axis stays open; everything else is fixed.
    shapes = [
        tf.TensorSpec([None, *each.shape[1:]], each.dtype)
        for each in model.inputs
    ]
    # A Sequential has one input; before its first call it knows no `input`.
    is_sequential = isinstance(model, keras.Sequential)
    if not is_sequential and isinstance(model.input, dict):
        names = [each.name for each in model.inputs]
        shapes = [dict(zip(names, shapes, strict=True))]
    compiled = tf.function(
        lambda *batch: model(
            batch[0] if len(batch) == 1 else list(batch), training=False
        ),
        autograph=False,
    )
    # Traced inside the block, in which batch norm is folded on CPUs.
    with fast_batch_norm.accelerate(model):
        return compiled.get_concrete_function(*shapes)


def predict(
    model: keras.Model,
    batches: Iterable[Batch],
) -> np.ndarray:
    """Computes a model's outputs for all batches in inference mode.

    Args:
        model: Any inputs, one output.
        batches: Batches of its input; tuples for several inputs, dicts for
            inputs by name.

    Returns:
        [n, …], the outputs of all batches in their order.
    """
    return predict_batches(compile_step(model), batches)


def predict_batches(compiled: Step, batches: Iterable[Batch]) -> np.ndarray:
    """Computes the outputs of a compiled forward pass for all batches.

    Args:
        compiled: Function of `compile_step`, of a model with one output.
        batches: At least one batch of the model's inputs: an array or tensor,
            a tuple of them, or a dict by name.

    Returns:
        [n, …], the outputs of all batches in their order.
    """
    return np.concatenate([*stream_predictions(compiled, batches)])


def stream_predictions(
    compiled: Step, batches: Iterable[Batch]
) -> Iterator[np.ndarray]:
    """Yields the output array of a compiled forward pass for each batch.

    Args:
        compiled: Function of `compile_step`, of a model with one output.
        batches: Batches of the model's inputs: an array or tensor, a tuple of
            them, or a dict by name.
    """
    for batch in batches:
        yield np.asarray(apply_step(compiled, batch))


def apply_step(compiled: Step, batch: Batch) -> tf.Tensor:
    """Applies a compiled forward pass to one batch.

    Args:
        compiled: Function of `compile_step`.
        batch: Array or tensor of one input; a tuple for several inputs, a dict
            for inputs by name.

    Returns:
        The model's outputs, in the structure that the model returns.
    """
    parts = batch if isinstance(batch, tuple) else (batch,)
    return compiled(*tf.nest.map_structure(tf.convert_to_tensor, parts))


def predict_rows(model: keras.Model, rows: np.ndarray) -> np.ndarray:
    """Computes a model's outputs for all rows of an array in memory.

    Args:
        model: One input, one output.
        rows: [n, …], at least one row.

    Returns:
        [n, …], computed in batches of 4096.
    """
    starts = range(0, len(rows), _ROWS)
    return predict(model, (rows[start : start + _ROWS] for start in starts))


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedOutputs:
    """Features and boundary activations of a batch of pictures.

    Attributes:
        features: [batch, width], the head's inputs, flattened.
        rows: [batch, width], activations at the freeze boundary, flattened;
            None if they were not asked for.
    """

    features: tf.Tensor
    rows: tf.Tensor | None

    @property
    def tensors(self) -> list[tf.Tensor]:
        """The tensors that were computed, `features` first."""
        return [each for each in (self.features, self.rows) if each is not None]


PretrainedStep = Callable[[tf.Tensor], PretrainedOutputs]


class CompiledNetworks:
    """Compiled forward passes of one model and of its parts.

    Each is compiled when it is first asked for, and reads the present weights
    at every call.

    Args:
        built: The model and its parts.
        cut: Its freeze boundary; None: it is not split.

    Attributes:
        boundary: The freeze boundary; None where nothing lies below it.
    """

    def __init__(
        self, built: assembly.Assembly, cut: freeze_boundary.Boundary | None
    ) -> None:
        """Takes the model; compiles nothing yet."""
        self.boundary = cut
        self._built = built
        self._model = built.model
        self._whole: dict[bool, PretrainedStep] = {}
        self._prefix: Callable[[tf.Tensor], tf.Tensor] | None = None
        self._suffix: Step | None = None
        self._predictions: Step | None = None

    @property
    def image_size(self) -> int:
        """Side of the model's square input, pixels."""
        return self._built.backbone.image_size

    def replace_model(self, model: keras.Model) -> None:
        """Replaces the whole model by one with another output activation.

        Args:
            model: Model that shares all other layers.
        """
        self._model = model
        self._predictions = None  # Compiled from the model before.

    def pretrained_step(self, *, with_rows: bool) -> PretrainedStep:
        """Returns the compiled function from pictures to features.

        Args:
            with_rows: Whether it computes activations at the freeze boundary in
                the same pass; the model must be split then.

        Returns:
            Function of [batch, size, size, 3] RGB 0..255; compiled once for
            each value of `with_rows`.
        """
        # Two functions: without a cut there are no rows to ask for.
        if with_rows not in self._whole:
            self._whole[with_rows] = self._compile_pretrained(
                with_rows=with_rows
            )
        return self._whole[with_rows]

    def compute_activations(self, images: tf.Tensor) -> tf.Tensor:
        """Computes activations at the freeze boundary of a batch of pictures.

        Args:
            images: [batch, size, size, 3] RGB 0..255.

        Returns:
            [batch, width] float32, the tensors at the boundary, flattened.
        """
        if self._prefix is None:
            self._prefix = compile_step(self.boundary.build_prefix())
        return self.boundary.flat(keras.tree.flatten(self._prefix(images)))

    @property
    def suffix(self) -> Step:
        """Compiled function from activations at the boundary to logits."""
        if self._suffix is None:
            self._suffix = compile_step(self.boundary.suffix)
        return self._suffix

    @property
    def predictions(self) -> Step:
        """Compiled function from pictures to predictions of the whole model."""
        if self._predictions is None:
            self._predictions = compile_step(self._model)
        return self._predictions

    def _compile_pretrained(self, *, with_rows: bool) -> PretrainedStep:
        extractor, flat = self._built.extractor, self._built.features.flat
        if not with_rows:
            step = compile_step(extractor)
            return lambda images: PretrainedOutputs(
                features=flat(keras.tree.flatten(step(images))), rows=None
            )
        # One pass gives both: first the boundary's tensors, then the head's.
        step = compile_step(self.boundary.build_prefix(*extractor.outputs))
        count = len(self.boundary.shapes)

        def answers(images: tf.Tensor) -> PretrainedOutputs:
            tensors = keras.tree.flatten(step(images))
            return PretrainedOutputs(
                features=flat(tensors[count:]),
                rows=self.boundary.flat(tensors[:count]),
            )

        return answers
