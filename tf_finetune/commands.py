"""Table of the commands: a new command is one module and one line here.

`python -m tf_finetune.NAME`, `tf-finetune NAME`, their `--help`, the listing,
docs/flags.md and the tests of the documents follow from this table.
"""

import contextlib
import dataclasses
import importlib
import sys
from collections.abc import Set
from typing import Any

from tf_finetune import cli, console_output, shutdown


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """A command of the command line, described without importing its code.

    Code is named as "module:attribute" and imported when the command runs.

    Attributes:
        summary: Its line in the list of commands.
        function: Name of the function that is called with the config and
            `report`, which prints a block of text; without arguments if there
            is no config.
        config: Name of the dataclass that its flags are derived from; "" for
            a command that parses its arguments itself.
        usage: The first lines of its `--help`: a sentence and an example.
        settle: Name of the function that completes the parsed config, given
            the names of the options that the command line itself sets; ""
            leaves the config as it is.
        is_resumable: Whether the same command resumes a stopped run.
        actions: Words of which one may come first, in place of the flag
            `--action`.
    """

    summary: str
    function: str
    config: str = ""
    usage: str = ""
    settle: str = ""
    is_resumable: bool = False
    actions: tuple[str, ...] = ()


COMMANDS = {
    "recommend": Command(
        summary="compare pretrained networks on your own pictures",
        function="tf_finetune.recommendation.recommend:recommend_run",
        config="tf_finetune.config.recommend_config:RecommendConfig",
        usage="Compares pretrained networks on your own pictures and picks "
        "one:\n"
        "  python -m tf_finetune.recommend --data=flowers/ "
        "--backbones=mobilenet@0.25,mobilenet_v2",
    ),
    "recipe": Command(
        summary="choose the settings of a training run from your pictures",
        function="tf_finetune.recipe_search.command:recipe_run",
        config="tf_finetune.config.recipe_config:RecipeConfig",
        usage="Chooses the settings of a training run from your pictures, with "
        "reasons:\n"
        "  python -m tf_finetune.recipe --data=flowers/ --backbone=resnet50",
    ),
    "train": Command(
        summary="fine-tune a pretrained network on your own pictures",
        function="tf_finetune.workflow:train_run",
        config="tf_finetune.config.train_config:TrainConfig",
        usage="Fine-tunes a pretrained network on your own pictures:\n"
        "  python -m tf_finetune.train --data=flowers/ --backbone=resnet50",
        settle="tf_finetune.preflight.config_completion:complete_config",
        is_resumable=True,
    ),
    "tune": Command(
        summary="search the settings of a run by trials",
        function="tf_finetune.tuning.tune:tune_run",
        config="tf_finetune.config.tune_config:TuneConfig",
        usage="Searches the settings that are best on validation, in trials; "
        "takes every flag of train:\n"
        "  python -m tf_finetune.tune --study=runs/study --data=flowers/ "
        "--trials=40",
        settle="tf_finetune.tuning.base_run:complete_config",
        is_resumable=True,
    ),
    "evaluate": Command(
        summary="evaluate a finished run, on its own or on other pictures",
        function="tf_finetune.finished_workflow:evaluate_run",
        config="tf_finetune.config.command_configs:EvaluateConfig",
        usage="Evaluates a finished run, on its own splits or others:\n"
        "  python -m tf_finetune.evaluate --workdir=runs/flowers "
        "--data=more_flowers/",
    ),
    "predict": Command(
        summary="predict pictures with a finished run, as a table",
        function="tf_finetune.finished_workflow:predict_run",
        config="tf_finetune.config.command_configs:PredictConfig",
        usage="Predicts pictures with a finished run:\n"
        "  python -m tf_finetune.predict --workdir=runs/flowers "
        "--data='holiday/*.jpg' --output=holiday.csv",
    ),
    "export": Command(
        summary="export a run as SavedModel, Keras, LiteRT or ONNX files",
        function="tf_finetune.finished_workflow:export_run",
        config="tf_finetune.config.command_configs:ExportConfig",
        usage="Exports a finished run and compares each export with the "
        "evaluation:\n"
        "  python -m tf_finetune.export --workdir=runs/flowers "
        "--format=saved_model",
    ),
    "serve": Command(
        summary="serve an export with a demo page, as TensorFlow Serving does",
        function="tf_finetune.serving.startup:serve_run",
        config="tf_finetune.config.serve_config:ServeConfig",
        usage="Serves an exported run with TensorFlow Serving's APIs and a "
        "demo page:\n"
        "  python -m tf_finetune.serve --workdir=runs/flowers --port=8501\n"
        "or several adapters of one backbone:\n"
        "  python -m tf_finetune.serve --adapters=runs/a,runs/b --port=8501",
    ),
    "client": Command(
        summary="send pictures to a served model",
        function="tf_finetune.client.__main__:main",
    ),
    "backbones": Command(
        summary="list the pretrained networks",
        function="tf_finetune.backbones.__main__:main",
    ),
    "cache": Command(
        summary="list or clear the cache that runs share",
        function="tf_finetune.feature_cache.entries:list_or_clear",
        config="tf_finetune.config.command_configs:CacheConfig",
        usage="Lists the contents of the cache directory, or clears it:\n"
        "  python -m tf_finetune.cache --clear=features",
    ),
    "adapters": Command(
        summary="list, merge or add up the adapters of finished runs",
        function="tf_finetune.adapter_workflow:manage_adapters",
        config="tf_finetune.config.command_configs:AdaptersConfig",
        usage="Lists adapters, or writes whole networks with them:\n"
        "  python -m tf_finetune.adapters list --adapters=runs/flowers\n"
        "  python -m tf_finetune.adapters merge --adapters=runs/flowers "
        "--output=flowers.keras\n"
        "  python -m tf_finetune.adapters compose "
        "--adapters=runs/a:0.5,runs/b:0.5 --output=both/",
        actions=("list", "merge", "compose"),
    ),
}


def load(name: str) -> Any:
    """Imports and returns the object that "module:attribute" names.

    Args:
        name: A name out of `COMMANDS`; other names raise Python's own errors.
    """
    module, attribute = name.split(":")
    return getattr(importlib.import_module(module), attribute)


def config_classes() -> dict[str, type]:
    """Returns the config classes of the commands with flags, by command."""
    return {
        name: load(command.config)
        for name, command in COMMANDS.items()
        if command.config
    }


def start(name: str) -> None:
    """Runs a command on the arguments of the process, `sys.argv[1:]`.

    Args:
        name: A key of `COMMANDS`.

    Raises:
        SystemExit: A command with a config has ended; see `cli.run_command`.
    """
    command = COMMANDS[name]
    if not command.config:
        console_output.prepare_streams()
        load(command.function)()
        return

    word = sys.argv[1] if command.actions and sys.argv[1:] else "-"
    # A misspelled action, too: the error of the flag lists those there are.
    if not word.startswith("-") and "=" not in word:
        sys.argv[1] = f"--action={word}"

    def main(config: Any) -> None:
        # The function's module takes seconds to import: a stop before it
        # has begun says so.
        begun = (
            shutdown.mark_resumable(lambda: False)
            if command.is_resumable
            else contextlib.nullcontext()
        )
        with begun:
            load(command.function)(config, report=console_output.show)

    def settle(config: Any, given: Set[str]) -> Any:
        return load(command.settle)(config, given)

    cli.run_command(
        main,
        load(command.config),
        purpose=command.usage,
        settle=settle if command.settle else None,
    )
