"""Labeled pictures, each grouped with some unlabeled ones.

A group is one training example: it is never divided between replicas or
micro-batches, so that a loss over all its pictures is a loss per example.
"""

import dataclasses
import functools
import math
import os
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune.config import picture_options, training_options
from tf_finetune.data import epoch_order
from tf_finetune.data import split_targets as target_rows
from tf_finetune.data.augment import augmentation as augmentations
from tf_finetune.data.images import decoding

# Streams of random numbers of one seed that must not repeat each other, nor
# those of `pipeline`.
_LABELED_STREAM, _UNLABELED_STREAM, _AUGMENTATION_STREAM, _VIEWS_STREAM = (
    2,
    3,
    4,
    5,
)

Views = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
"""Maps pictures [n, size, size, 3] and a seed to views [m, size, size, 3]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MixedGroups:
    """Labeled and unlabeled pictures, grouped anew in every epoch.

    A mixed group is one labeled picture with `beside` unlabeled ones. An epoch
    is one pass over the unlabeled pictures, or over the labeled ones if that
    takes more groups; the others are repeated as often as needed.

    Attributes:
        labeled: Paths of the labeled pictures.
        targets: Targets of the labeled pictures, in their order.
        unlabeled: Paths of the unlabeled pictures.
        beside: Number of unlabeled pictures in a group.
        views: (images float32 [beside, size, size, 3] 0..255, seed int32 [2])
            → views of a group's unlabeled pictures, [views, size, size, 3].
        augmentation: Strength of the labeled pictures' augmentation.
        square: What a picture is decoded into.
        seed: Seed of every random draw.
        known: Maps int64 [n] numbers of unlabeled pictures to float32 [n,
            width] known values of each (such as pseudo-labels), which are
            appended to the targets; None: there are no such values.
    """

    labeled: Sequence[str]
    targets: target_rows.Targets
    unlabeled: Sequence[str]
    beside: int
    views: Views
    augmentation: training_options.Augmentation
    square: picture_options.Square
    seed: int
    known: Callable[[tf.Tensor], tf.Tensor] | None = None

    def __len__(self) -> int:
        """Returns the number of groups in an epoch."""
        # Rounded up: the last groups repeat the first unlabeled pictures.
        count = -(-len(self.unlabeled) // self.beside)
        return max(count, len(self.labeled))

    def draw_places(self, epoch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws the pictures of each group of an epoch.

        Args:
            epoch: Scalar integer, from 0.

        Returns:
            int64 [groups], the index of each group's labeled picture in
            `labeled`, and int64 [groups, beside], the indices of its unlabeled
            ones in `unlabeled`.
        """
        count = len(self)
        own = _repeat_permutation(
            len(self.labeled), count, self.seed, epoch, _LABELED_STREAM
        )
        others = _repeat_permutation(
            len(self.unlabeled),
            count * self.beside,
            self.seed,
            epoch,
            _UNLABELED_STREAM,
        )
        return own, tf.reshape(others, [count, self.beside])

    def names(self, epoch: int, step: int, batch_size: int) -> list[str]:
        """Returns the paths of the pictures in a batch, all labeled ones first.

        Args:
            epoch: Number of the epoch, from 0.
            step: Number of the batch in the epoch, from 0.
            batch_size: Groups per batch.
        """
        own, others = (np.asarray(each) for each in self.draw_places(epoch))
        chosen = slice(step * batch_size, (step + 1) * batch_size)
        return [
            *(self.labeled[place] for place in own[chosen]),
            *(self.unlabeled[place] for place in others[chosen].ravel()),
        ]


