r"""Detection of the separator of labels in the cells of a column.

A character is a separator if the pieces between it are labels themselves: "disc
frame" beside "disc" and "frame". Names may hold blanks and slashes of their
own ("New York", "New Orleans"); where both is possible, the user is asked.
"""

import collections
import dataclasses
from collections.abc import Collection, Sequence

from absl import logging

from tf_finetune import errors
from tf_finetune.tasks.multilabel import label_cells

# Characters that some names contain: repeated pieces alone are no proof.
_SOFT = ("slash", "plus", "ampersand", "blank")
# Characters within many names: only labels that are made of other labels are
# split there, and the user is never asked.
_WITHIN_NAMES = ("colon", "dash", "underscore")
# Words that join labels in a sentence, where blanks would be separators.
_CONJUNCTIONS = frozenset({"and", "or", "und", "et"})
# Share of the pieces that must occur in other cells, or be whole cells; for
# characters that names contain both, and more of them.
_CLEAR = 0.5
_CLEAR_OF_SOFT = 0.75


@dataclasses.dataclass(frozen=True, kw_only=True)
class _SeparatorEvidence:
    """Evidence that a character is the separator of a column.

    Attributes:
        word: The separator.
        repeated_share: Share of its pieces that occur in another cell, too.
        alone: Share of its pieces that are a whole cell somewhere.
        labels: All labels that it makes of the column.
    """

    word: str
    repeated_share: float
    alone: float
    labels: frozenset[str]

    @property
    def is_clear(self) -> bool:
        """Whether it is certain that the character is a separator."""
        if self.word in (*_SOFT, *_WITHIN_NAMES):
            return (
                self.alone >= _CLEAR and self.repeated_share >= _CLEAR_OF_SOFT
            )
        return self.repeated_share >= _CLEAR or self.alone >= _CLEAR

    @property
    def is_possible(self) -> bool:
        """Whether the character may be a separator; then the user is asked."""
        if self.word in _WITHIN_NAMES:
            return self.alone >= _CLEAR
        if self.word in _SOFT:
            return self.alone > 0 or self.repeated_share >= _CLEAR
        return self.repeated_share > 0 or self.alone > 0


def find_separator(
    texts: Sequence[str], where: str, *, known: Sequence[str] = ()
) -> str:
    """Finds the separator of labels in a column; logs it unless it is the bar.

    Args:
        texts: Cells of the column; empty ones are ignored.
        where: Names the column in messages.
        known: Labels of a finished run; a separator that makes only these is
            taken.

    Returns:
        A key of `label_cells.CHARACTERS` or "list"; "bar" where no character
        separates labels.

    Raises:
        DataError: Several separators are possible, only some cells are lists,
            a cell is an object {…}, or a word such as "and" would become a
            label.
    """
    # In order of certainty: the documented bar, lists, the labels of a run,
    # then evidence from the column itself.
    distinct = sorted({text for text in texts if text})
    if _list_divisible_cells(distinct, "bar"):
        return "bar"
    if _are_lists(distinct, where):
        return _log_separator("list", where, distinct)
    if known and (word := _find_by_known_labels(distinct, frozenset(known))):
        return word if word == "bar" else _log_separator(word, where, distinct)
    found = [
        _collect_evidence(distinct, word)
        for word in label_cells.CHARACTERS
        if word != "bar" and _may_separate(distinct, word)
    ]
    clear = [each for each in found if each.is_clear]
    if clear:
        # The first one is the rarest in names; the others may be within names.
        chosen, others = clear[0], clear[1:]
        rivals = [o for o in others if _divides_further(chosen, o.word)]
        if rivals:
            raise _ambiguity_error([chosen, *rivals], where, distinct)
        _check_conjunctions(chosen, where, distinct)
        return _log_separator(chosen.word, where, distinct)
    possible = [each for each in found if each.is_possible]
    if possible:
        raise _ambiguity_error(possible, where, distinct)
    return "bar"


