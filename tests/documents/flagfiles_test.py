"""The flagfiles say what they are; `commands_test.py` runs them."""

import re

import pytest
from documents import reading

from tf_finetune import checking
from tf_finetune.config import options, train


@pytest.mark.parametrize("path", reading.FLAGFILES, ids=lambda p: p.name)
def test_every_flagfile_is_accepted_and_tells_what_it_is(path, tmp_path):
    config = options.from_flagfile(train.TrainConfig, str(path))
    if not config.data.data:
        # A table has columns, which some of them name.
        (tmp_path / "table.csv").touch()
        config = options.replace(config, data=str(tmp_path / "table.csv"))
    checking.check(config)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# What: ")
    name = str(path.relative_to(reading.ROOT))
    (command,) = reading.in_flagfile(text, name)
    assert command.flag("flagfile") == name


@pytest.mark.parametrize(
    "path",
    [path for path in reading.FLAGFILES if path.parent.name != "classic"],
    ids=lambda p: p.name,
)
def test_every_flagfile_says_what_to_expect_in_figures(path):
    text = path.read_text(encoding="utf-8")
    (expected,) = re.findall(r"^# Expected: (.*)$", text, re.MULTILINE)
    assert re.search(r"\d", expected)
