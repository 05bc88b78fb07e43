"""Class names: their order, equal numbers, and names that are refused."""

import decimal
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from absl import logging

from tf_finetune import errors

# Python converts at most 4300 digits to an int at once (its default limit);
# longer names are text, not numbers.
_MAX_DIGITS = 4000
_NUMBER_PATTERN = re.compile(
    r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,6})?"
)
_PLAIN_NUMBER_PATTERN = re.compile(r"-?[0-9]+(\.[0-9]+)?")
_NON_FINITE_NAMES = ("nan", "inf", "-inf", "infinity", "-infinity")
# Zeros that lead a number, but none behind a decimal point.
_LEADING_ZEROS = re.compile(r"(?<![0-9.,])0+(?=[0-9])")
# As programs write a value that is not there; "none" and "na" in small letters
# are not among them, which people use as names.
_MISSING_TEXT = (
    "nan NaN NAN -nan -NaN NaT None null Null NULL <null> NA <NA> #NA N/A n/a "
    "#N/A - -- ?"
)
_MISSING_WORDS = frozenset([*_MISSING_TEXT.split(), "#N/A N/A"])
MAX_LISTED = 10
"""Names that a message lists; the rest is counted."""


def parse_number(name: str) -> decimal.Decimal | None:
    """Parses a name as an exact number, such as "7", "-1.50" or "1e3".

    Returns:
        None if the name is not a number; "nan" and "inf" are not, nor is a
        number with blanks around it.
    """
    if len(name) > _MAX_DIGITS or not _NUMBER_PATTERN.fullmatch(name):
        return None
    return decimal.Decimal(name)


def sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Sorts distinct names into the order of the model's outputs.

    Args:
        names: Class names, repetitions allowed.

    Returns:
        Each name once: by value where every name is a number ("2" before "10"),
        else in lexicographic order.
    """
    distinct = set(names)
    numbers = {name: parse_number(name) for name in distinct}
    # The name breaks ties, so that the order never hangs on that of a set.
    if None not in numbers.values():
        return tuple(sorted(distinct, key=lambda name: (numbers[name], name)))
    return tuple(sorted(distinct))


def merge_equal_numbers(
    names: Iterable[str], known: Sequence[str] = ()
) -> dict[str, str]:
    """Finds names that are spellings of one number, such as 1, 1.0 and 01.

    Args:
        names: Class names, repetitions allowed.
        known: Names the model was trained on; their spellings are kept.

    Returns:
        Old name → new spelling, for the names that change: {"1.0": "1"}; empty
        unless all names, known ones included, are numbers.
    """
    distinct = set(names)
    numbers = {name: parse_number(name) for name in {*distinct, *known}}
    if None in numbers.values():
        return {}
    spelled: dict[decimal.Decimal, str] = {}
    for name in sorted(distinct, key=_plainness_key):
        spelled.setdefault(numbers[name], name)
    # After the plainest ones: the spelling of a trained model wins.
    spelled |= {numbers[name]: name for name in known}
    return {
        name: spelled[numbers[name]]
        for name in distinct
        if spelled[numbers[name]] != name
    }


def log_merged(joined: Mapping[str, str]) -> None:
    """Logs a warning that lists merged names; does nothing if there are none.

    Args:
        joined: New spelling by old name, from `merge_equal_numbers`.
    """
    if not joined:
        return
    spellings: dict[str, list[str]] = {}
    for name, right in sorted(joined.items()):
        spellings.setdefault(right, []).append(name)
    shown = [
        f"{', '.join(map(repr, others))} as {right!r}"
        for right, others in list(spellings.items())[:MAX_LISTED]
    ]
    more = len(spellings) - len(shown)
    rest = f" and {more} more" if more else ""
    logging.warning(
        "Labels that are equal numbers are merged into one class: %s%s.",
        ", ".join(shown),
        rest,
    )


def check(names: Iterable[str]) -> None:
    """Checks that class names can be written as UTF-8, one a line.

    Warns about names that are spelled almost alike.

    Raises:
        DataError: A name is empty, or holds a line break or bytes that are not
            UTF-8; or one is NaN or infinite while all others are numbers, so
            that it stands for a missing label.
    """
    names = tuple(names)
    _check_numbers(names)
    for name in names:
        if name.splitlines() != [name]:
            raise errors.DataError(
                f"The class name {name!r} is empty or holds a line break; "
                "rename the class."
            )
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise errors.DataError(
                f"The class name {name!r} is not valid UTF-8; rename the "
                "class, or save the CSV file as UTF-8."
            ) from error
    _warn_of_similar(names)


def find_similar(name: str, names: Iterable[str]) -> list[str]:
    """Returns those of `names` that are spelled almost like `name`.

    Names are almost alike if they are equal numbers, or differ only in case,
    blanks, leading zeros or the encoding of letters. `name` itself is among
    them where `names` holds it.
    """
    key = _similarity_key(name)
    return [each for each in names if _similarity_key(each) == key]


def quote_distinctly(names: Sequence[str]) -> list[str]:
    """Quotes names so that they can be told apart.

    Returns:
        The names in their order, each as `repr` shows it; where two look the
        same (ü composed and decomposed), all as `ascii` does.
    """
    # A composed and a decomposed ü look the same; `ascii` shows "\xfc" and
    # "u\u0308".
    looks = {unicodedata.normalize("NFKC", name) for name in names}
    show = repr if len(looks) == len(set(names)) else ascii
    return [show(name) for name in names]


def is_missing(name: str) -> bool:
    """Tells if a text is a placeholder for a missing value, such as "NaN".

    Blanks around it do not matter; empty text is no placeholder.
    """
    return name.strip() in _MISSING_WORDS


def join_names(names: Sequence[str], *, shown: int = MAX_LISTED) -> str:
    """Joins names for a sentence: "a", "a and b", "a, b and 3 more".

    Args:
        names: Texts; none give empty text.
        shown: How many of them are listed at most; the others are counted.
    """
    if len(names) > shown:
        return f"{', '.join(names[:shown])} and {len(names) - shown} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _plainness_key(name: str) -> tuple[bool, int, str]:
    """Returns a sort key of spellings of a number, the plainest first."""
    return not _PLAIN_NUMBER_PATTERN.fullmatch(name), len(name), name


def _check_numbers(names: tuple[str, ...]) -> None:
    odd = [name for name in names if name.lower() in _NON_FINITE_NAMES]
    others = [name for name in names if name not in odd]
    # "nan" is a class like any other among words.
    if (
        odd
        and others
        and all(_NUMBER_PATTERN.fullmatch(name) for name in others)
    ):
        raise errors.DataError(
            f"The label {odd[0]!r} occurs among numbers such as "
            f"{others[0]!r}, so a value is missing there. Fill it in or "
            "remove its rows."
        )


def _warn_of_similar(names: Sequence[str]) -> None:
    alike: dict[object, list[str]] = {}
    for name in dict.fromkeys(names):
        alike.setdefault(_similarity_key(name), []).append(name)
    groups = [each for each in alike.values() if len(each) > 1]
    for group in groups[:MAX_LISTED]:
        logging.warning(
            "The classes %s are spelled almost alike (they differ only in "
            "capital letters, spaces, leading zeros or the encoding of "
            "letters) and are treated as different classes. If they are the "
            "same class, spell them alike in the data.",
            " and ".join(quote_distinctly(group)),
        )
    if len(groups) > MAX_LISTED:
        logging.warning(
            "%d more groups of classes are spelled almost alike.",
            len(groups) - MAX_LISTED,
        )


def _similarity_key(name: str) -> object:
    """Returns a key that is equal for names that are spelled almost alike."""
    number = parse_number(name.strip())
    if number is not None:
        return number
    text = unicodedata.normalize("NFKC", name).casefold()
    # Invisible characters (category Cf): joiners, direction marks, soft
    # hyphens.
    seen = (c for c in text if unicodedata.category(c) != "Cf")
    text = "".join("".join(seen).split())
    # Case folding can decompose letters again, so that NFC comes last.
    return _LEADING_ZEROS.sub("", unicodedata.normalize("NFC", text))
