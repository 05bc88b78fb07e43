"""Serving signatures of a segmentation: masks of each picture's own size."""

from collections.abc import Mapping

import tensorflow as tf

from tf_finetune.config import model_options
from tf_finetune.data.masks import reading, squares

Answer = Mapping[str, tf.Tensor]

# Outputs at the model's size; every signature replaces them by its own.
_SQUARE = ("masks", "probabilities")


def masks(
    answer: Answer, sizes: tf.Tensor, resize: model_options.Resize
) -> dict[str, tf.Tensor]:
    """Returns masks in one array, padded to the largest picture.

    Args:
        answer: Outputs of the network for pictures made square.
        sizes: int32 [batch, 2], height and width of the upright pictures.
        resize: How they became square.

    Returns:
        `masks` int32 [batch, height, width] of the largest picture, places in
        labels.txt, 255 (ignored) right of smaller pictures and below them;
        `sizes` int32 [batch, 2], how large each one is.
    """
    sizes = tf.maximum(sizes, 1)
    # [1, 1] is added for the maximum of an empty batch.
    largest = tf.reduce_max(tf.concat([sizes, [[1, 1]]], axis=0), axis=0)

    def restore_mask(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        probabilities, size = pair
        mask = squares.likeliest(probabilities, size[0], size[1], resize=resize)
        below, right = tf.unstack(largest - size)
        return tf.pad(
            mask, [[0, below], [0, right]], constant_values=reading.IGNORED
        )

    # `map_fn` over an empty batch would return an array of unknown shape.
    found = tf.cond(
        tf.size(sizes) > 0,
        lambda: tf.map_fn(
            restore_mask,
            (answer["probabilities"], sizes),
            fn_output_signature=tf.TensorSpec([None, None], tf.uint8),
        ),
        lambda: tf.zeros([0, 1, 1], tf.uint8),
    )
    return {
        **_others(answer),
        "masks": tf.cast(found, tf.int32),
        "sizes": sizes,
    }


def pictures(
    answer: Answer, sizes: tf.Tensor, resize: model_options.Resize
) -> dict[str, tf.Tensor]:
    """Returns each mask as a PNG of its picture's own size.

    Args:
        answer: As for `masks`.
        sizes: As for `masks`.
        resize: As for `masks`.

    Returns:
        `masks_bytes` string [batch], grayscale PNGs whose values are places in
        labels.txt; `shares` float32 [batch, classes], of the picture's pixels.
    """
    count = answer["probabilities"].shape[-1]

    def encode_mask(pair: tuple[tf.Tensor, tf.Tensor]) -> tuple:
        probabilities, size = pair
        mask = squares.likeliest(probabilities, size[0], size[1], resize=resize)
        counts = tf.math.bincount(
            tf.cast(mask, tf.int32), minlength=count, maxlength=count
        )
        shares = tf.cast(counts / tf.size(mask), tf.float32)
        return tf.io.encode_png(mask[..., tf.newaxis]), shares

    encoded, shares = tf.map_fn(
        encode_mask,
        (answer["probabilities"], tf.maximum(sizes, 1)),
        fn_output_signature=(
            tf.TensorSpec([], tf.string),
            tf.TensorSpec([count], tf.float32),
        ),
    )
    return {**_others(answer), "masks_bytes": encoded, "shares": shares}


def probabilities(
    answer: Answer, sizes: tf.Tensor, resize: model_options.Resize
) -> dict[str, tf.Tensor]:
    """Returns `probabilities` [batch, size, size, classes] unchanged."""
    del sizes, resize
    return {**_others(answer), "probabilities": answer["probabilities"]}


# By signature; `serving_default` is the one that clients get if they name none.
RESTORED = {
    "serving_default": masks,
    "serve_png": pictures,
    "serve_probabilities": probabilities,
}


def _others(answer: Answer) -> dict[str, tf.Tensor]:
    return {name: each for name, each in answer.items() if name not in _SQUARE}
