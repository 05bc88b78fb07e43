"""The config that a run recorded in its run.flags."""

from collections.abc import Collection

from tf_finetune import errors, terminal_escapes
from tf_finetune.config import options, train_config
from tf_finetune.workdir import workdir_files


def load_config(
    workdir: workdir_files.Workdir, *, allowed: Collection[str] = ()
) -> train_config.TrainConfig:
    """Returns the config that a run recorded in its run.flags.

    Args:
        workdir: Workdir of the run.
        allowed: Components of the user's own, "package.module:attribute",
            that it may name.

    Raises:
        UsageError: It names other components, which would be code that a file
            chooses; or its run.flags cannot be read.
    """
    config = load_recorded_config(workdir)
    for name, part in train_config.list_own_parts(config).items():
        if not any(_is_allowed(part, each) for each in allowed):
            shown = terminal_escapes.escape(part)
            raise errors.UsageError(
                f"{workdir.run_flags} names a part that is not one of this "
                f"package's, --{name}={shown}. Code is not imported because a "
                "file names it. If it is yours, repeat the command with "
                f"--allow_parts={shown}."
            )
    return config


def load_recorded_config(
    workdir: workdir_files.Workdir,
) -> train_config.TrainConfig:
    """Returns the config in run.flags, only to compare it with another one.

    Components of the user's own are not checked: do not import them.

    Raises:
        UsageError: The run.flags cannot be read.
    """
    return options.from_flagfile(
        train_config.TrainConfig, str(workdir.run_flags), within=workdir.path
    )


def _is_allowed(part: str, allowed: str) -> bool:
    """Tells if a part is an allowed one, of any width or with any blocks."""
    return part == allowed or part.startswith((f"{allowed}@", f"{allowed}+"))
