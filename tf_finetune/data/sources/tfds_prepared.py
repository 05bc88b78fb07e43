"""Access to data sets that TensorFlow Datasets has prepared here."""

import difflib
import hashlib
import os
import pathlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tf_finetune import errors
from tf_finetune.config import data_options
from tf_finetune.data import examples, progress
from tf_finetune.data.sources import image_folder, tfds_safety

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_FORM = re.compile(
    r"(?:tfds:)?(?P<name>\w+)(?:/(?P<config>[^:/]+))?(?::(?P<version>[\w.]+))?"
)
_COPY_ADVICE = "Copy the whole folder again, or prepare the data set anew."


def open_prepared(
    options: data_options.DataOptions,
) -> tuple[pathlib.Path, "tfds.core.DatasetBuilder"]:
    """Opens a prepared data set without downloading anything.

    Args:
        options: `data` is tfds:NAME, tfds:NAME/CONFIG or
            tfds:NAME/CONFIG:VERSION; `tfds_data_dir` is the folder of all data
            sets, None: the one that TFDS uses by default.

    Returns:
        The folder of the newest version that fits, and its builder.

    Raises:
        DataError: There is no such data set, several configs fit, or its files
            are unsafe, damaged or incomplete.
    """
    match = _FORM.fullmatch(options.data)
    if not match:
        raise errors.DataError(
            f"--data={options.data} must be tfds:NAME, tfds:NAME/CONFIG "
            "or tfds:NAME/CONFIG:VERSION."
        )
    prepared = _find_prepared(_find_data_dir(options), **match.groupdict())
    return prepared, _load_builder(prepared)


def read_encoded(
    builder: "tfds.core.DatasetBuilder", pictures: Sequence[str]
) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yields every example of the used splits, with encoded pictures.

    Args:
        builder: The builder of the data set.
        pictures: Names of the features whose encoded bytes are wanted as they
            are, without decoding.

    Yields:
        The example, NumPy values by feature, and its split: one of
        `examples.SPLITS`, or None if the data set has one split only.

    Raises:
        DataError: A shard cannot be read, or none of several splits is called
            train.
    """
    import tensorflow_datasets as tfds

    for tfds_split, split in _map_splits(builder).items():
        dataset = builder.as_dataset(
            split=tfds_split,
            shuffle_files=False,
            # Encoded bytes: `decoding` is the one decoder of the package.
            decoders={each: tfds.decode.SkipDecoding() for each in pictures},
        )
        total = builder.info.splits[tfds_split].num_examples
        title = f"Reading {builder.info.name} {tfds_split}"
        found = _explain_errors(tfds.as_numpy(dataset), builder)
        for example in progress.track(found, total=total, title=title):
            yield example, split


def hash_state(prepared: pathlib.Path) -> str:
    """Hashes names, sizes and times of a data set's files.

    Args:
        prepared: The folder of one version of a data set.

    Returns:
        12 hexadecimal digits that change when the data set is prepared anew.
    """
    digest = hashlib.sha256(os.fsencode(os.path.abspath(prepared)))
    # Names, sizes and times, not contents: shards may have gigabytes.
    for path in sorted(prepared.iterdir()):
        status = path.stat()
        line = f"{path.name} {status.st_size} {status.st_mtime_ns}\n"
        digest.update(line.encode())
    return digest.hexdigest()[:12]


def list_unused_splits(
    builder: "tfds.core.DatasetBuilder",
) -> tuple[examples.DroppedFile, ...]:
    """Returns the splits that are not used, as dropped entries.

    Args:
        builder: The builder of the data set.

    Returns:
        One entry for each split that is none of train, validation and test;
        empty if the data set has one split only, which is used.

    Raises:
        DataError: None of several splits is called train.
    """
    return tuple(
        examples.DroppedFile(
            path=f"{builder.info.full_name} {name}",
            reason="a split that is none of train, validation, test",
        )
        for name in builder.info.splits
        if name not in _map_splits(builder)
    )


def _find_data_dir(options: data_options.DataOptions) -> pathlib.Path:
    """Returns the folder of prepared data sets, TFDS' own by default."""
    default = os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets")
    return pathlib.Path(options.tfds_data_dir or default).expanduser()


