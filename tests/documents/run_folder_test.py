"""docs/run_folder.md lists every file of a workdir."""

import pathlib
import re

import pytest
from documents import documented_commands

from tf_finetune.tasks import catalog
from tf_finetune.workdir import workdir_files

pytestmark = pytest.mark.quick

_PAGE = (documented_commands.ROOT / "docs" / "run_folder.md").read_text("utf-8")
_TASKS = ("classification", "multilabel", "regression", "segmentation")


def test_every_path_of_a_workdir_has_its_row():
    place = workdir_files.Workdir(pathlib.Path("run"))
    properties = vars(workdir_files.Workdir).items()
    values = [
        getattr(place, name)
        for name, each in properties
        if isinstance(each, property)
    ]
    paths = [each for each in values if isinstance(each, pathlib.Path)]
    assert len(paths) > 15
    rows = re.findall(r"^\| `([^|]+)` \|", _PAGE, re.MULTILINE)
    listed = {name.strip("/") for row in rows for name in row.split("`, `")}
    names = {path.relative_to("run").as_posix() for path in paths}
    assert names <= listed


@pytest.mark.parametrize("name", _TASKS)
def test_the_columns_of_predictions_are_those_that_are_written(tmp_path, name):
    answers = catalog.TASKS.get(name).answers
    answers.write(tmp_path / "table.csv", [])
    header = (tmp_path / "table.csv").read_text().strip().replace('"', "")
    (row,) = re.findall(rf"^\| {name} \| (`.*path.*) \|$", _PAGE, re.MULTILINE)
    # A regression has a column for each target between these two.
    assert header in row.replace("`, one column per target, `", ",")
