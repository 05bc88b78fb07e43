"""Calls of the package in the notebooks have names that exist."""

import ast
import inspect
import json
import re

import pytest
from documents import documented_commands, small_settings

import tf_finetune
from tf_finetune.config import options

pytestmark = pytest.mark.quick

_NOTEBOOKS = sorted(documented_commands.ROOT.glob("notebooks/*.ipynb"))


def _calls(path):
    """Returns name and keywords of each `tff.NAME(…)` in a notebook."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    code = "\n".join(
        "".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"
    )
    tree = ast.parse(re.sub(r"^( *)%.*$", r"\1pass", code, flags=re.MULTILINE))
    settings = {
        node.targets[0].id: [key.value for key in node.value.keys]
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
        if isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func)[:4] == "tff.":
            keywords = []
            for each in node.keywords:
                keywords += [each.arg] if each.arg else settings[each.value.id]
            yield node.func.attr, keywords


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=lambda p: p.stem)
def test_calls_in_a_notebook_have_names_that_exist(path):
    configs = {
        "fine_tune": "train",
        "export": "export",
        "start_server": "serve",
    }
    found = [*_calls(path)]
    assert found
    for name, keywords in found:
        known = {
            flag
            for flag, *_ in options.list_options(
                small_settings.CONFIGS[configs[name]]
            )
        }
        known |= {*inspect.signature(getattr(tf_finetune, name)).parameters}
        assert {*keywords} <= known, name
