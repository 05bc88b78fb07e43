"""Models of several adapters in memory, on one backbone.

Each computes the weights of its adapter, f(W₀, θ), in every call
(`adaptation/carrier.py`), so that W₀ is held once.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging
from tensorflow.core.protobuf import meta_graph_pb2

from tf_finetune import errors
from tf_finetune.adaptation import adapter_file, carrier, composition
from tf_finetune.exports import job as jobs
from tf_finetune.exports.saved_model import image_signatures, serving_network
from tf_finetune.feature_cache import entries
from tf_finetune.model import assembly
from tf_finetune.serving import adapter_files, served_model

_PREDICT = "tensorflow/serving/predict"
# An adapter file has no versions.
_VERSION = 1


def build_models(
    found: adapter_files.AdapterSet,
) -> list[served_model.ServedModel]:
    """Builds the models of adapters that share the variables of a backbone.

    Args:
        found: The adapters, and the weights of their base.

    Returns:
        One model for each adapter, in order, with the signatures of an exported
        one.

    Raises:
        UsageError: A task or a head cannot be served from an adapter.
        RunError: The weights are not those of the adapters' base, or a file
            does not fit its network.
    """
    base: assembly.Assembly | None = None
    models = []
    for name, saved in found.saved.items():
        if base is None:
            built = base = composition.build_adapted(saved, found.weights)
        else:
            built = composition.build_beside(saved, base)
        adapter = composition.load_numbers(saved, built)
        models.append(_make_model(name, saved, built, adapter))
    _log_memory(base, models)
    return models


def count_bytes(models: list[served_model.ServedModel]) -> int:
    """Counts the bytes of the variables of models, those shared once."""
    held = {id(v): v for model in models for v in model.variables}
    return sum(np.asarray(each).nbytes for each in held.values())


def _make_model(
    name: str,
    saved: adapter_file.SavedAdapter,
    built: assembly.Assembly,
    adapter: carrier.Adapter,
) -> served_model.ServedModel:
    """Makes the functions of an adapter's model and describes them."""
    chosen = saved.options
    facts = jobs.AnswerFacts(
        class_names=saved.class_names,
        image_size=built.backbone.image_size,
        resize=chosen.resize,
        task=chosen.task,
        pixels=chosen.pixels,
        decision=saved.facts["decision"],
    )
    plain = serving_network.name_outputs(built.model, facts)
    network = serving_network.ServingNetwork(
        model=carrier.build_trainer(plain.model, adapter),
        outputs=plain.outputs,
        folded=0,
    )
    try:
        functions = image_signatures.build_functions(network, facts)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # The decision of a stranger's file may have any form.
        raise errors.RunError(
            f"The adapter {name} cannot be served as {chosen.task}: {error}"
        ) from error
    return served_model.ServedModel(
        functions,
        {each: _define(each, function) for each, function in functions.items()},
        network,
        name=name,
        version=_VERSION,
        # Names of folders that are not UTF-8 are shown as those of exports.
        labels=tuple(
            os.fsencode(each).decode(errors="replace")
            for each in saved.class_names
        ),
    )


def _define(signature: str, function: Any) -> meta_graph_pb2.SignatureDef:
    """Describes a concrete function as a SavedModel describes a signature."""
    _, inputs = function.structured_input_signature
    return meta_graph_pb2.SignatureDef(
        inputs=_describe_tensors(signature, inputs),
        outputs=_describe_tensors(signature, function.structured_outputs),
        method_name=image_signatures.METHODS.get(signature, _PREDICT),
    )


def _describe_tensors(
    signature: str, tensors: Mapping[str, Any]
) -> dict[str, meta_graph_pb2.TensorInfo]:
    return {
        name: meta_graph_pb2.TensorInfo(
            name=f"{signature}_{name}:0",
            dtype=each.dtype.as_datatype_enum,
            tensor_shape=each.shape.as_proto(),
        )
        for name, each in tensors.items()
    }


def _log_memory(
    base: assembly.Assembly, models: list[served_model.ServedModel]
) -> None:
    weights = base.backbone.model.weights
    shared = sum(np.asarray(each).nbytes for each in weights)
    logging.info(
        "The weights of %s are held once, %s; adapters and heads of %d models "
        "add %s",
        base.backbone.spec.name,
        entries.format_size(shared),
        len(models),
        entries.format_size(count_bytes(models) - shared),
    )
