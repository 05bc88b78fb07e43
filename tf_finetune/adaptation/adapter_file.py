"""Files of adapters: the few numbers that change a pretrained backbone.

An HDF5 file holds the adapter's arrays by name (`carrier.Site.name_number`),
the head's by position under `head/`, and the facts as JSON. It may come from a
stranger: its objects are counted before they are read, nothing in it is code,
and the network decides which arrays it must hold.
"""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tf_finetune import errors, files, terminal_escapes
from tf_finetune.config import model_options, options
from tf_finetune.untrusted import archives, keras_files
from tf_finetune.weights import weights_file, weights_source
from tf_finetune.workdir import json_schema

FORMAT = 1
"""Version of the layout of the file."""

_FACTS, _HEAD, _NUMBERS = "facts", "head", "adapter"
_HINT = "Copy the file again, or train again."
_MAX_FACTS_BYTES = 4 << 20
_TEXT = json_schema.Text(longest=10_000)
_SCHEMA = json_schema.Record(
    needed={
        "format": json_schema.Number(1, 10**6, is_whole=True),
        "version": _TEXT,
        "base": json_schema.Record(
            needed={
                "sha256": _TEXT,
                "weights": json_schema.Optional(_TEXT),
                "file": _TEXT,
                "seed": json_schema.Number(0, 2**31, is_whole=True),
            }
        ),
        "model": json_schema.Record(),
        "class_names": json_schema.Items(_TEXT, at_least=1),
        "kept": _TEXT,
        "boundary": json_schema.Items(_TEXT),
        "decision": json_schema.Record(),
        "figures": json_schema.Table(json_schema.Record()),
    }
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedAdapter:
    """Content of an adapter file.

    Attributes:
        facts: As `_SCHEMA` describes them: "base" (fingerprint and origin of
            the pretrained weights), "model" (options without the weights),
            "class_names", "kept" (name of the kept candidate), "boundary"
            (layers at the freeze boundary), "decision" and "figures" (metrics
            by split).
        numbers: The adapter's arrays by name.
        head: Arrays of the head's weights in Keras' order.
    """

    facts: Mapping[str, Any]
    numbers: Mapping[str, np.ndarray]
    head: Sequence[np.ndarray]

    @property
    def options(self) -> model_options.ModelOptions:
        """The options of the network and its adapters.

        Raises:
            RunError: An option is unknown, impossible or names code.
        """
        given = self.facts["model"]
        for _, field, _, _ in options.list_options(model_options.ModelOptions):
            value = given.get(field.name)
            if field.metadata["names_part"] and ":" in str(value):
                shown = terminal_escapes.escape(str(value))
                raise errors.RunError(
                    f"The adapter names a part that is not one of this "
                    f"package's, --{field.name}={shown}. Code is not imported "
                    "because a file names it."
                )
        try:
            return options.from_keywords(model_options.ModelOptions, given)
        except errors.UsageError as error:
            raise errors.RunError(
                f"The adapter's options cannot be used: {error}"
            ) from error

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the head's outputs."""
        return tuple(self.facts["class_names"])


def hash_weights(weights: Sequence[Any]) -> str:
    """Returns the fingerprint of weights, 64 hexadecimal digits.

    Equal weights have one, whichever file they came from.

    Args:
        weights: Variables or arrays, in the order of the graph.
    """
    digest = hashlib.sha256()
    for each in weights:
        array = np.ascontiguousarray(each, "float32")
        digest.update(repr(array.shape).encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def check_weights(chosen: model_options.ModelOptions) -> None:
    """Raises `UsageError` if the adapter `chosen.weights` cannot be used."""
    source = weights_source.parse_source(chosen.weights)
    if source.part:
        raise errors.UsageError(
            f"--weights={chosen.weights}: adapters have no parts; leave :: out."
        )
    saved = read(source.path)
    check_network(saved, chosen)
    find_base(saved, source.path)


def check_network(
    saved: SavedAdapter, chosen: model_options.ModelOptions
) -> None:
    """Raises `UsageError` unless a network is the one that an adapter changes.

    Args:
        saved: The adapter.
        chosen: Options of the network; backbone and surgery are compared.
    """
    theirs = saved.options
    for name, ours, own in (
        ("backbone", chosen.backbone, theirs.backbone),
        ("cut_at", chosen.surgery.cut_at, theirs.surgery.cut_at),
        ("norm", chosen.surgery.norm, theirs.surgery.norm),
        (
            "input_channels",
            chosen.surgery.input_channels,
            theirs.surgery.input_channels,
        ),
    ):
        if ours != own:
            raise errors.UsageError(
                f"--weights={chosen.weights} is an adapter of "
                f"{options.to_flag(name, own)}, but "
                f"{options.to_flag(name, ours)} was asked for. Use that of the "
                "adapter."
            )


def find_base(saved: SavedAdapter, path: pathlib.Path) -> str:
    """Returns the name of the weights that an adapter changes: "imagenet".

    `path` is its file, for the message.

    Raises:
        UsageError: They came from a file, which the adapter does not hold.
    """
    base = saved.facts["base"]
    if base["weights"] is not None:
        return base["weights"]
    raise errors.UsageError(
        f"{path} changes the weights of a file ({base['file']}; fingerprint "
        f"{base['sha256'][:12]}), which it does not hold. Write the whole "
        f"network with `python -m tf_finetune.adapters merge --adapters={path} "
        "--weights=FILE --output=merged.keras`, and use merged.keras."
    )


def write(
    path: pathlib.Path,
    saved: SavedAdapter,
    precision: model_options.AdapterPrecision,
) -> None:
    """Writes an adapter file, atomically.

    Args:
        path: The file; overwritten if it exists.
        saved: Its content.
        precision: Type of its numbers; "float16" rounds them.

    Raises:
        RunError: A number is too large for float16, NaN or infinite.
    """
    import h5py

    arrays = {f"{_NUMBERS}/{name}": v for name, v in saved.numbers.items()}
    arrays |= {f"{_HEAD}/{i}": each for i, each in enumerate(saved.head)}
    with np.errstate(over="ignore"):
        rounded = {n: np.asarray(v, precision) for n, v in arrays.items()}
    for name, array in rounded.items():
        if not np.isfinite(array).all():
            raise errors.RunError(
                f"The adapter was not written to {path}: {name} has numbers "
                f"that {precision} cannot hold. Use "
                "--adapter_precision=float32, or a lower --learning_rate."
            )
    content = json.dumps(dict(saved.facts), allow_nan=False).encode()
    # The layout of newer versions of HDF5 takes half the bytes of the first.
    with (
        files.replacing(path) as temporary,
        h5py.File(temporary, "w", libver="latest") as file,
    ):
        file.attrs[weights_file.ADAPTER_ATTRIBUTE] = FORMAT
        file[_FACTS] = np.frombuffer(content, "uint8")
        for name, array in rounded.items():
            file[name] = array


def read(path: pathlib.Path) -> SavedAdapter:
    """Reads an adapter file.

    Its facts fit their schema and its numbers are finite; whether they fit a
    network is checked where they are assigned.

    Args:
        path: The file.

    Raises:
        UsageError: There is no such file, or it is none of an adapter.
        RunError: It is damaged, too large, or of a newer version.
    """
    import h5py

    from tf_finetune.untrusted import hdf5_structure

    if not path.is_file():
        raise errors.UsageError(
            f"{path} is no file. Give the adapter.h5 in the workdir of a run "
            "with --adaptation=lora, norm, bias or scale_shift."
        )
    archives.check_regular_file(path)
    if not h5py.is_hdf5(path):
        raise errors.UsageError(f"{path} is no adapter.h5: no HDF5 file.")
    with keras_files.explain_errors(path), h5py.File(path, "r") as file:
        is_adapter = weights_file.ADAPTER_ATTRIBUTE in file.attrs
    if not is_adapter:
        raise errors.UsageError(f"{path} is an HDF5 file, but no adapter.")
    with keras_files.explain_errors(path), h5py.File(path, "r") as file:
        found = hdf5_structure.list_objects(file)
        facts = _read_facts(file, path)
        arrays = {
            "/".join(names): _read_array(file, names)
            for names in found.arrays
            if names != (_FACTS,)
        }
    head = {n: v for n, v in arrays.items() if n.startswith(f"{_HEAD}/")}
    places = [f"{_HEAD}/{number}" for number in range(len(head))]
    start = f"{_NUMBERS}/"
    return SavedAdapter(
        facts=facts,
        numbers={
            name.removeprefix(start): value
            for name, value in arrays.items()
            if name.startswith(start)
        },
        head=[head[each] for each in places if each in head],
    )


def _read_facts(file: Any, path: pathlib.Path) -> dict[str, Any]:
    """Returns the facts of an open adapter file, checked."""
    stored = file[_FACTS]
    if stored.dtype != "uint8" or stored.size > _MAX_FACTS_BYTES:
        raise errors.RunError(
            f"Its facts are {stored.size:,} x {stored.dtype}; up to "
            f"{_MAX_FACTS_BYTES:,} bytes are read."
        )
    try:
        facts = json.loads(stored[()].tobytes())
    except RecursionError as error:
        raise errors.RunError("Its facts are nested too deeply.") from error
    json_schema.check_value(facts, _SCHEMA, path, hint=_HINT)
    if facts["format"] > FORMAT:
        raise errors.RunError(
            f"It has format {facts['format']}, and this version reads "
            f"{FORMAT}. Update the package."
        )
    return facts


def _read_array(file: Any, names: tuple[str, ...]) -> np.ndarray:
    """Returns a stored array as float32."""
    stored, shown = file["/".join(names)], terminal_escapes.escape(repr(names))
    if stored.dtype not in ("float32", "float16"):
        raise errors.RunError(
            f"Its array {shown} is of {stored.dtype}, and must be float32 or "
            "float16."
        )
    array = np.asarray(stored[()], "float32")
    if not np.isfinite(array).all():
        raise errors.RunError(f"Its array {shown} has NaN or infinite numbers.")
    return array
