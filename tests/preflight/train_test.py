"""Tests of what is known before TensorFlow starts."""

import pathlib

import pytest

from tf_finetune import errors
from tf_finetune.config import options, train_config
from tf_finetune.preflight import config_completion, train


def _config(**keywords):
    return options.from_keywords(
        train_config.TrainConfig, {"data": "digits:5-9", **keywords}
    )


class TestAbsolute:
    def test_relative_paths_that_exist_become_absolute(self, here):
        (here / "pictures").mkdir()
        (here / "mine.h5").touch()
        config = config_completion.make_paths_absolute(
            _config(data="pictures", weights="mine.h5")
        )
        assert pathlib.Path(config.data.data) == here / "pictures"
        assert pathlib.Path(config.model.weights) == here / "mine.h5"

    @pytest.mark.parametrize("word", ["none", "imagenet", "digits"])
    def test_a_name_stays_a_name_beside_a_folder_called_so(self, here, word):
        (here / word).mkdir()
        backbone = "small_cnn" if word == "digits" else "resnet50"
        config = config_completion.make_paths_absolute(
            _config(weights=word, backbone=backbone)
        )
        assert config.model.weights == word

    def test_a_word_for_the_weights_may_be_a_folder_of_pictures(self, here):
        (here / "probe").mkdir()
        config = config_completion.make_paths_absolute(_config(data="probe"))
        assert pathlib.Path(config.data.data) == here / "probe"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "parameter_server"}, "has no model.fit for it"),
        ({"tpu": "mine"}, "--tpu=mine is for --strategy=tpu; --strategy=auto"),
        ({"clip_norm": 1.0, "clip_variable_norm": 1.0}, "exclude each other"),
        ({"strategy": "multi_worker"}, "needs --workdir"),
        (
            {"strategy": "multi_worker", "workdir": "a", "plan": True},
            "--plan measures one process",
        ),
        (
            {"strategy": "multi_worker", "workdir": "a", "batch_size": "auto"},
            "cannot be tried",
        ),
    ],
)
def test_what_several_replicas_cannot_do_is_refused(changes, message):
    with pytest.raises(errors.UsageError, match=message):
        train.check_config(_config(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"trainable": "head", "head_init": "random", "layer_decay": 0.8},
            "--layer_decay=0.8 is for layers of the backbone that move",
        ),
        (
            {"trainable": "head", "head_init": "random", "l2_sp": 0.1},
            "--l2_sp=0.1 is for layers of the backbone that move",
        ),
        (
            {"head_layers": "8,relu", "head_start_strength": 0.1},
            "--head_start_strength is for a linear head",
        ),
        (
            {"gradient_accumulation_steps": 9, "batch_size": 8},
            "divides the 8 pictures of a step",
        ),
        ({"layer_decay": 1.5}, "--layer_decay must be"),
        ({"layer_decay": 0}, "--layer_decay must be"),
        ({"l2_sp": -1}, "--l2_sp must be"),
        ({"head_start_strength": 0}, "--head_start_strength must be"),
    ],
)
def test_options_of_updates_that_nothing_follows_are_refused(changes, message):
    with pytest.raises(errors.UsageError, match=message):
        train.check_config(_config(**changes))


@pytest.mark.parametrize(
    ("task", "head"), [("segmentation", "linear"), ("classification", "unet")]
)
def test_a_head_of_another_task_is_refused(task, head):
    with pytest.raises(errors.UsageError, match=f"--head={head} does not work"):
        train.check_config(_config(task=task, head=head))


