"""Descriptions of files without readable weights, for error messages."""

import pathlib
import re
from collections.abc import Sequence

READABLE_HINT = (
    "Readable are: a Keras .h5 (with or without top), a .weights.h5, a .keras "
    "file, a PyTorch .pth or .safetensors, or the workdir of an earlier run."
)

_NO_PYTORCH = (
    "has the suffix of a PyTorch file but is not one; copy or download it again"
)
_CHECKPOINT = "is a part of a TensorFlow checkpoint; give a Keras file"
KERAS_0_HINT = (
    "is a file of weights of Keras 0 (layer_0/param_0), with the axes of "
    "Theano; it is not readable. Save it again with Keras 2"
)
# Suffixes that users tend to omit.
_NEAR = (".h5", ".weights.h5", ".keras")
_PAGE = (
    "is a web page, not weights: the download went wrong. Open the address in "
    "a browser, or fetch the raw file"
)
_POINTER = (
    "is a Git LFS pointer, not the weights themselves; run 'git lfs pull' in "
    "its repository"
)


def describe_file(path: pathlib.Path, start: bytes) -> str:
    """Describes a file that is not readable as weights.

    Args:
        path: Only its suffix is looked at.
        start: Its first bytes, a few hundred.

    Returns:
        The predicate of a sentence, such as "is an empty file".
    """
    if not start:
        return "is an empty file"
    if _is_shard(path.suffix):
        return _CHECKPOINT
    # Content is more reliable than a suffix.
    for recognizes, words in _SIGNS:
        if recognizes(start):
            return words
    return _BY_SUFFIX.get(
        path.suffix.lower(), "is not a weights file of a known format"
    )


def describe_zip(names: Sequence[str]) -> str:
    """Describes a zip archive that is not readable as weights.

    Args:
        names: Names of its members.

    Returns:
        The predicate of a sentence, such as "is a NumPy .npz file".
    """
    if names and all(name.endswith(".npy") for name in names):
        return "is a NumPy .npz file, not a Keras one"
    if any(name.endswith((".weights.json", ".npz")) for name in names):
        return (
            "is a .keras file whose weights are split over several files; "
            "save it again with model.save_weights('model.weights.h5')"
        )
    return "is a zip archive without model.weights.h5; unpack it first"


def describe_prefix(path: pathlib.Path) -> str | None:
    """Describes the files whose names begin with that of a missing path.

    Only names in its folder are looked at.

    Returns:
        The predicate of a sentence, such as "does not exist, but there is …";
        None if there are no such files, or none of a known kind.
    """
    try:
        inside = sorted(
            each.name
            for each in path.parent.iterdir()
            if each.name.startswith(path.name)
        )
    except OSError:
        return None
    ends = [name.removeprefix(path.name) for name in inside]
    if ".index" in ends or any(_is_shard(end) for end in ends):
        model = path.parent.parent / "saved_model.pb"
        if path.name == "variables" and model.is_file():
            return (
                "is a part of a TensorFlow checkpoint, the variables of a "
                "SavedModel; give a Keras file of the same model"
            )
        return _CHECKPOINT
    near = [
        name for name, end in zip(inside, ends, strict=True) if end in _NEAR
    ]
    if near:
        return f"does not exist, but there is {path.parent / near[0]}"
    return None


def _is_shard(end: str) -> bool:
    return re.fullmatch(r"\.data-\d{5}-of-\d{5}", end) is not None


def describe_folder(path: pathlib.Path) -> str:
    """Describes a folder that is no workdir.

    Returns:
        The predicate of a sentence, such as "is a SavedModel folder, …".
    """
    if (path / "saved_model.pb").is_file():
        return (
            "is a SavedModel folder, which holds a program and no layers; "
            "give the .keras or .h5 file of the same model"
        )
    if (path / "model.weights.h5").is_file():
        return (
            "is a folder but not a workdir (it has no run.flags); give the "
            "model.weights.h5 in it"
        )
    if path.name == "variables" and any(path.glob("variables.index")):
        return (
            "is the variables folder of a SavedModel; give the .keras or .h5 "
            "file of the same model"
        )
    if any(path.glob("*.index")) and any(path.glob("*.data-*-of-*")):
        return "is a folder of TensorFlow checkpoints; give a Keras file"
    inside = sorted(each.name for each in path.iterdir())[:5]
    return "is a folder with " + (", ".join(inside) or "nothing in it")


def _is_web_page(start: bytes) -> bool:
    # A byte order mark may come first.
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    return head.startswith((b"<!doctype", b"<html", b"<?xml", b"<head"))


_SIGNS = (
    (_is_web_page, _PAGE),
    (lambda start: start.startswith(b"version https://git-lfs"), _POINTER),
    # The identifier of a flatbuffer follows an offset of 4 bytes.
    (lambda start: start[4:8] == b"TFL3", "is a LiteRT model, not weights"),
    (
        lambda start: start.startswith(b"\x1f\x8b"),
        "is a gzip archive; unpack it first",
    ),
    (lambda start: start.startswith(b"\x93NUMPY"), "is a NumPy array"),
)
_BY_SUFFIX = {
    ".pt": _NO_PYTORCH,
    ".pth": _NO_PYTORCH,
    ".onnx": "is an ONNX model; it is not readable yet",
    ".pb": "is a part of a SavedModel; give a Keras file",
    ".index": _CHECKPOINT,
    ".safetensors": _NO_PYTORCH,
    ".ckpt": "is not a Keras file (.ckpt is used by TensorFlow and by PyTorch)",
    ".th": _NO_PYTORCH,
    ".h5": "is named .h5 but is not HDF5; copy or download it again",
    ".keras": "is named .keras but is not a zip; copy or download it again",
}
