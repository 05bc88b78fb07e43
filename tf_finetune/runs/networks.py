"""A run's network as compiled functions, each of them traced once."""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from tf_finetune import assembly, inference
from tf_finetune.adaptation import cutting


@dataclasses.dataclass(frozen=True, kw_only=True)
class Answers:
    """What a network says of a batch of pictures.

    Attributes:
        rows: [batch, cut.width], what crosses the cut; None without a cut.
        features: [batch, width], pooled.
        logits: [batch, outputs].
    """

    rows: tf.Tensor | None
    features: tf.Tensor
    logits: tf.Tensor


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
        self._whole: dict[bool, Whole] = {}
        self._prefix: Callable[[tf.Tensor], tf.Tensor] | None = None
        self._suffix: inference.Step | None = None

    def whole(self, *, with_rows: bool) -> Whole:
        """Returns pictures [batch, size, size, 3] → answers.

        Args:
            with_rows: Whether what crosses the cut is part of them.
        """
        if with_rows not in self._whole:
            crossing = self.cut.tensors if with_rows else ()
            self._whole[with_rows] = self._compiled(len(crossing))
        return self._whole[with_rows]

    def any_whole(self) -> Whole:
        """Returns the one that is compiled already, if one is."""
        return self._whole.get(True) or self.whole(with_rows=False)

    def prefix(self, images: tf.Tensor) -> tf.Tensor:
        """Returns what crosses the cut, [batch, cut.width], of pictures."""
        if self._prefix is None:
            self._prefix = inference.step(self.cut.up_to())
        return self.cut.flat(keras.tree.flatten(self._prefix(images)))

    @property
    def suffix(self) -> inference.Step:
        """What crosses the cut, as the layers above take it → logits."""
        if self._suffix is None:
            self._suffix = inference.step(self.cut.suffix)
        return self._suffix

    def _compiled(self, crossing: int) -> Whole:
        built = self._built
        outputs = [*built.extractor.outputs, *built.trainer.outputs]
        if crossing:
            outputs = [*self.cut.tensors, *outputs]
        step = inference.step(keras.Model(built.model.inputs, outputs))

        def answers(images: tf.Tensor) -> Answers:
            found = keras.tree.flatten(step(images))
            features, logits = found[crossing:]
            rows = self.cut.flat(found[:crossing]) if crossing else None
            return Answers(rows=rows, features=features, logits=logits)

        return answers
