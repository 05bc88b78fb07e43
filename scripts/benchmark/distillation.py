"""Measures what a teacher adds to a small network that has few labels.

    bash scripts/benchmark/run.sh distillation [--seeds=5] [--labels=5] [NAME …]

The student is MobileNet 0.25 at 128 px, the teacher MobileNetV2; both have the
same few labels a class, drawn by the seed, and the other training pictures
without labels. NAME is hymenoptera or digits, by default both. Results are
printed and written into docs/distillation.md. With --folder the runs are kept
there, and those that are finished are not repeated. --brief leaves out
pseudo-labels.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence

import accuracy
import measure

import tf_finetune

_PAGE = accuracy._ROOT / "docs" / "distillation.md"
_STUDENT = {"backbone": "mobilenet@0.25", "image_size": 128, "cache": "on"}
# The smaller one for pictures of 8 x 8 pixels.
_TEACHER_SIZES = {"hymenoptera": 224, "digits": 96}
_FIGURES = ("accuracy", "log_loss")


def main() -> None:
    """Measures each data set and publishes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help=", ".join(_TEACHER_SIZES))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--labels", type=int, default=5)
    parser.add_argument("--folder", type=pathlib.Path)
    parser.add_argument("--brief", action="store_true")
    given = parser.parse_args()
    if unknown := {*given.names} - {*_TEACHER_SIZES}:
        parser.error(f"unknown: {unknown}; known: {', '.join(_TEACHER_SIZES)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or pathlib.Path(temporary)
        for name in given.names or _TEACHER_SIZES:
            before = os.getloadavg()
            found: dict[str, list[Mapping[str, float]]] = {}
            for seed in range(given.seeds):
                draw = measure_draw(
                    folder, name, seed, given.labels, is_brief=given.brief
                )
                for contender, figures in draw.items():
                    found.setdefault(contender, []).append(figures)
            text = (
                f"{name}, {given.labels} labels a class, {given.seeds} "
                f"draws:\n\n{format_table(found)}\n\n"
                f"{measure.describe_conditions(before)}"
            )
            print(text, flush=True)
            page = measure.replace_block(
                _PAGE.read_text("utf-8"), f"distillation_{name}", text
            )
            _PAGE.write_text(page)


def measure_draw(
    folder: pathlib.Path,
    name: str,
    seed: int,
    labels: int,
    *,
    is_brief: bool,
) -> dict[str, Mapping[str, float]]:
    """Trains all contenders on one draw of labels.

    Args:
        folder: Where pictures, features and runs are kept.
        name: The data set.
        seed: Of the draw and of training.
        labels: Labels a class.
        is_brief: Whether contenders with pseudo-labels are left out.

    Returns:
        By contender, its figures on the test pictures.
    """
    data = folder / name
    if not data.exists():
        accuracy._SETS[name](folder)
    teacher = {
        "backbone": "mobilenet_v2",
        "image_size": _TEACHER_SIZES[name],
        "epochs": 0,
    }
    unlabeled = {"unlabeled_data": str(data / "train")}
    found = {}

    def train(contender: str, short: str, **flags: object) -> str:
        weights = accuracy._WEIGHTS[str(flags["backbone"])]
        workdir = folder / "runs" / f"{name}-{labels}-{short}-{seed}"
        if not _is_finished(workdir):
            tf_finetune.fine_tune(
                data,
                workdir=str(workdir),
                weights=str(accuracy._MATERIAL / weights),
                cache_dir=str(folder / "cache"),
                max_train_per_class=labels,
                recipe="none",
                seed=seed,
                report=lambda text: None,
                **flags,
            )
        test = _read(workdir / "evaluation.json")["test"]
        found[contender] = {each: test[each] for each in _FIGURES}
        print(f"  {seed} {contender}: {found[contender]}", file=sys.stderr)
        return str(workdir)

    train("student, labels only", "student", **_STUDENT)
    if not is_brief:
        words = "student, pseudo-labels"
        train(words, "student-pseudo", **_STUDENT, **unlabeled)
    teachers = [
        ("teacher, labels only", "teacher", {}),
        ("teacher, pseudo-labels", "teacher-pseudo", unlabeled),
    ]
    for words, short, more in teachers[: 1 if is_brief else 2]:
        path = train(words, short, **teacher, **more)
        train(
            f"student of the {words}",
            f"student-of-{short}",
            **_STUDENT,
            **unlabeled,
            teacher=path,
        )
    return found


def format_table(
    found: Mapping[str, Sequence[Mapping[str, float]]],
) -> str:
    """Formats the mean of each figure over the draws, and its range."""
    lines = ["| | test accuracy | log loss |", "|---|---|---|"]
    for contender, rows in found.items():
        cells = []
        for figure in _FIGURES:
            values = [row[figure] for row in rows]
            cells.append(
                f"{statistics.mean(values):.3f} "
                f"({min(values):.3f}–{max(values):.3f})"
            )
        lines.append(f"| {contender} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _is_finished(workdir: pathlib.Path) -> bool:
    path = workdir / "run.json"
    return path.exists() and _read(path).get("status") == "finished"


def _read(path: pathlib.Path) -> dict:
    return json.loads(path.read_text("utf-8"))


if __name__ == "__main__":
    main()
