"""Files of a study, and the locks that its workers share."""

import contextlib
import dataclasses
import fcntl
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

from tf_finetune import errors, files
from tf_finetune.workdir import workdir_files


@dataclasses.dataclass(frozen=True)
class StudyFolder:
    """Paths of the files in the folder of a study.

    Attributes:
        path: The folder; need not exist yet.
    """

    path: pathlib.Path

    @property
    def journal(self) -> pathlib.Path:
        """The record of all trials, as Optuna writes it."""
        return self.path / "study.journal"

    @property
    def results(self) -> pathlib.Path:
        """JSON of the trials, the baseline and the winner."""
        return self.path / "study.json"

    @property
    def page(self) -> pathlib.Path:
        """Web page of charts and the table of trials."""
        return self.path / "study.html"

    @property
    def best_flags(self) -> pathlib.Path:
        """Flagfile that trains the winner again."""
        return self.path / "best.flags"

    def workdir(self, number: int) -> workdir_files.Workdir:
        """Returns the workdir of the run of trial `number`."""
        return workdir_files.Workdir(self.path / _name_trial(number))

    def trial_flags(self, number: int) -> pathlib.Path:
        """Returns the path of the flagfile that trains trial `number`."""
        return self.path / f"{_name_trial(number)}.flags"

    def trial_log(self, number: int) -> pathlib.Path:
        """Returns the path of the output, as text, of trial `number`."""
        return self.path / f"{_name_trial(number)}.log"

    def evaluation(self, number: int) -> pathlib.Path:
        """Returns the path of a trial's metrics on all splits, in JSON."""
        return self.path / f"{_name_trial(number)}-evaluation.json"

    def make(self) -> None:
        """Creates the folder.

        Raises:
            UsageError: It cannot be written, or is the workdir of a run.
        """
        if (self.path / "run.flags").exists():
            raise errors.UsageError(
                f"--study={self.path} is the workdir of a run. Choose another "
                "folder, which will hold a workdir for each trial."
            )
        try:
            (self.path / "locks").mkdir(parents=True, exist_ok=True)
            problem = files.find_write_problem(self.path)
        except OSError as error:
            problem = error.strerror or str(error)
        if problem:
            raise errors.UsageError(
                f"--study={self.path} cannot be written: {problem}. Choose "
                "another folder."
            )

    @contextlib.contextmanager
    def lock(self, name: str = "study") -> Iterator[None]:
        """Holds a lock, "study" or "results", for the block; waits for it."""
        with files.open_lock(self._find_lock(name)) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def try_lock_trial(self, number: int) -> BinaryIO | None:
        """Locks a trial until all processes have closed the returned file.

        Returns:
            The open file; None if another process works on the trial.
        """
        lock = files.open_lock(self._find_lock(_name_trial(number)))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            return None
        return lock

    def _find_lock(self, name: str) -> pathlib.Path:
        return self.path / "locks" / name


def _name_trial(number: int) -> str:
    return f"trial-{number:04d}"
