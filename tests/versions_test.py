"""What is promised of Python and Keras is the same wherever it stands."""

import configparser
import pathlib
import re
import tomllib

import pytest

_ROOT = pathlib.Path(__file__).parents[1]
_PYTHONS = ("3.11", "3.12", "3.13")


def _text(name):
    return (_ROOT / name).read_text("utf-8")


@pytest.fixture(scope="module")
def setup():
    """The settings of the package."""
    found = configparser.ConfigParser()
    found.read(_ROOT / "setup.cfg", encoding="utf-8")
    return found


def test_the_package_promises_these_pythons(setup):
    assert setup["options"]["python_requires"] == ">=3.11,<3.14"
    found = re.findall(
        r"Programming Language :: Python :: (3\.\d+)",
        setup["metadata"]["classifiers"],
    )
    assert tuple(found) == _PYTHONS


@pytest.mark.parametrize("name", ["README.md", "scripts/quickstart.sh"])
def test_what_is_read_first_names_them(name):
    (found,) = re.findall(r"Python (3\.\d+)[–-](3\.\d+)", _text(name))
    assert found == (_PYTHONS[0], _PYTHONS[-1])


def test_the_scripts_take_them_and_no_others():
    script = _text("scripts/environment.sh")
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in script
    (tried,) = re.findall(r"for candidate in .*", script)
    assert sorted(re.findall(r"python(3\.\d+)", tried)) == list(_PYTHONS)
    assert "no Python 3.11, 3.12 or 3.13 found" in script


def test_lint_knows_the_oldest_of_them():
    with open(_ROOT / "pyproject.toml", "rb") as file:
        settings = tomllib.load(file)
    assert settings["tool"]["ruff"]["target-version"] == "py311"


def test_no_keras_with_known_holes_is_allowed(setup):
    (keras,) = re.findall(
        r"^keras(.*)$", setup["options"]["install_requires"], re.MULTILINE
    )
    assert keras == ">=3.15"
    (pinned,) = re.findall(
        r"^keras==(\d+)\.(\d+)", _text("scripts/constraints.txt"), re.MULTILINE
    )
    assert (int(pinned[0]), int(pinned[1])) >= (3, 15)


def test_the_exact_versions_are_for_all_of_them():
    lines = _text("scripts/constraints.txt").splitlines()
    names = [re.split("[=;]", line)[0].lower() for line in lines]
    assert len({*names}) == len(names)
    assert not [line for line in lines if "python_version" in line]
