"""The adapter.h5 of a run: its adapter and head beside the whole model."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from tf_finetune import errors, version
from tf_finetune.adaptation import adapter_file, method
from tf_finetune.config import model_options, options
from tf_finetune.model import assembly, freeze_boundary
from tf_finetune.runs import candidates
from tf_finetune.runs import context as contexts
from tf_finetune.weights import weights_source


def write_adapter(
    context: contexts.RunContext,
    result: candidates.RunResult,
    figures: Mapping[str, Any],
) -> None:
    """Writes adapter.h5 to the workdir of a run with an adapter.

    Where the kept model is not the pretrained network with one merged adapter,
    such as after adaptation of batch norms, or where other stages of
    `--stages` moved the backbone, or where the file's precision cannot hold a
    number, nothing is written and a warning logged.

    Args:
        context: The run; its model has the weights of the kept candidate.
        result: The candidates.
        figures: The content of evaluation.json.
    """
    found = _find_adapter(context)
    if found is None:
        logging.warning(
            "No adapter.h5 is written: the kept model (%s) is not the "
            "pretrained network with one adapter%s. model.keras holds it "
            "whole.",
            result.chosen.name,
            ", for other stages moved its backbone" if context.stages else "",
        )
        return
    trained, numbers = found
    saved = adapter_file.SavedAdapter(
        facts=_describe(context, trained, result, figures),
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Trained:
    """A stage of a run, with the options of a run of it alone.

    Attributes:
        adapted: The network with the adapter; without one in other stages.
        options: Options of the network.
        boundary: The freeze boundary, if there is one.
    """

    adapted: method.Adapted
    options: model_options.ModelOptions
    boundary: freeze_boundary.Boundary | None


def _list_trained(context: contexts.RunContext) -> list[_Trained]:
    """Lists the stages of a run; without `--stages` it has one."""
    if not context.stages:
        return [
            _Trained(
                adapted=context.adapted,
                options=context.config.model,
                boundary=context.networks.boundary,
            )
        ]
    # Loaded only here: a run of one stage needs none of it.
    from tf_finetune.config import fit_stage_options

    return [
        _Trained(
            adapted=each.adapted,
            options=fit_stage_options.make_stage_config(
                context.config, each.options
            ).model,
            boundary=each.boundary,
        )
        for each in context.stages
    ]


def _find_adapter(
    context: contexts.RunContext,
) -> tuple[_Trained, Mapping[str, np.ndarray]] | None:
    """Finds the adapter that alone gives the kept model its backbone.

    Returns:
        The adapter and its arrays by name; None where there is none.
    """
    for each in _list_trained(context):
        adapter = each.adapted.adapter
        numbers = adapter.find_merged() if adapter else None
        if numbers is not None:
            return each, numbers
    return None


def _describe(
    context: contexts.RunContext,
    trained: _Trained,
    result: candidates.RunResult,
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the facts of the file; see `adapter_file.SavedAdapter`."""
    chosen, boundary = trained.options, trained.boundary
    given = options.collect_values(chosen)
    # Where files lay on this machine is nobody else's business.
    del given["weights"]
    del given["class_names"]
    del given["init_from"]
    return {
        "format": adapter_file.FORMAT,
        "version": version.VERSION,
        "base": _describe_base(context, trained),
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
    context: contexts.RunContext, trained: _Trained
) -> dict[str, Any]:
    chosen = trained.options
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
        "sha256": trained.adapted.adapter.base_sha256,
        "weights": name,
        "file": file,
        "seed": context.assembly.seed,
    }
