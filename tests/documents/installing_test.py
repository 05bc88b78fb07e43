"""What the documents install can be installed."""

import re
import shutil
import subprocess
import sys

import pytest
from documents import ledger, reading

_UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectTimeout|Max retries exceeded|ProxyError"
)


@pytest.mark.network
@pytest.mark.parametrize(
    "command", [each for each, _ in ledger.of_kind("installed")], ids=str
)
def test_pip_would_install_what_it_is_told_to(command, tmp_path):
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(reading.ROOT / name, tmp_path)
    shutil.copytree(reading.ROOT / "tf_finetune", tmp_path / "tf_finetune")
    done = subprocess.run(
        [sys.executable, "-m", *command.words, "--dry-run", "--no-deps"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    said = done.stdout + done.stderr
    if done.returncode and _UNREACHABLE.search(said):
        pytest.skip("no package registry can be reached")
    assert done.returncode == 0, said
    assert "does not provide the extra" not in said
    for name in command.words[2:]:
        if name.startswith(".["):
            assert "Would install tf_finetune" in said
        elif not name.startswith("--"):
            assert name.partition("=")[0] in said.replace("_", "-")


def test_a_name_that_no_registry_knows_is_not_taken_for_no_registry(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index",
         "--isolated", "no-such-name"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )  # fmt: skip
    assert done.returncode
    assert "(from versions: none)" in done.stderr
    assert not _UNREACHABLE.search(done.stderr)
