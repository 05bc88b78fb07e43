"""The adapter.h5 of a run: its adapter and head beside the whole model."""

import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from tf_finetune import errors, version
from tf_finetune.adaptation import adapter_file
from tf_finetune.config import model_options, options
from tf_finetune.model import assembly
from tf_finetune.runs import candidates
from tf_finetune.runs import context as contexts
from tf_finetune.weights import weights_source


def write_adapter(
    context: contexts.RunContext,
    result: candidates.RunResult,
    figures: Mapping[str, Any],
) -> None:
    """Writes adapter.h5 to the workdir of a run with an adapter.

    Where the kept model is not the pretrained network with the merged adapter,
    such as after adaptation of batch norms, or where the file's precision
    cannot hold a number, nothing is written and a warning logged.

    Args:
        context: The run; its model has the weights of the kept candidate.
        result: The candidates.
        figures: The content of evaluation.json.
    """
    numbers = context.adapted.adapter.find_merged()
    if numbers is None:
        logging.warning(
            "No adapter.h5 is written: the kept model (%s) is not the "
            "pretrained network with one adapter. model.keras holds it whole.",
            result.chosen.name,
        )
        return
    saved = adapter_file.SavedAdapter(
        facts=_describe(context, result, figures),
        numbers=numbers,
        head=assembly.copy_values(context.assembly.head.weights),
    )
    try:
        adapter_file.write(
            context.place.path / "adapter.h5",
            saved,
            context.config.model.adapter_precision,
        )
    except errors.RunError as error:
        # The run is complete without it.
        logging.warning("%s", error)


def _describe(
    context: contexts.RunContext,
    result: candidates.RunResult,
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the facts of the file; see `adapter_file.SavedAdapter`."""
    chosen, boundary = context.config.model, context.networks.boundary
    given = options.collect_values(chosen)
    # Where files lay on this machine is nobody else's business.
    del given["weights"]
    del given["class_names"]
    del given["init_from"]
    return {
        "format": adapter_file.FORMAT,
        "version": version.VERSION,
        "base": _describe_base(context, chosen),
        "model": {**given, "image_size": context.image_size},
        "class_names": [*context.data.class_names],
        "kept": result.chosen.name,
        "boundary": [*boundary.names] if boundary else [],
        "decision": dict(result.chosen.decision),
        "figures": {
            split: dict(context.task.figures.summary(figures[split]))
            for split in context.data.splits
        },
    }


def _describe_base(
    context: contexts.RunContext, chosen: model_options.ModelOptions
) -> dict[str, Any]:
    spec = context.assembly.backbone.spec
    if chosen.init_from is not None:
        # Filled weights are in the cache directory alone.
        path = context.assembly.loaded.path
        name, file = None, f"{path.parent.name}/{path.name} in --cache_dir"
    elif chosen.weights in weights_source.list_names(spec):
        name, file = chosen.weights, ""
    else:
        name, file = None, pathlib.Path(chosen.weights).name
    return {
        "sha256": context.adapted.adapter.base_sha256,
        "weights": name,
        "file": file,
        "seed": context.assembly.seed,
    }
