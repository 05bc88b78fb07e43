"""Reading of weights files: detects their format, returns plain arrays.

No TensorFlow and no Keras is imported, and nothing in a file is turned into an
object: a model file cannot run code here.
"""

import functools
import io
import pathlib
from typing import Any, Literal

from tf_finetune import errors, files
from tf_finetune.untrusted import archives, keras_files
from tf_finetune.weights import (
    config_graph,
    file_views,
    foreign_formats,
    saved_weights,
)
from tf_finetune.weights.torch import formats as torch_formats

ADAPTER_ATTRIBUTE = "tf_finetune_adapter"
"""Attribute of the HDF5 files that `adaptation.adapter_file` writes."""

# Signatures at the start of HDF5 and zip files.
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
# Upper bound; the run.flags that a run writes has 2 kB.
_FLAGS_BYTES = 1 << 20


def detect_kind(
    path: pathlib.Path,
) -> saved_weights.Kind | Literal["adapter"]:
    """Detects the kind of a weights file or workdir by content, not by name.

    A file of kind "torch" is read by `tf_finetune.weights.torch`, one of kind
    "adapter" by `tf_finetune.adaptation`, the others (see `SavedWeights.kind`)
    by `read_weights`. Cheap: reads a few bytes, and the table of contents of a
    zip or HDF5 file.

    Raises:
        UsageError: `path` does not exist or is no readable weights file; the
            message says which kind of file it is instead.
        RunError: The file is damaged.
    """
    try:
        if path.is_dir():
            return _detect_folder_kind(path)
        if not path.exists() and (
            words := foreign_formats.describe_prefix(path)
        ):
            raise errors.UsageError(
                f"--weights={path} {words}. {foreign_formats.READABLE_HINT}"
            )
        # Opening a pipe would block until somebody writes to it.
        if path.exists() and not path.is_file():
            raise errors.UsageError(
                f"--weights={path} is not a regular file. "
                f"{foreign_formats.READABLE_HINT}"
            )
        start = _read_start(path)
    except FileNotFoundError as error:
        raise errors.UsageError(
            f"--weights={path}: no such file or folder."
        ) from error
    except OSError as error:
        raise errors.UsageError(
            f"--weights={path} cannot be read: {error.strerror or error}."
        ) from error
    if start.startswith(_HDF5):
        state = path.stat()
        return _detect_hdf5_kind(
            path, (state.st_ino, state.st_size, state.st_mtime_ns)
        )
    if start.startswith(_ZIP):
        return _detect_zip_kind(path)
    if torch_formats.detect_format(start):
        return "torch"
    raise errors.UsageError(
        f"--weights={path} {foreign_formats.describe_file(path, start)}. "
        f"{foreign_formats.READABLE_HINT}"
    )


def read_weights(path: pathlib.Path) -> saved_weights.SavedWeights:
    """Reads all weights of a file or of an earlier workdir as NumPy arrays.

    Args:
        path: A .h5, .weights.h5 or .keras file, or a workdir.

    Returns:
        The layers in the order of the model where it is known; Scale layers of
        old ResNet files are merged into their batch norms.

    Raises:
        UsageError: `path` does not exist or is no readable weights file; the
            message says which kind of file it is instead.
        RunError: The file is damaged or empty, or refused because it points
            outside itself.
    """
    kind = detect_kind(path)
    if kind == "torch":
        raise errors.UsageError(
            f"--weights={path} is a PyTorch file and not one of Keras. "
            f"{foreign_formats.READABLE_HINT}"
        )
    if kind == "adapter":
        raise errors.UsageError(
            f"--weights={path} is an adapter, which changes the weights of a "
            "network and does not hold them; here a whole network is needed. "
            "`python -m tf_finetune.adapters merge` writes one."
        )
    file = path / keras_files.WEIGHTS_MEMBER if kind == "workdir" else path
    with keras_files.explain_errors(file):
        # Errors of h5py and zipfile become one sentence about the file.
        layers, config, backbone = _read_layers(file, kind)
        sha256 = files.sha256(file)
    if not any(layer.arrays for layer in layers):
        raise errors.RunError(f"{file} holds no weights; it is empty.")
    # A run's weights file has no config; its model.keras has one.
    if kind == "workdir":
        config = _read_run_config(path)
    found = saved_weights.SavedWeights(
        kind=kind,
        path=file,
        sha256=sha256,
        layers=layers,
        config=config,
        # run.flags counts in a workdir, whose file may be older.
        backbone=read_backbone(path) if kind == "workdir" else backbone,
        graph=None if config is None else config_graph.parse_graph(config),
    )
    return file_views.join_scales(saved_weights.sort_layers(found))


def read_backbone(workdir: pathlib.Path) -> str | None:
    """Reads `--backbone` in a workdir's run.flags; None if it is not there."""
    return read_flags(workdir).get("backbone")


