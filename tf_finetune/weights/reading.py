"""Reading of weights files: detects their format, returns plain arrays.

No TensorFlow and no Keras is imported, and nothing in a file is turned into an
object: a model file cannot run code here.
"""

import io
import pathlib
from typing import Any

from tf_finetune import errors, files
from tf_finetune.untrusted import archives, keras_files
from tf_finetune.weights import foreign, graphs, old_names, places, saved

# Signatures at the start of HDF5 and zip files.
_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZIP = b"PK\x03\x04"
# Upper bound; the run.flags that a run writes has 2 kB.
_FLAGS_BYTES = 1 << 20


def kind_of(path: pathlib.Path) -> saved.Kind:
    """Detects the kind of a weights file or workdir by content, not by name.

    Cheap: reads a few bytes, and the table of contents of a zip or HDF5 file.

    Raises:
        UsageError: Nothing is there, or something that is no readable weights
            file; the message says what it is instead.
        RunError: The file is damaged.
    """
    try:
        if path.is_dir():
            return _folder_kind(path)
        if not path.exists() and (words := foreign.describe_prefix(path)):
            raise errors.UsageError(
                f"--weights={path} {words}. {foreign.READABLE}"
            )
        # Opening a pipe would block until somebody writes to it.
        if path.exists() and not path.is_file():
            raise errors.UsageError(
                f"--weights={path} is not a regular file. {foreign.READABLE}"
            )
        start = _start(path)
    except FileNotFoundError as error:
        raise errors.UsageError(
            f"--weights={path}: no such file or folder."
        ) from error
    except OSError as error:
        raise errors.UsageError(
            f"--weights={path} cannot be read: {error.strerror or error}."
        ) from error
    if start.startswith(_HDF5):
        return _hdf5_kind(path)
    if start.startswith(_ZIP):
        return _zip_kind(path)
    raise errors.UsageError(
        f"--weights={path} {foreign.describe_file(path, start)}. "
        f"{foreign.READABLE}"
    )


def read(path: pathlib.Path) -> saved.SavedWeights:
    """Reads all weights of a file or of an earlier workdir.

    Raises:
        UsageError: Nothing is there, or something that is no readable weights
            file; the message says what it is instead.
        RunError: The file is damaged, or refused because it points outside
            itself.
    """
    kind = kind_of(path)
    file = path / keras_files.WEIGHTS if kind == "workdir" else path
    with keras_files.explained(file):
        # Errors of h5py and zipfile become one sentence about the file.
        layers, config = _content(file, kind)
        sha256 = files.sha256(file)
    if not any(layer.arrays for layer in layers):
        raise errors.RunError(f"{file} holds no weights; it is empty.")
    # A run's weights file has no config; its model.keras has one.
    if kind == "workdir":
        config = _config_of_run(path)
    found = saved.SavedWeights(
        kind=kind,
        path=file,
        sha256=sha256,
        layers=layers,
        config=config,
        backbone=backbone_of(path) if kind == "workdir" else None,
        graph=None if config is None else graphs.parse(config),
    )
    return old_names.join_scales(places.order(found))


def backbone_of(workdir: pathlib.Path) -> str | None:
    """Returns the `--backbone` in the run.flags of an earlier workdir."""
    return flags_of(workdir).get("backbone")


def flags_of(workdir: pathlib.Path) -> dict[str, str]:
    """Returns the flags in the run.flags of an earlier workdir, as text."""
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


def _content(
    file: pathlib.Path, kind: saved.Kind
) -> tuple[tuple[saved.SavedLayer, ...], dict[str, Any] | None]:
    import h5py

    from tf_finetune.weights import hdf5

    if kind != "keras":
        with h5py.File(file, "r") as opened:
            if kind == "classic_h5":
                config = hdf5.classic_config(opened)
                return hdf5.classic_layers(opened), config
            return hdf5.keras3_layers(opened), None
    with archives.opened(file) as archive:
        content = archive.read(keras_files.WEIGHTS)
        config = keras_files.read_config(archive)
    with h5py.File(io.BytesIO(content), "r") as opened:
        return hdf5.keras3_layers(opened), config


def _config_of_run(workdir: pathlib.Path) -> Any:
    """Returns the config of a finished run's model.keras; None without it."""
    path = workdir / "model.keras"
    if not path.exists():
        return None
    with keras_files.explained(path), archives.opened(path) as archive:
        return keras_files.read_config(archive)


def _start(path: pathlib.Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(512)


def _folder_kind(path: pathlib.Path) -> saved.Kind:
    if (path / "run.flags").is_file():
        file = path / keras_files.WEIGHTS
        if file.is_file():
            try:
                files.require_regular(file, within=path)
            except files.UnfitFileError as error:
                raise errors.UsageError(
                    f"--weights={path} cannot be used: {error}"
                ) from error
            return "workdir"
        raise errors.UsageError(
            f"--weights={path} is a workdir without {keras_files.WEIGHTS}: "
            "its run is not finished. Repeat its command to complete it."
        )
    raise errors.UsageError(
        f"--weights={path} {foreign.describe_folder(path)}. {foreign.READABLE}"
    )


def _hdf5_kind(path: pathlib.Path) -> saved.Kind:
    import h5py

    from tf_finetune.untrusted import hdf5_structure
    from tf_finetune.weights import hdf5

    with keras_files.explained(path), h5py.File(path, "r") as opened:
        hdf5_structure.survey(opened)
        if hdf5.is_classic(opened):
            return "classic_h5"
        if hdf5.is_keras3(opened):
            return "keras3_h5"
        if "layer_0" in opened and "nb_layers" in opened.attrs:
            raise errors.UsageError(
                f"--weights={path} {foreign.KERAS_0}. {foreign.READABLE}"
            )
        names = ", ".join(sorted(opened)[:8]) or "nothing"
    raise errors.UsageError(
        f"--weights={path} is an HDF5 file without Keras layers; it holds: "
        f"{names}. {foreign.READABLE}"
    )


def _zip_kind(path: pathlib.Path) -> saved.Kind:
    with keras_files.explained(path), archives.opened(path) as archive:
        names = archive.namelist()
    if keras_files.WEIGHTS in names:
        return "keras"
    raise errors.UsageError(
        f"--weights={path} {foreign.describe_zip(names)}. {foreign.READABLE}"
    )
