"""A run that keeps the classifier of its weights file and trains nothing."""

import pathlib
import time
from collections.abc import Callable, Sequence

import keras
import numpy as np
from absl import logging

from tf_finetune import errors, files
from tf_finetune.config import train_config
from tf_finetune.data import data_statistics, unlabeled_files
from tf_finetune.exports import export_files
from tf_finetune.model import assembly
from tf_finetune.runs import parity_record, results
from tf_finetune.runs.finished import finished_run, run_prediction
from tf_finetune.tasks import catalog as tasks
from tf_finetune.weights import classifier_names, file_classifier
from tf_finetune.workdir import lifecycle, workdir_files

_BATCH_SIZE = 32


def keep_classifier(
    config: train_config.TrainConfig,
    paths: Sequence[str],
    place: workdir_files.Workdir,
    *,
    start: float,
    report: Callable[[str], None],
) -> finished_run.FinishedRun:
    """Makes a finished run from a weights file and its own classifier.

    Nothing is trained: the model is the backbone with the file's weights and
    its last layer as the head.

    Args:
        config: Options of the run, checked by preflight.
        paths: Picture files whose predictions are recorded, to check exports
            against; empty: none are.
        place: Workdir of the run, which gets the results.
        start: `time.monotonic()` at the start of the run, seconds.
        report: Called with each block of text that a person should read.

    Returns:
        The finished run, with its model in memory, which takes RGB 0..255.

    Raises:
        UsageError: The file has no classifier that can be kept, or not as many
            classes as there are names.
        DataError: Pictures are given and none of them can be used.
    """
    names = _list_names(config)
    built = _build_model(config, names)
    plan = (
        f"{len(names):,} classes of the classifier in {built.loaded.path} are "
        "kept; nothing is trained"
    )
    report(plan)
    _write_descriptions(config, built, names, place, plan)
    found = finished_run.FinishedRun(
        place=place,
        config=config,
        model=built.model,
        class_names=names,
        image_size=built.backbone.image_size,
    )
    with files.replacing(place.weights) as temporary:
        export_files.save_weights(built.model, temporary, config.model)
    with files.replacing(place.model) as temporary:
        export_files.save_keras(built.model, temporary, names)
    _record_predictions(found, paths)
    # Last: a run counts as finished when all of its files are complete.
    facts = {
        "kept": "classifier",
        "seconds": round(time.monotonic() - start, 1),
    }
    lifecycle.mark_finished(place, config, facts)
    report(f"Results saved to {place.path}")
    return found


def _list_names(config: train_config.TrainConfig) -> tuple[str, ...]:
    # Without names the file is taken for one of ImageNet's 1000 classes.
    if config.model.class_names is None:
        return classifier_names.list_imagenet_names()
    return classifier_names.read_names(
        pathlib.Path(config.model.class_names).expanduser()
    )


def _build_model(
    config: train_config.TrainConfig, names: Sequence[str]
) -> assembly.Assembly:
    """Builds the network with the backbone and the classifier of the file."""
    task = tasks.TASKS.get(config.model.task)
    built = assembly.build_model(
        config.model, task, names, config.seed, weights=config.model.weights
    )
    classifier = file_classifier.read_classifier(
        built.loaded, features=built.extractor.outputs[0].shape[-1]
    )
    _set_classifier(built.head, classifier, config)
    return built


def _set_classifier(
    head: keras.Model,
    classifier: file_classifier.Classifier,
    config: train_config.TrainConfig,
) -> None:
    """Assigns the weights of a file's classifier to the head's dense layer."""
    layer = head.get_layer("logits")
    # Names are assigned by position: another number of them is another list.
    there, named = len(classifier.bias), layer.units
    if there != named:
        source = config.model.class_names or "ImageNet"
        raise errors.UsageError(
            f"--weights={config.model.weights} has a classifier of {there:,} "
            f"classes, and {source} has {named:,} names. Name a text file of "
            f"{there:,} lines with --class_names=PATH, in the order of the "
            "classifier's outputs."
        )
    assembly.assign_values(layer.weights, [classifier.kernel, classifier.bias])


def _write_descriptions(
    config: train_config.TrainConfig,
    built: assembly.Assembly,
    names: Sequence[str],
    place: workdir_files.Workdir,
    plan: str,
) -> None:
    """Writes the files that describe classes and evaluation, `run.json` last.

    Splits and evaluation are empty: the run has no labeled pictures.
    """
    task = tasks.TASKS.get(config.model.task)
    fingerprint = data_statistics.compute_fingerprint(names, (), task.labels)
    described = {
        "fingerprint": fingerprint,
        "class_names": list(names),
        "images": {},
        # Of training pictures, on which baselines would rest.
        "classes": {"train": dict.fromkeys(names, 0)},
    }
    files.write_json(place.data_json, described)
    files.write_text(place.labels, "\n".join(names) + "\n")
    files.write_text(place.plan, plan + "\n")
    files.write_json(
        place.evaluation,
        {"kept": "classifier", "data_fingerprint": fingerprint},
    )
    facts = results.describe_run(config, built, fingerprint, None)
    lifecycle.mark_begun(place, config, facts)


def _record_predictions(
    found: finished_run.FinishedRun, paths: Sequence[str]
) -> None:
    """Records predictions of pictures, on which exports are checked."""
    if not paths:
        return
    # Headers first, then a full decode of those that look like pictures.
    limit = found.config.data.max_pixels
    pictures, damaged = unlabeled_files.inspect_files(
        list(paths), max_pixels=limit
    )
    problems = damaged | run_prediction.find_undecodable(found, pictures)
    for path, reason in problems.items():
        logging.warning("%s is left out: %s", path, reason)
    usable = [each for each in pictures if each.path not in problems]
    if not usable:
        raise errors.DataError(
            f"None of the pictures of --data={found.config.data.data} can be "
            "used. Give others, or leave --data out."
        )
    parity_record.write_unlabeled_record(
        found.place,
        usable,
        lambda chosen: np.concatenate(
            [*found.predict(chosen, batch_size=_BATCH_SIZE)]
        ),
    )
