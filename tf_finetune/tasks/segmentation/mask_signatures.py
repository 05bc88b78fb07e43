"""Serving signatures of a segmentation: masks of each picture's own size."""

from collections.abc import Mapping

import tensorflow as tf

from tf_finetune.config import model_options
from tf_finetune.data.masks import mask_files, mask_resize

Answer = Mapping[str, tf.Tensor]

# Outputs at the model's size; every signature replaces them by its own.
_SQUARE_OUTPUTS = ("masks", "probabilities")


def build_masks(
    answer: Answer, sizes: tf.Tensor, resize: model_options.Resize
) -> dict[str, tf.Tensor]:
    """Returns masks in one array, padded to the largest picture.

    Args:
        answer: Outputs of the network for pictures made square.
        sizes: int32 [batch, 2], height and width of the upright pictures.
        resize: How they became square.

    Returns:
        `build_masks` int32 [batch, height, width] of the largest picture,
        places in labels.txt, 255 (ignored) right of smaller pictures and below
        them; `sizes` int32 [batch, 2], how large each one is.
    """
    sizes = tf.maximum(sizes, 1)
    # [1, 1] is added for the maximum of an empty batch.
    largest = tf.reduce_max(tf.concat([sizes, [[1, 1]]], axis=0), axis=0)

    def restore_mask(pair: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        probabilities, size = pair
        mask = mask_resize.compute_class_map(
            probabilities, size[0], size[1], resize=resize
        )
        below, right = tf.unstack(largest - size)
        return tf.pad(
            mask,
            [[0, below], [0, right]],
            constant_values=mask_files.IGNORED_INDEX,
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
        **_drop_square_outputs(answer),
        "masks": tf.cast(found, tf.int32),
        "sizes": sizes,
    }


def build_pngs(
    answer: Answer, sizes: tf.Tensor, resize: model_options.Resize
) -> dict[str, tf.Tensor]:
    """Returns each mask as a PNG of its picture's own size.

    Args:
        answer: As for `build_masks`.
        sizes: As for `build_masks`.
        resize: As for `build_masks`.

    Returns:
        `masks_bytes` string [batch], grayscale PNGs whose values are places in
        labels.txt; `shares` float32 [batch, classes], of the picture's pixels.
    """
    count = answer["probabilities"].shape[-1]

    def encode_mask(pair: tuple[tf.Tensor, tf.Tensor]) -> tuple:
        probabilities, size = pair
        mask = mask_resize.compute_class_map(
            probabilities, size[0], size[1], resize=resize
        )
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
    return {
        **_drop_square_outputs(answer),
        "masks_bytes": encoded,
        "shares": shares,
    }


def build_probabilities(
    answer: Answer, sizes: tf.Tensor, resize: model_options.Resize
) -> dict[str, tf.Tensor]:
    """Returns `build_probabilities` [batch, size, size, classes] unchanged."""
    del sizes, resize
    return {
        **_drop_square_outputs(answer),
        "probabilities": answer["probabilities"],
    }


# By signature; `serving_default` is the one that clients get if they name none.
SIGNATURE_FUNCTIONS = {
    "serving_default": build_masks,
    "serve_png": build_pngs,
    "serve_probabilities": build_probabilities,
}


def _drop_square_outputs(answer: Answer) -> dict[str, tf.Tensor]:
    return {
        name: each
        for name, each in answer.items()
        if name not in _SQUARE_OUTPUTS
    }
