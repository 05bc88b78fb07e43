"""Output path of exports: a folder for several, a file for one."""

import pathlib
from collections.abc import Sequence

from absl import logging

from tf_finetune import errors
from tf_finetune.exports import catalog

# Suffixes by which --output names a file; any other path is a folder. The last
# one counts: .weights.h5 is in the set as .h5.
_FILE_SUFFIXES = frozenset(
    "." + suffix.rpartition(".")[2] for suffix in catalog.SUFFIXES.values()
)


def resolve_file(
    asked: pathlib.Path, *, stem: str, suffix: str
) -> pathlib.Path:
    """Returns the path to write for a single-file format.

    Args:
        asked: A folder, or a file.
        stem: The name it gets in a folder, without the suffix.
        suffix: The suffix that the format's readers require, ".weights.h5".

    Raises:
        UsageError: `asked` is named like a file of another kind.
    """
    if not _is_file_name(asked):
        return asked / f"{stem}{suffix}"
    # Keras chooses weights or whole model by the suffix alone, so a whole model
    # under this name could not be loaded.
    if suffix == ".h5" and asked.name.endswith(".weights.h5"):
        raise errors.UsageError(
            f"--output={asked} is named like a weights file; the file of a "
            "whole model in HDF5 must end in .h5 without .weights."
        )
    if asked.name.endswith(suffix):
        return asked
    if not suffix.endswith(asked.suffix):
        raise errors.UsageError(
            f"--output={asked} must be a folder or end in {suffix}."
        )
    right = asked.with_name(asked.name.removesuffix(asked.suffix) + suffix)
    logging.info(
        "%s is written as %s: Keras reads weights only from files with that "
        "suffix, and does not reload every whole model in %s correctly.",
        asked.name,
        right.name,
        asked.suffix,
    )
    return right


def resolve_folder(asked: pathlib.Path) -> pathlib.Path:
    """Returns the folder that exports go into.

    Args:
        asked: It, or the file of a single format.
    """
    return asked.parent if _is_file_name(asked) else asked


def check_output(output: str | None, formats: Sequence[str]) -> None:
    """Checks that `--output` is a possible destination of all formats.

    Args:
        output: As `--output` says; None: the run's own folder of exports.
        formats: Their names in the catalog.

    Raises:
        UsageError: A file is named, and several formats or one of another
            suffix would be written to it; or a file lies where a folder is
            needed.
    """
    if output is None:
        return
    asked = pathlib.Path(output)
    if not _is_file_name(asked):
        if asked.exists() and not asked.is_dir():
            raise errors.UsageError(
                f"--output={asked} is a file; exports go into a folder, or a "
                "single one into a file ending in "
                f"{_join_words(sorted(_FILE_SUFFIXES))}."
            )
        return
    if len(formats) > 1:
        raise errors.UsageError(
            f"--output={asked} names one file, and "
            f"--format={','.join(formats)} makes {len(formats)} exports. Name "
            "a folder, or one format."
        )
    suffix = catalog.SUFFIXES.get(formats[0])
    if suffix is None:
        raise errors.UsageError(
            f"--output={asked} is the name of a file, and "
            f"--format={formats[0]} makes a folder. Name a folder."
        )
    resolve_file(asked, stem="model", suffix=suffix)


def check_no_overwrite(
    output: str | None, formats: Sequence[str], own: Sequence[pathlib.Path]
) -> None:
    """Checks that no export overwrites one of the run's own files.

    Args:
        output: As `--output` says; checked.
        formats: Their names in the catalog.
        own: The files of the run.

    Raises:
        UsageError: One would.
    """
    if output is None:
        return
    taken = {each.resolve() for each in own}
    for name in formats:
        suffix = catalog.SUFFIXES.get(name)
        if not suffix:
            continue
        # "model" is the stem of the files that formats write.
        path = resolve_file(pathlib.Path(output), stem="model", suffix=suffix)
        if path.resolve() in taken:
            raise errors.UsageError(
                f"--output={output} would overwrite the run's own "
                f"{path.name} with the export {name}. Leave --output out, "
                "or name another folder."
            )


def _is_file_name(asked: pathlib.Path) -> bool:
    return asked.suffix in _FILE_SUFFIXES and not asked.is_dir()


def _join_words(words: Sequence[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
