"""The value of `--teacher`: its kind and class names, without TensorFlow."""

import dataclasses
import pathlib
import zipfile
from collections.abc import Mapping, Sequence
from typing import Literal

from tf_finetune import errors, files
from tf_finetune.data import class_names
from tf_finetune.untrusted import archives, model_configs
from tf_finetune.workdir import json_schema, workdir_files

# In a .keras archive, and in the assets of a SavedModel.
_LABELS = "labels.txt"
_LABELS_BYTES = 16 << 20
_SAVED_MODEL = "saved_model.pb"
_ZIP = b"PK\x03\x04"
_POSSIBLE = (
    "Give the workdir of a finished run, a .keras file that this package "
    "wrote, or the version's folder of an exported SavedModel (WORKDIR/export/"
    "1)."
)
_SPLITS = json_schema.Record(
    possible={"split_of": json_schema.Table(json_schema.Text(longest=100))}
)
_KEPT = {"kept": json_schema.Text(longest=1000)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class TeacherSource:
    """A teacher on disk.

    Attributes:
        path: Its workdir, file or folder.
        kind: Which of these.
        class_names: Names of its outputs, in their order.
    """

    path: pathlib.Path
    kind: Literal["workdir", "keras", "saved_model"]
    class_names: tuple[str, ...]

    @property
    def place(self) -> workdir_files.Workdir:
        """The workdir of a teacher of that kind."""
        return workdir_files.Workdir(self.path)

    def read_learned(self) -> frozenset[str]:
        """Reads the SHA-256 of the pictures that a run was trained on.

        Returns:
            Of a workdir, those of its training split; else none, since other
            files do not tell.
        """
        if self.kind != "workdir":
            return frozenset()
        found = self.place.content(
            self.place.data_json, _SPLITS, megabytes=512
        ).get("split_of", {})
        return frozenset(
            name for name, split in found.items() if split == "train"
        )

    def is_probe(self) -> bool:
        """Reads whether the kept model of a run is its solved head."""
        if self.kind != "workdir":
            return False
        return self.place.figures(_KEPT).get("kept") == "probe"


def read_source(teacher: str, task: str) -> TeacherSource:
    """Reads the kind and the class names of a teacher.

    Args:
        teacher: Value of `--teacher`; "~" is expanded.
        task: Name of the student's task, which a run must have had.

    Raises:
        UsageError: There is no such file or folder, it is no model that can be
            a teacher, or it is of another task.
        RunError: It is damaged, or would not be safe to read.
    """
    path = pathlib.Path(teacher).expanduser()
    if path.is_dir() and (path / "run.json").exists():
        return _read_workdir(path, teacher, task)
    if path.is_dir() and (path / _SAVED_MODEL).exists():
        return TeacherSource(
            path=path,
            kind="saved_model",
            class_names=_read_assets(path, teacher),
        )
    if not path.exists():
        raise errors.UsageError(
            f"--teacher={teacher}: no such file or folder. {_POSSIBLE}"
        )
    if not path.is_file() or not _is_zip(path):
        raise errors.UsageError(
            f"--teacher={teacher} is none of the models that can be a teacher. "
            f"{_POSSIBLE}"
        )
    # Checked as a stranger's file, before TensorFlow starts.
    model_configs.read_checked_config(path, within=path.parent)
    return TeacherSource(
        path=path, kind="keras", class_names=_read_archive(path, teacher)
    )


def match_classes(
    teacher: TeacherSource, names: Sequence[str]
) -> tuple[int, ...]:
    """Finds the output of the teacher for each class of the student.

    Args:
        teacher: The teacher.
        names: Classes of the student, in the order of its outputs.

    Returns:
        Index of each class among the teacher's outputs.

    Raises:
        UsageError: The two have different classes; the message lists them.
    """
    own, others = {*names}, {*teacher.class_names}
    if own != others or len(teacher.class_names) != len(others):
        lists: Mapping[str, set[str]] = {
            "only the teacher has": others - own,
            "only the pictures have": own - others,
        }
        told = "; ".join(
            f"{words} {class_names.join_names(sorted(found))}"
            for words, found in lists.items()
            if found
        )
        raise errors.UsageError(
            f"--teacher={teacher.path} has other classes than the pictures: "
            f"{told or 'a name occurs twice'}. A teacher answers for the "
            "classes of its student alone; train it on folders of the same "
            "names."
        )
    return tuple(teacher.class_names.index(name) for name in names)


def _read_workdir(path: pathlib.Path, teacher: str, task: str) -> TeacherSource:
    place = workdir_files.Workdir(path)
    if not place.is_finished:
        raise errors.UsageError(
            f"--teacher={teacher}: the run there is not finished. Continue it "
            "with the command that started it, or name another one."
        )
    if place.takes_rows:
        raise errors.UsageError(
            f"--teacher={teacher} takes rows of a table, and a student "
            "pictures. Name a run on pictures."
        )
    theirs = place.facts().get("model", {}).get("task", task)
    if theirs != task:
        raise errors.UsageError(
            f"--teacher={teacher} is a run of --task={theirs}, and the student "
            f"learns --task={task}. Name a run of the same task."
        )
    return TeacherSource(
        path=path, kind="workdir", class_names=place.class_names()
    )


def _is_zip(path: pathlib.Path) -> bool:
    with files.open_regular(path, within=path.parent) as file:
        return file.read(len(_ZIP)) == _ZIP


def _read_archive(path: pathlib.Path, teacher: str) -> tuple[str, ...]:
    try:
        with archives.open_archive(path) as archive:
            if archive.getinfo(_LABELS).file_size > _LABELS_BYTES:
                raise errors.RunError(f"{_LABELS} in {path} is too large.")
            content = archive.read(_LABELS)
    except KeyError:
        raise _make_unnamed_error(teacher) from None
    except zipfile.BadZipFile as error:
        raise errors.RunError(f"{path} is damaged: {error}.") from error
    return _decode_names(content)


def _read_assets(path: pathlib.Path, teacher: str) -> tuple[str, ...]:
    labels = path / "assets" / _LABELS
    if not labels.is_file():
        raise _make_unnamed_error(teacher)
    return _decode_names(
        files.read_bytes(labels, limit=_LABELS_BYTES, within=path)
    )


def _make_unnamed_error(teacher: str) -> errors.UsageError:
    return errors.UsageError(
        f"--teacher={teacher} holds no {_LABELS}, so that its classes are "
        f"unknown. {_POSSIBLE}"
    )


def _decode_names(content: bytes) -> tuple[str, ...]:
    text = content.decode(errors="surrogateescape")
    return tuple(text.removesuffix("\n").split("\n"))