def _are_lists(distinct: Sequence[str], where: str) -> bool:
    """Returns whether the cells are lists.

    Raises:
        DataError: Some are lists and others are not, or one is an object.
    """
    others = [e for e in distinct if label_cells.split_cell(e, "list") is None]
    objects = [each for each in others if each[0] + each[-1] == "{}"]
    if objects:
        raise errors.DataError(
            f"{where}: {objects[0]!r} is neither a label nor a list of labels; "
            "write those that the picture carries as 'a|b' or ['a', 'b']."
        )
    if others and len(others) < len(distinct):
        in_brackets = [each for each in distinct if each.startswith("[")]
        if in_brackets:
            raise errors.DataError(
                f"{where}: some cells are lists, such as {in_brackets[0]!r}, "
                f"and others are not, such as {others[0]!r}; write all of them "
                "in one form."
            )
    return bool(distinct) and not others


def _check_conjunctions(
    chosen: _SeparatorEvidence, where: str, distinct: Sequence[str]
) -> None:
    """Raises `DataError` if "and" between labels would become a label."""
    if chosen.word != "blank":
        return
    for text in distinct:
        words = label_cells.split_cell(text, "blank") or ()
        for word in words[1:-1]:
            if word.lower() in _CONJUNCTIONS:
                raise errors.DataError(
                    f"{where}: in {text!r} the word {word!r} stands between "
                    "labels; write 'a|b' for a picture with both labels. If it "
                    "is a label itself, use --label_separator=blank."
                )


def _list_divisible_cells(distinct: Sequence[str], word: str) -> list[str]:
    return [
        each for each in distinct if label_cells.has_several_labels(each, word)
    ]


def _may_separate(distinct: Sequence[str], word: str) -> bool:
    """Returns whether a character stands between others; not so in "C++"."""
    if word in (*_SOFT, *_WITHIN_NAMES) and any(
        "" in (label_cells.split_cell(each, word) or ()) for each in distinct
    ):
        return False
    return bool(_list_divisible_cells(distinct, word))


def _collect_evidence(distinct: Sequence[str], word: str) -> _SeparatorEvidence:
    counts: collections.Counter = collections.Counter()
    alone, within = set(), set()
    for text in distinct:
        found = {*(label_cells.split_cell(text, word) or ())} - {""}
        counts.update(found)
        if label_cells.has_several_labels(text, word):
            within |= found
        else:
            alone |= found
    # Shares of the distinct pieces, so that a frequent one counts once.
    size = max(1, len(within))
    return _SeparatorEvidence(
        word=word,
        repeated_share=sum(counts[each] > 1 for each in within) / size,
        alone=len(within & alone) / size,
        labels=frozenset(counts),
    )


def _divides_further(chosen: _SeparatorEvidence, word: str) -> bool:
    """Returns whether a second separator divides the labels of the first."""
    left = sorted(chosen.labels)
    return (
        bool(_list_divisible_cells(left, word))
        and _collect_evidence(left, word).is_clear
    )


def _find_by_known_labels(
    distinct: Sequence[str], known: Collection[str]
) -> str | None:
    """Returns the separator that makes only known labels, or None."""
    # "none" first: a column may hold one label a cell, separators and all.
    for word in ("none", *label_cells.CHARACTERS):
        if all(
            {*(label_cells.split_cell(each, word) or ())} <= {*known}
            for each in distinct
        ):
            return "bar" if word == "none" else word
    return None


def _log_separator(word: str, where: str, distinct: Sequence[str]) -> str:
    example = next(
        (
            each
            for each in distinct
            if label_cells.has_several_labels(each, word)
        ),
        distinct[0],
    )
    logging.info(
        "%s: labels are separated by --label_separator=%s: %r is %s.",
        where,
        word,
        example,
        " and ".join(map(repr, label_cells.split_cell(example, word) or ())),
    )
    return word


def _ambiguity_error(
    found: Sequence[_SeparatorEvidence], where: str, distinct: Sequence[str]
) -> errors.DataError:
    ways = []
    for each in found:
        example = _list_divisible_cells(distinct, each.word)[0]
        made = label_cells.split_cell(example, each.word) or ()
        ways.append(
            f"--label_separator={each.word} makes "
            f"{' and '.join(map(repr, made))} of {example!r} "
            f"({len(each.labels)} labels in all)"
        )
    return errors.DataError(
        f"{where}: several characters may separate the labels of a cell; "
        f"choose one. {'; '.join(ways)}; --label_separator=bar takes every "
        f"cell as one label ({len(distinct)} in all)."
    )
