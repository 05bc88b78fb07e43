"""Replacement of batch norm by group or instance norm: `--norm`.

Scale and shift (gamma, beta) are the pretrained ones; the statistics are those
of each picture, not of a batch or of the pretraining, so the function changes,
and the batch size no longer matters.

Source: Wu & He 2018, "Group Normalization", section 3 (32 groups; instance
norm is one channel a group, Ulyanov et al. 2016).
"""

from typing import Literal

import keras

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones.surgery import graph_copy, surgery_steps

Norm = Literal["instance", "group"]

_GROUPS = 32  # The default of Wu & He, section 3.


def replace_batch_norms(
    backbone: backbones.Backbone, norm: Norm
) -> tuple[backbones.Backbone, surgery_steps.Change]:
    """Replaces every batch norm of a backbone by group or instance norm.

    Scale and shift (gamma, beta) are kept, the moving statistics dropped.

    Args:
        backbone: Backbone with its weights; it is left unchanged.
        norm: "group" (32 groups, or the largest divisor of the channels) or
            "instance" (each channel alone).

    Returns:
        A new backbone and the description of the change.

    Raises:
        UsageError: It has no batch norm, or some in nested models; or a feature
            map has one pixel, where the norm would always be 0.
    """
    norms = _find_batch_norms(backbone, norm)
    names = [each.name for each in norms]

    def replace_norm(operation: keras.Operation) -> keras.Operation | None:
        return (
            _make_group_norm(operation, norm)
            if operation.name in names
            else None
        )

    model = graph_copy.rebuild_model(backbone.model, replace=replace_norm)
    for each in norms:
        kept = [part for part in (each.gamma, each.beta) if part is not None]
        model.get_layer(each.name).set_weights(kept)
    kept, before = (
        sum(net.get_layer(name).count_params() for name in names)
        for net in (model, backbone.model)
    )
    return graph_copy.replace_model(backbone, model), surgery_steps.Change(
        flag=f"--norm={norm}",
        layers=surgery_steps.summarize_names(names),
        before="BatchNormalization",
        after=f"GroupNormalization, {_describe_norm(norm)}; scale and shift "
        "kept, statistics dropped",
        kept=kept,
        dropped=before - kept,
    )


def choose_groups(channels: int) -> int:
    """Returns the largest divisor of `channels` that is at most 32."""
    return max(n for n in range(1, _GROUPS + 1) if channels % n == 0)


def _find_batch_norms(
    backbone: backbones.Backbone, norm: Norm
) -> list[keras.layers.BatchNormalization]:
    model, name = backbone.model, backbone.spec.name
    layers = [each for each in model.layers if _is_batch_norm(each)]
    everywhere = [
        each.name
        for each in model._flatten_layers(include_self=False)
        if _is_batch_norm(each)
    ]
    if not everywhere:
        raise errors.UsageError(
            f"--norm={norm}: {name} has no batch norm. Give --norm=keep."
        )
    if hidden := set(everywhere) - {each.name for each in layers}:
        raise errors.UsageError(
            f"--norm={norm}: {len(hidden)} batch norms of {name} lie inside "
            f"nested models ({sorted(hidden)[0]}), which are not opened. Give "
            "--norm=keep, or build the network as one flat graph."
        )
    for each in layers:
        _check_group_size(each, norm, backbone)
    return layers


def _check_group_size(
    layer: keras.layers.BatchNormalization,
    norm: Norm,
    backbone: backbones.Backbone,
) -> None:
    *positions, channels = layer.output.shape[1:]
    count = channels // _choose_norm_groups(norm, channels)
    # Numbers normalized together: channels of a group times pixels.
    for side in positions:
        # A side that is not known counts as one pixel.
        count *= side or 1
    if count > 1:
        return
    instead = "" if norm == "group" else " or --norm=group"
    raise errors.UsageError(
        f"--norm={norm}: at --image_size={backbone.image_size} the feature map "
        f"at {layer.name} has one pixel, and the norm of a single number is "
        f"always 0. Give a larger --image_size, a lower --cut_at{instead}."
    )


def _make_group_norm(
    layer: keras.layers.BatchNormalization, norm: Norm
) -> keras.layers.GroupNormalization:
    return keras.layers.GroupNormalization(
        groups=_choose_norm_groups(norm, layer.output.shape[-1]),
        axis=-1,
        epsilon=layer.epsilon,
        center=layer.center,
        scale=layer.scale,
        dtype=layer.dtype_policy,
        name=layer.name,
    )


def _choose_norm_groups(norm: Norm, channels: int) -> int:
    return channels if norm == "instance" else choose_groups(channels)


def _is_batch_norm(layer: keras.Operation) -> bool:
    return isinstance(layer, keras.layers.BatchNormalization)


def _describe_norm(norm: Norm) -> str:
    if norm == "instance":
        return "one group per channel (instance norm)"
    return f"{_GROUPS} groups or the largest divisor"
