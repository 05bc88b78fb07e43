"""Serving signatures of a segmentation: masks of each picture's own size."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_finetune import errors
from tf_finetune.config import picture_options
from tf_finetune.data.masks import mask_files, mask_resize

Answer = Mapping[str, tf.Tensor]

# Outputs at the model's size; every signature replaces them by its own.
_SQUARE_OUTPUTS = ("masks", "probabilities")


def build_masks(
    answer: Answer, sizes: tf.Tensor, resize: picture_options.Resize
) -> dict[str, tf.Tensor]:
    """Builds masks of the pictures' own sizes, padded to the largest one.

    Args:
        answer: Outputs of `Network.serve` for pictures made square.
        sizes: int32 [batch, 2], height and width of the upright pictures.
        resize: How they became square, a value of `--resize`.

    Returns:
        `masks` int32 [batch, height, width] of the largest picture: line
        numbers in labels.txt from 0 on, 255 (ignored) right of smaller
        pictures and below them; `sizes` int32 [batch, 2], the size of each;
        other outputs of `answer` unchanged, without `probabilities`.
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
    answer: Answer, sizes: tf.Tensor, resize: picture_options.Resize
) -> dict[str, tf.Tensor]:
    """Encodes each mask as a PNG of its picture's own size.

    Args:
        answer: Outputs of `Network.serve` for pictures made square.
        sizes: int32 [batch, 2], height and width of the upright pictures.
        resize: How they became square, a value of `--resize`.

    Returns:
        `masks_bytes` string [batch], grayscale PNGs whose values are line
        numbers in labels.txt from 0 on; `shares` float32 [batch, classes],
        shares of the picture's pixels; other outputs of `answer` unchanged,
        without `masks` and `probabilities`.
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
    answer: Answer, sizes: tf.Tensor, resize: picture_options.Resize
) -> dict[str, tf.Tensor]:
    """Returns `answer` with `probabilities` [batch, size, size, classes].

    Only `masks` is left out; `sizes` and `resize` are not used.
    """
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


def check_masks(
    answers: Mapping[str, Mapping[str, np.ndarray]],
    predictions: np.ndarray,
    sizes: np.ndarray,
    *,
    resize: picture_options.Resize,
    allowed: float,
) -> dict[str, dict[str, float]]:
    """Compares served masks with predictions resized to the pictures' sizes.

    The served class of a pixel may be less likely than the likeliest one by at
    most 2 · `allowed`; where the likeliest one leads by more, it must be the
    served one.

    Args:
        answers: Outputs of the signatures `serving_default` and `serve_png`.
        predictions: float32 [pictures, size, size, classes], of the
            evaluation.
        sizes: int [pictures, 2], heights and widths.
        resize: How the pictures became square, a value of `--resize`.
        allowed: Largest allowed difference of a probability.

    Returns:
        By signature, `same_class`, the share of pixels with the likeliest
        class, and `largest_gap`, the largest difference between its
        probability and that of the served class.

    Raises:
        RunError: A mask has another size, a larger gap or wrong padding.
    """
    served = {
        "serving_default": list(_crop_masks(answers["serving_default"])),
        "serve_png": _decode_masks(answers["serve_png"]),
    }
    gaps: dict[str, list[np.ndarray]] = {name: [] for name in served}
    for number, (square, size) in enumerate(
        zip(predictions, sizes, strict=True)
    ):
        own = _resize_probabilities(square, size, resize)
        for name, masks in served.items():
            gaps[name].append(_compute_gaps(masks[number], own, name))
    figures = {name: _summarize_gaps(each) for name, each in gaps.items()}
    for name, each in figures.items():
        # Twice: both probabilities may differ, in opposite directions. By
        # `not <=` a NaN fails, too.
        if not each["largest_gap"] <= 2 * allowed:
            raise errors.RunError(
                f"The export ({name}) gives other masks than the evaluation: a "
                f"class is {each['largest_gap']:.2g} less likely than the "
                f"most likely one (allowed {2 * allowed:.0e}), and "
                f"{each['same_class']:.2%} of the pixels have the same class. "
                "It has been removed."
            )
    return figures


def _resize_probabilities(
    square: np.ndarray, size: np.ndarray, resize: picture_options.Resize
) -> np.ndarray:
    """Resizes probabilities as evaluation does, [height, width, classes]."""
    with tf.device("CPU"):
        # On the CPU, as in evaluation.
        sides = tf.unstack(tf.constant(size, tf.int32))
        own = mask_resize.restore_size(
            tf.constant(square), *sides, resize=resize
        )
        return own.numpy()


def _compute_gaps(mask: np.ndarray, own: np.ndarray, name: str) -> np.ndarray:
    """Computes p(likeliest class) - p(served class) of each pixel."""
    if mask.shape != own.shape[:2] or mask.max() >= own.shape[2]:
        raise errors.RunError(
            f"The export ({name}) gives a mask of {mask.shape[0]} x "
            f"{mask.shape[1]} pixels with values up to {mask.max()} for a "
            f"picture of {own.shape[0]} x {own.shape[1]} pixels and "
            f"{own.shape[2]} classes. It has been removed."
        )
    chosen = np.take_along_axis(own, mask[..., np.newaxis].astype(int), -1)
    return own.max(-1) - chosen[..., 0]


def _summarize_gaps(gaps: Sequence[np.ndarray]) -> dict[str, float]:
    flat = np.concatenate([each.ravel() for each in gaps])
    return {
        "same_class": float((flat == 0).mean()),
        "largest_gap": float(flat.max()),
    }


def _crop_masks(answer: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Crops the padding of masks that were served in one array."""
    for mask, (height, width) in zip(
        answer["masks"], answer["sizes"], strict=True
    ):
        own = mask[:height, :width]
        beyond = mask.size - own.size
        if (mask == mask_files.IGNORED_INDEX).sum() != beyond:
            raise errors.RunError(
                "The export (serving_default) gives masks whose padding is not "
                f"filled up with {mask_files.IGNORED_INDEX}. It has been "
                "removed."
            )
        yield own


def _decode_masks(answer: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return [
        tf.io.decode_png(each)[..., 0].numpy() for each in answer["masks_bytes"]
    ]
