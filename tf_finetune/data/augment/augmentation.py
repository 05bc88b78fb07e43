"""Random augmentation of training pictures, in named strengths.

They are part of the input pipeline of training and of nothing else: inside a
model they would be exported with it and change what is served.
"""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from tf_finetune.config import training_options
from tf_finetune.data import split_targets
from tf_finetune.data.augment import random_changes

AugmentFunction = Callable[
    [tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]
]

_MixFunction = Callable[
    [random_changes.Batch, random_changes.StatelessSeeds], random_changes.Batch
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """The strength of each random change; 0 leaves it out.

    Every level mirrors half of the pictures left to right. Hue stays: a class
    is often recognized by its color.

    Attributes:
        zoom: Pictures are enlarged so that up to this share of each side is
            cut off, as the crops of Szegedy et al. 2015, "Going Deeper with
            Convolutions", section 6, but of the same aspect.
        shift: Moved by up to this share of each side; the edge is mirrored.
        brightness: Lighter or darker by up to this share of white.
        contrast: Differences from the mean times 1 - contrast..1 + contrast.
        saturation: Times (1 - saturation)..1 / (1 - saturation).
        num_changes: Number of RandAugment's changes per picture (its N).
        magnitude: Largest strength of these changes, 0..1 (its M / 10).
        mix: Whether each picture is mixed with another one of its batch, half
            of them by MixUp (Zhang et al. 2018, "mixup: Beyond Empirical Risk
            Minimization", alpha 0.2 as in section 3.1) and half by CutMix
            (Yun et al. 2019, "CutMix", section 3.1, alpha 1).
    """

    zoom: float
    shift: float
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    num_changes: int = 0
    magnitude: float = 0.0
    mix: bool = False


LEVELS: dict[str, Level] = {
    "light": Level(zoom=0.2, shift=0.05),
    "medium": Level(
        zoom=0.3,
        shift=0.1,
        brightness=0.1,
        contrast=0.2,
        saturation=0.2,
        num_changes=1,
        magnitude=0.5,
    ),
    "strong": Level(
        zoom=0.4,
        shift=0.1,
        brightness=0.2,
        contrast=0.3,
        saturation=0.3,
        num_changes=2,
        magnitude=0.7,
        mix=True,
    ),
}
"""The strengths behind each value of --augmentation but "none"."""

VERSION = 2
"""To be raised whenever a level changes pictures otherwise than before."""


def describe_level(level: training_options.Augmentation) -> str:
    """Returns a text that identifies the changes of a level, for cache keys.

    It also holds `VERSION` and the version of Keras, whose layers are used.

    Args:
        level: "light", "medium" or "strong".
    """
    # Keras' layers are a part of each level, so that its version counts, too.
    return f"{VERSION} {LEVELS[level]} {keras.__version__}"


def mixes_images(level: training_options.Augmentation) -> bool:
    """Tells if a level mixes pictures by MixUp or CutMix: "strong" alone."""
    return level != "none" and LEVELS[level].mix


def build_augmentation(
    level: training_options.Augmentation,
    moves_as: split_targets.Motion = "nothing",
) -> AugmentFunction | None:
    """Returns the function that augments a batch; None for the level "none".

    Masks are mirrored, moved, turned and sheared with their pictures, by the
    nearest pixel; colors change in pictures alone. Two masks cannot be
    blended: where a level mixes, half of the pictures are mixed by CutMix,
    their masks with them, and the others stay unmixed.

    Args:
        level: "none", "light", "medium" or "strong".
        moves_as: "mask" if the targets are masks, which move with their
            pictures, else "nothing".

    Returns:
        (images float32 [batch, height, width, 3] 0..255, targets, seed int32
        [2]) → (images, targets) of the same shapes. Targets are float32 [batch,
        outputs], masks uint8 [batch, height, width]. The result depends on the
        three alone; each picture of a batch is changed in its own way.
    """
    if level == "none":
        return None
    move = _build_image_changes(LEVELS[level])
    mix = _build_mix(LEVELS[level].mix, blends=moves_as == "nothing")

    def change(
        images: tf.Tensor, targets: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        draws = random_changes.StatelessSeeds(seed)
        given = _pack_targets(targets, moves_as)
        batch = mix(move({"images": images, **given}, draws), draws)
        images = tf.clip_by_value(batch["images"], 0.0, 255.0)
        return images, _unpack_targets(batch, targets, moves_as)

    return change


def build_target_augmentation(
    level: training_options.Augmentation, moves_as: split_targets.Motion
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Returns the function that moves masks as augmentation moves pictures.

    With the same seed the masks move as those of `build_augmentation` do.

    Args:
        level: "light" or "medium"; "strong" also mixes pictures.
        moves_as: "mask" if the targets are masks, else "nothing": they stay.

    Returns:
        (targets, seed int32 [2]) → targets of the same shape and dtype; masks
        are [batch, height, width].
    """
    move = _build_image_changes(LEVELS[level])

    def change(targets: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        batch = move(
            _pack_targets(targets, moves_as),
            random_changes.StatelessSeeds(seed),
        )
        return _unpack_targets(batch, targets, moves_as)

    return change


def _build_mix(mixes: bool, *, blends: bool) -> _MixFunction:
    """Returns the function that mixes pictures and their targets.

    Half of the pictures by CutMix; see `augmentation.Level.mix`.

    Args:
        mixes: Whether anything is mixed; otherwise a batch stays as it is.
        blends: Whether two targets can be blended: the other half is mixed by
            MixUp, or stays as it is.
    """
    if not mixes:
        return lambda batch, draws: batch
    mix_up = keras.layers.MixUp(alpha=0.2, dtype="float32")
    # The factor is the range of Beta's parameters. Keras' default begins at 0,
    # where Beta comes out as 0 / 0.
    cut_mix = keras.layers.CutMix(factor=(1.0, 1.0), dtype="float32")

    def mix(
        batch: random_changes.Batch, draws: random_changes.StatelessSeeds
    ) -> random_changes.Batch:
        others = batch
        if blends:
            others = random_changes.apply_layer(mix_up, batch, draws)
        cut = random_changes.apply_layer(cut_mix, batch, draws)
        chosen = tf.random.stateless_uniform(
            tf.shape(batch["images"])[:1], draws.next(), alg="philox"
        )
        return {
            kind: tf.where(_expand(chosen < 0.5, each), cut[kind], each)
            for kind, each in others.items()
        }

    return mix


def _pack_targets(
    targets: tf.Tensor, moves_as: split_targets.Motion
) -> random_changes.Batch:
    """Returns the targets by Keras' word for such ones."""
    if moves_as == "mask":
        # Keras' layers take masks as floats with a channel.
        masks = tf.cast(targets, tf.float32)[..., tf.newaxis]
        return {"segmentation_masks": masks}
    return {"labels": targets}


def _unpack_targets(
    batch: random_changes.Batch,
    targets: tf.Tensor,
    moves_as: split_targets.Motion,
) -> tf.Tensor:
    if moves_as == "mask":
        return tf.cast(batch["segmentation_masks"][..., 0], targets.dtype)
    return batch["labels"]


def _build_image_changes(
    level: Level,
) -> Callable[
    [random_changes.Batch, random_changes.StatelessSeeds], random_changes.Batch
]:
    """Returns the function that changes each picture by itself.

    The same draws are made for pictures, for masks, and for both; labels stay.
    """
    layers = _build_color_layers(level)
    drawn_changes = None
    if level.num_changes:
        drawn_changes = random_changes.build_rand_augment(
            level.num_changes, level.magnitude
        )

    def change(
        batch: random_changes.Batch, draws: random_changes.StatelessSeeds
    ) -> random_changes.Batch:
        # Labels do not move with the pixels.
        labels = {k: v for k, v in batch.items() if k == "labels"}
        batch = {k: v for k, v in batch.items() if k != "labels"}
        first = next(iter(batch.values()))
        boxes = random_changes.draw_boxes(
            first, draws, zoom=level.zoom, shift=level.shift
        )
        batch = {
            kind: random_changes.sample_images(
                # Class indices of masks must not be interpolated.
                each,
                boxes,
                "bilinear" if kind == "images" else "nearest",
            )
            for kind, each in batch.items()
        }
        for layer in layers:
            batch = random_changes.apply_layer(layer, batch, draws)
        if drawn_changes is not None:
            batch = drawn_changes(batch, draws)
        return {**batch, **labels}

    return change


def _build_color_layers(level: Level) -> tuple[keras.layers.Layer, ...]:
    # Whatever the global policy is, pixels are computed in float32.
    kind = {"dtype": "float32"}
    layers = []
    if level.brightness:
        layers.append(keras.layers.RandomBrightness(level.brightness, **kind))
    if level.contrast:
        layers.append(keras.layers.RandomContrast(level.contrast, **kind))
    if level.saturation:
        # Keras multiplies by f / (1 - f), f drawn from the factor.
        share = level.saturation
        factor = ((1 - share) / (2 - share), 1 / (2 - share))
        layers.append(keras.layers.RandomSaturation(factor, **kind))
    return tuple(layers)


def _expand(values: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Expands values [batch] to the rank of another tensor."""
    return tf.reshape(values, [-1, *[1] * (like.shape.rank - 1)])
