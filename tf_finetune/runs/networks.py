"""A run's network as compiled functions, each traced once."""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from tf_finetune import assembly, inference
from tf_finetune.adaptation import cutting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """Outputs of the pretrained part of a network for a batch of pictures.

    Attributes:
        features: [batch, width], the head's inputs.
        rows: [batch, cut.width], activations at the freeze boundary; None if
            not asked for.
    """

    features: tf.Tensor
    rows: tf.Tensor | None


Whole = Callable[[tf.Tensor], Answers]


class Networks:
    """Forward passes of one set of weights, which may change in between.

    Each is compiled when it is asked for first. There is one cut a run.
    """

    def __init__(
        self, built: assembly.Assembly, cut: cutting.Cut | None
    ) -> None:
        """Compiles nothing yet.

        Args:
            built: The model.
            cut: Below the first layer that trains, if there is a cut.
        """
        self.cut = cut
        self._built = built
        self._model = built.model
        self._whole: dict[bool, Whole] = {}
        self._prefix: Callable[[tf.Tensor], tf.Tensor] | None = None
        self._suffix: inference.Step | None = None
        self._predictions: inference.Step | None = None

    @property
    def image_size(self) -> int:
        """Side of the pictures, pixels."""
        return self._built.backbone.image_size

    def end_with(self, model: keras.Model) -> None:
        """Replaces the model by one with another output activation."""
        self._model = model
        self._predictions = None  # Compiled from the model before.

    def whole(self, *, with_rows: bool) -> Whole:
        """Returns pictures [batch, size, size, 3] → answers.

        Args:
            with_rows: Whether they have activations at the freeze boundary.
        """
        # Two functions: without a cut there are no rows to ask for.
        if with_rows not in self._whole:
            self._whole[with_rows] = self._compiled(with_rows=with_rows)
        return self._whole[with_rows]

    def prefix(self, images: tf.Tensor) -> tf.Tensor:
        """Computes activations at the freeze boundary, [batch, cut.width]."""
        if self._prefix is None:
            self._prefix = inference.step(self.cut.up_to())
        return self.cut.flat(keras.tree.flatten(self._prefix(images)))

    @property
    def suffix(self) -> inference.Step:
        """Activations at the freeze boundary, as tensors → logits."""
        if self._suffix is None:
            self._suffix = inference.step(self.cut.suffix)
        return self._suffix

    @property
    def predictions(self) -> inference.Step:
        """Pictures → predictions of the whole model."""
        if self._predictions is None:
            self._predictions = inference.step(self._model)
        return self._predictions

    def _compiled(self, *, with_rows: bool) -> Whole:
        extractor, flat = self._built.extractor, self._built.features.flat
        if not with_rows:
            step = inference.step(extractor)
            return lambda images: Answers(
                features=flat(keras.tree.flatten(step(images))), rows=None
            )
        # One pass gives both: first the boundary's tensors, then the head's.
        step = inference.step(self.cut.up_to(*extractor.outputs))
        count = len(self.cut.shapes)

        def answers(images: tf.Tensor) -> Answers:
            tensors = keras.tree.flatten(step(images))
            return Answers(
                features=flat(tensors[count:]),
                rows=self.cut.flat(tensors[:count]),
            )

        return answers
