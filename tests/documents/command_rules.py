"""Who runs which command of the documents: every one has its rule."""

import dataclasses
import re

import pytest
from documents import documented_commands

from tf_finetune import commands


@dataclasses.dataclass(frozen=True)
class Rule:
    """How commands of one sort are run.

    Attributes:
        pattern: What the whole command matches.
        kind: Which module runs it, by `RUN_BY`.
        smaller: Flags behind its own, so that it takes seconds.
        is_campaign: Whether a campaign runs it, and `--full` does not.
        reason: Why it is not run, where it is not.
    """

    pattern: str
    kind: str
    smaller: tuple[str, ...] = ()
    is_campaign: bool = False
    reason: str = ""


RUN_BY = {
    "package": "commands_test.py",
    "named": "commands_test.py",
    "workers": "commands_test.py",
    "served": "servers_test.py",
    "asked": "servers_test.py",
    "script": "scripts_test.py",
    "in a copy": "scripts_test.py",
    "installed": "installation_test.py",
    "not run": "command_rules_test.py",
}
_SCRIPTS = "python scripts/"
# All that end by themselves.
_COMMANDS = "|".join(sorted({*commands.COMMANDS} - {"serve"}))
RULES = (
    Rule(rf"python -m tf_finetune\.({_COMMANDS})|python -m tf_finetune( \w+)?",
         "named"),
    Rule(rf"python -m tf_finetune\.({_COMMANDS}) (?!.*--strategy=).+",
         "package"),
    Rule(r"python -m tf_finetune\.train --strategy=multi_worker .+", "workers"),
    Rule(r"python -m tf_finetune\.serve .+", "served"),
    Rule(r"curl .+", "asked"),
    Rule(_SCRIPTS + r"client\.py .+", "asked"),
    Rule(_SCRIPTS + r"load_test\.py .+", "asked",
         ("--requests=4", "--clients=1,2")),
    Rule(_SCRIPTS + r"pretrain_small_cnn\.py", "script",
         ("--epochs=1", "--output=made.weights.h5")),
    Rule(_SCRIPTS + r"campaigns/fuzz_decoding\.py .+", "script",
         ("--count=60",)),
    Rule(_SCRIPTS + r"launch_local\.py .+", "script",
         ("--backbone=small_cnn", "--weights=digits", "--image_size=32",
          "--epochs=0", "--batch_size=8"), is_campaign=True),
    Rule(_SCRIPTS + r"campaigns/kill_runs\.py .+", "script", ("--kills=1",),
         is_campaign=True),
    Rule(_SCRIPTS + r"campaigns/kill_exports\.py .+", "script",
         ("--kills=1", "--formats=h5"), is_campaign=True),
    Rule(_SCRIPTS + r"benchmark/views\.py .+", "script",
         ("--epochs=1", "--views=1", "--seeds=1"), is_campaign=True),
    Rule(r"bash scripts/serve_tensorflow_serving\.sh .+", "script"),
    Rule(r"bash scripts/quickstart\.sh", "in a copy",
         ("--epochs=1", "--max_train_per_class=3", "--test_fraction=0.1")),
    Rule(r"bash scripts/check\.sh.*", "in a copy"),
    Rule(r"bash scripts/benchmark/run\.sh .+", "in a copy", ("--help",)),
    Rule(r"pip install .+", "installed"),
    Rule(r"apt install chromium .+", "not run",
         reason="it changes the machine, as an administrator"),
    Rule(_SCRIPTS + r"ray_tune\.py .+", "not run",
         reason="Ray is no dependency"),
    Rule(r"srun .+", "not run",
         reason="there is no Slurm; what it starts is run without it"),
    Rule(r"python -m tf_finetune\.train --strategy=tpu .+", "not run",
         reason="there is no TPU; its flags are read"),
)  # fmt: skip


def rules_of(command: documented_commands.Command) -> list[Rule]:
    """Returns the rules that fit a command; one, as it should be."""
    return [each for each in RULES if re.fullmatch(each.pattern, command.text)]


def mark_campaign(document: str) -> list[pytest.MarkDecorator]:
    """Marks what a document shows, unless it is the README, as a campaign's."""
    return [pytest.mark.campaign] * (document != "README.md")


def of_kind(*kinds: str) -> list[tuple[documented_commands.Command, Rule]]:
    """Returns the commands whose first rule is of these kinds."""
    return [
        (command, rules[0])
        for command in documented_commands.commands()
        if (rules := rules_of(command)) and rules[0].kind in kinds
    ]
