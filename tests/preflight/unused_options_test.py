"""Options that nothing would read are refused, over every `used_by`."""

import dataclasses
import pathlib
import typing

import pytest
import sample_pictures
from absl import flags

from tf_finetune import cli, errors
from tf_finetune.adaptation import catalog as adaptation
from tf_finetune.config import (
    command_configs,
    conditions,
    options,
    teacher_options,
    train_config,
)
from tf_finetune.data import splits as data_splits
from tf_finetune.data.sources import catalog as sources
from tf_finetune.heads import catalog as heads
from tf_finetune.preflight import (
    config_completion,
    evaluate,
    predict,
    train,
    unused_options,
)
from tf_finetune.semi_supervised import catalog as objectives
from tf_finetune.tasks import catalog as tasks

# A value of each option that is not its default.
_GIVEN = {
    "adapter_layers": "1x1",
    "adapter_precision": "float16",
    "adapter_rank": 2,
    "adaptation": "mine:adapt",
    "augmentation": "none",
    "augmentation_views": 6,
    "cache": "off",
    "categorical_columns": "color",
    "class_level": 2,
    "checkpoint_every_steps": 5,
    "class_map": "a:b",
    "clip_norm": 1.0,
    "clip_variable_norm": 1.0,
    "confidence": 0.9,
    "ema_momentum": 0.9,
    "freeze_batch_norm": False,
    "epochs": 500,
    "gradient_accumulation_steps": 2,
    "group_column": "patient",
    "head_epochs": 3,
    "head_init": "random",
    "head_layers": "16,relu",
    "head_start_strength": 0.1,
    "head_units": 9,
    "image_column": "file",
    "image_root": "pictures",
    "interpolate": 0.5,
    "keep_checkpoints": 3,
    "keep_epoch": "last",
    "label_column": "kind",
    "label_separator": "comma",
    "label_smoothing": 0.1,
    "l2_sp": 0.1,
    "layer_decay": 0.8,
    "learning_rate": 0.5,
    "loss": "focal",
    "max_recoveries": 1,
    "missing_label": "keep",
    "numeric_columns": "a",
    "optimizer": "sgd",
    "output_stride": 8,
    "patience": 9,
    "precision": "float32",
    "pseudo_label_share": 0.5,
    "recipe": "none",
    "recipe_budget": "9s",
    "recipe_skip": "epochs",
    "schedule": "constant",
    "split_column": "part",
    "stages": "top:2",
    "sync_batch_norm": True,
    "teacher": "runs/teacher",
    "tensorboard": True,
    "tfds_data_dir": "here",
    "tpu": "mine",
    "trainable": "all",
    "unlabeled_data": "there",
    "unlabeled_ratio": 2,
    "unlabeled_weight": 0.5,
    "warmup_fraction": 0.2,
    "weight_decay": 0.1,
}
_FIELDS = {
    name: field
    for name, field, _, _ in options.list_options(train_config.TrainConfig)
}
_VALUES = {
    "task": tasks.TASKS.names(),
    "loss": ("cross_entropy", "focal", "asymmetric"),
    conditions.STAGE: (
        conditions.TRAINING,
        conditions.KEPT_CLASSIFIER,
        "fine-tuning",
    ),
    **{
        name: field.metadata["known_parts"] or typing.get_args(field.type)
        for name, field in _FIELDS.items()
        if name not in ("task", "loss")
    },
}
"""By flag: the values that an option may name in `used_by`."""

_CASES = [
    (flag, chosen, option, chosen in readers)
    for option, field in _FIELDS.items()
    for flag, readers in field.metadata["used_by"].items()
    if flag not in ("task", "loss", conditions.STAGE)
    and readers != conditions.NOT_GIVEN
    for chosen in _VALUES[flag]
]
_FINE_TUNING = [
    option
    for option, field in _FIELDS.items()
    if "fine-tuning" in field.metadata["used_by"].get(conditions.STAGE, ())
]


def _config(**keywords) -> train_config.TrainConfig:
    return options.from_keywords(
        train_config.TrainConfig, {"data": "digits:5-9", **keywords}
    )


