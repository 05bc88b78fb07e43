"""Arguments that nobody means, each answered with a sentence."""

import os
import pathlib

import pytest
from absl import flags

from tf_finetune import errors
from tf_finetune.config import flag_parser, options, train_config


@pytest.fixture
def values():
    """The flags of training."""
    found = flags.FlagValues()
    options.define_flags(train_config.TrainConfig, found)
    return found


def test_a_very_long_flag_is_an_unknown_flag(values):
    with pytest.raises(errors.UsageError, match="flag of 6002 characters"):
        flag_parser.parse_arguments(values, ["--" + 3000 * "ab"])


def test_a_flagfile_that_is_no_text_is_named_so(values, tmp_path):
    (tmp_path / "x.flags").write_bytes(b"--data=\xff\xfe")
    with pytest.raises(errors.UsageError, match="not UTF-8"):
        flag_parser.parse_arguments(
            values, [f"--flagfile={tmp_path / 'x.flags'}"]
        )


@pytest.mark.parametrize("name", ["", "nowhere.flags", "a\0b"])
def test_a_flagfile_that_cannot_be_read_is_named(values, tmp_path, name):
    with pytest.raises(errors.UsageError, match="cannot be read"):
        flag_parser.parse_file(values, f"{tmp_path}/{name}")


def test_a_word_in_a_flagfile_that_is_no_flag_is_named(values, tmp_path):
    (tmp_path / "x.flags").write_text("# a comment\n\nepochs=3\n")
    with pytest.raises(errors.UsageError, match="x.flags: .*got 'epochs=3'"):
        flag_parser.parse_file(values, str(tmp_path / "x.flags"))


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _parsed(*arguments: str) -> train_config.TrainConfig:
    values = flags.FlagValues()
    options.define_flags(train_config.TrainConfig, values)
    flag_parser.parse_arguments(values, arguments)
    return options.from_flags(train_config.TrainConfig, values)


def test_those_of_the_package_have_names():
    names = flag_parser.list_names()
    assert {"quickstart", "segmentation", "classic/resnet50_sgd"} <= {*names}
    for name in names:
        assert pathlib.Path(flag_parser.find_file(name)).is_file()


@pytest.mark.parametrize(
    "name",
    [
        "quickstart",
        "quickstart.flags",
        "configs/quickstart.flags",
        "configs/quickstart",
    ],
)
@pytest.mark.parametrize("form", ["--flagfile={}", "-flagfile={}"])
def test_a_bare_name_is_found_from_any_folder(name, form):
    found = _parsed(form.format(name), "--epochs=7")
    assert found.data.data == "digits:5-9"
    assert found.training.epochs == 7


def test_the_name_may_be_an_argument_of_its_own():
    found = _parsed("--flagfile", "classic/resnet50_sgd")
    assert found.model.backbone == "resnet50"


@pytest.mark.parametrize("own", ["quickstart", "quickstart.flags"])
def test_a_file_of_ones_own_wins(tmp_path, own):
    (tmp_path / own).write_text("--epochs=99\n")
    assert _parsed("--flagfile=quickstart").training.epochs == 99


def test_a_folder_of_that_name_does_not(tmp_path):
    (tmp_path / "quickstart").mkdir()
    assert _parsed("--flagfile=quickstart").data.data == "digits:5-9"


@pytest.mark.parametrize("name", ["quikstart", "", "a\0b", "../etc/passwd"])
def test_an_unknown_name_is_answered_with_those_that_exist(name):
    with pytest.raises(errors.UsageError, match="There is no flagfile") as e:
        _parsed(f"--flagfile={name}")
    assert "classic/resnet18_sgd" in str(e.value)
    if name == "quikstart":
        assert "Did you mean --flagfile=quickstart?" in str(e.value)


def test_a_pipe_of_the_shell_is_a_flagfile():
    read, write = os.pipe()
    os.write(write, b"--epochs=5\n")
    os.close(write)
    assert _parsed(f"--flagfile=/dev/fd/{read}").training.epochs == 5
    os.close(read)


def test_configs_of_a_checkout_are_those_of_the_package():
    ours, theirs = (
        {
            str(path.relative_to(folder)): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (
            pathlib.Path(__file__).parents[2] / "configs",
            flag_parser.FOLDER,
        )
    )
    assert ours and ours == theirs


def test_what_has_no_end_is_no_flagfile(tmp_path):
    with pytest.raises(errors.UsageError, match="is a device"):
        _parsed("--flagfile=/dev/zero")
    with open(tmp_path / "large.flags", "wb") as file:
        file.truncate(2**40)
    with pytest.raises(errors.UsageError, match="1,099,511,627,776 bytes"):
        _parsed(f"--flagfile={tmp_path / 'large.flags'}")
    assert _parsed("--flagfile=/dev/null") == _parsed()


def test_a_mark_of_windows_editors_is_told(tmp_path):
    path = tmp_path / "windows.flags"
    path.write_text("--epochs=3\n", encoding="utf-8-sig")
    with pytest.raises(errors.UsageError, match="without BOM"):
        _parsed(f"--flagfile={path}")
    path.write_text("--epochs=3\n", encoding="utf-8")
    assert _parsed(f"--flagfile={path}") == _parsed("--epochs=3")


@pytest.mark.parametrize(
    "name", ["learning_rate", "weight_decay", "head_epochs", "cache_gb"]
)
def test_a_setting_without_end_is_refused(name):
    with pytest.raises(errors.UsageError, match=f"--{name} must be"):
        _parsed(f"--{name}=inf")
