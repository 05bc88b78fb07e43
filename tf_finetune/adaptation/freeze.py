"""Selection of trainable layers by `--trainable`, and freezing the rest."""

import dataclasses
import fnmatch
from collections.abc import Iterable, Sequence

import keras

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones


@dataclasses.dataclass(frozen=True)
class Selection:
    """The backbone layers that fine-tuning trains.

    Attributes:
        layer_names: In the order of the graph; empty for the head alone.
        frozen_batch_norms: Batch norms in the chosen stages that stay as
            pretrained nevertheless.
    """

    layer_names: tuple[str, ...]
    frozen_batch_norms: tuple[str, ...]


def select_layers(
    backbone: backbones.Backbone,
    trainable: Sequence[str],
    *,
    freeze_batch_norm: bool,
) -> Selection:
    """Selects the backbone layers that `--trainable` names.

    Args:
        backbone: The network whose layers are meant.
        trainable: "head" (none of its layers), "top" (its last stage with
            weights), "all", stage names ("stage4"), or glob patterns of layer
            names; a pattern without `*`, `?` or `[` matches as a prefix.
        freeze_batch_norm: Leaves batch-norm layers out.

    Raises:
        UsageError: A pattern matches no layer that has weights.
    """
    weighted = [layer for layer in backbone.model.layers if layer.weights]
    chosen: set[str] = set()
    for pattern in trainable:
        chosen |= _match_pattern(backbone, weighted, pattern)
    # Batch statistics of small batches are noisy: frozen norms keep theirs.
    norms = {layer.name for layer in weighted if _is_batch_norm(layer)}
    frozen = chosen & norms if freeze_batch_norm else set()
    order = [layer.name for layer in weighted]
    return Selection(
        tuple(name for name in order if name in chosen - frozen),
        tuple(name for name in order if name in frozen),
    )


def apply_selection(
    models: Iterable[keras.Model],
    selection: Selection,
    *,
    always: Iterable[str] = (),
) -> None:
    """Sets `trainable` of every layer; takes effect at the next compile.

    A batch-norm layer with `trainable = False` runs in inference mode and its
    statistics stand still; calling it with `training=False` alone would not
    hold them (Keras before 3.16 overwrites that argument in `fit`).

    Args:
        models: Models whose layers are set.
        selection: The backbone layers to train.
        always: Names of further layers to train, those of the head.
    """
    moving = {*selection.layer_names, *always}
    for model in models:
        for layer in model.layers:
            layer.trainable = layer.name in moving


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