def _check(config: train_config.TrainConfig) -> None:
    """Does what `train.check_config` does of it, whatever else does not fit."""
    task = tasks.TASKS.get(config.model.task)
    head = config.model.head
    head = task.heads[0] if head == "auto" else head
    unused_options.check_options(
        config, unused_options.find_training_choices(config, task, head)
    )


def _around(flag: str, chosen: str) -> dict:
    """Returns what goes with a choice."""
    found = {flag: chosen}
    if chosen in ("pairs", "tfds_masks"):
        found["task"] = "segmentation"
    if flag == "objective" and chosen != teacher_options.SUPERVISED:
        found["unlabeled_data"] = "somewhere"
    return found


@pytest.mark.parametrize(("flag", "chosen", "option", "is_read"), _CASES)
def test_an_option_is_refused_where_nothing_reads_it(
    flag, chosen, option, is_read
):
    _check(_config(**_around(flag, chosen)))
    config = _config(**{**_around(flag, chosen), option: _GIVEN[option]})
    if is_read:
        _check(config)
        return
    spelled = options.to_flag(option, _GIVEN[option]).partition("=")[0]
    words = f"{spelled}.* is for --{flag}=.*--{flag}={chosen} does not read"
    if "task" in _FIELDS[option].metadata["used_by"]:
        words = f"--{option}=.* is for --"  # The task may not read it either.
    with pytest.raises(errors.UsageError, match=words):
        _check(config)


@pytest.mark.parametrize(
    "given", [{"epochs": 3}, {"epochs": 0}, {"trainable": "all"}]
)
def test_what_stages_say_themselves_is_refused_beside_them(given):
    ((option, value),) = given.items()
    words = (
        f"^--stages=top:2,all:1 takes the place of --{option}={value}. Leave "
        f"--{option} or --stages out.$"
    )
    with pytest.raises(errors.UsageError, match=words):
        _check(_config(stages="top:2,all:1", **given))
    _check(_config(stages="top:2,all:1"))


@pytest.mark.parametrize("option", _FINE_TUNING)
def test_what_is_for_fine_tuning_is_refused_without_it(option):
    given = {option: _GIVEN[option]}
    spelled = options.to_flag(option, _GIVEN[option])
    if option.startswith("adapter_"):
        given["adaptation"] = "lora"
    _check(_config(**given))
    if option == "epochs":  # It is itself what leaves the stage out.
        return
    with pytest.raises(errors.UsageError, match=f"{spelled}.*--epochs=0"):
        train.check_config(_config(epochs=0, **given))
    # A decoder or a random head alone is trained by steps, too, and a method
    # of the user's own need not read --trainable.
    if option in ("trainable", "head_init") or "adaptation" in given:
        return
    alone = {"trainable": "head", **given}
    with pytest.raises(errors.UsageError, match=f"{spelled} .*solved"):
        train.check_config(_config(**alone))
    # These are for a head that is solved.
    if option in ("head_start_strength", "interpolate"):
        return
    _check(_config(head_init="random", **alone))
    if option.startswith("recipe_"):  # Trials are supervised.
        return
    _check(_config(objective="fixmatch", unlabeled_data="x", **alone))


def test_the_head_alone_may_be_asked_for_twice():
    train.check_config(_config(epochs=0, trainable="head"))


def test_the_head_alone_has_no_epochs():
    with pytest.raises(errors.UsageError, match="--epochs=500 is for fine-"):
        train.check_config(_config(trainable="head", epochs=500))


def test_all_that_nothing_reads_is_named_at_once():
    words = "^--nofreeze_batch_norm, --optimizer=sgd, --patience=9 are for"
    given = ("freeze_batch_norm", "optimizer", "patience")
    with pytest.raises(errors.UsageError, match=words):
        train.check_config(_config(epochs=0, **{n: _GIVEN[n] for n in given}))
    words = "--label_column=kind is for.* --tfds_data_dir=here is for"
    with pytest.raises(errors.UsageError, match=words):
        train.check_config(_config(label_column="kind", tfds_data_dir="here"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"head_units": 9}, "--head=linear, chosen by --head=auto, does"),
        (
            {"confidence": 0.9},
            "--objective=supervised, chosen by --objective=none, does",
        ),
        ({"label_column": "kind"}, "=digits, the format of --data, does"),
    ],
)
def test_a_choice_that_was_left_open_is_said_to_be_so(given, words):
    with pytest.raises(errors.UsageError, match=words):
        train.check_config(_config(**given))