def read_flags(workdir: pathlib.Path) -> dict[str, str]:
    """Reads the flags of an earlier workdir from its run.flags.

    Returns:
        Values as text by the name of the flag, without dashes.

    Raises:
        UsageError: run.flags is no regular file in the workdir or too large.
        OSError: run.flags is missing or cannot be read.
    """
    path = workdir / "run.flags"
    try:
        text = files.read_text(path, limit=_FLAGS_BYTES, within=workdir)
    except files.UnfitFileError as error:
        raise errors.UsageError(
            f"--weights={workdir} cannot be used: {error}"
        ) from error
    found = {}
    for line in text.splitlines():
        name, _, value = line.strip().lstrip("-").partition("=")
        found.setdefault(name, value)
    return found


def _read_layers(
    file: pathlib.Path, kind: saved_weights.Kind
) -> tuple[
    tuple[saved_weights.SavedLayer, ...], dict[str, Any] | None, str | None
]:
    """Returns the layers, the config and the name of the backbone, if any."""
    import h5py

    from tf_finetune.weights import hdf5_layers

    if kind != "keras":
        with h5py.File(file, "r") as opened:
            if kind == "classic_h5":
                config = hdf5_layers.read_classic_config(opened)
                return hdf5_layers.read_classic_layers(opened), config, None
            layers = hdf5_layers.read_keras3_layers(opened)
            return layers, None, keras_files.read_backbone(opened)
    with archives.open_archive(file) as archive:
        content = archive.read(keras_files.WEIGHTS_MEMBER)
        config = keras_files.read_config(archive)
    with h5py.File(io.BytesIO(content), "r") as opened:
        return hdf5_layers.read_keras3_layers(opened), config, None


def _read_run_config(workdir: pathlib.Path) -> Any:
    """Returns the config of a finished run's model.keras; None without it."""
    path = workdir / "model.keras"
    if not path.exists():
        return None
    with (
        keras_files.explain_errors(path),
        archives.open_archive(path) as archive,
    ):
        return keras_files.read_config(archive)


def _read_start(path: pathlib.Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(512)


def _detect_folder_kind(path: pathlib.Path) -> saved_weights.Kind:
    if (path / "run.flags").is_file():
        file = path / keras_files.WEIGHTS_MEMBER
        if file.is_file():
            try:
                files.require_regular(file, within=path)
            except files.UnfitFileError as error:
                raise errors.UsageError(
                    f"--weights={path} cannot be used: {error}"
                ) from error
            return "workdir"
        raise errors.UsageError(
            f"--weights={path} is a workdir without "
            f"{keras_files.WEIGHTS_MEMBER}: its run is not finished. Repeat "
            "its command to complete it."
        )
    raise errors.UsageError(
        f"--weights={path} {foreign_formats.describe_folder(path)}. "
        f"{foreign_formats.READABLE_HINT}"
    )


# A run asks several times; the table of contents of a network takes 10 ms.
@functools.lru_cache(maxsize=16)
def _detect_hdf5_kind(
    path: pathlib.Path, state: tuple[int, int, int]
) -> saved_weights.Kind | Literal["adapter"]:
    """Detects the kind of a HDF5 file; `state` tells its versions apart."""
    import h5py

    from tf_finetune.untrusted import hdf5_structure
    from tf_finetune.weights import hdf5_layers

    with keras_files.explain_errors(path), h5py.File(path, "r") as opened:
        hdf5_structure.list_objects(opened)
        if ADAPTER_ATTRIBUTE in opened.attrs:
            return "adapter"
        if hdf5_layers.is_classic(opened):
            return "classic_h5"
        if hdf5_layers.is_keras3(opened):
            return "keras3_h5"
        if "layer_0" in opened and "nb_layers" in opened.attrs:
            raise errors.UsageError(
                f"--weights={path} {foreign_formats.KERAS_0_HINT}. "
                f"{foreign_formats.READABLE_HINT}"
            )
        names = ", ".join(sorted(opened)[:8]) or "nothing"
    raise errors.UsageError(
        f"--weights={path} is an HDF5 file without Keras layers; it holds: "
        f"{names}. {foreign_formats.READABLE_HINT}"
    )


def _detect_zip_kind(path: pathlib.Path) -> saved_weights.Kind:
    with (
        keras_files.explain_errors(path),
        archives.open_archive(path) as archive,
    ):
        names = archive.namelist()
    if keras_files.WEIGHTS_MEMBER in names:
        return "keras"
    if torch_formats.find_pickle_member(names):
        return "torch"
    raise errors.UsageError(
        f"--weights={path} {foreign_formats.describe_zip(names)}. "
        f"{foreign_formats.READABLE_HINT}"
    )