def _find_prepared(
    data_dir: pathlib.Path, name: str, config: str | None, version: str | None
) -> pathlib.Path:
    """Returns the folder of one prepared version of a data set.

    Raises:
        DataError: There is none, or several configs to choose from.
    """
    found = [
        info.parent
        # NAME/VERSION, or NAME/CONFIG/VERSION.
        for pattern in ("*/dataset_info.json", "*/*/dataset_info.json")
        for info in (data_dir / name).glob(pattern)
        if version in (None, info.parent.name)
        and config in (None, info.parent.parent.name)
    ]
    if not found:
        raise _not_prepared_error(data_dir, name, config, version)
    configs = sorted({path.parent.name for path in found})
    if len(configs) > 1:
        raise errors.DataError(
            f"{data_dir / name} holds several configs; name one: "
            + ", ".join(f"tfds:{name}/{config}" for config in configs)
        )
    # 3.10.0 is newer than 3.9.0: compared as numbers.
    return max(found, key=lambda path: _parse_version(path.name))


def _load_builder(prepared: pathlib.Path) -> "tfds.core.DatasetBuilder":
    """Loads the builder of a data set from the files beside its shards.

    Raises:
        DataError: It is damaged, or shards are missing.
    """
    # Before TFDS: it imports modules that these files name.
    tfds_safety.check_folder(prepared)
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(prepared)
        shards = [
            str(path)
            for split in builder.info.splits.values()
            for path in split.filepaths
        ]
    except Exception as error:  # TFDS raises whatever its parsers meet.
        raise errors.DataError(
            f"{prepared} is not a data set that this TFDS can read: {error}. "
            f"{_COPY_ADVICE}"
        ) from error
    tfds_safety.check_shards(prepared, shards)
    missing = [path for path in shards if not os.path.isfile(path)]
    if missing:
        raise errors.DataError(
            f"{len(missing)} of the {len(shards)} shards of {prepared} are "
            f"missing, e.g. {os.path.basename(missing[0])}. {_COPY_ADVICE}"
        )
    return builder


def _parse_version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text))


def _not_prepared_error(
    data_dir: pathlib.Path, name: str, config: str | None, version: str | None
) -> errors.DataError:
    """Returns the error of a missing data set, with how to prepare it."""
    full = name + (f"/{config}" if config else "")
    full += f":{version}" if version else ""
    missing = f"No prepared TFDS data set {full!r} in {data_dir}."
    here = sorted(path.name for path in data_dir.glob("*") if path.is_dir())
    import tensorflow_datasets as tfds

    known = tfds.list_builders(with_community_datasets=False)
    if name in known:
        return errors.DataError(
            f'{missing} This downloads and prepares it: python -c "import '
            f"tensorflow_datasets as tfds; tfds.builder('{full}', data_dir="
            f"'{data_dir}').download_and_prepare()\". Prepared elsewhere: "
            "--tfds_data_dir names the folder."
        )
    near = difflib.get_close_matches(name, [*here, *known], n=3)
    hint = f" Did you mean {' or '.join(near)}?" if near else ""
    return errors.DataError(
        f"{missing} TFDS knows no data set of this name.{hint} "
        "--tfds_data_dir names the folder of prepared data sets."
    )


def _explain_errors(
    found: Iterable[dict[str, Any]], builder: "tfds.core.DatasetBuilder"
) -> Iterator[dict[str, Any]]:
    """Yields examples; raises `DataError` for a shard that is unreadable."""
    import tensorflow as tf

    try:
        yield from found
    except tf.errors.OpError as error:
        reason = error.message.splitlines()[0]
        raise errors.DataError(
            f"The shards of {builder.data_path} cannot be read: {reason}. "
            f"{_COPY_ADVICE}"
        ) from error


def _map_splits(builder: "tfds.core.DatasetBuilder") -> dict[str, str | None]:
    """Maps splits of the data set to the usual three; a lone one to None.

    Raises:
        DataError: It has several splits, none of which is called train.
    """
    names = list(builder.info.splits)
    if len(names) == 1:
        return {names[0]: None}
    words = image_folder.SPLIT_WORDS
    splits = {name: words[name] for name in names if name in words}
    if "train" not in splits.values():
        raise errors.DataError(
            f"{builder.info.full_name} has no split called train; its splits: "
            f"{', '.join(names)}."
        )
    return splits