def test_each_task_has_a_head_of_its_own_unless_one_is_named():
    for task in ("classification", "segmentation"):
        train.check_config(_config(task=task))


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        (
            "regression",
            {"class_weight": "balanced"},
            "--class_weight=balanced is for --task=classification and "
            "--task=multilabel and --task=segmentation; --task=regression "
            "does not read it",
        ),
        ("regression", {"label_smoothing": 0.2}, "--label_smoothing=0.2 is"),
        ("regression", {"ignore_label": "3"}, "is for --task=segmentation;"),
        ("multilabel", {"color_map": "x.csv"}, "is for --task=segmentation;"),
        ("segmentation", {"target_range": (0, 1)}, "is for --task=regression"),
        ("classification", {"target_transform": "log"}, "--task=regression"),
        (
            "segmentation",
            {"numeric_columns": ("a",), "data_format": "csv"},
            "is for --task=classification and --task=multilabel and "
            "--task=regression;",
        ),
        (
            "segmentation",
            {"categorical_columns": ("a",), "data_format": "csv"},
            "--task=regression",
        ),
        (
            "classification",
            {"numeric_columns": ("a",), "data_format": "folder"},
            "is for --data_format=csv; --data_format=folder does not read it",
        ),
        ("segmentation", {"image_column": ("a", "b")}, "predict a vector"),
        (
            "classification",
            {"categorical_columns": ("a:x",)},
            "the text after the colon must be the number",
        ),
        ("classification", {"output_stride": 8}, "--head=deeplab_v3_plus;"),
        (
            "classification",
            {"head_epochs": 5},
            "--head=linear, .* does not read",
        ),
        ("classification", {"head_units": 9}, "--head=mlp and"),
        (
            "segmentation",
            {"head": "unet", "output_stride": 8},
            "--output_stride=8 is for --head=deeplab_v3_plus; --head=unet",
        ),
        (
            "segmentation",
            {"loss": "dice+tversky", "label_smoothing": 0.1},
            "is for --loss=cross_entropy and --loss=focal; "
            r"--loss=dice\+tversky does not",
        ),
        (
            "classification",
            {"loss": "mean_squared_error", "label_smoothing": 0.1},
            "--loss=mean_squared_error does not read it",
        ),
    ],
)
def test_an_option_that_nothing_would_read_is_refused(task, given, message):
    with pytest.raises(errors.UsageError, match=message):
        train.check_config(_config(task=task, **given))


@pytest.mark.parametrize(
    "given",
    [
        {"class_weight": "balanced", "label_smoothing": 0.1},
        {"head": "mlp", "head_units": 9},
        {"task": "multilabel", "loss": "asymmetric", "label_smoothing": 0.1},
        {"task": "regression", "target_range": (0, 1)},
        {"data": "a.csv", "data_format": "csv", "numeric_columns": "a"},
        {"task": "segmentation", "ignore_label": "3", "output_stride": 8},
        {
            "task": "segmentation",
            "head": "unet",
            "head_epochs": 1,
            "loss": "cross_entropy+dice",
            "label_smoothing": 0.1,
        },
        # A head of one's own may read what it likes.
        {"head": "mine:build", "head_epochs": 5, "output_stride": 8},
    ],
)
def test_an_option_that_is_read_is_let_through(given):
    train.check_config(_config(**given))


def test_several_workers_are_asked_for_a_number():
    config = _config(
        strategy="multi_worker", workdir="shared", batch_size="auto"
    )
    with pytest.raises(errors.UsageError, match="give a number"):
        train.check_config(config)


@pytest.fixture(autouse=True)
def _memory(monkeypatch):
    """A machine of 16 GB."""
    monkeypatch.setattr(train, "_read_memory_bytes", lambda: 16 * 10**9)


def _check_memory(image_size: int = 224, **keywords) -> None:
    config = options.from_keywords(
        train_config.TrainConfig, {"data": "x", **keywords}
    )
    train.check_memory(config, image_size)


@pytest.mark.parametrize(
    ("image_size", "keywords", "words"),
    [
        # 1e12 pixels of 3 float32.
        (1_000_000, {}, "--image_size=1000000 cannot fit.* 12,000 GB"),
        (8_000, {}, r"--batch_size=32 .*8000 x 8000 pixels.* 25 GB"),
        (224, {"batch_size": 10**6}, "--batch_size=1000000 .* 602 GB"),
        (224, {"head": "mlp", "head_units": 10**9}, "--head_units=10+ .* 192"),
        (224, {"head_layers": "100000,relu,100000"}, "--head_layers=100000,"),
    ],
)
def test_what_can_never_fit_is_refused_with_its_need(
    image_size, keywords, words
):
    with pytest.raises(errors.UsageError, match=words) as refused:
        _check_memory(image_size, **keywords)
    assert "this machine has 16 GB" in str(refused.value)


@pytest.mark.parametrize(
    ("image_size", "keywords"),
    [
        (224, {}),
        (1024, {"batch_size": 256}),
        (8_000, {"batch_size": 1}),
        (8_000, {"batch_size": "auto"}),
        (224, {"batch_size": 10**6, "strategy": "multi_worker"}),
        (224, {"head_layers": "4096,relu,dropout:0.5,4096"}),
    ],
)
def test_what_may_fit_is_left_alone(image_size, keywords):
    _check_memory(image_size, **keywords)


def test_a_machine_that_does_not_tell_its_memory_refuses_nothing(monkeypatch):
    monkeypatch.setattr(train, "_read_memory_bytes", lambda: 0)
    _check_memory(10**6)


def test_a_command_with_an_impossible_size_ends_before_pictures_are_read():
    config = options.from_keywords(
        train_config.TrainConfig,
        {"data": "nowhere", "weights": "none", "image_size": 10**6},
    )
    with pytest.raises(errors.UsageError, match="cannot fit"):
        train.check_config(config)
