"""Values in a request's JSON: strings, bytes, Examples of features.

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Encoding binary
values" and "Classify and Regress API".
"""

import base64
import binascii
import itertools
import json
import string
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from tf_finetune.serving import failures

_BASE64 = "b64"
_SHOWN_CHARACTERS = 60
_SHOWN_KEYS = 5
# The first base64 characters of JPEG, PNG, GIF and WebP files, and data URLs. A
# plain string that begins so is a picture whose {"b64": …} was forgotten.
_BASE64_BEGINNINGS = (
    "/9j/",
    "iVBORw0KGgo",
    "R0lGODdh",
    "R0lGODlh",
    "UklGR",
    "data:",
)
_SPACES = dict.fromkeys(map(ord, string.whitespace))


def decode_string(value: Any, name: str) -> bytes:
    """Decodes a JSON string or `{"b64": …}` to bytes.

    Args:
        value: The JSON value; a plain string is encoded as UTF-8.
        name: Name of the input, for messages.

    Raises:
        RequestError: 400, it is neither or cannot be decoded, or it is a
            picture in base64 as a plain string.
    """
    if is_base64(value):
        return _decode_base64(value)
    if not isinstance(value, str):
        raise failures.RequestError(
            400,
            f"Input {name!r} takes strings or "
            f'{{"b64": "…"}}, got {shorten_value(value)}.',
        )
    if value.startswith(_BASE64_BEGINNINGS):
        raise failures.RequestError(
            400,
            f"Input {name!r} got a picture in base64 as a plain string; write "
            '{"b64": "…"} for it.',
        )
    # JSON's \ud800 alone is a valid string in Python, but has no UTF-8.
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise failures.RequestError(
            400, f"Input {name!r} holds half a surrogate pair; send bytes as "
            '{"b64": "…"}.',
        ) from error  # fmt: skip


def is_base64(value: Any) -> bool:
    """Returns whether a JSON value has the form `{"b64": "…"}`."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(value.get(_BASE64), str)
    )


def shorten_value(value: Any) -> str:
    """Describes a JSON value in a few words for a message.

    Lists and objects are counted, other long values are cut.
    """
    # Lists and objects are only counted: they may be large and deep.
    if isinstance(value, list) and value:
        return f"a list of {len(value)}"
    if isinstance(value, dict) and value:
        keys = [
            shorten_value(key) for key in itertools.islice(value, _SHOWN_KEYS)
        ]
        more = f", … ({len(value)})" if len(value) > _SHOWN_KEYS else ""
        return f"an object with the keys {', '.join(keys)}{more}"
    text = json.dumps(value)
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


def _decode_base64(value: Mapping[str, str]) -> bytes:
    """Decodes the bytes of `{"b64": …}`; padding may be missing."""
    text = value[_BASE64].translate(_SPACES)
    if text.startswith("data:"):
        raise failures.RequestError(
            400,
            "'b64' takes base64 only; leave out the part up to the comma, got "
            f"{shorten_value(text)}.",
        )
    # RFC 4648: the standard alphabet is that of section 4, the URL-safe one
    # that of section 5.
    if "-" in text or "_" in text:
        raise failures.RequestError(
            400,
            "'b64' takes base64 in the standard alphabet: + and / where the "
            f"URL-safe one has - and _, got {shorten_value(text)}.",
        )
    try:
        # Python requires the padding to a multiple of four characters.
        padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise failures.RequestError(
            400, f"Unable to base64 decode {shorten_value(text)}: {error}."
        ) from error


def serialize_examples(
    document: Mapping[str, Any],
    check_rows: Callable[[int], None] = lambda rows: None,
) -> list[bytes]:
    """Serializes the examples of a classify or regress request.

    Args:
        document: With "examples", a list of objects of features, and perhaps
            "context", features common to all.
        check_rows: Gets the number of examples and raises `RequestError` for
            too many; called before any of them is parsed.

    Returns:
        A serialized `tf.train.Example` for each; its own features replace those
        of the context.

    Raises:
        RequestError: 400, there are no examples, or a feature is not a value or
            a list of values of one type.
    """
    rows = document.get("examples")
    if not isinstance(rows, list) or not rows:
        raise failures.RequestError(
            400,
            f"'examples' must be a list of objects, got {shorten_value(rows)}.",
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
            f"{shorten_value(row)}.",
        )
    return {name: _parse_feature(name, value) for name, value in row.items()}


def _parse_feature(name: str, value: Any) -> tf.train.Feature:
    values = value if isinstance(value, list) else [value]
    if all(isinstance(each, str) or is_base64(each)
           for each in values):  # fmt: skip
        encoded = [decode_string(each, name) for each in values]
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
        f"type, got {shorten_value(value)}.",
    )
