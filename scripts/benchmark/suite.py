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


def head(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """A head on a frozen network, whole processes."""
    del made, quick
    return [
        measure.Comparison(
            title="398 pictures",
            contenders={
                "ours": _ours(_SMALL, _DATA, "--trainable=head"),
                "one forward pass, and nothing else": _script(
                    "peers/keras_forward.py", str(_DATA), str(_WEIGHTS[_SMALL])
                ),
                "Keras' guide, head, 10 epochs": _keras(_SMALL, _DATA),
                "Keras' guide, 10 + 10 epochs": _keras(
                    _SMALL, _DATA, "--tuned=third"
                ),
                "PyTorch loop, head, 10 epochs": _torch_head(_DATA),
            },
            beside=("accuracy",),
        ),
        measure.Comparison(
            title="398 pictures, start-up left out",
            contenders={
                "ours": _called(_SMALL, _DATA),
                "Keras' guide, head, 10 epochs": _keras(_SMALL, _DATA),
            },
            figure="without_start",
        ),
    ]


def head_many(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """The same with ten times as many pictures."""
    many = pictures.copied(_DATA, made / "many", times=2 if quick else 10)
    # Copies of one picture are no independent ones: that is declared.
    ours = _ours(_SMALL, pictures.as_table(many), "--trainable=head")
    title = f"{pictures.count(many):,} pictures"
    return [
        measure.Comparison(
            title=title,
            contenders={
                "ours": ours,
                "Keras' guide, head, 10 epochs": _keras(_SMALL, many),
            },
            beside=("accuracy",),
        ),
        measure.Comparison(
            title=f"{title}, beside PyTorch",
            contenders={
                "ours": ours,
                "PyTorch loop, head, 10 epochs": _torch_head(many),
            },
            beside=("accuracy",),
            most_rounds=1,
        ),
    ]


def time_to_accuracy(
    made: pathlib.Path, quick: bool
) -> list[measure.Comparison]:
    """Until a peer's final accuracy is there; ours: to the end."""
    del made, quick
    return [
        measure.Comparison(
            title="MobileNet 0.25, 398 pictures",
            contenders={
                "ours, head": _ours(_SMALL, _DATA, "--trainable=head"),
                "ours, last stage": _ours(_SMALL, _DATA, "--trainable=top"),
                "Keras' guide, 10 + 10 epochs": _keras(
                    _SMALL, _DATA, "--tuned=third"
                ),
                "PyTorch loop, head, 10 epochs": _torch_head(_DATA),
            },
            figure="reached",
            beside=("accuracy",),
        )
    ]


def top(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """The last stage of MobileNetV2 for ten epochs, whole processes."""
    return [
        measure.Comparison(
            title=f"the last stage, ten epochs, seed {seed}",
            contenders={
                "ours": _ours(
                    _LARGE, _DATA, "--trainable=top", "--patience=10",
                    f"--seed={seed}",
                ),
                "ours, one view": _ours(
                    _LARGE, _DATA, "--trainable=top", "--patience=10",
                    f"--seed={seed}", "--augmentation=none",
                ),
                "Keras, as its guides teach": _keras(
                    _LARGE, _DATA, "--tuned=top", f"--seed={seed}"
                ),
            },
            beside=("accuracy",),
        )
        for seed in range(1 if quick else 3)
    ]  # fmt: skip


def full_step(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """A training step of a whole network, pictures a second."""
    return [
        measure.Comparison(
            title=f"{name}, all weights, 32 pictures a step",
            contenders={
                "ours": _script("ours/step.py", name),
                "Keras as it comes": _script("peers/keras_step.py", name),
                "PyTorch, eager": _torch("torch_step.py", name, "eager"),
                "PyTorch, compiled": _torch("torch_step.py", name, "compiled"),
            },
            figure="rate",
            more_is_better=True,
            beside=("share of matrix product",),
        )
        for name in ((_LARGE,) if quick else (_LARGE, "resnet50"))
    ]


def read(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """Decoded, resized and augmented pictures a second."""
    folder = str(_DATA / "train")
    return [
        measure.Comparison(
            title=f"augmentation {level}",
            contenders={
                "ours": _script("ours/input.py", folder, level),
                "image_dataset_from_directory": _script(
                    "peers/keras_input.py", folder, level
                ),
                "the same, interpolation='area'": _script(
                    "peers/keras_input.py", folder, level, "area"
                ),
                "PyTorch DataLoader": _torch("torch_input.py", folder, level),
            },
            figure="rate",
            more_is_better=True,
        )
        for level in ("none", "light")
    ]


def startup(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """Seconds until something is seen."""
    del quick
    trained = _ours(
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


def memory(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """Peak memory with more and more pictures of 64 pixels."""
    found = []
    for count in _COUNTS[: 2 if quick else 3]:
        folder = pictures.multiplied(_DATA, made / f"{count}", count=count)
        found.append(
            measure.Comparison(
                title=f"{count:,} pictures",
                contenders={
                    "ours": _ours(
                        _SMALL, folder, "--trainable=head", "--image_size=64"
                    ),
                    "image_dataset_from_directory + cache()": _script(
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


def predict(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """Pictures a second from files to probabilities."""
    del quick
    run = _finished_run(made)
    folder = str(_DATA / "val")
    return [
        measure.Comparison(
            title="MobileNetV2",
            contenders={
                "ours": _script("ours/predict.py", folder, str(run)),
                "our SavedModel, encoded pictures": _script(
                    "ours/predict.py", folder, str(run / "export")
                ),
                "model.predict on a folder": _script(
                    "peers/keras_predict.py", folder, str(run / "model.keras")
                ),
            },
            figure="rate",
            more_is_better=True,
        )
    ]


def serving(made: pathlib.Path, quick: bool) -> list[measure.Comparison]:
    """Answers a second of exported models."""
    found = []
    # The same kernels for both; ours sets it in any case.
    environment = {"TF_ENABLE_ONEDNN_OPTS": "1"}
    for name in (_SMALL,) if quick else (_SMALL, _LARGE):
        run = _finished_run(made / name, name)
        for kind in ("arrays", "bytes"):
            peer = _script(
                "peers/keras_serving.py",
                str(_DATA / "val"),
                str(run / "model.keras"),
                kind,
            )
            found.append(
                measure.Comparison(
                    title=f"{name}, {kind}",
                    contenders={
                        "our SavedModel": _script(
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
    "head": head,
    "head_many": head_many,
    "time_to_accuracy": time_to_accuracy,
    "top": top,
    "full_step": full_step,
    "input": read,
    "startup": startup,
    "memory": memory,
    "predict": predict,
    "serving": serving,
}


def main() -> None:
    """Runs the comparisons that were named, all of them by default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(COMPARISONS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="less of each")
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
            blocks.append(f"{each.title}:\n\n{measure.table(each, found)}")
    blocks.append(f"Rounds: {rounds}. {measure.conditions(before)}")
    text = "\n\n".join(blocks)
    print(text, flush=True)
    page = _ROOT / "docs" / "benchmarks.md"
    page.write_text(measure.replaced(page.read_text("utf-8"), name, text))


def _ours(backbone: str, data: pathlib.Path, *flags: str) -> measure.Contender:
    def command(folder: pathlib.Path) -> list[str]:
        return [
            sys.executable, "-m", "tf_finetune.train", f"--data={data}",
            f"--backbone={backbone}", f"--weights={_WEIGHTS[backbone]}",
            f"--workdir={folder}/run", f"--cache_dir={folder}/cache", *flags,
        ]  # fmt: skip

    return measure.Contender(command=command, figures=_accuracy)


def _accuracy(folder: pathlib.Path) -> dict[str, float]:
    text = (folder / "run" / "evaluation.json").read_text("utf-8")
    return {"accuracy": json.loads(text)["validation"]["accuracy"]}


def _keras(backbone: str, data: pathlib.Path, *flags: str) -> measure.Contender:
    return _script(
        "peers/keras_head.py",
        str(data),
        backbone,
        str(_WEIGHTS[backbone]),
        *flags,
    )


def _torch_head(data: pathlib.Path) -> measure.Contender:
    weights = str(_WEIGHTS[_SMALL])
    return _torch("torch_head.py", str(data), _SMALL, weights)


def _called(backbone: str, data: pathlib.Path) -> measure.Contender:
    """Returns ours as a call from Python."""
    script, weights = str(_HERE / "ours/train.py"), str(_WEIGHTS[backbone])
    return measure.Contender(
        command=lambda folder: [
            sys.executable, script, str(data), backbone, weights, str(folder),
        ]
    )  # fmt: skip


def _script(name: str, *arguments: str) -> measure.Contender:
    return measure.Contender(
        command=lambda folder: [sys.executable, str(_HERE / name), *arguments]
    )


def _torch(name: str, *arguments: str) -> measure.Contender:
    path = str(_HERE / "peers" / name)
    return measure.Contender(
        command=lambda folder: [_PEERS_PYTHON, path, *arguments]
    )


def _finished_run(made: pathlib.Path, backbone: str = _LARGE) -> pathlib.Path:
    """Makes what is predicted with."""
    import subprocess

    command = _ours(backbone, _DATA, "--trainable=head").command(made)
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
