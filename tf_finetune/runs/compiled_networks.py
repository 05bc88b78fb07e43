"""A run's network as compiled functions, each traced once."""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from tf_finetune.model import assembly, freeze_boundary, inference


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainedOutputs:
    """Outputs of the pretrained part of a network for a batch of pictures.

    Attributes:
        features: [batch, width], the head's inputs.
        rows: [batch, cut.width], activations at the freeze boundary; None if
            not asked for.
    """

    features: tf.Tensor
    rows: tf.Tensor | None


PretrainedStep = Callable[[tf.Tensor], PretrainedOutputs]


class CompiledNetworks:
    """Forward passes of one set of weights, which may change in between.

    Each is compiled when it is asked for first. There is one cut a run.
    """

    def __init__(
        self, built: assembly.Assembly, cut: freeze_boundary.Boundary | None
    ) -> None:
        """Compiles nothing yet.

        Args:
            built: The model.
            cut: Below the first layer that trains, if there is a cut.
        """
        self.boundary = cut
        self._built = built
        self._model = built.model
        self._whole: dict[bool, PretrainedStep] = {}
        self._prefix: Callable[[tf.Tensor], tf.Tensor] | None = None
        self._suffix: inference.Step | None = None
        self._predictions: inference.Step | None = None

    @property
    def image_size(self) -> int:
        """Side of the pictures, pixels."""
        return self._built.backbone.image_size

    def replace_model(self, model: keras.Model) -> None:
        """Replaces the model by one with another output activation."""
        self._model = model
        self._predictions = None  # Compiled from the model before.

    def pretrained_step(self, *, with_rows: bool) -> PretrainedStep:
        """Returns pictures [batch, size, size, 3] → answers.

        Args:
            with_rows: Whether they have activations at the freeze boundary.
        """
        # Two functions: without a cut there are no rows to ask for.
        if with_rows not in self._whole:
            self._whole[with_rows] = self._compile_pretrained(
                with_rows=with_rows
            )
        return self._whole[with_rows]

    def compute_activations(self, images: tf.Tensor) -> tf.Tensor:
        """Computes activations at the freeze boundary, [batch, cut.width]."""
        if self._prefix is None:
            self._prefix = inference.compile_step(self.boundary.build_prefix())
        return self.boundary.flat(keras.tree.flatten(self._prefix(images)))

    @property
    def suffix(self) -> inference.Step:
        """Activations at the freeze boundary, as tensors → logits."""
        if self._suffix is None:
            self._suffix = inference.compile_step(self.boundary.suffix)
        return self._suffix

    @property
    def predictions(self) -> inference.Step:
        """Pictures → predictions of the whole model."""
        if self._predictions is None:
            self._predictions = inference.compile_step(self._model)
        return self._predictions

    def _compile_pretrained(self, *, with_rows: bool) -> PretrainedStep:
        extractor, flat = self._built.extractor, self._built.features.flat
        if not with_rows:
            step = inference.compile_step(extractor)
            return lambda images: PretrainedOutputs(
                features=flat(keras.tree.flatten(step(images))), rows=None
            )
        # One pass gives both: first the boundary's tensors, then the head's.
        step = inference.compile_step(
            self.boundary.build_prefix(*extractor.outputs)
        )
        count = len(self.boundary.shapes)

        def answers(images: tf.Tensor) -> PretrainedOutputs:
            tensors = keras.tree.flatten(step(images))
            return PretrainedOutputs(
                features=flat(tensors[count:]),
                rows=self.boundary.flat(tensors[:count]),
            )

        return answers
