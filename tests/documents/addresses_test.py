"""The repository's address: in setup.cfg, and written where it is needed."""

import importlib.util
import json
import pathlib
import re

import pytest
from documents import documented_commands

pytestmark = pytest.mark.quick

_ADDRESS = "https://github.com/someone/project"
_NOTEBOOKS = sorted(documented_commands.ROOT.glob("notebooks/*.ipynb"))


@pytest.fixture(scope="module")
def addresses():
    """The script that writes them."""
    path = documented_commands.ROOT / "scripts" / "write_addresses.py"
    spec = importlib.util.spec_from_file_location("write_addresses", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_documents_hold_the_address_that_setup_cfg_has(addresses):
    address = addresses.read_address(documented_commands.ROOT / "setup.cfg")
    page = (documented_commands.ROOT / "README.md").read_text("utf-8")
    assert addresses.rewrite_readme(page, address) == page
    for path in _NOTEBOOKS:
        text = path.read_text("utf-8")
        assert addresses.rewrite_notebook(text, path.name, address) == text


def test_with_an_address_every_link_of_the_readme_holds_elsewhere(addresses):
    page = (documented_commands.ROOT / "README.md").read_text("utf-8")
    absolute = addresses.rewrite_readme(page, _ADDRESS)
    targets = re.findall(r"\]\(([^)\s]+)\)", absolute)
    assert len(targets) > 20
    for target in targets:
        assert target.startswith("https://"), target
        own = re.match(rf"{_ADDRESS}/(?:blob|raw)/HEAD/([^#]+)", target)
        assert not own or (documented_commands.ROOT / own[1]).exists(), target
    assert "/someone/project/blob/HEAD/notebooks/quickstart.ipynb" in absolute
    assert f"{_ADDRESS}/raw/HEAD/docs/quickstart.png" in absolute
    assert addresses.rewrite_readme(absolute, _ADDRESS) == absolute
    plain = addresses.rewrite_readme(page, "")
    assert addresses.rewrite_readme(absolute, "") == plain


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=lambda p: p.stem)
def test_with_an_address_a_badge_opens_the_notebook(addresses, path):
    text = addresses.rewrite_notebook(
        path.read_text("utf-8"), path.name, _ADDRESS
    )
    title, install = json.loads(text)["cells"][:2]
    opened = f"/github/someone/project/blob/HEAD/notebooks/{path.name}"
    assert f"https://colab.research.google.com{opened})" in "".join(
        title["source"]
    )
    assert f'ADDRESS = "{_ADDRESS}"' in "".join(install["source"])
    plain = addresses.rewrite_notebook(path.read_text("utf-8"), path.name, "")
    assert addresses.rewrite_notebook(text, path.name, "") == plain


def _asked_of_pip(path: pathlib.Path, address: str, monkeypatch) -> str:
    """Runs the first cell where the package is missing; gives what is asked."""
    content = json.loads(path.read_text("utf-8"))
    source = "".join(content["cells"][1]["source"])
    source = re.sub(r'ADDRESS = ".*?"', f'ADDRESS = "{address}"', source)
    source, count = re.subn(
        r'%pip install --quiet "\{source\}"', "asked = source", source
    )
    assert count == 1
    with monkeypatch.context() as patched:
        patched.setattr(importlib.util, "find_spec", lambda name: None)
        found: dict = {}
        exec(compile(source, path.name, "exec"), found)
    return found["asked"]


@pytest.mark.parametrize("path", _NOTEBOOKS, ids=lambda p: p.stem)
def test_the_first_cell_installs_without_an_edit(tmp_path, monkeypatch, path):
    (tmp_path / "tf_finetune").mkdir()
    (tmp_path / "tf_finetune" / "version.py").touch()
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "notebooks")
    serves = "start_server" in path.read_text("utf-8")
    extras = "[serve,tensorflow]" if serves else "[tensorflow]"
    assert _asked_of_pip(path, "", monkeypatch) == f"..{extras}"
    monkeypatch.chdir(tmp_path)
    assert _asked_of_pip(path, "", monkeypatch) == f".{extras}"
    monkeypatch.chdir(tmp_path / "elsewhere" / "deep")
    asked = _asked_of_pip(path, _ADDRESS, monkeypatch)
    assert asked == f"tf_finetune{extras} @ git+{_ADDRESS}"
    with pytest.raises(RuntimeError, match="is not installed"):
        _asked_of_pip(path, "", monkeypatch)
