"""Peak memory of a few training steps of one batch size, measured in a child.

Run as a child by `batch_size_search`, with a flagfile and the number of
classes: prints one line of JSON, the fields of `batch_size_search.Trial`.
"""

import json
import pathlib
import re
import sys
import tempfile
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from tf_finetune import environment
from tf_finetune.adaptation import method
from tf_finetune.config import options, train_config

if TYPE_CHECKING:
    import tensorflow as tf

    from tf_finetune.model import assembly
    from tf_finetune.tasks import task as task_contract

_STEPS = 2
# The decoded size counts in the memory of the input pipeline.
_PICTURE_SIZE = (1024, 768)
_STATUS = pathlib.Path("/proc/self/status")


def main(flagfile: str, num_classes: str) -> None:
    """Trains on a picture of noise and prints the peak memory as JSON.

    Args:
        flagfile: Path of the run's flags, with the batch size to try.
        num_classes: Number of the model's outputs, in digits.
    """
    environment.start_tensorflow()
    config = options.from_flagfile(train_config.TrainConfig, flagfile)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "picture.jpg"
        _write_picture(path)
        on_cpu = train_few_steps(config, int(num_classes), str(path))
    print(json.dumps({"on_cpu": on_cpu, "peak_bytes": read_peak_bytes()}))


def train_few_steps(
    config: train_config.TrainConfig, num_classes: int, picture: str
) -> bool:
    """Trains a few steps as the run would, with random weights.

    Args:
        config: The run's config, with the batch size to try.
        num_classes: Number of the model's outputs.
        picture: Path of a picture file that is every example.

    Returns:
        Whether they ran on a CPU.
    """
    from tf_finetune.model import assembly
    from tf_finetune.tasks import catalog as tasks
    from tf_finetune.training import fine_tuning, fit
    from tf_finetune.training.devices import device_settings
    from tf_finetune.training.distributed import strategies

    if config.training.stages:
        from tf_finetune.config import fit_stage_options

        config = fit_stage_options.join_stages(config)
    task = tasks.TASKS.get(config.model.task)
    strategy = strategies.build_strategy(
        config.training.strategy, tpu=config.training.tpu
    )
    device = device_settings.detect_device(strategy)
    settings = device_settings.choose_settings(
        device, config.training.precision, onednn=environment.describe_onednn()
    )
    names = [str(number) for number in range(num_classes)]
    with strategy.scope():
        built = assembly.build_model(config.model, task, names, config.seed)
        adapt = method.get_method(config.model.adaptation)
        adapted = adapt(built, config.model)
        trainer = fine_tuning.compile_trainer(
            adapted.build_trainer(built.trainer),
            config,
            adapted=adapted,
            loss=task.network.loss(config.training, names, None),
            metrics=task.network.metrics(names),
            num_examples=config.training.batch_size * _STEPS,
            settings=settings,
        )
        batches = _make_batches(config, task, names, picture, built)
        with device_settings.apply_policy(
            built.backbone.model, settings.precision
        ):
            fit.time_step(trainer, batches)
    return device.kind == "cpu"


def read_peak_bytes() -> int:
    """Returns the peak main memory of this process, in bytes."""
    try:
        # Not `getrusage`, whose peak includes that of the parent before exec.
        found = re.search(r"VmHWM:\s*(\d+) kB", _STATUS.read_text())
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    from tf_finetune.training.devices import cost_estimate

    return cost_estimate.read_peak_bytes()


def _make_batches(
    config: train_config.TrainConfig,
    task: "task_contract.Task",
    names: list[str],
    picture: str,
    built: "assembly.Assembly",
) -> "tf.data.Dataset":
    """Builds the batches of `_STEPS` steps from one picture."""
    from tf_finetune.data import epoch_order, pipeline

    batch_size = config.training.batch_size
    count = batch_size * _STEPS
    size = built.backbone.image_size
    return pipeline.build_training_batches(
        [picture] * count,
        task.network.build_blank_targets(names, count, image_size=size),
        epoch_order.BatchOrder(
            batch_size=batch_size, seed=config.seed, epochs=1
        ),
        config.model.make_square(size),
        augmentation=config.training.augmentation,
    )


def _write_picture(path: pathlib.Path) -> None:
    # Noise at full size would make a JPEG that no camera writes.
    coarse = np.random.default_rng(0).integers(0, 256, (75, 100, 3), "uint8")
    Image.fromarray(coarse).resize(_PICTURE_SIZE).save(path)


if __name__ == "__main__":
    main(*sys.argv[1:])
