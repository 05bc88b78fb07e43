"""The folder that the documents speak of."""

import pytest
from documents import command_runner as houses


@pytest.fixture(scope="session")
def house(tmp_path_factory, start):
    """A folder with what the documents' commands are given, to run them in."""
    return houses.House(tmp_path_factory.mktemp("documents"), start)
