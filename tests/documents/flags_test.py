"""docs/flags.md is what the declarations say."""

import importlib.util

import pytest
from documents import documented_commands

pytestmark = pytest.mark.quick


def test_the_page_of_flags_is_what_is_declared():
    path = documented_commands.ROOT / "scripts" / "write_flags.py"
    spec = importlib.util.spec_from_file_location("write_flags", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    page = (documented_commands.ROOT / "docs" / "flags.md").read_text("utf-8")
    assert page == script.build_page(), "run: python scripts/write_flags.py"
