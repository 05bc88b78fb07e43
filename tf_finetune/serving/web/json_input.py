"""A request's arrays from JSON, by the rules of TensorFlow Serving.

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Predict API" and
"JSON mapping". What it leaves open is decided as its server decides it.
"""

import base64
import binascii
import itertools
import json
import math
import string
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tf_finetune.serving import failures, tensor_info

Format = Literal["row", "column"]

_BASE64 = "b64"
_MAX_DIMENSIONS = 32  # NumPy's, before its version 2.
_SHOWN_CHARACTERS = 60
_SPACES = dict.fromkeys(map(ord, string.whitespace))


def parse(body: bytes) -> dict[str, Any]:
    """Returns the JSON object that a request's body is.

    Raises:
        RequestError: It is no JSON, nested too deeply, or no object.
    """
    try:
        document = json.loads(body)
    except RecursionError as error:
        raise failures.RequestError(
            400, "JSON Parse error: it is nested too deeply."
        ) from error
    except ValueError as error:
        raise failures.RequestError(
            400, f"JSON Parse error: {error}"
        ) from error
    if not isinstance(document, dict):
        raise failures.RequestError(
            400, f"The body must be a JSON object, got {shown(document)}."
        )
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """Returns which signature a request asks for, or the default's name."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise failures.RequestError(
            400, f"'signature_name' must be a string, got {shown(name)}."
        )
    return name or "serving_default"


def to_arrays(
    document: Mapping[str, Any], inputs: Sequence[tensor_info.TensorInfo]
) -> tuple[dict[str, np.ndarray], Format]:
    """Returns a predict request's arrays by name, and its format.

    Args:
        document: With "instances", a list of examples (row format), or
            "inputs", a value or an object of values (column format).
        inputs: What the signature takes.

    Raises:
        RequestError: A value is not what the signature takes.
    """
    if ("instances" in document) == ("inputs" in document):
        raise failures.RequestError(
            400, "The body must have one of the keys 'instances' and 'inputs'."
        )
    if "instances" in document:
        columns = _columns_of_rows(document["instances"], inputs)
        return _arrays(columns, inputs), "row"
    columns = document["inputs"]
    if not isinstance(columns, dict) or is_base64(columns):
        if len(inputs) != 1:
            raise failures.RequestError(
                400, f"'inputs' must be an object with {_names(inputs)}."
            )
        columns = {inputs[0].name: columns}
    return _arrays(columns, inputs), "column"


def decode_base64(value: Mapping[str, str]) -> bytes:
    """Returns the bytes of `{"b64": …}`; padding may be missing."""
    text = value[_BASE64].translate(_SPACES)
    try:
        padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
        return base64.b64decode(padded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise failures.RequestError(
            400, f"Unable to base64 decode {shown(text)}: {error}."
        ) from error


def text(value: Any, name: str) -> bytes:
    """Returns the bytes that a JSON string or `{"b64": …}` stands for.

    Raises:
        RequestError: It is neither, or cannot be decoded.
    """
    if is_base64(value):
        return decode_base64(value)
    if not isinstance(value, str):
        raise failures.RequestError(
            400,
            f"Input {name!r} takes strings or "
            f'{{"b64": "…"}}, got {shown(value)}.',
        )
    try:
        return value.encode()
    except UnicodeEncodeError as error:
        raise failures.RequestError(
            400, f"Input {name!r} holds half a surrogate pair; send bytes as "
            '{"b64": "…"}.',
        ) from error  # fmt: skip


def is_base64(value: Any) -> bool:
    """Tells if a JSON value stands for bytes: `{"b64": "…"}`."""
    return (
        isinstance(value, dict)
        and len(value) == 1
        and isinstance(value.get(_BASE64), str)
    )


def shown(value: Any) -> str:
    """Returns a value as a message can show it, shortened."""
    if isinstance(value, (list, dict)) and value:
        # Not written out: it may be large and deep.
        kind = "a list" if isinstance(value, list) else "an object"
        return f"{kind} of {len(value)}"
    text = json.dumps(value)
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


def _columns_of_rows(
    rows: Any, inputs: Sequence[tensor_info.TensorInfo]
) -> dict[str, list]:
    if not isinstance(rows, list) or not rows:
        raise failures.RequestError(
            400, f"'instances' must be a list of examples, got {shown(rows)}."
        )
    named = [isinstance(r, dict) and not is_base64(r) for r in rows]
    if not any(named):
        if len(inputs) != 1:
            raise failures.RequestError(
                400,
                "Each of the 'instances' must be an object with "
                f"{_names(inputs)}.",
            )
        return {inputs[0].name: rows}
    wanted = {each.name for each in inputs}
    for number, row in enumerate(rows):
        if not named[number] or set(row) != wanted:
            raise failures.RequestError(
                400,
                f"Element {number} of 'instances' must be an object with "
                f"{_names(inputs)}, got {shown(row)}.",
            )
    return {name: [row[name] for row in rows] for name in wanted}


def _arrays(
    columns: Mapping[str, Any], inputs: Sequence[tensor_info.TensorInfo]
) -> dict[str, np.ndarray]:
    arrays = {}
    for info in inputs:
        if info.name not in columns:
            raise failures.RequestError(
                400, f"Missing named input {info.name!r} in 'inputs'."
            )
        arrays[info.name] = _array(columns[info.name], info)
    return arrays


def _array(value: Any, info: tensor_info.TensorInfo) -> np.ndarray:
    """Converts nested lists, level by level: they may be nested deeply."""
    level, shape = [value], []
    while level and isinstance(level[0], list):
        if len(shape) == _MAX_DIMENSIONS:
            raise failures.RequestError(
                400,
                f"Input {info.name!r} has more than {_MAX_DIMENSIONS} "
                "dimensions.",
            )
        lengths = {len(v) if isinstance(v, list) else None for v in level}
        if len(lengths) > 1:
            raise failures.RequestError(
                400,
                f"Input {info.name!r} is no array: at depth {len(shape) + 1} "
                "its lists differ in length or stand beside single values.",
            )
        shape.append(lengths.pop())
        level = list(itertools.chain.from_iterable(level))
        if info.shape is not None and len(shape) > len(info.shape):
            break
    if not math.prod(shape) and info.shape is not None:
        # Of an empty list nothing tells how deep its elements would be.
        shape += [n or 0 for n in info.shape[len(shape) :]]
    info.check(tuple(shape))
    array = _leaves(level, info)
    return array.reshape(shape)


def _leaves(values: list, info: tensor_info.TensorInfo) -> np.ndarray:
    if info.is_text:
        array = np.empty(len(values), dtype=object)
        array[:] = [text(value, info.name) for value in values]
        return array
    kinds = {"f": (int, float), "i": (int,), "u": (int,), "b": (bool,)}
    accepted = kinds.get(info.dtype.kind, ())
    for value in values:
        # Not isinstance: in Python True is a number.
        if type(value) not in accepted:
            raise _wrong_type(value, info)
    if info.dtype.kind == "b":
        return np.array(values, dtype=bool)
    return _numbers(values, info)


def _numbers(values: list, info: tensor_info.TensorInfo) -> np.ndarray:
    """Converts numbers; those the type cannot hold are an error."""
    floating = info.dtype.kind == "f"
    limits = np.finfo(info.dtype) if floating else np.iinfo(info.dtype)
    low, high = limits.min, limits.max
    if floating:
        low, high = float(low), float(high)
    whole = 2 ** (limits.nmant + 1) - 1 if floating else None
    for value in values:
        if type(value) is int:
            fits = abs(value) <= whole if floating else low <= value <= high
        else:
            fits = not math.isfinite(value) or low <= value <= high
        if not fits:
            raise failures.RequestError(
                400,
                f"Input {info.name!r}: {shown(value)} is no {info.dtype} "
                "without loss of precision.",
            )
    return np.array(values, dtype=info.dtype)


def _wrong_type(
    value: Any, info: tensor_info.TensorInfo
) -> failures.RequestError:
    return failures.RequestError(
        400,
        f"Input {info.name!r} takes values of type {info.dtype}, got "
        f"{shown(value)}.",
    )


def _names(inputs: Sequence[tensor_info.TensorInfo]) -> str:
    return "the keys " + ", ".join(repr(each.name) for each in inputs)
