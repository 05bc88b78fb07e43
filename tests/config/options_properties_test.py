"""Any valid value survives a flagfile; any junk is one kind of error."""

import pathlib
import tempfile

import hypothesis
import pytest
from absl import flags
from hypothesis import strategies as st

from tf_finetune import errors, files
from tf_finetune.config import (
    command_configs,
    flag_parser,
    options,
    train_config,
)

_NAMES = [name for name, *_ in options.list_options(train_config.TrainConfig)]
_TEXT = st.text(max_size=20)


def _round_trip(config):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run.flags"
        files.write_text(path, options.to_flagfile(config))
        return options.from_flagfile(type(config), str(path))


@hypothesis.given(
    changes=st.fixed_dictionaries(
        {},
        optional={
            "data": _TEXT,
            "workdir": _TEXT,
            "tfds_data_dir": st.none() | _TEXT,
            "weights": _TEXT,
            "validation_fraction": st.floats(1e-300, 0.5),
            "test_fraction": st.none() | st.floats(0, 0.4),
            "max_train_per_class": st.none() | st.integers(1, 2**31 - 1),
            "seed": st.integers(0, 2**31 - 1),
            "bad_data": st.sampled_from(["drop", "error"]),
            "epochs": st.integers(1, 10**6),
            "batch_size": st.just("auto") | st.integers(1, 10**6),
            "overwrite": st.booleans(),
            "fail_below": st.lists(_TEXT.filter(str.strip), max_size=3).map(
                tuple
            ),
        },
    )
)
@hypothesis.settings(max_examples=50)
def test_a_flagfile_gives_the_config_back_or_is_refused(changes):
    config = options.from_keywords(train_config.TrainConfig, changes)
    try:
        options.to_flagfile(config)
    except errors.UsageError as error:
        assert "cannot be written to a flagfile" in str(error)
    else:
        assert _round_trip(config) == config


_VISIBLE = st.characters(
    exclude_categories=("Cc", "Cs", "Zl", "Zp", "Zs"), exclude_characters=","
)


@hypothesis.given(
    path=st.text(_VISIBLE, min_size=5),
    words=st.lists(st.text(_VISIBLE, min_size=1)),
)
def test_names_without_blanks_and_line_breaks_are_never_refused(path, words):
    config = options.from_keywords(
        train_config.TrainConfig, {"data": path, "fail_below": tuple(words)}
    )
    assert _round_trip(config) == config


def test_a_name_that_is_no_utf8_survives():
    name = b"/pictures/\xe9".decode("utf-8", "surrogateescape")
    config = options.from_keywords(train_config.TrainConfig, {"data": name})
    assert _round_trip(config) == config


_JUNK = st.lists(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["--", "-", "--no", "", "#", "//"]),
        st.sampled_from([*_NAMES, "flagfile", "undefok", "help"]) | _TEXT,
        st.sampled_from(["=", " ", "", "=="]),
        _TEXT
        | st.sampled_from(["nan", "inf", "none", "-1", "1e999", "9" * 5000]),
    ),
    max_size=5,
)


@hypothesis.given(
    content=st.binary(max_size=100)
    | _JUNK.map(lambda rows: "\n".join(rows).encode("utf-8", "replace"))
)
@hypothesis.settings(max_examples=50)
def test_a_flagfile_of_junk_is_a_config_or_a_usage_error(content):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "run.flags"
        path.write_bytes(content)
        for kind in (train_config.TrainConfig, command_configs.PredictConfig):
            try:
                config = options.from_flagfile(kind, str(path))
            except errors.UsageError as error:
                assert str(error)
            else:
                assert isinstance(config, kind)


@hypothesis.given(
    name=st.sampled_from(_NAMES) | _TEXT,
    value=st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | _TEXT
    | st.binary(max_size=3)
    | st.lists(_TEXT | st.integers(), max_size=2)
    | st.dictionaries(_TEXT, _TEXT, max_size=1),
)
@hypothesis.settings(max_examples=100)
def test_a_keyword_of_junk_is_a_config_or_a_usage_error(name, value):
    try:
        config = options.from_keywords(train_config.TrainConfig, {name: value})
    except errors.UsageError as error:
        assert str(error)
    else:
        options.collect_values(config)


@hypothesis.given(arguments=_JUNK)
@hypothesis.settings(max_examples=50)
def test_junk_on_the_command_line_is_a_usage_error(arguments):
    values = flags.FlagValues()
    options.define_flags(train_config.TrainConfig, values)
    try:
        flag_parser.parse_arguments(values, arguments)
        options.from_flags(train_config.TrainConfig, values)
    except errors.UsageError as error:
        assert str(error)


def test_an_entry_with_a_comma_is_refused_before_it_becomes_two():
    config = options.from_keywords(
        train_config.TrainConfig, {"fail_below": ("a,b",)}
    )
    with pytest.raises(errors.UsageError, match="--fail_below cannot be"):
        options.to_flagfile(config)
