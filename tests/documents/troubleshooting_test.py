"""The messages in docs/troubleshooting.md are those of the code."""

import ast
import functools
import re

import pytest
from documents import documented_commands

pytestmark = pytest.mark.quick

_PAGE = (documented_commands.ROOT / "docs" / "troubleshooting.md").read_text(
    "utf-8"
)
_QUOTED = re.findall(r'"([^"]{6,})"', _PAGE)


@functools.cache
def _texts() -> tuple[str, ...]:
    """Returns the texts of the code, not docstrings; … for values in them."""
    found = []
    for path in (documented_commands.ROOT / "tf_finetune").rglob("*.py"):
        nodes = [*ast.walk(ast.parse(path.read_text("utf-8")))]
        docs = {node.value for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if node in docs:
                continue
            if isinstance(node, ast.JoinedStr):
                found.append("".join(map(_text, node.values)))
            elif isinstance(node, ast.Constant):
                found.append(_text(node))
    return tuple(found)


def _text(node: ast.expr) -> str:
    value = getattr(node, "value", None)
    return value if isinstance(value, str) else "…"


def _is_said(fragment: str) -> bool:
    """Whether one text holds the parts between … in their order."""
    parts = [
        re.escape(p.strip()) for p in fragment.split("…") if p.strip(" :,;")
    ]
    pattern = re.compile(".*".join(parts), re.DOTALL)
    return any(pattern.search(text) for text in _texts())


@pytest.mark.parametrize("fragment", _QUOTED)
def test_a_quoted_message_is_one_of_the_code(fragment):
    assert _is_said(fragment)


def test_a_message_that_is_not_there_is_noticed():
    assert len(_QUOTED) > 20
    assert not _is_said("The data holds … a married class")
