"""Runs the documents' commands in one folder, each once, in their order."""

import os
import pathlib
import subprocess
import tempfile
from collections.abc import Callable

from documents import (
    command_rules,
    documented_commands,
    sample_data,
    small_settings,
)

from tf_finetune.config import options, train_config

PATIENCE_SECONDS = 400

# Flags of a recipe that make its features small and leave no time for trials.
_SMALL_RECIPE = (
    "--backbone=small_cnn",
    "--weights=digits",
    "--image_size=32",
    "--time_budget=1s",
)


class House:
    """The folder, and what was run in it.

    Attributes:
        folder: Where commands run.
    """

    def __init__(self, folder: pathlib.Path, start: Callable) -> None:
        """Furnishes it.

        Args:
            folder: An empty one.
            start: Starts `python ARGUMENTS…` in a folder.
        """
        sample_data.furnish(folder)
        self.folder = folder
        self._start = start
        self._done: dict[tuple, subprocess.CompletedProcess] = {}
        self._workdirs: dict[documented_commands.Command, str] = {}

    def run(
        self, command: documented_commands.Command
    ) -> subprocess.CompletedProcess:
        """Runs a command of the package, and first what it needs.

        What was run already, if in other words, is not run again.
        """
        name = command.module.partition(".")[2]
        words = small_settings.filled_in(command)[1:]
        with small_settings.inside(self.folder):
            config = small_settings.config(name, words[2:])
        if (name, config) not in self._done:
            self.prepare(command)
            if name == "train":
                words += self._smaller(command, config)
                self._forget(self._workdirs[command])
            elif name == "recommend":
                words.append("--image_size=32")
            elif name == "recipe":
                words += [*_SMALL_RECIPE]
            elif name == "tune":
                small = small_settings.smaller(config.run, fine_tuned=True)
                words += ["--trials=2", *small_settings.as_flags(small)]
            self._done[name, config] = self.wait(words)
        return self._done[name, config]

    def prepare(self, command: documented_commands.Command) -> None:
        """Runs the commands whose results a command works on.

        Raises:
            LookupError: No document says how its run is made.
        """
        workdir = command.flag("workdir")
        # Each may have a factor behind it, or a name before it.
        runs = [
            each.split(":")[0].rpartition("=")[2]
            for each in command.flag("adapters").split(",")
        ]
        needed = [workdir, *runs]
        if command.module.endswith(".train"):
            needed = [command.flag("teacher")]
        for each in filter(None, needed):
            if not (self.folder / each / "run.json").exists():
                self.need(self.run(self._trainer(each)))
        if command.module.endswith(".serve") and workdir:
            self.export(workdir)

    def export(self, workdir: str) -> None:
        """Runs a command of the documents that exports a SavedModel."""
        if not list(self.folder.glob(f"{workdir}/export/*/saved_model.pb")):
            self.need(self.run(_exporter(workdir)))

    def workdir(self, command: documented_commands.Command) -> pathlib.Path:
        """Returns the workdir of a training command that has been run."""
        return self.folder / self._workdirs[command]

    def start(
        self,
        arguments: list[str],
        folder: pathlib.Path | None = None,
        **environment: str,
    ):
        """Starts `python ARGUMENTS…` here, or in another folder."""
        for word in arguments:
            for value in word.partition("=")[2].split(","):
                # Of --backbones, each entry is NAME=FILE.
                self._lay_out(value.rpartition("=")[2])
        return self._start(
            arguments,
            folder or self.folder,
            environment={"HOME": str(self.folder / "home"), **environment},
        )

    def wait(
        self, arguments: list[str], folder: pathlib.Path | None = None
    ) -> subprocess.CompletedProcess:
        """Runs `python ARGUMENTS…` to its end."""
        return self.start(arguments, folder).wait(PATIENCE_SECONDS)

    def need(self, done: subprocess.CompletedProcess) -> None:
        """Raises `RuntimeError` with what was said if it has failed."""
        if done.returncode:
            raise RuntimeError(f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}")

    def write_weights(self, name: str) -> None:
        """Writes one of the documents' weights files."""
        if not (self.folder / name).exists():
            code = sample_data.writing_of(name)
            self.need(self.wait(["-c", code]))

    def _lay_out(self, name: str) -> None:
        if name in sample_data.WEIGHTS:
            self.write_weights(name)

    def _smaller(
        self,
        command: documented_commands.Command,
        config: train_config.TrainConfig,
    ) -> list[str]:
        first = command.document == "README.md"
        smaller = small_settings.smaller(config, fine_tuned=first)
        with small_settings.inside(self.folder):
            smaller["workdir"] = small_settings.chosen(config)
            # Two documents may train into one folder.
            smaller["overwrite"] = os.path.exists(smaller["workdir"])
        self._workdirs[command] = smaller["workdir"]
        return small_settings.as_flags(smaller)

    def _forget(self, workdir: str) -> None:
        """Lets what was done with an earlier run of a folder be done anew."""
        for name, config in [*self._done]:
            if options.collect_values(config).get("workdir") == workdir:
                del self._done[name, config]

    def _trainer(self, workdir: str) -> documented_commands.Command:
        for command, _ in command_rules.of_kind("package"):
            if command.module.endswith(".train"):
                with small_settings.inside(self.folder):
                    flags = small_settings.filled_in(command)[3:]
                    config = small_settings.config("train", flags)
                if _first_choice(config) == workdir:
                    return command
        raise LookupError(f"no document says how {workdir} is made")


def _first_choice(config: train_config.TrainConfig) -> str:
    """Returns the workdir that a run gets where no other run was made."""
    with tempfile.TemporaryDirectory() as empty, small_settings.inside(empty):
        return small_settings.chosen(config)


def _exporter(workdir: str) -> documented_commands.Command:
    for command, _ in command_rules.of_kind("package"):
        if (
            command.module.endswith(".export")
            and command.flag("workdir") == workdir
            and "saved_model" in (command.flag("format") or "saved_model")
            and not command.flag("output")
        ):
            return command
    raise LookupError(f"no document says how {workdir} is exported")
