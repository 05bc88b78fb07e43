"""Class names of a file's classifier, which weights files do not hold."""

import collections
import pathlib
from collections.abc import Sequence

from tf_finetune import errors, files
from tf_finetune.data import class_names

# Of a million names it has some 20 MB.
_LONGEST_FILE = 32 << 20


def read_names(path: pathlib.Path) -> tuple[str, ...]:
    """Reads class names from a UTF-8 text file, one a line.

    Args:
        path: File in UTF-8, of 32 MiB at most.

    Returns:
        The names in the file's order, without blanks around them: the k-th is
        that of the classifier's k-th output.

    Raises:
        UsageError: The file cannot be read.
        DataError: The file is empty, or a name is empty, occurs twice or cannot
            be written.
    """
    try:
        text = files.read_text(path, limit=_LONGEST_FILE)
    except (OSError, ValueError) as error:
        raise errors.UsageError(
            f"--class_names={path} cannot be read: {error}. Give a text file "
            "in UTF-8 with a name a line."
        ) from error
    names = tuple(line.strip() for line in text.splitlines())
    class_names.check(names)
    repeated = [
        name for name, count in collections.Counter(names).items() if count > 1
    ]
    if not names or repeated:
        fault = f"{repeated[0]!r} occurs twice" if repeated else "it is empty"
        raise errors.DataError(
            f"--class_names={path}: {fault}. Give every class a name of its "
            "own, one a line."
        )
    return names


def list_imagenet_names() -> tuple[str, ...]:
    """Lists ImageNet's class names in the order of its classifiers' outputs.

    Returns:
        1000 distinct names. Each is the first of its synonyms ("ant" of "ant,
        emmet, pismire"), or all of them where two classes share the first
        ("maillot, tank suit").

    Raises:
        UsageError: The installed TensorFlow Datasets does not hold them.
    """
    try:
        # Its list of a set of pictures with ImageNet's classes.
        from tensorflow_datasets.datasets.siscore import labels
    except ImportError as error:
        raise errors.UsageError(
            "ImageNet's class names are taken from TensorFlow Datasets, and "
            f"the installed one has none ({error}). Name a text file of them "
            "with --class_names=PATH, one a line."
        ) from error
    return _shorten(labels.IMAGENET_LABELS_LIST)


def _shorten(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the first synonym of each name, where it is the only such one."""
    firsts = [name.partition(",")[0] for name in names]
    # Without regard to case: folders of some systems do not tell Cardigan, the
    # dog, from a cardigan.
    counts = collections.Counter(first.casefold() for first in firsts)
    return tuple(
        first if counts[first.casefold()] == 1 else name
        for first, name in zip(firsts, names, strict=True)
    )
