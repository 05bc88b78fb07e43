"""Networks with the changes of adapter files: one, or a sum of several.

Source: Ilharco et al. 2023, "Editing Models with Task Arithmetic", section 2
(sums of weight differences).
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from absl import logging

from tf_finetune import errors, files
from tf_finetune.adaptation import adapter_file, adapters, carrier, method
from tf_finetune.config import model_options
from tf_finetune.model import assembly
from tf_finetune.tasks import catalog as tasks
from tf_finetune.tasks import task as task_contract
from tf_finetune.weights import weights_source


def build_model(
    chosen: model_options.ModelOptions,
    task: task_contract.Task,
    names: Sequence[str],
    seed: int,
) -> assembly.Assembly:
    """Builds a network whose `--weights` are an adapter file.

    The backbone gets the weights of the adapter's base and its changes; the
    head is new.

    Args:
        chosen: Options of the network; `weights` is the path.
        task: The task.
        names: Names of the model's outputs.
        seed: Seed of the random weights.

    Returns:
        A new assembly; its `loaded` names the adapter file.

    Raises:
        UsageError: The adapter is of another backbone or other surgery, or its
            base was a file.
        RunError: The file is damaged, or the base has other weights.
    """
    path = weights_source.parse_source(chosen.weights).path
    saved = adapter_file.read(path)
    adapter_file.check_network(saved, chosen)
    base = adapter_file.find_base(saved, path)
    # Random weights of the base are those of its own seed.
    drawn = saved.facts["base"]["seed"] if base == "none" else seed
    built = assembly.build_model(chosen, task, names, drawn, weights=base)
    load_numbers(saved, built).merge()
    logging.info(
        "The changes of %s (%s) are merged into the weights %s.",
        path,
        saved.options.adaptation,
        base,
    )
    loaded = built.loaded and dataclasses.replace(
        built.loaded,
        source=chosen.weights,
        path=path,
        sha256=files.sha256(path),
    )
    return dataclasses.replace(built, loaded=loaded, seed=seed)


def load_numbers(
    saved: adapter_file.SavedAdapter, built: assembly.Assembly
) -> carrier.Adapter:
    """Makes the adapter of a file for a network.

    Args:
        saved: Content of the file.
        built: Network with the weights of the adapter's base; unchanged.

    Returns:
        The adapter, not merged.

    Raises:
        RunError: The network has other weights, or the file does not hold
            exactly the arrays of its options.
    """
    wanted = saved.facts["base"]["sha256"]
    found = adapter_file.hash_weights(built.backbone.model.weights)
    if found != wanted:
        raise errors.RunError(
            "The adapter changes other weights than those of this backbone: "
            f"its base has the fingerprint {wanted[:12]}, and these weights "
            f"have {found[:12]}. Give its own base with --weights."
        )
    adapter = adapters.adapt(built, saved.options).adapter
    theirs = {_drop_layer(name): v for name, v in saved.numbers.items()}
    ours = {_drop_layer(name): v for name, v in adapter.numbers.items()}
    _check_arrays(
        {name: tuple(v.shape) for name, v in ours.items()},
        {name: v.shape for name, v in theirs.items()},
    )
    assembly.assign_values([*ours.values()], [theirs[name] for name in ours])
    return adapter


def build_adapted(
    saved: adapter_file.SavedAdapter, weights: str
) -> assembly.Assembly:
    """Builds the network that an adapter file was trained with, not changed.

    Args:
        saved: Content of the file.
        weights: Weights of its base, as `--weights` takes them.

    Returns:
        A new assembly with the head of the file.

    Raises:
        UsageError: The task needs more than the file holds.
        RunError: The head does not fit.
    """
    built = method.build_model(
        dataclasses.replace(saved.options, weights=weights),
        _find_task(saved),
        saved.class_names,
        saved.facts["base"]["seed"],
        weights=weights,
    )
    _assign_head(saved, built)
    return built


def build_beside(
    saved: adapter_file.SavedAdapter, built: assembly.Assembly
) -> assembly.Assembly:
    """Builds the network of an adapter file on the backbone of another's.

    Args:
        saved: Content of the file.
        built: Network of an adapter with the same base; left unchanged.

    Returns:
        A new assembly with the head of the file and the layers of the backbone
        of `built`.

    Raises:
        UsageError: The task needs more than the file holds, or the head needs a
            backbone of its own.
        RunError: The head does not fit.
    """
    added = assembly.replace_head(
        built, saved.options, _find_task(saved), saved.class_names
    )
    # Heads on strided maps build the backbone with another stride.
    if added.backbone.model is not built.backbone.model:
        raise errors.UsageError(
            f"The head {saved.options.head} builds its backbone again, so that "
            "several adapters cannot share one. Use it alone."
        )
    _assign_head(saved, added)
    return added


def _find_task(saved: adapter_file.SavedAdapter) -> task_contract.Task:
    """Returns the task of an adapter whose file holds all that it needs."""
    task = tasks.TASKS.get(saved.options.task)
    if task.fit_to_data_at:
        raise errors.UsageError(
            f"An adapter of the task {task.name} is not merged or served: the "
            "scale of its labels lies in the run alone. Use its model.keras, "
            "or export the run."
        )
    return task


def _assign_head(
    saved: adapter_file.SavedAdapter, built: assembly.Assembly
) -> None:
    """Assigns the head of a file; raises `RunError` if it does not fit."""
    _check_arrays(
        {str(i): tuple(v.shape) for i, v in enumerate(built.head.weights)},
        {str(i): v.shape for i, v in enumerate(saved.head)},
    )
    assembly.assign_values(built.head.weights, saved.head)


def add_changes(
    built: assembly.Assembly,
    parts: Sequence[tuple[adapter_file.SavedAdapter, float]],
) -> None:
    """Assigns W₀ + Σ λₖ·Δₖ to a backbone with the weights W₀, in place.

    Δₖ = fₖ(W₀, θₖ) − W₀ is the change that adapter k alone makes.

    Args:
        built: The network.
        parts: Adapters, each with its factor λ.

    Raises:
        RunError: An adapter has another base, or does not fit.
    """
    # Ilharco et al. 2023, section 2.
    before: dict[int, np.ndarray] = {}
    sums: dict[int, np.ndarray] = {}
    targets = {}
    for saved, factor in parts:
        adapter = load_numbers(saved, built)
        for target, value in adapter.compute_weights():
            key = id(target)
            targets[key] = target
            # W₀: every part changes the same weights.
            before.setdefault(key, np.array(target))
            # Δₖ of this adapter.
            change = np.asarray(value) - before[key]
            sums[key] = sums.get(key, 0) + np.float32(factor) * change
    for key, target in targets.items():
        target.assign(before[key] + sums[key])


def _drop_layer(name: str) -> str:
    """Returns "12/kernel/a" for "12_conv_pw_3/kernel/a"."""
    # Keras numbers the names of some layers by a counter of the process.
    layer, _, rest = name.partition("/")
    return f"{layer.partition('_')[0]}/{rest}"


def _check_arrays(
    wanted: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]
) -> None:
    """Raises `RunError` unless the arrays of a file are those expected."""
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise errors.RunError(
                "The adapter's arrays do not fit its network: "
                f"{ascii(name)} has the shape {found.get(name, 'none')}, and "
                f"{wanted.get(name, 'none')} is expected. The file was changed "
                "or damaged."
            )
