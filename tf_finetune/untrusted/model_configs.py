"""Allows only plain layers in the config of an untrusted .keras file.

A config names classes and functions that Keras looks up and calls. `safe_mode`
refuses Python code in it; the rest can still read files (a vocabulary by its
path), load programs (TFSMLayer) or call any function that Keras exports. So
only the parts of networks on pictures and tables are allowed.
"""

import contextlib
import pathlib
from collections.abc import Iterator
from typing import Any

from tf_finetune import errors, files, terminal_escapes
from tf_finetune.untrusted import archives, keras_files

# The largest of keras.applications, NASNetLarge, has some 1000.
MAX_LAYERS = 10_000
MAX_LEVELS = 60

_MAX_FILE_BYTES = 64 << 30
_MAX_REASON_LENGTH = 400
# These read, unpack or run other files, or compute large arrays when they are
# built.
_REFUSED_LAYERS = frozenset(
    [
        "FlaxLayer",
        "HashedCrossing",
        "JaxLayer",
        "Lambda",
        "MelSpectrogram",
        "Pipeline",
        "STFTSpectrogram",
        "TFSMLayer",
        "TextVectorization",
        "TorchModuleWrapper",
    ]
)
_ALLOWED_MODULES = frozenset(
    [
        "keras",
        "keras.activations",
        "keras.constraints",
        "keras.initializers",
        "keras.layers",
        "keras.models",
        "keras.regularizers",
    ]
)
# Operations on tensors, and models and layers without a public name.
_ALLOWED_INTERNAL_MODULES = (
    "keras.src.applications.",
    "keras.src.layers.",
    "keras.src.models.",
    "keras.src.ops.",
)
_ALLOWED_CLASSES = frozenset(
    ["DTypePolicy", "FloatDTypePolicy", "Functional", "Model", "Sequential"]
)
_FUNCTION_MODULES = ("builtins", "keras.activations", "keras.initializers")
# Plain values that JSON has no form for.
_PLAIN_VALUES = frozenset(
    [
        "__bytes__",
        "__ellipsis__",
        "__keras_tensor__",
        "__numpy__",
        "__slice__",
        "__tensor__",
    ]
)
_FILE_OPTIONS = ("idf_weights", "vocabulary")


def read_checked_config(
    path: pathlib.Path, *, within: pathlib.Path
) -> dict[str, Any]:
    """Returns the config of a .keras file, checked to hold plain layers only.

    Args:
        path: The file.
        within: The folder that it must lie in, links followed.

    Returns:
        The parsed config.json; Keras may build the model from it.

    Raises:
        RunError: It is not such a file, is larger than any network, or its
            config names a class, function or file that plain networks do not
            have.
    """
    with explain_errors(path):
        files.require_regular(path, within=within, limit=_MAX_FILE_BYTES)
        keras_files.check_file(path)
        # Names of members are checked because Keras unpacks them to disk.
        with archives.open_archive(path) as archive:
            for name in archive.namelist():
                _check_member(name)
            config = keras_files.read_config(archive)
        _check_config(config)
        return config


@contextlib.contextmanager
def explain_errors(path: pathlib.Path) -> Iterator[None]:
    """Turns any error in the block into a `RunError` of one printable sentence.

    Args:
        path: The model file that is read, for the message.
    """
    try:
        yield
    except Exception as error:  # A damaged file can make Keras raise anything.
        # `keras_files` has another advice, for files that are no run's.
        is_advised = isinstance(error, errors.RunError) and error.__cause__
        reason = error.__cause__ if is_advised else error
        text = getattr(reason, "strerror", None) or str(reason)
        # A file's own text may hold line breaks and terminal codes.
        text = terminal_escapes.escape(" ".join(text.split()))
        if len(text) > _MAX_REASON_LENGTH:
            text = f"{text[:_MAX_REASON_LENGTH]}…"
        if not text.endswith((".", "!", "?")):
            text = f"{text or type(error).__name__}."
        raise errors.RunError(
            f"{terminal_escapes.escape(str(path))} cannot be read: {text} "
            "Train it again, or copy its folder again."
        ) from error


def _check_config(config: Any) -> None:
    """Raises `RunError` for a config that is not one of a plain network."""
    if not isinstance(config, dict) or "class_name" not in config:
        raise errors.RunError("Its config.json describes no model.")
    for counted, each in enumerate(_iterate_objects(config)):
        if counted > 20 * MAX_LAYERS:
            raise errors.RunError(
                f"Its config.json describes more than {20 * MAX_LAYERS:,} "
                "objects, which no network has."
            )
        _check_object(each)


def _check_member(name: str) -> None:
    parts = pathlib.PurePosixPath(name.replace("\\", "/")).parts
    if not parts or ".." in parts or parts[0].startswith("/") or ":" in name:
        raise errors.RunError(
            "It holds a member named "
            f"{terminal_escapes.escape(repr(name))[:100]}, which would be "
            "unpacked outside of it."
        )


def _iterate_objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yields all dictionaries in a config that name a class or function."""
    # A stack instead of recursion: a config may nest deeper than Python can.
    waiting = [(config, 0)]
    while waiting:
        value, level = waiting.pop()
        if level > MAX_LEVELS:
            raise errors.RunError(
                f"Its config.json nests more than {MAX_LEVELS} levels, which "
                "no network does."
            )
        if isinstance(value, dict):
            if "class_name" in value:
                yield value
            layers = value.get("layers")
            if isinstance(layers, list) and len(layers) > MAX_LAYERS:
                raise errors.RunError(
                    f"Its config.json describes {len(layers):,} layers, and "
                    f"{MAX_LAYERS:,} is the limit."
                )
            waiting += ((each, level + 1) for each in value.values())
        elif isinstance(value, list):
            waiting += ((each, level + 1) for each in value)


def _check_object(found: dict[str, Any]) -> None:
    name, module = found["class_name"], found.get("module")
    inner = found.get("config")
    if not isinstance(name, str) or not isinstance(module, str | None):
        raise errors.RunError(
            "In its config.json the name of a class is not text."
        )
    if name in _PLAIN_VALUES:
        return
    if name == "function":
        if module not in _FUNCTION_MODULES or not isinstance(inner, str):
            raise _refusal_error(module, inner)
        return
    if not _is_known(name, module):
        raise _refusal_error(module, name)
    if isinstance(inner, dict):
        # A layer with these as text reads a file; as lists they are data.
        for key in _FILE_OPTIONS:
            if isinstance(inner.get(key), str):
                raise errors.RunError(
                    f"Its config.json asks the layer {name} for the {key} in "
                    "another file, which is not read."
                )


def _is_known(name: str, module: str | None) -> bool:
    # Names such as "__lambda__" stand for code; plain values are in _VALUES.
    if name.startswith("__"):
        return False
    if module in ("keras", "keras.models"):
        return name in _ALLOWED_CLASSES
    if module == "keras.layers":
        return name not in _REFUSED_LAYERS
    if module is None or module in _ALLOWED_MODULES:
        # Without a module, what the caller's own imports have registered.
        return name not in _REFUSED_LAYERS
    if module.startswith(_ALLOWED_INTERNAL_MODULES):
        return name not in _REFUSED_LAYERS
    # Keras imports nothing else; it must be registered under its name.
    return not module.partition(".")[0].startswith("keras")


def _refusal_error(module: Any, name: Any) -> errors.RunError:
    full = f"{module}.{name}" if module else f"{name}"
    return errors.RunError(
        f"Its config.json asks for {terminal_escapes.escape(full)[:100]}, "
        "which can read other files or run code and is not part of a network "
        "on pictures."
    )
