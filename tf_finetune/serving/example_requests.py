"""tf.train.Example messages from JSON, for classification requests.

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Classify and Regress
API".
"""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tf_finetune.serving import failures
from tf_finetune.serving.web import json_strings


def from_json(
    document: Mapping[str, Any],
    check_rows: Callable[[int], None] = lambda rows: None,
) -> list[bytes]:
    """Serializes the examples of a classify or regress request.

    Args:
        document: With "examples", a list of objects of features, and perhaps
            "context", features common to all.
        check_rows: Raises `RequestError` for too many examples; called before
            any of them is parsed.

    Raises:
        RequestError: A feature is not a value or a list of values of one type.
    """
    rows = document.get("examples")
    if not isinstance(rows, list) or not rows:
        raise failures.RequestError(
            400,
            "'examples' must be a list of objects, got "
            f"{json_strings.shorten_value(rows)}.",
        )
    check_rows(len(rows))
    context = _parse_features(document.get("context", {}))
    return [
        tf.train.Example(
            features=tf.train.Features(
                feature={**context, **_parse_features(row)}
            )
        ).SerializeToString()
        for row in rows
    ]


def _parse_features(row: Any) -> dict[str, tf.train.Feature]:
    if not isinstance(row, dict):
        raise failures.RequestError(
            400,
            "An example must be an object of features, got "
            f"{json_strings.shorten_value(row)}.",
        )
    return {name: _parse_feature(name, value) for name, value in row.items()}


def _parse_feature(name: str, value: Any) -> tf.train.Feature:
    values = value if isinstance(value, list) else [value]
    if all(isinstance(each, str) or json_strings.is_base64(each)
           for each in values):  # fmt: skip
        encoded = [json_strings.decode_string(each, name) for each in values]
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=encoded))
    # Integers alone become int64; one float among them makes all floats.
    try:
        if all(type(each) in (int, bool) for each in values):
            numbers = tf.train.Int64List(value=map(int, values))
            return tf.train.Feature(int64_list=numbers)
        if all(type(each) in (int, float) for each in values):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
    except (ValueError, OverflowError) as error:
        raise failures.RequestError(
            400, f"Feature {name!r}: {error}."
        ) from error
    raise failures.RequestError(
        400,
        f"Feature {name!r} must hold strings, integers or floats, all of one "
        f"type, got {json_strings.shorten_value(value)}.",
    )
