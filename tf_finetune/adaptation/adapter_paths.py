"""Adapter files that a command is given: their paths, names and common base."""

import pathlib
from collections.abc import Mapping

from tf_finetune import errors
from tf_finetune.adaptation import adapter_file


def find_file(path: pathlib.Path) -> pathlib.Path:
    """Returns the adapter.h5 of a workdir, or the path itself."""
    return path / "adapter.h5" if path.is_dir() else path


def name_file(path: pathlib.Path) -> str:
    """Returns a name for an adapter: that of its file, or of its workdir."""
    found = path.absolute()
    # Every adapter.h5 is called so; its folder tells whose it is.
    return found.parent.name if found.name == "adapter.h5" else found.stem


def choose_base(
    saved: Mapping[pathlib.Path, adapter_file.SavedAdapter], weights: str
) -> str:
    """Returns the weights of the base that all adapters have in common.

    Args:
        saved: Contents of the files by path, at least one.
        weights: Value of the command's `--weights`; empty: those that the files
            name.

    Raises:
        UsageError: They have different bases, or theirs is a file that is not
            given.
    """
    bases = {path: each.facts["base"] for path, each in saved.items()}
    if len({base["sha256"] for base in bases.values()}) > 1:
        listed = ", ".join(
            f"{path} {base['sha256'][:12]}" for path, base in bases.items()
        )
        raise errors.UsageError(
            "The adapters change different weights and have no base in common; "
            f"the fingerprints of their bases are: {listed}."
        )
    first, base = next(iter(bases.items()))
    found = weights or base["weights"]
    if found is None:
        raise errors.UsageError(
            f"{first} changes the weights of a file ({base['file']}; "
            f"fingerprint {base['sha256'][:12]}), which it does not hold. Give "
            "that file: --weights=FILE."
        )
    return found
