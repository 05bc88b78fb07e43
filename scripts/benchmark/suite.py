"""The comparisons, and the command that runs them.

    bash scripts/benchmark/run.sh [--rounds=3] [--quick] [NAME …]

Real pictures and weights are looked for in $TF_FINETUNE_MATERIAL, else in
../shared/material. Results are printed and written into docs/benchmarks.md.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import sys
import tempfile

import measure
import pictures

_HERE = pathlib.Path(__file__).resolve().parent
_ROOT = _HERE.parents[1]
_MATERIAL = pathlib.Path(
    os.environ.get("TF_FINETUNE_MATERIAL", _ROOT.parent / "shared/material")
)
_DATA = _MATERIAL / "hymenoptera"
_WEIGHTS = {
    "mobilenet@0.25": _MATERIAL / "weights/mobilenet_0.25_224_notop.h5",
    "mobilenet_v2": _MATERIAL / "weights/mobilenetv2_1.0_224_notop.h5",
}
_SMALL, _LARGE = "mobilenet@0.25", "mobilenet_v2"
_PEERS_PYTHON = os.environ.get("PEERS_PYTHON", sys.executable)
_COUNTS = (1_000, 10_000, 100_000)


def compare_head(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """Compares training of a head on a frozen network, whole processes."""
    del made, quick
    return [
        measure.Comparison(
            title="398 pictures",
            contenders={
                "ours": _run_ours(_SMALL, _DATA, "--trainable=head"),
                "one forward pass, and nothing else": _run_script(
                    "peers/keras_forward.py", str(_DATA), str(_WEIGHTS[_SMALL])
                ),
                "Keras' guide, head, 10 epochs": _run_keras_head(_SMALL, _DATA),
                "Keras' guide, 10 + 10 epochs": _run_keras_head(
                    _SMALL, _DATA, "--tuned=third"
                ),
                "PyTorch loop, head, 10 epochs": _run_torch_head(_DATA),
            },
            beside=("accuracy",),
        ),
        measure.Comparison(
            title="398 pictures, start-up left out",
            contenders={
                "ours": _run_from_python(_SMALL, _DATA),
                "Keras' guide, head, 10 epochs": _run_keras_head(_SMALL, _DATA),
            },
            figure="without_start",
        ),
    ]


def compare_head_many(
    made: pathlib.Path, quick: bool
) -> list[measure.Comparison]:
    """Compares training of a head on ten times as many pictures."""
    many = pictures.copy_pictures(
        _DATA, made / "many", times=2 if quick else 10
    )
    # Copies of one picture are not independent: the table groups them.
    ours = _run_ours(_SMALL, pictures.write_table(many), "--trainable=head")
    title = f"{pictures.count_pictures(many):,} pictures"
    return [
        measure.Comparison(
            title=title,
            contenders={
                "ours": ours,
                "Keras' guide, head, 10 epochs": _run_keras_head(_SMALL, many),
            },
            beside=("accuracy",),
        ),
        measure.Comparison(
            title=f"{title}, beside PyTorch",
            contenders={
                "ours": ours,
                "PyTorch loop, head, 10 epochs": _run_torch_head(many),
            },
            beside=("accuracy",),
            most_rounds=1,
        ),
    ]


def compare_time_to_accuracy(
    made: pathlib.Path, quick: bool
) -> list[measure.Comparison]:
    """Compares the time to a peer's final accuracy; ours: to the end."""
    del made, quick
    return [
        measure.Comparison(
            title="MobileNet 0.25, 398 pictures",
            contenders={
                "ours, head": _run_ours(_SMALL, _DATA, "--trainable=head"),
                "ours, last stage": _run_ours(_SMALL, _DATA, "--trainable=top"),
                "Keras' guide, 10 + 10 epochs": _run_keras_head(
                    _SMALL, _DATA, "--tuned=third"
                ),
                "PyTorch loop, head, 10 epochs": _run_torch_head(_DATA),
            },
            figure="reached",
            beside=("accuracy",),
        )
    ]