def build_batches(
    groups: MixedGroups, order: epoch_order.BatchOrder
) -> tf.data.Dataset:
    """Builds the training batches of some epochs.

    The contents of a group depend on its seed, epoch and number alone.

    Args:
        groups: The pictures and how they are loaded.
        order: Extent of the batches, which hold the groups by their numbers.

    Returns:
        Dataset of (pictures float32 [batch, 1 + views, size, size, 3] of
        0..255, where the labeled one comes first and `views` is the number that
        `groups.views` returns; targets float32 [batch, numbers], flattened,
        followed by the known values of the unlabeled pictures). If `order.part`
        is not all replicas, the size of the whole batch follows, an int64
        scalar.
    """
    count, part = len(groups), order.part
    steps = order.count_steps(count)
    first = order.first_epoch * steps + order.first_step
    group = _build_loader(groups)

    def batch(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        epoch, start = number // steps, number % steps * order.batch_size
        size = order.compute_size(count, number)
        low, high = part.compute_bounds(size)
        # Only this part's pictures are read and decoded.
        mine = tf.range(start + low, start + high)
        own, others = groups.draw_places(epoch)
        made, targets = tf.map_fn(
            lambda each: group(epoch, each, own[each], others[each]),
            mine,
            fn_output_signature=_output_signature(groups),
        )
        targets = _flatten_targets(targets)
        if groups.known is not None:
            found = groups.known(tf.reshape(tf.gather(others, mine), [-1]))
            # Values of all unlabeled pictures of a group in one row.
            width = found.shape[-1] * groups.beside
            known = tf.reshape(found, [-1, width])
            targets = tf.concat([targets, known], axis=1)
        return (made, targets) if part.is_all else (made, targets, size)

    return (
        tf.data.Dataset.range(first, order.epochs * steps)
        .map(batch, tf.data.AUTOTUNE, deterministic=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def wrap_labeled(
    images: tf.data.Dataset, targets: tf.data.Dataset
) -> tf.data.Dataset:
    """Turns batches of labeled pictures into batches of groups of one picture.

    Args:
        images: Dataset of [batch, size, size, 3].
        targets: Dataset of [batch, …], batched alike.

    Returns:
        Dataset of (pictures [batch, 1, size, size, 3], targets float32 [batch,
        numbers], flattened), as `build_batches` returns them.
    """
    return tf.data.Dataset.zip(images, targets).map(
        lambda image, target: (image[:, tf.newaxis], _flatten_targets(target))
    )


def _flatten_targets(targets: tf.Tensor) -> tf.Tensor:
    """Flattens targets [batch, …] to rows, float32 [batch, numbers]."""
    numbers = math.prod(targets.shape[1:])
    return tf.cast(tf.reshape(targets, [-1, numbers]), tf.float32)


def _output_signature(
    groups: MixedGroups,
) -> tuple[tf.TensorSpec, tf.TensorSpec]:
    # Shape and type of a target are known only once one has been made.
    place = tf.zeros([1], tf.int64)
    target = groups.targets.batch(place, place)
    side = groups.square.size
    return (
        tf.TensorSpec([None, side, side, 3], tf.float32),
        tf.TensorSpec(target.shape[1:], target.dtype),
    )


def _build_loader(
    groups: MixedGroups,
) -> Callable[
    [tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]
]:
    """Returns a function that loads and augments one group.

    It maps (epoch, number of the group, number of the labeled picture, [beside]
    numbers of the unlabeled ones) to (pictures, target).
    """
    with tf.device("CPU"):
        labeled, unlabeled = (
            tf.constant([os.fsencode(path) for path in each])
            for each in (groups.labeled, groups.unlabeled)
        )
    change = augmentations.build_augmentation(
        groups.augmentation, groups.targets.moves_as
    )

    load = functools.partial(decoding.load_file, square=groups.square)

    def made(
        epoch: tf.Tensor, number: tf.Tensor, own: tf.Tensor, others: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        image = load(labeled[own])[tf.newaxis]
        places = own[tf.newaxis]
        target = groups.targets.batch(places, tf.zeros_like(places))
        if change is not None:
            # The group's own number in the seed: its augmentation is the same
            # in whichever batch or replica it is computed.
            seed = epoch_order.fold_seed(
                groups.seed, _AUGMENTATION_STREAM, epoch, number
            )
            image, target = change(image, target, seed)
        beside = tf.stack(
            [load(unlabeled[others[i]]) for i in range(groups.beside)]
        )
        seed = epoch_order.fold_seed(groups.seed, _VIEWS_STREAM, epoch, number)
        return (
            tf.concat([image, groups.views(beside, seed)], axis=0),
            target[0],
        )

    return made


def _repeat_permutation(
    count: int, wanted: int, seed: int, epoch: tf.Tensor, stream: int
) -> tf.Tensor:
    """Returns `wanted` numbers: a permutation of 0 .. count - 1, repeated."""
    order = epoch_order.draw_permutation(count, seed, stream, epoch)
    return tf.gather(order, tf.range(wanted) % count)
