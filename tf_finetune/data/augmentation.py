"""Random changes to training pictures, in named strengths.

They are part of the input pipeline of training and of nothing else: inside a
model they would be exported with it and change what is served.
"""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from tf_finetune.config import training_options
from tf_finetune.data import draws as random_draws
from tf_finetune.data import geometry, rand_augment

Change = Callable[
    [tf.Tensor, tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Level:
    """How strong each change is; 0 leaves it out.

    Every level mirrors half of the pictures left to right. Hue stays: what a
    picture shows is often told by its colour.

    Attributes:
        zoom: Pictures are enlarged so that up to this share of each side is
            cut off, as the crops of Szegedy et al. 2015, "Going Deeper with
            Convolutions", section 6, but of the same aspect.
        shift: Moved by up to this share of each side; the edge is mirrored.
        brightness: Lighter or darker by up to this share of white.
        contrast: Differences from the mean times 1 - contrast..1 + contrast.
        saturation: Times (1 - saturation)..1 / (1 - saturation).
        num_changes: RandAugment's N: see `rand_augment`.
        magnitude: RandAugment's M / 10.
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
"""What each value of --augmentation does, beside "none"."""


VERSION = 2
"""To be raised whenever a level changes pictures otherwise than before."""


def describe(level: training_options.Augmentation) -> str:
    """Returns what decides the changes of a level: equal texts, equal ones."""
    return f"{VERSION} {LEVELS[level]} {keras.__version__}"


def mixes(level: training_options.Augmentation) -> bool:
    """Whether a level mixes pictures of one batch with each other."""
    return level != "none" and LEVELS[level].mix


def build(level: training_options.Augmentation) -> Change | None:
    """Returns the function that changes a batch; None for "none".

    Args:
        level: "none" or one of `LEVELS`.

    Returns:
        (images float32 [batch, height, width, 3] 0..255, labels float32
        [batch, num_classes], seed int32 [2]) → (images, labels) of the same
        shapes. The result is a function of the three alone; each picture of a
        batch is changed in its own way.
    """
    if level == "none":
        return None
    strength = LEVELS[level]
    layers = _layers(strength)
    shuffled_changes = rand_augment.build(
        strength.num_changes, strength.magnitude
    )
    mix = _mixer() if strength.mix else None

    def change(
        images: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        draws = random_draws.Draws(seed)
        images = geometry.moved(
            images, draws, zoom=strength.zoom, shift=strength.shift
        )
        for layer in layers:
            images = random_draws.apply(layer, images, draws)
        images = shuffled_changes(images, draws)
        if mix is not None:
            images, labels = mix(images, labels, draws)
        return tf.clip_by_value(images, 0.0, 255.0), labels

    return change


def _layers(level: Level) -> tuple[keras.layers.Layer, ...]:
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


def _mixer() -> Callable[
    [tf.Tensor, tf.Tensor, random_draws.Draws], tuple[tf.Tensor, tf.Tensor]
]:
    layers = (
        keras.layers.MixUp(alpha=0.2, dtype="float32"),
        # The factor is the range of Beta's parameters. Keras' default begins
        # at 0, where Beta comes out as 0 / 0.
        keras.layers.CutMix(factor=(1.0, 1.0), dtype="float32"),
    )

    def mix(
        images: tf.Tensor, labels: tf.Tensor, draws: random_draws.Draws
    ) -> tuple[tf.Tensor, tf.Tensor]:
        (blended, blended_labels), (cut, cut_labels) = (
            _mixed(layer, images, labels, draws) for layer in layers
        )
        chosen = tf.random.stateless_uniform(
            tf.shape(labels)[:1], draws.next(), alg="philox"
        )
        is_cut = chosen < 0.5
        return (
            tf.where(is_cut[:, None, None, None], cut, blended),
            tf.where(is_cut[:, None], cut_labels, blended_labels),
        )

    return mix


def _mixed(
    layer: keras.layers.Layer,
    images: tf.Tensor,
    labels: tf.Tensor,
    draws: random_draws.Draws,
) -> tuple[tf.Tensor, tf.Tensor]:
    transformation = layer.get_random_transformation(
        images, training=True, seed=draws
    )
    return (
        layer.transform_images(images, transformation, training=True),
        layer.transform_labels(labels, transformation, training=True),
    )
