"""Adapters: few new numbers change a backbone that stays as pretrained."""

import functools
import math
from collections.abc import Sequence

import keras

from tf_finetune import errors
from tf_finetune.adaptation import (
    carrier,
    catalog,
    freeze,
    kernels,
    lora,
    method,
)
from tf_finetune.config import model_options, options
from tf_finetune.data import data_statistics
from tf_finetune.model import assembly


def adapt(
    built: assembly.Assembly, options: model_options.ModelOptions
) -> method.Adapted:
    """Prepares a network whose backbone adapters change.

    Args:
        built: The pretrained backbone under its head.
        options: `adaptation` names the adapters, `trainable` the layers that
            they may change; `adapter_rank` and `adapter_layers` are those of
            `lora`.

    Returns:
        The adapters' variables, and functions to build and merge the model.

    Raises:
        UsageError: A pattern matches no layer, or an adapter changes nothing.
    """
    catalog.check_options(options)
    chosen = freeze.select_layers(built.backbone, options.trainable)
    sites = carrier.list_sites(built, chosen)
    changes: list[carrier.Change] = []
    for name in catalog.list_adapters(options.adaptation):
        adapt_layer = catalog.ADAPTERS.get(name)
        found = [c for site in sites for c in adapt_layer(site, options)]
        _check_effect(name, sites, options, has_changes=bool(found))
        changes += found
    adapter = carrier.Adapter(built.backbone.model, changes)
    return method.Adapted(
        trained=_group_by_layer(built, changes),
        description=_describe(built, adapter, options),
        build_trainer=functools.partial(_build_trainer, built, adapter),
        merge=adapter.merge,
        adapter=adapter,
    )


def _build_trainer(
    built: assembly.Assembly, adapter: carrier.Adapter, network: keras.Model
) -> keras.Model:
    # The backbone is frozen, so that its batch norms keep their statistics.
    method.set_trainable(built, ())
    return carrier.build_trainer(network, adapter)


def _group_by_layer(
    built: assembly.Assembly, changes: Sequence[carrier.Change]
) -> dict[str, list[keras.Variable]]:
    """Returns the adapter's variables by backbone layer, in graph order."""
    found: dict[str, dict[int, keras.Variable]] = {}
    for change in changes:
        own = found.setdefault(change.site.owner, {})
        # By identity: two changes of a layer may train the same variable.
        own |= {id(each): each for each in change.numbers.values()}
    names = [layer.name for layer in built.backbone.model.layers]
    return {n: [*found[n].values()] for n in names if n in found}


def _describe(
    built: assembly.Assembly,
    adapter: carrier.Adapter,
    chosen: model_options.ModelOptions,
) -> str:
    count = sum(math.prod(v.shape) for v in adapter.numbers.values())
    total = built.backbone.model.count_params()
    changed = data_statistics.format_count(len(adapter.targets), "array")
    parts = [
        f"{count:,} numbers change {changed} of weights, "
        f"{count / total:.1%} of the backbone's {total:,}"
    ]
    if "lora" in catalog.list_adapters(chosen.adaptation):
        parts.append(
            f"rank {chosen.adapter_rank} (--adapter_rank), kernels: "
            f"{options.to_text(chosen.adapter_layers)} (--adapter_layers)"
        )
    parts.append("the backbone and its batch-norm statistics stay")
    return "; ".join(parts)


def _check_effect(
    name: str,
    sites: Sequence[carrier.Site],
    chosen: model_options.ModelOptions,
    *,
    has_changes: bool,
) -> None:
    """Raises `UsageError` if an adapter or one of its patterns finds nothing.

    Args:
        name: The adapter.
        sites: Layers that it may change.
        chosen: Options of the network.
        has_changes: Whether it changes any.
    """
    where = f"--trainable={options.to_text(chosen.trainable)}"
    # Patterns of --adapter_layers name kernels, which LoRA alone changes.
    if name != "lora":
        if not has_changes:
            raise errors.UsageError(
                f"--adaptation={name} changes nothing: {where} holds no layer "
                "of that kind. Choose more layers, or another adapter."
            )
        return
    unmatched = lora.find_unmatched(sites, chosen.adapter_layers)
    if not unmatched:
        return
    # At most 40 names are shown: networks have hundreds of kernels.
    with_kernels = [e.owner for e in sites if kernels.list_kernels(e.layer)]
    listed = ", ".join(dict.fromkeys(with_kernels[:40])) or "none"
    raise errors.UsageError(
        f"--adapter_layers={','.join(unmatched)} matches no kernel in {where}. "
        "Possible are auto, 1x1, depthwise, or layers there that have kernels: "
        f"{listed}."
    )
