"""Searches the settings of a run with Ray Tune, on a Ray cluster.

    pip install 'ray[tune]'
    python scripts/ray_tune.py --data=flowers/ --trials=20

An example to copy where a Ray cluster is there already; elsewhere
`python -m tf_finetune.tune` needs nothing but a shared folder. Each trial is
the `train` command in a process of its own, so that TensorFlow's memory is free
again after it; the test pictures are withheld from all of them. Trials are
compared when they end.
"""

import argparse
import json
import pathlib
import subprocess
import sys
from typing import Any

SPACE = {
    "learning_rate": (1e-5, 1e-2),
    "trainable": ("top", "all"),
    "augmentation": ("none", "light", "medium", "strong"),
}
"""Options that trials vary: bounds of a logarithmic interval, or choices."""


def train(settings: dict[str, Any]) -> dict[str, float]:
    """Runs one trial in the current folder, which Ray gives it.

    Args:
        settings: Values of flags by name.

    Returns:
        Accuracy and log loss on validation.

    Raises:
        RuntimeError: The run has failed; the message is its output.
    """
    flags = [f"--{name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        [sys.executable, "-m", "tf_finetune.train", *flags, "--workdir=run",
         "--recipe=none", "--withhold_test"],
        capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:])
    figures = json.loads(pathlib.Path("run/evaluation.json").read_text("utf-8"))
    names = ("accuracy", "log_loss")
    return {name: figures["validation"][name] for name in names}


def main() -> None:
    """Runs the trials; prints the folder and the settings of the best one."""
    from ray import tune

    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--gpus", type=float, default=0, help="of one trial")
    parser.add_argument("--folder", default="runs/ray")
    arguments, flags = parser.parse_known_args()
    # Trials work in folders of their own: paths must be absolute.
    data = pathlib.Path(arguments.data).expanduser()
    fixed = {"data": str(data.resolve()) if data.exists() else arguments.data}
    fixed |= dict(each.removeprefix("--").split("=", 1) for each in flags)
    rate, trainable, augmentation = SPACE.values()
    space = {
        "learning_rate": tune.loguniform(*rate),
        "trainable": tune.choice(trainable),
        "augmentation": tune.choice(augmentation),
    }
    tuner = tune.Tuner(
        tune.with_resources(
            lambda drawn: train(fixed | drawn),
            {"cpu": 1, "gpu": arguments.gpus},
        ),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="accuracy", mode="max", num_samples=arguments.trials
        ),
        run_config=tune.RunConfig(
            storage_path=str(pathlib.Path(arguments.folder).resolve())
        ),
    )
    best = tuner.fit().get_best_result()
    print(f"Best trial: {best.path}\n{best.config}\n{best.metrics['accuracy']}")


if __name__ == "__main__":
    main()
