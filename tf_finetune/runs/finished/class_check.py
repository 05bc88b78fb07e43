"""Checks that a finished run knows the classes of other pictures."""

from collections.abc import Sequence

from tf_finetune import errors
from tf_finetune.data import class_names as names
from tf_finetune.workdir import workdir_files

_LISTED = 10


def check_classes(
    place: workdir_files.Workdir, class_names: Sequence[str]
) -> None:
    """Raises `DataError` if a run does not know a class of other pictures.

    Args:
        place: Of the run.
        class_names: Of the pictures.
    """
    known = place.class_names()
    unknown = sorted({*class_names} - {*known})
    if not unknown:
        return
    near = names.find_similar(unknown[0], known)
    hint = "Rename or leave out the classes that it does not know."
    if near:
        hint = "Did you mean {1} by {0}? Spell it the same way.".format(
            *names.quote_distinctly([unknown[0], near[0]])
        )
    more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
    shown = ", ".join(known[:_LISTED])
    if len(known) > _LISTED:
        shown += f" and {len(known) - _LISTED} more"
    raise errors.DataError(
        f"The run in {place.path} does not know the class "
        f"{unknown[0]!r}{more}; it knows {shown}. {hint}"
    )
