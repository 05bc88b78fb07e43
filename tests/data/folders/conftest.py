"""Folders of files whose names and places alone are looked at."""

import collections
import pathlib
from collections.abc import Callable

import pytest

from tf_finetune.config import data_options
from tf_finetune.data.sources import catalog
from tf_finetune.tasks import catalog as tasks


@pytest.fixture
def make(tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """The function `make(patterns)`: "a/{}.jpg": 3 makes three files."""

    def make(counts: dict[str, int]) -> pathlib.Path:
        root = tmp_path / "data"
        for pattern, count in counts.items():
            for number in range(count):
                path = root / pattern.format(number)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"x")
        return root

    return make


@pytest.fixture
def listed(tmp_path: pathlib.Path) -> Callable:
    """The function `listed(root, task)`, which lists a folder's examples."""

    def listed(root, task="classification", **settings):
        labels = tasks.TASKS.get(task).labels
        options = data_options.DataOptions(data=str(root), **settings)
        source = catalog.find_source(options, labels)
        return source.list_examples(options, labels, tmp_path / "cache")

    return listed


@pytest.fixture
def counted(listed: Callable) -> Callable:
    """As `listed`, but counts examples by split and class."""

    def counted(root, **settings):
        found = listed(root, **settings).examples
        return dict(collections.Counter((e.split, e.label) for e in found))

    return counted
