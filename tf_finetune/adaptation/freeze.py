"""Freezing: trains some layers of the backbone, keeps all others."""

import fnmatch
import functools
from collections.abc import Collection, Sequence

import keras

from tf_finetune import errors
from tf_finetune.adaptation import layer_decay, method
from tf_finetune.backbones import backbone as backbones
from tf_finetune.config import model_options
from tf_finetune.data import data_statistics
from tf_finetune.model import assembly


def adapt(
    built: assembly.Assembly, options: model_options.ModelOptions
) -> method.Adapted:
    """Prepares a backbone in which only the layers of `--trainable` train.

    Args:
        built: The pretrained backbone under its head.
        options: `trainable` has "head", "top", "all", stage names or patterns
            of layer names; `freeze_batch_norm` keeps batch norms from training;
            `effective_layer_decay` lowers the rate of early layers.

    Returns:
        The layers that train, and functions to build and merge the model.

    Raises:
        UsageError: A pattern matches no layer that has weights.
    """
    chosen = select_layers(built.backbone, options.trainable)
    norms = {layer.name for layer in chosen if _is_batch_norm(layer)}
    # Batch statistics of small batches are noisy: frozen norms keep theirs.
    frozen = norms if options.freeze_batch_norm else set()
    trained = [layer for layer in chosen if layer.name not in frozen]
    names = [layer.name for layer in trained]
    return method.Adapted(
        trained={layer.name: _list_trained(layer) for layer in trained},
        learning_rate_factors=_decay_rates(built, names, options),
        batch_norms=[name for name in names if name in norms],
        description=(
            f"batch norm: {data_statistics.format_count(len(frozen), 'layer')} "
            "kept as pretrained (--freeze_batch_norm)"
        ),
        build_trainer=functools.partial(_build_trainer, built, names),
        # The network's own layers have been trained.
        merge=lambda: None,
    )


def select_layers(
    backbone: backbones.Backbone, trainable: Sequence[str]
) -> list[keras.Layer]:
    """Selects the backbone layers that `--trainable` names.

    Args:
        backbone: The network whose layers are meant.
        trainable: "head" (none of its layers), "top" (its last stage with
            weights), "all", stage names ("stage4"), or glob patterns of layer
            names; a pattern without `*`, `?` or `[` matches as a prefix.

    Returns:
        Layers with weights, in the order of the graph.

    Raises:
        UsageError: A pattern matches no layer that has weights.
    """
    weighted = [layer for layer in backbone.model.layers if layer.weights]
    chosen: set[str] = set()
    for pattern in trainable:
        chosen |= _match_pattern(backbone, weighted, pattern)
    return [layer for layer in weighted if layer.name in chosen]


def _build_trainer(
    built: assembly.Assembly, names: Collection[str], network: keras.Model
) -> keras.Model:
    method.set_trainable(built, names)
    return network


def _decay_rates(
    built: assembly.Assembly,
    names: Collection[str],
    options: model_options.ModelOptions,
) -> dict[str, float]:
    """Returns the rate factors of the layers that train; empty: all are 1."""
    decay = options.effective_layer_decay
    if decay == 1:
        return {}
    factors = layer_decay.compute_factors(built.backbone.model, decay)
    return {name: factors[name] for name in names}


def _list_trained(layer: keras.Layer) -> Sequence[keras.Variable]:
    # A layer that an earlier selection froze lists none.
    layer.trainable = True
    return layer.trainable_variables


def _match_pattern(
    backbone: backbones.Backbone, weighted: list[keras.Layer], pattern: str
) -> set[str]:
    names = {layer.name for layer in weighted}
    stages = {
        stage.name: names & {*stage.layer_names} for stage in backbone.stages
    }
    if pattern == "head":
        return set()
    if pattern == "all":
        return names
    if pattern == "top":
        # The last stage may have no weights (a final pooling).
        return [found for found in stages.values() if found][-1]
    if stages.get(pattern):
        return stages[pattern]
    glob = pattern if set(pattern) & set("*?[") else f"{pattern}*"
    found = {name for name in names if fnmatch.fnmatchcase(name, glob)}
    if not found:
        raise errors.UsageError(
            f"No layer of {backbone.spec.name} with weights matches "
            f"--trainable={pattern}. Possible are head, top, all, "
            f"{', '.join(stages)}, or layers that begin with: "
            f"{', '.join(_list_prefixes(weighted))}."
        )
    return found


def _list_prefixes(weighted: list[keras.Layer]) -> list[str]:
    """Returns distinct prefixes of layer names, 40 at most, for a message."""
    # "conv4_block2" if that gives few enough, else "conv4".
    for parts in (2, 1):
        found = list(
            dict.fromkeys(
                "_".join(layer.name.split("_")[:parts]) for layer in weighted
            )
        )
        if len(found) <= 40:
            break
    return found[:40]


def _is_batch_norm(layer: keras.Layer) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)