def compare_top(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """Compares training of MobileNetV2's last stage for ten epochs."""
    return [
        measure.Comparison(
            title=f"the last stage, ten epochs, seed {seed}",
            contenders={
                "ours": _run_ours(
                    _LARGE, _DATA, "--trainable=top", "--patience=10",
                    f"--seed={seed}",
                ),
                "ours, one view": _run_ours(
                    _LARGE, _DATA, "--trainable=top", "--patience=10",
                    f"--seed={seed}", "--augmentation=none",
                ),
                "Keras, as its guides teach": _run_keras_head(
                    _LARGE, _DATA, "--tuned=top", f"--seed={seed}"
                ),
            },
            beside=("accuracy",),
        )
        for seed in range(1 if quick else 3)
    ]  # fmt: skip


def compare_full_step(
    made: pathlib.Path, quick: bool
) -> list[measure.Comparison]:
    """Compares training steps of a whole network, pictures per second."""
    return [
        measure.Comparison(
            title=f"{name}, all weights, 32 pictures a step",
            contenders={
                "ours": _run_script("ours/step.py", name),
                "Keras as it comes": _run_script("peers/keras_step.py", name),
                "PyTorch, eager": _run_torch("torch_step.py", name, "eager"),
                "PyTorch, compiled": _run_torch(
                    "torch_step.py", name, "compiled"
                ),
            },
            figure="rate",
            more_is_better=True,
            beside=("share of matrix product",),
        )
        for name in ((_LARGE,) if quick else (_LARGE, "resnet50"))
    ]


def compare_input(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """Compares decoding, resizing and augmentation, pictures per second."""
    folder = str(_DATA / "train")
    return [
        measure.Comparison(
            title=f"augmentation {level}",
            contenders={
                "ours": _run_script("ours/input.py", folder, level),
                "image_dataset_from_directory": _run_script(
                    "peers/keras_input.py", folder, level
                ),
                "the same, interpolation='area'": _run_script(
                    "peers/keras_input.py", folder, level, "area"
                ),
                "PyTorch DataLoader": _run_torch(
                    "torch_input.py", folder, level
                ),
            },
            figure="rate",
            more_is_better=True,
        )
        for level in ("none", "light")
    ]


def compare_startup(
    made: pathlib.Path, quick: bool
) -> list[measure.Comparison]:
    """Compares the seconds to the first output of commands."""
    del quick
    trained = _run_ours(
        _SMALL, _DATA, "--trainable=top", f"--cache_dir={made / 'warm'}"
    )
    # Fills the cache.
    measure.run(measure.Comparison(title="", contenders={"": trained}), 1)
    return [
        measure.Comparison(
            title="first answers",
            contenders={
                "--help": measure.Contender(
                    command=lambda folder: [
                        sys.executable, "-m", "tf_finetune.train", "--help",
                    ]
                ),
                "to the end of the first epoch (8 steps), warm cache": (
                    dataclasses.replace(trained, until="epoch 1/")
                ),
            },
        )
    ]  # fmt: skip


def compare_memory(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """Compares peak memory for growing numbers of pictures of 64 pixels."""
    found = []
    for count in _COUNTS[: 2 if quick else 3]:
        folder = pictures.multiply_pictures(
            _DATA, made / f"{count}", count=count
        )
        found.append(
            measure.Comparison(
                title=f"{count:,} pictures",
                contenders={
                    "ours": _run_ours(
                        _SMALL, folder, "--trainable=head", "--image_size=64"
                    ),
                    "image_dataset_from_directory + cache()": _run_script(
                        "peers/keras_memory.py",
                        str(folder),
                        str(_WEIGHTS[_SMALL]),
                    ),
                },
                figure="peak_mb",
                beside=("seconds",),
            )
        )
    return found


def compare_predict(
    made: pathlib.Path, quick: bool
) -> list[measure.Comparison]:
    """Compares prediction from files to probabilities, pictures per second."""
    del quick
    run = _train_and_export(made)
    folder = str(_DATA / "val")
    return [
        measure.Comparison(
            title="MobileNetV2",
            contenders={
                "ours": _run_script("ours/predict.py", folder, str(run)),
                "our SavedModel, encoded pictures": _run_script(
                    "ours/predict.py", folder, str(run / "export")
                ),
                "model.predict on a folder": _run_script(
                    "peers/keras_predict.py", folder, str(run / "model.keras")
                ),
            },
            figure="rate",
            more_is_better=True,
        )
    ]


def compare_serving(
    made: pathlib.Path, quick: bool
) -> list[measure.Comparison]:
    """Compares exported models, answers per second."""
    found = []
    # The same kernels for both; this package sets it by itself.
    environment = {"TF_ENABLE_ONEDNN_OPTS": "1"}
    for name in (_SMALL,) if quick else (_SMALL, _LARGE):
        run = _train_and_export(made / name, name)
        for kind in ("arrays", "bytes"):
            peer = _run_script(
                "peers/keras_serving.py",
                str(_DATA / "val"),
                str(run / "model.keras"),
                kind,
            )
            found.append(
                measure.Comparison(
                    title=f"{name}, {kind}",
                    contenders={
                        "our SavedModel": _run_script(
                            "ours/serving.py",
                            str(_DATA / "val"),
                            str(run / "export"),
                            kind,
                        ),
                        "Keras' model.export()": dataclasses.replace(
                            peer, environment=environment
                        ),
                    },
                    figure="rate",
                    more_is_better=True,
                )
            )
    return found


COMPARISONS = {
    "head": compare_head,
    "head_many": compare_head_many,
    "time_to_accuracy": compare_time_to_accuracy,
    "top": compare_top,
    "full_step": compare_full_step,
    "input": compare_input,
    "startup": compare_startup,
    "memory": compare_memory,
    "predict": compare_predict,
    "serving": compare_serving,
}


def main() -> None:
    """Runs the named comparisons, by default all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(COMPARISONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer cases")
    given = parser.parse_args()
    if unknown := {*given.names} - {*COMPARISONS}:
        parser.error(f"unknown: {unknown}; known: {', '.join(COMPARISONS)}")
    if not _DATA.is_dir():
        parser.error(f"no real pictures at {_DATA}; set TF_FINETUNE_MATERIAL")
    for name in given.names or COMPARISONS:
        _publish(name, given.rounds, given.quick)


def _publish(name: str, rounds: int, quick: bool) -> None:
    before = os.getloadavg()
    blocks = []
    with tempfile.TemporaryDirectory() as made:
        for each in COMPARISONS[name](pathlib.Path(made), quick):
            print(f"{name}: {each.title}", file=sys.stderr, flush=True)
            found = measure.run(each, rounds)
            blocks.append(
                f"{each.title}:\n\n{measure.format_table(each, found)}"
            )
    blocks.append(f"Rounds: {rounds}. {measure.describe_conditions(before)}")
    text = "\n\n".join(blocks)
    print(text, flush=True)
    page = _ROOT / "docs" / "benchmarks.md"
    page.write_text(measure.replace_block(page.read_text("utf-8"), name, text))


def _run_ours(
    backbone: str, data: pathlib.Path, *flags: str
) -> measure.Contender:
    def command(folder: pathlib.Path) -> list[str]:
        return [
            sys.executable, "-m", "tf_finetune.train", f"--data={data}",
            f"--backbone={backbone}", f"--weights={_WEIGHTS[backbone]}",
            f"--workdir={folder}/run", f"--cache_dir={folder}/cache",
            "--recipe=none", *flags,
        ]  # fmt: skip

    return measure.Contender(command=command, figures=_read_accuracy)


def _read_accuracy(folder: pathlib.Path) -> dict[str, float]:
    text = (folder / "run" / "evaluation.json").read_text("utf-8")
    return {"accuracy": json.loads(text)["validation"]["accuracy"]}


def _run_keras_head(
    backbone: str, data: pathlib.Path, *flags: str
) -> measure.Contender:
    return _run_script(
        "peers/keras_head.py",
        str(data),
        backbone,
        str(_WEIGHTS[backbone]),
        *flags,
    )


def _run_torch_head(data: pathlib.Path) -> measure.Contender:
    weights = str(_WEIGHTS[_SMALL])
    return _run_torch("torch_head.py", str(data), _SMALL, weights)


def _run_from_python(backbone: str, data: pathlib.Path) -> measure.Contender:
    """Returns the contender that calls this package from Python."""
    script, weights = str(_HERE / "ours/train.py"), str(_WEIGHTS[backbone])
    return measure.Contender(
        command=lambda folder: [
            sys.executable, script, str(data), backbone, weights, str(folder),
        ]
    )  # fmt: skip


def _run_script(name: str, *arguments: str) -> measure.Contender:
    return measure.Contender(
        command=lambda folder: [sys.executable, str(_HERE / name), *arguments]
    )


def _run_torch(name: str, *arguments: str) -> measure.Contender:
    path = str(_HERE / "peers" / name)
    return measure.Contender(
        command=lambda folder: [_PEERS_PYTHON, path, *arguments]
    )


def _train_and_export(
    made: pathlib.Path, backbone: str = _LARGE
) -> pathlib.Path:
    """Trains and exports the run that predicts."""
    import subprocess

    command = _run_ours(backbone, _DATA, "--trainable=head").command(made)
    subprocess.run(command, check=True, capture_output=True)
    subprocess.run(
        [
            sys.executable, "-m", "tf_finetune.export",
            f"--workdir={made}/run", "--format=saved_model",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return made / "run"


if __name__ == "__main__":
    main()
