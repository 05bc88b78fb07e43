"""Classes that are columns of a table, of which a row marks one."""

from collections.abc import Mapping, Sequence

from tf_finetune import errors
from tf_finetune.data.tables import cell_words


def find_class(
    cells: Mapping[str, str], where: str, columns: Sequence[str]
) -> str:
    """Returns the column that is marked in a row.

    Raises:
        DataError: No column is marked, or several are.
    """
    marked = [c for c in columns if cell_words.read_mark(cells[c], c, where)]
    if len(marked) == 1:
        return marked[0]
    # Several marks are refused rather than the first one taken.
    if marked:
        raise errors.DataError(
            f"{where} marks {len(marked)} of the columns "
            f"{', '.join(columns)}: {' and '.join(marked)}. A picture is of "
            "exactly one class; --task=multilabel learns several."
        )
    raise errors.DataError(
        f"{where} marks none of the columns {', '.join(columns)}. A picture is "
        "of exactly one class: mark it, remove the row, or use "
        "--task=multilabel, which learns pictures without any."
    )
