"""Random changes of pictures and their masks, as functions of a seed tensor.

Crops mirror, shift and zoom in one resampling; RandAugment applies a few
changes to each picture, drawn from a list of Keras layers.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Literal

import keras
import tensorflow as tf

Batch = dict[str, tf.Tensor]
"""By Keras' words: "images" float32 [batch, height, width, 3], 0..255, and the
targets as "labels" float32 [batch, …] or as "segmentation_masks" float32
[batch, height, width, 1]."""


class StatelessSeeds(keras.random.SeedGenerator):
    """A seed generator without variables: draw n is a function of the seed.

    Keras' own keeps its state in a variable, so that a draw depends on how
    many batches were made before it, and in which of the parallel calls. Draws
    are counted from the construction of the object.

    Args:
        seed: int32 [2]; a tensor of the graph in which the draws are made.
    """

    def __init__(self, seed: tf.Tensor) -> None:
        # Without super().__init__, which makes the variable.
        self._seed = seed
        self._count = 0

    def next(self, ordered: bool = True) -> tf.Tensor:
        """Returns the int32 [2] seed of the next draw; `ordered` is ignored."""
        del ordered
        # Philox is counter-based: the same numbers on CPU and GPU, in graphs
        # and eagerly.
        self._count += 1
        return tf.random.fold_in(self._seed, self._count, alg="philox")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CropBoxes:
    """Crop boxes that mirror, shift and enlarge the pictures of a batch.

    Attributes:
        boxes: float32 [batch, 4]: top, left, bottom, right in the padded
            picture, 0..1 as `tf.image.crop_and_resize` takes them; left and
            right are exchanged for a mirrored picture.
        edges: Pixels of reflected padding: (above and below, left and right).
    """

    boxes: tf.Tensor
    edges: tuple[int, int]


def draw_boxes(
    images: tf.Tensor,
    draws: StatelessSeeds,
    *,
    zoom: float,
    shift: float,
) -> CropBoxes:
    """Draws a random crop box for each picture, also to be used for its mask.

    Half of the pictures are mirrored; each is moved and enlarged in its own
    way, in one bilinear sampling: three layers of Keras in turn took 4.1 ms for
    a picture of 224 x 224; this takes 0.8 and blurs once instead of twice.

    Args:
        images: [batch, height, width, any], sides known; only the shape is
            used.
        draws: Source of the random numbers.
        zoom: Up to this share of each side is cut off, the same of both.
        shift: Largest shift as a share of each side, 0..1; beyond the edge
            the picture is reflected.

    Returns:
        One box per picture, for `sample_images`.
    """
    height, width = images.shape[1:3]
    numbers = tf.random.stateless_uniform(
        (4, tf.shape(images)[0]), draws.next(), alg="philox"
    )
    is_mirrored = numbers[0] < 0.5
    # Side of the crop as a share of the picture's: 1 - zoom .. 1.
    share = 1.0 - zoom * numbers[1]
    # One pixel more than the largest shift: bilinear sampling reads a neighbor.
    edges = [math.ceil(shift * side) + 1 for side in (height, width)]
    # 2 u - 1 is uniform in -1..1.
    top, bottom = _find_ends(
        height, edges[0], share, shift * (2 * numbers[2] - 1)
    )
    left, right = _find_ends(
        width, edges[1], share, shift * (2 * numbers[3] - 1)
    )
    # A rectangle whose right end is its left one is sampled backwards.
    left, right = (
        tf.where(is_mirrored, right, left),
        tf.where(is_mirrored, left, right),
    )
    boxes = tf.stack([top, left, bottom, right], axis=1)
    return CropBoxes(boxes=boxes, edges=tuple(edges))


def sample_images(
    images: tf.Tensor,
    move: CropBoxes,
    method: Literal["bilinear", "nearest"] = "bilinear",
) -> tf.Tensor:
    """Samples each picture at its crop box.

    Args:
        images: [batch, height, width, channels], sides known.
        move: Crop boxes drawn for pictures of this size.
        method: "nearest" for masks, whose indices must not be mixed.

    Returns:
        float32 [batch, height, width, channels].
    """
    around = [[0, 0], *([edge, edge] for edge in move.edges), [0, 0]]
    return tf.image.crop_and_resize(
        # SYMMETRIC repeats the edge pixel, as a mirror at the border does.
        tf.pad(images, around, "SYMMETRIC"),
        move.boxes,
        tf.range(tf.shape(images)[0]),
        images.shape[1:3],
        method=method,
    )


def apply_layer(
    layer: keras.layers.Layer, batch: Batch, draws: StatelessSeeds
) -> Batch:
    """Applies a Keras image layer to pictures, masks or both by one draw.

    Args:
        layer: An image preprocessing layer that is not made of others.
        batch: "images", "segmentation_masks", "labels" or several of these,
            each [batch, …]. The draw is the same for all of them.
        draws: Source of the random numbers.

    Returns:
        A new dictionary with the same keys: masks are changed by the nearest
        pixel, or not at all by a layer that changes colors only.
    """
    transformation = layer.get_random_transformation(
        next(iter(batch.values())), training=True, seed=draws
    )
    return {
        kind: getattr(layer, f"transform_{kind}")(
            each, transformation, training=True
        )
        for kind, each in batch.items()
    }


def build_rand_augment(
    num_changes: int, magnitude: float
) -> Callable[[Batch, StatelessSeeds], Batch]:
    """Returns the function that applies N random changes to each picture.

    `keras.layers.RandAugment` draws once for a whole batch and computes every
    change each time; at the factor 0.3 it turns pictures by up to 108 degrees,
    and posterizes the more the smaller its factor is. Here each picture gets
    its own changes, and only those are computed.

    Args:
        num_changes: Number of changes per picture, the paper's N.
        magnitude: 0..1, the largest strength, the paper's M / 10.

    Returns:
        (batch, draws) → batch, a dict as `apply_layer` takes it; masks are
        turned, sheared and moved with their pictures.

    Source: Cubuk et al. 2020, "RandAugment: Practical Automated Data
    Augmentation with a Reduced Search Space", section 3 and its
    implementation's magnitudes.
    """
    layers = _build_layers(magnitude)

    def change(batch: Batch, draws: StatelessSeeds) -> Batch:
        for _ in range(num_changes):
            batch = _apply_one_layer(batch, layers, draws)
        return batch

    return change


def _find_ends(
    side: int, edge: int, share: tf.Tensor, shift: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the sampling positions of the first and last pixel of a side.

    Args:
        side: Pixels of the picture.
        edge: Pixels that were added before and after it.
        share: [batch], of the side that stays in sight.
        shift: [batch], of the side.

    Returns:
        Two of [batch], as `tf.image.crop_and_resize` counts: 0 is the center
        of the first pixel of the enlarged picture and 1 that of its last.
    """
    # Positions in pixels, then normalized by the index of the last pixel: first
    # = (center - share (side - 1) / 2) / last.
    middle = (side - 1) / 2
    center = edge + middle + shift * side
    last = side + 2 * edge - 1
    return (center - middle * share) / last, (center + middle * share) / last


