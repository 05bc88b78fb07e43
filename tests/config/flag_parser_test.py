"""Arguments that nobody means, each answered with a sentence."""

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
