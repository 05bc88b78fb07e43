"""Tests of runs whose backbone is filled from a relative."""

import keras
import pytest
import quiet
import torch_files
import torch_golden as golden

from tf_finetune import errors
from tf_finetune.backbones import build
from tf_finetune.config import options, train_config
from tf_finetune.preflight import config_completion
from tf_finetune.preflight import train as preflight
from tf_finetune.weights import weights_source


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    """A file of weights of MobileNet 0.5."""
    keras.utils.set_random_seed(0)
    path = tmp_path_factory.mktemp("weights") / "half.weights.h5"
    build.build("mobilenet@0.5", image_size=32).model.save_weights(path)
    return str(path)


@pytest.mark.slow
def test_a_run_is_filled_once_and_says_from_what(
    weights, picture_folder, tmp_path, caplog
):
    def run(name):
        return quiet.fine_tune(
            picture_folder,
            backbone="mobilenet@0.25",
            init_from=f"mobilenet@0.5={weights}",
            image_size=32,
            trainable="head",
            workdir=tmp_path / name,
            cache_dir=tmp_path / "cache",
            recipe="none",
        )

    with caplog.at_level("INFO"):
        first = run("first")
        assert "Filling mobilenet@0.25 from" in caplog.text
        caplog.clear()
        second = run("second")
        assert "Filling" not in caplog.text
    plan = (first.workdir / "plan.txt").read_text("utf-8")
    assert "--init_from" in plan
    assert "conv_pw_1" in plan
    for name in ("model.weights.h5", "plan.txt"):
        assert (first.workdir / name).stat().st_size == (
            second.workdir / name
        ).stat().st_size
    assert first.evaluation == second.evaluation


def _check(**keywords):
    config = train_config.TrainConfig()
    preflight.check_config(
        options.replace(
            config, data="digits", backbone="mobilenet@0.25", **keywords
        )
    )


def test_two_origins_of_weights_are_refused(weights):
    with pytest.raises(errors.UsageError, match="Leave out one"):
        _check(weights="none", init_from=f"mobilenet@0.5={weights}")


@pytest.mark.parametrize(
    ("origin", "match"),
    [
        ("mobilnet@0.5", "mobilnet"),
        ("mobilenet@0.5=none", "random weights"),
        ("mobilenet@0.5=missing.h5", "missing.h5"),
    ],
)
def test_impossible_origins_are_refused_before_tensorflow_starts(origin, match):
    with pytest.raises(errors.UsageError, match=match):
        _check(init_from=origin)


def test_a_file_alone_does_not_tell_its_network(weights):
    with pytest.raises(errors.UsageError, match="NAME="):
        weights_source.parse_origin(weights)


def test_a_name_stands_for_its_published_weights():
    assert weights_source.parse_origin("mobilenet@0.5") == (
        "mobilenet@0.5", "imagenet",
    )  # fmt: skip


def test_a_backbone_without_published_weights_can_be_filled(tmp_path):
    path = tmp_path / "large.weights.h5"
    build.build("cifar_resnet56", image_size=32).model.save_weights(path)
    config = options.replace(
        train_config.TrainConfig(),
        backbone="cifar_resnet20",
        init_from=f"cifar_resnet56={path}",
    )
    model = config_completion.choose_graph(config).model
    assert (model.backbone, model.preprocessing) == ("cifar_resnet20", "auto")


def test_pictures_are_scaled_for_the_relatives_weights(tmp_path):
    arrays = golden.fill_arrays(golden.read_vector("mobilenet_v2")["arrays"])
    path = torch_files.write_state_dict(tmp_path / "x.pth", arrays)
    (tmp_path / "config.json").write_text(
        '{"architecture": "x", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}'
    )
    config = options.replace(
        train_config.TrainConfig(),
        backbone="mobilenet_v2+torch",
        init_from=f"mobilenet_v2={path}",
    )
    assert config_completion.choose_graph(config).model.preprocessing == "tf"
