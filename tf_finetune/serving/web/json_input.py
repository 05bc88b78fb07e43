"""Arrays of a JSON request, by the rules of TensorFlow Serving.

Source: https://www.tensorflow.org/tfx/serving/api_rest, "Predict API" and
"JSON mapping". Where these leave a case open, it is handled as by its server.
"""

import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from tf_finetune.serving import failures, tensor_info
from tf_finetune.serving.web import json_values

Format = Literal["row", "column"]

_MAX_DIMENSIONS = 32  # NumPy's, before its version 2.


def parse_body(body: bytes) -> dict[str, Any]:
    """Parses a request's body as a JSON object.

    Returns:
        The object's values by key.

    Raises:
        RequestError: 400, it is not JSON, nested too deeply, or no object.
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
            400,
            "The body must be a JSON object, got "
            f"{json_values.shorten_value(document)}.",
        )
    return document


def read_signature_name(document: Mapping[str, Any]) -> str:
    """Reads the name of the requested signature from a request.

    Args:
        document: The request; its key "signature_name" may be missing.

    Returns:
        The name; "serving_default" if it is missing or empty.

    Raises:
        RequestError: 400, it is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise failures.RequestError(
            400,
            "'signature_name' must be a string, got "
            f"{json_values.shorten_value(name)}.",
        )
    return name or "serving_default"


def to_arrays(
    document: Mapping[str, Any],
    inputs: Sequence[tensor_info.TensorInfo],
    check_rows: Callable[[int], None] = lambda rows: None,
) -> tuple[dict[str, np.ndarray], Format]:
    """Converts the values of a predict request to arrays.

    Args:
        document: With "instances", a list of examples (row format), or
            "inputs", a value or an object of values (column format).
        inputs: The inputs of the signature.
        check_rows: Gets the number of examples and raises `RequestError` for
            too many; called before any of them is converted.

    Returns:
        Arrays by name, of the signature's types, and the request's format.

    Raises:
        RequestError: 400, a value does not match the signature.
    """
    # Both or neither.
    if ("instances" in document) == ("inputs" in document):
        raise failures.RequestError(
            400, "The body must have one of the keys 'instances' and 'inputs'."
        )
    if "instances" in document:
        rows = document["instances"]
        if isinstance(rows, list) and any(each.has_rows for each in inputs):
            check_rows(len(rows))
        columns = _transpose_rows(rows, inputs)
        return _convert_inputs(columns, inputs), "row"
    columns = document["inputs"]
    # {"b64": …} is a value, not an object of named values.
    if not isinstance(columns, dict) or json_values.is_base64(columns):
        if len(inputs) != 1:
            raise failures.RequestError(
                400, f"'inputs' must be an object with {_join_names(inputs)}."
            )
        columns = {inputs[0].name: columns}
    for each in inputs:
        if each.has_rows and isinstance(columns.get(each.name), list):
            check_rows(len(columns[each.name]))
    return _convert_inputs(columns, inputs), "column"


def find_first_value(document: Mapping[str, Any]) -> Any:
    """Finds the first value of a predict request inside its lists and objects.

    Returns:
        A JSON value, or `{"b64": …}`; None without instances or inputs; a list
        or object if that is empty.
    """
    value = document.get("instances", document.get("inputs"))
    while (
        isinstance(value, (list, dict))
        and value
        and not json_values.is_base64(value)
    ):
        value = next(iter(value.values() if isinstance(value, dict) else value))
    return value


