"""Options in docs/coming_from.md are recognized as the flag beside them."""

import re

import pytest
from documents import documented_commands, small_settings

from tf_finetune.config import options
from tf_finetune.synonyms import flag_synonyms

pytestmark = pytest.mark.quick

_PAGE = (documented_commands.ROOT / "docs" / "coming_from.md").read_text(
    "utf-8"
)
_PACKAGES = ("Keras", "fastai", "Ultralytics", "timm")


def _rows(package):
    """Returns options and flags of each row of a package's table."""
    _, _, table = _PAGE.partition(f"\n| {package} | here | |\n|---|---|---|\n")
    found = []
    for line in table.partition("\n\n")[0].splitlines():
        left, right = line.strip("| ").split(" | ")[:2]
        flags = re.findall(r"`--(\w+)`", right)
        names = re.findall(r"`([\w-]+)`", left)
        # One flag of all options, or one for each; a dash: there is none.
        flags = flags or [""]
        found += zip(names, flags * len(names) if len(flags) == 1 else flags,
                     strict=True)  # fmt: skip
    return found


@pytest.mark.parametrize("package", _PACKAGES)
def test_an_option_of_a_package_is_recognized_as_the_flag_beside_it(package):
    config = small_settings.CONFIGS["train"]
    known = {name for name, *_ in options.list_options(config)}
    rows = _rows(package)
    assert len(rows) > 20
    wrong = {}
    for name, flag in rows:
        synonym = flag_synonyms.find_synonym(name, known)
        if synonym is None or synonym.flag != flag:
            wrong[name] = synonym and synonym.flag
    assert not wrong


def test_options_that_are_called_alike_are_flags():
    config = small_settings.CONFIGS["train"]
    known = {name for name, *_ in options.list_options(config)}
    (alike,) = re.findall(r"the same name and meaning are left out: (.*?)\. \[",
                          _PAGE, re.DOTALL)  # fmt: skip
    named = set(re.findall(r"`--(\w+)`", alike))
    assert len(named) > 5
    assert named <= known