def _build_layers(magnitude: float) -> tuple[keras.layers.Layer, ...]:
    """Returns the changes that a picture may get, beside none at all.

    The paper's solarize and equalize are missing: Keras' solarization makes a
    negative of most of a picture at every magnitude, and its equalization
    takes one histogram of the whole batch.
    """
    # Ranges at magnitude M = 10 in the paper's implementation: 30 degrees of
    # rotation, 0.3 of shear, 0.9 of enhancement, 4 bits left.
    moved = 0.3 * magnitude
    blended = 0.9 * magnitude
    bits = 8 - round(4 * magnitude)
    # Whatever the global policy is, pixels are computed in float32.
    kind = {"dtype": "float32"}
    return (
        # Keras counts in whole turns.
        keras.layers.RandomRotation(magnitude * 30 / 360, **kind),
        keras.layers.RandomShear(x_factor=moved, **kind),
        keras.layers.RandomShear(y_factor=moved, **kind),
        keras.layers.RandomTranslation(moved, 0.0, **kind),
        keras.layers.RandomTranslation(0.0, moved, **kind),
        keras.layers.RandomBrightness(0.4 * magnitude, **kind),
        keras.layers.RandomContrast(blended, **kind),
        keras.layers.RandomColorDegeneration(blended, **kind),
        keras.layers.RandomSharpness(
            (0.5 - blended / 2, 0.5 + blended / 2), **kind
        ),
        keras.layers.RandomPosterization((bits, bits), **kind),
        keras.layers.AutoContrast(**kind),
    )


def _apply_one_layer(
    batch: Batch,
    layers: Sequence[keras.layers.Layer],
    draws: StatelessSeeds,
) -> Batch:
    """Gives each picture one of the layers' changes, or none."""
    # Partition, change each part by its own layer, stitch: only the layers that
    # were drawn are computed. Part 0 stays as it is.
    count = tf.shape(next(iter(batch.values())))[0]
    num_parts = len(layers) + 1
    chosen = tf.random.stateless_uniform(
        (count,), draws.next(), maxval=num_parts, dtype=tf.int32, alg="philox"
    )
    rows = tf.dynamic_partition(tf.range(count), chosen, num_parts)
    divided = {
        kind: tf.dynamic_partition(each, chosen, num_parts)
        for kind, each in batch.items()
    }
    changed = [
        _apply_unless_empty(
            layer, {kind: each[k] for kind, each in divided.items()}, draws
        )
        for k, layer in enumerate(layers, start=1)
    ]
    return {
        # Stitching loses the static size of the batch.
        kind: tf.ensure_shape(
            tf.dynamic_stitch(
                rows, [divided[kind][0], *(part[kind] for part in changed)]
            ),
            each.shape,
        )
        for kind, each in batch.items()
    }


def _apply_unless_empty(
    layer: keras.layers.Layer,
    batch: Batch,
    draws: StatelessSeeds,
) -> Batch:
    # A layer that no picture of the batch drew is not computed.
    return tf.cond(
        tf.shape(next(iter(batch.values())))[0] > 0,
        lambda: apply_layer(layer, batch, draws),
        lambda: batch,
    )
