"""The Python API of training: the same words as the flags, one call.

Nothing here imports TensorFlow before flags and files are known to be good:
that costs seconds, and a typo should be answered at once.
"""

import time
from collections.abc import Callable
from typing import Any

from absl import logging

from tf_finetune import console_output, environment, run
from tf_finetune.config import options, recipe_options, train_config
from tf_finetune.data import scan, unlabeled_files
from tf_finetune.preflight import config_completion
from tf_finetune.preflight import kept_classifier as classifier_preflight
from tf_finetune.preflight import train as train_preflight
from tf_finetune.tasks import catalog as tasks
from tf_finetune.training.devices import batch_size_search
from tf_finetune.workdir import lifecycle, workdir_files

Report = Callable[[str], None]


def fine_tune(
    data: Any, *, report: Report = console_output.show, **keywords: Any
) -> run.Run:
    """Fine-tunes a pretrained network on pictures and evaluates it.

    Args:
        data: A folder, CSV file or name as `--data` takes it; or NumPy arrays
            `(images, labels)`, or a `tf.data.Dataset` of such pairs, with
            images RGB or gray, 0..255.
        report: Called with each block of text that the command would print.
        **keywords: Any flag of `python -m tf_finetune.train`, by name.

    Returns:
        The finished run, also saved in its workdir; None with `plan=True`,
        and in a worker of distributed training that is not the chief.

    Raises:
        UsageError: An option is unknown or its value impossible.
        DataError: The pictures cannot be used.
        RunError: The run could not go on.
        GateError: The run is finished and saved, but failed a condition of
            `fail_below` or `fail_if_not_better_than`.

    Example:
        run = fine_tune("flowers/", backbone="resnet50", epochs=5)
    """
    config = options.from_keywords(train_config.TrainConfig, keywords)
    if config.uses_recipe:
        from tf_finetune.config import given_options  # Only for a recipe.

        config = given_options.mark_given(config, {*keywords})
    # Arrays become picture files in the cache directory (docs/plan.md, 7).
    data = scan.name_data(data, cache_dir=config.output.cache_folder)
    return train_run(options.replace(config, data=data), report=report)


def train_run(
    config: train_config.TrainConfig, *, report: Report
) -> run.Run | None:
    """Trains, evaluates and saves a run, as `fine_tune` does.

    Args:
        config: All options of the command.
        report: Called with each block of text for the user.

    Returns:
        The finished run; None if `config.output.plan` asks for the plan only,
        and in a worker that is not the chief. `fine_tune` lists the errors.
    """
    start = time.monotonic()
    if config.model.keep_classifier:
        return _keep_classifier(config, report, start)
    train_preflight.check_config(config)
    # After the check, which knows words that look like paths.
    config = config_completion.make_paths_absolute(config)
    config = config_completion.choose_graph(config)
    place = lifecycle.choose_workdir(config)
    lifecycle.check_free(place, config)
    # Workers other than the chief train along; they write nothing.
    if environment.is_non_chief(config.training.strategy):
        environment.start_tensorflow()
        from tf_finetune.runs import worker

        return worker.run_worker(config)
    inspected = scan.list_and_inspect(
        config.data,
        tasks.TASKS.get(config.model.task).choose_labels(config),
        cache_dir=config.output.cache_folder,
    )
    train_preflight.check_pictures(config, inspected)
    if config.unlabeled.unlabeled_data:
        unlabeled_files.check_existence(
            config.unlabeled.unlabeled_data, flag="unlabeled_data"
        )
    # After the checks that may refuse the data: an error stands alone.
    lifecycle.warn_if_inside_data(place, config)
    if config.output.plan:
        return _report_plan(config, inspected, place, report)
    # Another run may have begun there while the pictures were looked at.
    place = lifecycle.choose_workdir(config)
    with lifecycle.open_workdir(place, config):
        return _train_run(config, inspected, place, report, start)


def _keep_classifier(
    config: train_config.TrainConfig, report: Report, start: float
) -> run.Run:
    """Makes a run of a weights file with its own classifier."""
    classifier_preflight.check_config(config)
    config = config_completion.make_paths_absolute(config)
    config = config_completion.choose_graph(config)
    place = lifecycle.choose_workdir(config)
    lifecycle.check_free(place, config)
    data = config.data.data
    paths = unlabeled_files.find_files(data) if data else []
    with lifecycle.open_workdir(place, config):
        environment.start_tensorflow()
        from tf_finetune.runs import kept_classifier

        kept_classifier.keep_classifier(
            config, paths, place, start=start, report=report
        )
    return run.load_run(place.path)


def _train_run(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    place: workdir_files.Workdir,
    report: Report,
    start: float,
) -> run.Run:
    largest = _find_batch_size(config, inspected, place)
    environment.start_tensorflow()
    requested, lines, trial_workdir = config, {}, None
    if config.uses_recipe:
        # Loaded only here: a run without a recipe needs none of it.
        from tf_finetune.recipe_search import training_recipe

        chosen = training_recipe.choose_settings(
            config, inspected, place, largest
        )
        config, lines = chosen.config, chosen.lines
        trial_workdir = chosen.trial_workdir
    elif config.recipe.recipe == "auto":
        logging.info(
            "No settings are chosen from the data: %s.",
            recipe_options.explain_no_recipe(config),
        )
    from tf_finetune.runs import train

    trained = train.train(
        config,
        inspected,
        place,
        largest_batch=largest,
        start=start,
        report=report,
        requested=requested,
        recipe_lines=lines,
        trial_workdir=trial_workdir,
    )
    context = trained.context
    return run.Run(
        model=context.assembly.model,
        evaluation=trained.figures,
        history=trained.result.fit_result.table,
        class_names=context.data.class_names,
        workdir=place.path,
        task=context.task,
    )


def _report_plan(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    place: workdir_files.Workdir,
    report: Report,
) -> None:
    largest = _find_batch_size(config, inspected, place)
    environment.start_tensorflow()
    from tf_finetune.runs import plan_cost

    if config.uses_recipe:
        from tf_finetune.recipe_search import training_recipe

        config, text = training_recipe.describe_plan(config, inspected)
        report(text)
    plan_cost.report_plan(
        config, inspected, place, largest_batch=largest, report=report
    )
    report(f"workdir: {place.path} (nothing was written; --plan)")


def _find_batch_size(
    config: train_config.TrainConfig,
    inspected: scan.InspectedPictures,
    place: workdir_files.Workdir,
) -> int | None:
    """Finds the batch size that fits into memory, if it is asked for."""
    if config.training.batch_size != "auto":
        return None
    # An unfinished run goes on with the size that it found.
    known = {} if config.output.overwrite else place.facts()
    return known.get("largest_batch") or batch_size_search.find_largest_batch(
        config,
        num_pictures=len(inspected.pictures),
        num_classes=len(inspected.class_names),
    )
