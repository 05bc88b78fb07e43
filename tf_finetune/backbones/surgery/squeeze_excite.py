"""Squeeze-and-excitation blocks in a ResNet: `--backbone=resnet50+se`.

They start as identities: the factors that multiply the channels are twice a
sigmoid of zero, which is exactly 1. So the pretrained function is unchanged,
bit by bit, until they are trained.

Source: Hu et al. 2018, "Squeeze-and-Excitation Networks", section 3 and
figure 3 (after the residual branch, before the addition; ratio 16, section 6.1
and table 10). Twice the sigmoid and the start at zero are this package's.
"""

from typing import Any

import keras

from tf_finetune import errors
from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones.surgery import graph_copy, surgery_steps

_RATIO = 16  # Hu et al., section 6.1 and table 10.


def insert_blocks(
    backbone: backbones.Backbone,
) -> tuple[backbones.Backbone, surgery_steps.Change]:
    """Inserts a squeeze-and-excitation block before every residual addition.

    A block scales the residual branch and starts as the identity.

    Args:
        backbone: A ResNet with its weights, whose `Add` layers take [shortcut,
            branch]; it is left unchanged.

    Returns:
        A new backbone and the description of the change.

    Raises:
        UsageError: It has no addition of two branches.
    """
    model = backbone.model
    additions = [
        each.name
        for each in model.layers
        if isinstance(each, keras.layers.Add) and len(each.input) == 2
    ]
    if not additions:
        raise errors.UsageError(
            f"--backbone={backbone.spec.name}+se: "
            f"{'what is left of ' if model.layers else ''}"
            f"{backbone.spec.name} has no residual blocks."
        )

    def call(
        operation: keras.Operation, arguments: tuple[Any, ...], keywords: dict
    ) -> keras.KerasTensor:
        if operation.name not in additions:
            return operation(*arguments, **keywords)
        shortcut, branch = arguments[0]
        return operation([shortcut, _add_block(branch, operation.name)])

    result = graph_copy.rebuild_model(model, call=call)
    new = result.count_params() - model.count_params()
    return graph_copy.replace_model(backbone, result), surgery_steps.Change(
        flag="+se",
        layers=surgery_steps.summarize_names(additions),
        before="shortcut + branch",
        after=f"shortcut + branch × squeeze-and-excitation (ratio {_RATIO}), "
        "at first × 1",
        new=new,
    )


def _add_block(branch: keras.KerasTensor, addition: str) -> keras.KerasTensor:
    """Adds a block: scales each channel by a factor computed from all.

    Args:
        branch: [batch, height, width, channels].
        addition: The name of the layer it goes into, "conv2_block1_add".
    """
    block = addition.removesuffix("_add").removesuffix("_out")
    channels = branch.shape[-1]
    # Squeeze: the mean of each channel (equation 2).
    x = keras.layers.GlobalAveragePooling2D(
        keepdims=True, name=f"{block}_se_squeeze"
    )(branch)
    # Excitation: sigmoid(W2 · relu(W1 · z)), equation 3, by 1 x 1 convolutions.
    x = keras.layers.Conv2D(
        max(channels // _RATIO, 1),
        1,
        activation="relu",
        kernel_initializer="he_normal",
        name=f"{block}_se_reduce",
    )(x)
    x = keras.layers.Conv2D(
        channels,
        1,
        activation="sigmoid",
        kernel_initializer="zeros",
        name=f"{block}_se_expand",
    )(x)
    # 2 · sigmoid(0) = 1: at first the identity.
    x = keras.layers.Rescaling(2.0, name=f"{block}_se_double")(x)
    return keras.layers.Multiply(name=f"{block}_se_excite")([branch, x])