def _transpose_rows(
    rows: Any, inputs: Sequence[tensor_info.TensorInfo]
) -> dict[str, list]:
    if not isinstance(rows, list) or not rows:
        raise failures.RequestError(
            400,
            "'instances' must be a list of examples, got "
            f"{json_values.shorten_value(rows)}.",
        )
    named = [isinstance(r, dict) and not json_values.is_base64(r) for r in rows]
    # Plain values are allowed for a signature of one input, and not mixed with
    # objects.
    if not any(named):
        if len(inputs) != 1:
            raise failures.RequestError(
                400,
                "Each of the 'instances' must be an object with "
                f"{_join_names(inputs)}.",
            )
        return {inputs[0].name: rows}
    wanted = {each.name for each in inputs}
    for number, row in enumerate(rows):
        if not named[number] or set(row) != wanted:
            raise failures.RequestError(
                400,
                f"Element {number} of 'instances' must be an object with "
                f"{_join_names(inputs)}, got "
                f"{json_values.shorten_value(row)}.",
            )
    return {name: [row[name] for row in rows] for name in wanted}


def _convert_inputs(
    columns: Mapping[str, Any], inputs: Sequence[tensor_info.TensorInfo]
) -> dict[str, np.ndarray]:
    arrays = {}
    for info in inputs:
        if info.name not in columns:
            raise failures.RequestError(
                400, f"Missing named input {info.name!r} in 'inputs'."
            )
        arrays[info.name] = _convert_input(columns[info.name], info)
    return arrays


def _convert_input(value: Any, info: tensor_info.TensorInfo) -> np.ndarray:
    """Converts nested lists, level by level, as recursion could go too deep."""
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
                f"Input {info.name!r} is not an array: at depth "
                f"{len(shape) + 1} its lists differ in length or are mixed "
                "with single values.",
            )
        shape.append(lengths.pop())
        level = list(itertools.chain.from_iterable(level))
        # Deep enough to be wrong: the check below names the expected shape.
        if info.shape is not None and len(shape) > len(info.shape):
            break
    if not math.prod(shape) and info.shape is not None:
        # An empty list does not show the dimensions of its elements.
        shape += [n or 0 for n in info.shape[len(shape) :]]
    info.check(tuple(shape))
    array = _convert_leaves(level, info)
    return array.reshape(shape)


def _convert_leaves(values: list, info: tensor_info.TensorInfo) -> np.ndarray:
    if info.is_text:
        # Objects: NumPy's own bytes would lose zeros at the end.
        array = np.empty(len(values), dtype=object)
        array[:] = [
            json_values.decode_string(value, info.name) for value in values
        ]
        return array
    kinds = {"f": (int, float), "i": (int,), "u": (int,), "b": (bool,)}
    accepted = kinds.get(info.dtype.kind, ())
    for value in values:
        # Not isinstance, for which True is an int.
        if type(value) not in accepted:
            raise _make_type_error(value, info)
    if info.dtype.kind == "b":
        return np.array(values, dtype=bool)
    return _convert_numbers(values, info)


def _convert_numbers(values: list, info: tensor_info.TensorInfo) -> np.ndarray:
    """Converts numbers; raises for those that the type cannot hold."""
    floating = info.dtype.kind == "f"
    limits = np.finfo(info.dtype) if floating else np.iinfo(info.dtype)
    low, high = limits.min, limits.max
    if floating:
        low, high = float(low), float(high)
    # A float with nmant bits of mantissa holds every integer up to this one.
    whole = 2 ** (limits.nmant + 1) - 1 if floating else None
    for value in values:
        if type(value) is int:
            fits = abs(value) <= whole if floating else low <= value <= high
        else:
            # Infinite values and NaN exist in every float type.
            fits = not math.isfinite(value) or low <= value <= high
        if not fits:
            raise failures.RequestError(
                400,
                f"Input {info.name!r}: {json_values.shorten_value(value)} "
                f"cannot be {info.dtype} without loss of precision.",
            )
    return np.array(values, dtype=info.dtype)


def _make_type_error(
    value: Any, info: tensor_info.TensorInfo
) -> failures.RequestError:
    return failures.RequestError(
        400,
        f"Input {info.name!r} takes values of type {info.dtype}, got "
        f"{json_values.shorten_value(value)}.",
    )


def _join_names(inputs: Sequence[tensor_info.TensorInfo]) -> str:
    return "the keys " + ", ".join(repr(each.name) for each in inputs)
