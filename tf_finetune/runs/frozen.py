"""The frozen part of a run's network: its output, kept in the cache."""

import contextlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from tf_finetune import inference
from tf_finetune.adaptation import cutting
from tf_finetune.cache import batches, opening, passes
from tf_finetune.cache import store as stores
from tf_finetune.data import examples
from tf_finetune.runs import course as courses
from tf_finetune.runs import first_look

Target = tuple[cutting.Cut, stores.Store]
"""A cut, and where what crosses it is kept in float32."""

_NAMES_A_BLOCK = 4096


class Cache:
    """The entries of the cache that belong to one run."""

    def __init__(
        self, course: courses.Course, held: contextlib.ExitStack
    ) -> None:
        """Opens the entry of the pooled features.

        Args:
            course: The run.
            held: Keeps the entries safe from eviction until it is closed.
        """
        self._course = course
        self._held = held
        self._networks: dict[tuple, passes.Network] = {}
        self._stores: dict[tuple, stores.Store] = {}
        self._features = first_look.features(course.config, course.built, held)

    def store(self, cut: cutting.Cut, dtype: str) -> stores.Store:
        """Opens the entry of what crosses a cut."""
        key = cut.names, dtype
        if key not in self._stores:
            self._stores[key] = self._open(
                cut.up_to(), cut.width, dtype, ", ".join(cut.names)
            )
        return self._stores[key]

    def features(
        self, crossing: Target | None = None
    ) -> dict[str, stores.Rows]:
        """Returns the pooled features of each split.

        Args:
            crossing: Whose rows are computed in the same pass; None: none.
        """
        pictures = self._course.data.pictures
        names = [picture.sha256 for picture in pictures]
        if crossing and not crossing[1].missing(names):
            self._finish(crossing, self._features.missing(names))
        self.fill(0, pictures, crossing, with_features=True)
        return self.by_split(self._features)

    def _finish(self, crossing: Target, names: Sequence[str]) -> None:
        """Computes features from what crosses a cut, not from pictures.

        So it is where only layers above the cut have moved since.
        """
        cut, store = crossing
        upper = cut.above(self._course.built.extractor.outputs[0])
        for start in range(0, len(names), _NAMES_A_BLOCK):
            block = names[start : start + _NAMES_A_BLOCK]
            inputs = batches.in_order(
                store.rows(block),
                unpack=cut.crossing,
                batch_size=self._course.config.training.batch_size,
            )
            self._features.put(block, inference.predict(upper, inputs))

    def by_split(self, store: stores.Store) -> dict[str, stores.Rows]:
        """Returns the rows of the pictures as they are, in their order."""
        data = self._course.data
        return {
            split: store.rows([each.sha256 for each in data.split(split)])
            for split in data.splits
        }

    def fill(
        self,
        number: int,
        pictures: Sequence[examples.Picture],
        crossing: Target | None,
        *,
        with_features: bool,
    ) -> list[str]:
        """Computes what is missing of one view; returns the rows' names."""
        course = self._course
        wanted = self.views(number, pictures)
        into = [self._features] if with_features else []
        if crossing:
            into.append(crossing[1])
        passes.fill(
            into,
            # Compiled only if there is something to compute.
            lambda images: self.network(crossing, with_features=with_features)(
                images
            ),
            wanted,
            image_size=course.image_size,
            resize=course.config.model.resize,
            batch_size=course.config.training.batch_size,
            level=course.config.training.augmentation,
            title=f"Augmented view {number}" if number else "Features",
        )
        return [view.name for view in wanted]

    def views(
        self, number: int, pictures: Sequence[examples.Picture]
    ) -> list[passes.View]:
        """Returns one view of each picture; 0 is the picture as it is."""
        config = self._course.config
        return passes.views(
            [picture.path for picture in pictures],
            [picture.sha256 for picture in pictures],
            number=number,
            level=config.training.augmentation,
            seed=config.seed,
        )

    def network(
        self, crossing: Target | None, *, with_features: bool
    ) -> passes.Network:
        """Returns images → features, rows that cross, or both in turn."""
        names = crossing and (crossing[0].names, crossing[1].dtype)
        key = (names, with_features)
        if key not in self._networks:
            self._networks[key] = _network(
                self._course.built.extractor, crossing, with_features
            )
        return self._networks[key]

    def _open(
        self, model: keras.Model, width: int, dtype: str, up_to: str
    ) -> stores.Store:
        config = self._course.config
        return opening.store(
            model,
            width=width,
            dtype=dtype,
            image_size=self._course.image_size,
            resize=config.model.resize,
            cache_dir=self._course.cache_dir,
            what=f"{config.model.backbone} up to {up_to}",
            held=self._held,
        )


def _network(
    extractor: keras.Model, crossing: Target | None, with_features: bool
) -> passes.Network:
    if not crossing:
        step = inference.step(extractor)
        return lambda images: [step(images)]
    cut, store = crossing
    outputs = extractor.outputs if with_features else []
    step = inference.step(cut.up_to(*outputs))
    count = len(cut.tensors)

    def rows(images: tf.Tensor) -> list[tf.Tensor]:
        found = keras.tree.flatten(step(images))
        flat = cut.flat(found[:count])
        return [*found[count:], tf.cast(flat, store.dtype)]

    return rows
