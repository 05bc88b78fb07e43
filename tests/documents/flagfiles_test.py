"""The flagfiles say what they are; `commands_test.py` runs them."""

import importlib.util
import re

import pytest
from documents import documented_commands

from tf_finetune import errors
from tf_finetune.backbones import catalog
from tf_finetune.config import options, train_config
from tf_finetune.preflight import train

pytestmark = pytest.mark.quick


@pytest.mark.parametrize(
    "path", documented_commands.FLAGFILES, ids=lambda p: p.name
)
def test_every_flagfile_is_accepted_and_tells_what_it_is(path, tmp_path):
    config = options.from_flagfile(train_config.TrainConfig, str(path))
    if not config.data.data:
        # A table has columns, which some of them name.
        (tmp_path / "table.csv").touch()
        config = options.replace(config, data=str(tmp_path / "table.csv"))
    package = catalog.find_spec(config.model.backbone)[0].weights_package
    if package and not importlib.util.find_spec(package.module):
        with pytest.raises(errors.UsageError, match=r"tf_finetune\[lite\]"):
            train.check_config(config)
    else:
        train.check_config(config)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# What: ")
    name = str(path.relative_to(documented_commands.ROOT))
    (command,) = documented_commands.in_flagfile(text, name)
    assert command.flag("flagfile") == name


@pytest.mark.parametrize(
    "path",
    [
        path
        for path in documented_commands.FLAGFILES
        if path.parent.name != "classic"
    ],
    ids=lambda p: p.name,
)
def test_every_flagfile_says_what_to_expect_in_figures(path):
    text = path.read_text(encoding="utf-8")
    (expected,) = re.findall(r"^# Expected: (.*)$", text, re.MULTILINE)
    assert re.search(r"\d", expected)
