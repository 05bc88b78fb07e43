"""The folder trees and tables of docs/data.md are read as the page says."""

import collections
import pathlib
import re
import shlex

import pytest
from documents import documented_commands, small_settings

from tf_finetune.data.sources import catalog as sources
from tf_finetune.tasks import catalog

pytestmark = pytest.mark.quick

_PAGE = (documented_commands.ROOT / "docs" / "data.md").read_text("utf-8")
_TABLE = re.compile(r"^\*\*([^*]+)\*\*,\s`(--[^`]+)`[^:|]*:\n\n```\n(.*?)^```$",
                    re.DOTALL | re.MULTILINE)  # fmt: skip


def _trees(heading):
    """Returns the drawn folders of a section, each as the paths in it."""
    section = _PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    drawn = next(
        block
        for block in documented_commands.blocks(section, "")
        if "└──" in block
    )
    found = []
    for part in drawn.split("\n\n"):
        lines = part.splitlines()
        starts = [match.start() for match in re.finditer(r"\S+", lines[0])]
        for start, end in zip(starts, [*starts[1:], None], strict=True):
            found.append(_paths([line[start:end] for line in lines[1:]]))
    return found


def _paths(lines):
    """Returns the files of a drawn tree; a folder ends in a slash."""
    found, folders = [], []
    for line in lines:
        match = re.fullmatch(r"([│ ]*)[├└]── (\S+) *", line)
        if match:
            folders = folders[: len(match[1]) // 4] + [match[2].strip("/")]
            if not match[2].endswith("/"):
                found.append("/".join(folders))
    return found


def _list(folder, paths, flags):
    """Lists data whose files are these; only their names are looked at."""
    for each in paths:
        path = folder / each
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(each.encode())
    config = small_settings.config("train", flags)
    labels = catalog.TASKS.get(config.model.task).labels
    labels = labels.configure(config.data, folder / "cache")
    source = sources.find_source(config.data, labels)
    listing = source.list_examples(config.data, labels, folder / "cache")
    assert listing.dropped == ()
    return listing.examples


@pytest.mark.parametrize(
    ("number", "splits"),
    [
        (0, {None: 3}),
        (1, {"train": 2, "validation": 2, "test": 1}),
        (2, {"train": 2, "validation": 2}),
    ],
)
def test_drawn_class_folders_are_read(tmp_path, number, splits):
    paths = _trees("Folder layouts")[number]
    found = _list(tmp_path, paths, [f"--data={tmp_path}"])
    assert collections.Counter(each.split for each in found) == splits
    for each in found:
        assert each.label in pathlib.Path(each.path).parts
    assert {each.label for each in found} == {"daisy", "rose"}


@pytest.mark.parametrize(
    ("number", "splits"),
    [
        (0, {None: 1}),
        (1, {"train": 1, "validation": 1}),
        (2, {"train": 1, "validation": 1}),
        (3, {"train": 1}),
        (4, {None: 1}),
    ],
)
def test_drawn_folders_of_masks_are_read(tmp_path, number, splits):
    paths = _trees("Pictures and masks")[number]
    flags = [f"--data={tmp_path}", "--task=segmentation"]
    found = _list(tmp_path, paths, flags)
    assert collections.Counter(each.split for each in found) == splits
    for each in found:
        name = pathlib.Path(each.path).stem
        assert pathlib.Path(each.label.path).stem.removesuffix("_mask") == name


_LABELS = {
    "Classification": ["daisy", "rose"],
    "Several labels per picture": [("Comedy", "Drama"), ("Drama",), ()],
    "Numbers": [(10.5, 5.2), (11.25, 4.9)],
    "Several pictures and columns per row": [(350000.0,), (210000.0,)],
    "Masks": ["masks/1.png", "masks/2.png"],
}


def test_every_table_of_the_page_is_read_here():
    assert [name for name, _, _ in _TABLE.findall(_PAGE)] == [*_LABELS]


@pytest.mark.parametrize("name", _LABELS)
def test_a_table_that_is_shown_is_read(tmp_path, name):
    found = {each: rest for each, *rest in _TABLE.findall(_PAGE)}
    flags, table = found[name]
    (tmp_path / "table.csv").write_text(table)
    paths = re.findall(r"[\w/]+\.(?:jpg|png)", table)
    flags = [f"--data={tmp_path / 'table.csv'}", *shlex.split(flags)]
    listed = _list(tmp_path, paths, flags)
    labels = [
        str(pathlib.Path(each.label.path).relative_to(tmp_path))
        if name == "Masks"
        else each.label
        for each in listed
    ]
    assert [*dict.fromkeys(labels)] == _LABELS[name]
    pictures = {str(pathlib.Path(e.path).relative_to(tmp_path)) for e in listed}
    assert pictures == {path for path in paths if path.endswith(".jpg")}