_FLAGFILES = pathlib.Path(__file__).parents[2] / "configs"


def _parsed(*arguments: str):
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "", flag_values=values)
    return cli.parse_arguments(train_config.TrainConfig, arguments, values)


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("quickstart", ["--epochs=0"]),
        ("quickstart", ["--trainable=head"]),
        ("segmentation", ["--epochs=0"]),
        ("segmentation", ["--augmentation=none"]),
        ("segmentation", ["--cache=off"]),
        ("few_labels", ["--objective=supervised"]),
        ("multilabel", ["--label_column=a"]),
    ],
)
def test_what_a_flag_makes_idle_in_a_flagfile_is_left_out(
    name, given, tmp_path
):
    (tmp_path / "t.csv").touch()
    given = [f"--data={tmp_path / 't.csv'}", *given]
    line = [f"--flagfile={_FLAGFILES / name}.flags", *given]
    config, names = _parsed(*line)
    assert names == {word[2:].partition("=")[0] for word in given}
    settled = config_completion.drop_unused_options(config, names)
    train.check_config(settled)
    kept, asked = (
        unused_options.list_given(settled),
        unused_options.list_given(config),
    )
    assert kept.items() <= asked.items()
    assert {n for n in names if n in asked} <= {*kept}
    if name != "few_labels" and given[1:] != ["--label_column=a"]:
        with pytest.raises(errors.UsageError):
            train.check_config(config)


def test_what_is_given_beside_a_flagfile_is_refused_if_nothing_reads_it():
    line = [
        f"--flagfile={_FLAGFILES / 'quickstart.flags'}",
        "--epochs=0",
        "--patience=9",
    ]
    config = config_completion.drop_unused_options(*_parsed(*line))
    with pytest.raises(errors.UsageError, match="^--patience=9 is for"):
        train.check_config(config)


def test_conditions_name_flags_and_values_that_there_are():
    for option, field in _FIELDS.items():
        for flag, readers in field.metadata["used_by"].items():
            assert flag in (*_FIELDS, conditions.STAGE), option
            if readers == conditions.GIVEN:
                is_switch = _FIELDS[flag].type is bool
                assert is_switch or _FIELDS[flag].default == "", option
                continue
            if readers == conditions.NOT_GIVEN:
                assert _FIELDS[flag].default == (), option
                continue
            assert {*readers} <= {*_VALUES[flag]}, option
            # A condition that always holds would be none, once a flag has a
            # second value.
            several = len(_VALUES[flag]) > 1
            if several and flag not in ("loss", conditions.STAGE):
                assert {*readers} < {*_VALUES[flag]}, option


def test_known_parts_are_registered():
    for flag, registry in (
        ("adaptation", adaptation.METHODS),
        ("head", heads.HEADS),
        ("objective", objectives.OBJECTIVES),
        ("data_format", sources.SOURCES),
    ):
        known = _FIELDS[flag].metadata["known_parts"]
        assert {*known} <= {*registry.names()}


def test_losses_of_conditions_are_losses_of_a_task():
    losses = {e for n in tasks.TASKS.names() for e in tasks.TASKS.get(n).losses}
    assert {*_VALUES["loss"]} <= losses


def test_a_task_of_ones_own_reads_the_options_that_it_lists():
    own = dataclasses.replace(
        tasks.TASKS.get("classification"),
        name="mine",
        losses=("margin",),
        reads=("label_smoothing", "ignore_label"),
    )

    def check(**given):
        config = _config(**given)
        choices = unused_options.find_training_choices(config, own, "linear")
        unused_options.check_options(config, choices)

    check(label_smoothing=0.1, ignore_label="a")
    assert unused_options.reads_option(own, "ignore_label")
    with pytest.raises(errors.UsageError, match="--task=mine does not read it"):
        check(class_weight="balanced")


def test_a_part_of_ones_own_may_read_what_it_likes():
    objective = {"objective": "mine:learn", "unlabeled_data": "x"}
    _check(_config(**objective, confidence=0.5))
    _check(_config(**objective, epochs=0, optimizer="sgd"))
    _check(_config(data_format="mine:SOURCE", split_column="part"))
    _check(_config(head="mine:build", head_units=9))
    _check(_config(adaptation="mine:adapt", trainable="head", epochs=3))


