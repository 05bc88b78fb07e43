"""What the documents install can be installed."""

import os
import re
import shutil
import subprocess
import sys

import pytest
from documents import command_rules, documented_commands

_UNREACHABLE = re.compile(
    r"NewConnectionError|ConnectTimeout|Max retries exceeded|ProxyError"
)


@pytest.mark.network
@pytest.mark.parametrize(
    "command", [each for each, _ in command_rules.of_kind("installed")], ids=str
)
def test_pip_would_install_what_it_is_told_to(command, tmp_path):
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(documented_commands.ROOT / name, tmp_path)
    shutil.copytree(
        documented_commands.ROOT / "tf_finetune", tmp_path / "tf_finetune"
    )
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


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder into which the wheel of this checkout is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(documented_commands.ROOT / name, source)
    shutil.copytree(
        documented_commands.ROOT / "tf_finetune",
        source / "tf_finetune",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    built = _pip("wheel", "--no-deps", "--wheel-dir", folder, source)
    if built.returncode and _UNREACHABLE.search(built.stdout + built.stderr):
        pytest.skip("no package registry can be reached")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    site = folder / "site"
    done = _pip("install", "--no-deps", "--no-index", "--target", site, wheel)
    assert done.returncode == 0, done.stderr
    return site


def _pip(*words):
    return subprocess.run(
        [sys.executable, "-m", "pip", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.network
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "--flagfile=quickstart", "--zzz"), "Unknown flag --zzz"),
        (("train", "--flagfile=configs/classic/resnet50_sgd", "--zzz"), "zzz"),
        (("train", "--flagfile=quickstrt"), "--flagfile=quickstart?"),
        (("client", "--help"), "over REST and over gRPC"),
        (("--version",), "tf_finetune"),
        (("backbones",), "resnet50"),
    ],
)
def test_the_installed_wheel_holds_what_the_documents_use(
    installed, tmp_path, words, said
):
    code = (
        "import runpy, sys, tf_finetune\n"
        f"assert tf_finetune.__file__.startswith({str(installed)!r})\n"
        "runpy.run_module('tf_finetune', run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(installed)},
    )
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.network
def test_the_installed_wheel_holds_every_file_that_is_no_python(installed):
    def files(root):
        return {
            str(path.relative_to(root))
            for path in root.rglob("*")
            if path.is_file() and path.suffix not in (".py", ".pyc")
        }

    package = documented_commands.ROOT / "tf_finetune"
    assert files(installed / "tf_finetune") == files(package)
