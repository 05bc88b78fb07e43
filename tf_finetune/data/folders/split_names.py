"""Assignment of folder names to splits."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping

from tf_finetune.data.folders import folder_words


@dataclasses.dataclass(frozen=True, kw_only=True)
class SplitAssignment:
    """The splits that names stand for.

    Attributes:
        split_of: By name.
        redundant: Names of splits that others stand for already, and why; what
            lies there is not used.
    """

    split_of: Mapping[str, str]
    redundant: Mapping[str, str]


def select_split_names(names: Collection[str]) -> list[str]:
    """Returns those of the names in a folder that are called like splits.

    These are names of nothing but a split ("Train Data", "val2017",
    "train_masks"), and those that differ in the word of the split alone
    ("birds_train", "birds_test"). "test tube" is none beside "train".
    """
    parsed = {name: folder_words.parse_name(name) for name in names}
    with_split = [name for name, each in parsed.items() if each.split]
    splits_of = {}
    for name in with_split:
        # Names without the split's word, and the splits that occur with each.
        rest = splits_of.setdefault(parsed[name].others, set())
        rest.add(folder_words.SPLITS[parsed[name].split])
    return [
        name
        for name in with_split
        if folder_words.MASKS.issuperset(parsed[name].others)
        or len(splits_of[parsed[name].others]) > 1
    ]


def assign_splits(names: Iterable[str]) -> SplitAssignment:
    """Returns the split that each name stands for.

    Words that may mean validation or test (eval, dev, holdout) take what no
    other name is.

    Args:
        names: Each holds the word of one split.
    """
    word_of = {name: folder_words.parse_name(name).split for name in names}
    split_of = {
        name: folder_words.SPLITS[word][0]
        for name, word in word_of.items()
        if len(folder_words.SPLITS[word]) == 1
    }
    beyond = {}
    for name, word in word_of.items():
        # trainval/ beside train/ or val/ holds the same pictures again.
        parts = [n for n, w in split_of.items() if w in ("train", "validation")]
        others = [
            n for n in parts if word_of[n] != folder_words.TRAIN_AND_VALIDATION
        ]
        if word == folder_words.TRAIN_AND_VALIDATION and others:
            beyond[name] = f"{_join_folders(others)} hold its parts"
            del split_of[name]
    # Unambiguous words first; eval, dev and holdout take a split that is left.
    fixed = dict(split_of)
    taken: dict[str, str] = {}
    for name, word in word_of.items():
        if name in fixed or name in beyond:
            continue
        possible = [
            split
            for split in folder_words.SPLITS[word]
            if split not in fixed.values() and taken.get(split, word) == word
        ]
        if possible:
            split_of[name] = possible[0]
            taken[possible[0]] = word
        else:
            held = {fixed.get(n, s): n for n, s in split_of.items()}
            beyond[name] = " and ".join(
                f"{held[split]}/ is the {split} split already"
                for split in folder_words.SPLITS[word]
            )
    return SplitAssignment(split_of=split_of, redundant=beyond)


def _join_folders(names: Iterable[str]) -> str:
    return " and ".join(f"{name}/" for name in names)