def test_a_part_added_to_a_catalog_may_read_what_it_likes():
    _check(_config(head="added", head_units=9))
    _check(_config(objective="added", unlabeled_data="x", confidence=0.5))


def test_a_run_is_replayed_with_every_flag_named(tmp_path):
    path = tmp_path / "run.flags"
    for given in ({}, {"epochs": 0}, {"objective": "supervised"}):
        path.write_text(options.to_flagfile(_config(**given)))
        replayed = options.from_flagfile(train_config.TrainConfig, str(path))
        train.check_config(replayed)


def test_a_folder_has_no_columns(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").touch()
    config = _config(data=str(tmp_path), label_column="kind")
    words = (
        "--label_column=kind is for --data_format=csv; --data_format=folder, "
        "the format of --data, does not read it"
    )
    with pytest.raises(errors.UsageError, match=words):
        train.check_config(config)


@pytest.mark.parametrize(
    ("splits", "name"),
    [
        (("train", "validation"), "validation_fraction"),
        (("train", "test"), "test_fraction"),
    ],
)
def test_a_share_of_what_is_divided_already_is_refused(splits, name):
    data = _config(**{name: 0.4}).data
    with pytest.raises(errors.UsageError, match=f"--{name}=0.4 is for") as got:
        data_splits.check_fractions(data, splits)
    again = str(got.value).rpartition("add --")[2].rstrip(".")
    assert again in ("validation_fraction=0.15", "test_fraction=none")
    data_splits.check_fractions(data, (None, None))
    other = ({"train", "validation", "test"} - {*splits}).pop()
    data_splits.check_fractions(data, ("train", other))
    data_splits.check_fractions(_config().data, splits)


@pytest.fixture
def finished(tmp_path):
    """A function: task → the workdir of a finished run of it."""

    def call(task: str) -> str:
        (tmp_path / "run.json").write_text('{"status": "finished"}')
        (tmp_path / "data.json").write_text(
            '{"class_names": ["a"], "classes": {"train": {"a": 1}}}'
        )
        (tmp_path / "run.flags").write_text(f"--data=t.csv\n--task={task}\n")
        return str(tmp_path)

    return call


@pytest.mark.parametrize("task", tasks.TASKS.names())
def test_listed_classes_are_for_tasks_that_list_some(finished, task):
    config = command_configs.PredictConfig(
        workdir=finished(task), data="x", top_k=3
    )
    if task in ("classification", "segmentation"):
        predict.check_prediction(config)
        return
    with pytest.raises(errors.UsageError, match="--top_k=3 is for --task="):
        predict.check_prediction(config)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("data_format", "csv"),
        ("class_level", 2),
        *((name, (_GIVEN[name],)) for name in ("image_column", "label_column")),
        ("tfds_data_dir", "here"),
    ],
)
def test_how_pictures_are_read_is_for_other_pictures(finished, name, value):
    config = command_configs.EvaluateConfig(
        workdir=finished("classification"), **{name: value}
    )
    with pytest.raises(errors.UsageError, match=f"--{name}=.* Give --data"):
        evaluate.check_evaluation(config)


def test_columns_of_other_pictures_are_for_tables(finished, tmp_path):
    (tmp_path / "digits.csv").write_text("file,label\n")
    place = finished("classification")
    asked = {"workdir": place, "image_column": ("file",)}
    evaluate.check_evaluation(
        command_configs.EvaluateConfig(
            data=str(tmp_path / "digits.csv"), **asked
        )
    )
    with pytest.raises(
        errors.UsageError, match="digits, the format of --data, does"
    ):
        evaluate.check_evaluation(
            command_configs.EvaluateConfig(data="digits:0-4", **asked)
        )


def test_splits_that_pictures_bring_are_what_is_looked_at():
    picture = sample_pictures.make_picture("a", "b", "c", "validation")
    config = _config(validation_fraction=0.5)
    inspected = type("Inspected", (), {"pictures": (picture,)})
    with pytest.raises(errors.UsageError, match="brings one"):
        train.check_pictures(config, inspected)
