"""Graphs of torchvision's networks, made from those of keras.applications.

Networks of one name have parameters of one shape in both, and compute other
features with them: torchvision pads k//2 pixels on both sides where "same" pads
(k//2 - 1, k//2) in TensorFlow, strides in the 3x3 convolution of a block of
ResNet-50 where Keras strides in the 1x1 before it, and has other epsilons.

Source: github.com/pytorch/vision, torchvision/models (0.28); the stride:
"ResNet v1.5" in torchvision/models/resnet.py.
"""

import re
from typing import Any

import keras

from tf_finetune.backbones import backbone as backbones
from tf_finetune.backbones.surgery import graph_copy

_STRIDED_CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def convert_graph(
    model: keras.Model, rules: backbones.TorchRules
) -> keras.Model:
    """Rebuilds a network of keras.applications as torchvision builds it.

    Args:
        model: Network from RGB 0..255 to the last feature map, with random
            weights, preprocessing included. It is not changed.
        rules: Differences between both graphs of the network.

    Returns:
        A new network with layers of the same names, without paddings and
        scalings that only Keras has, and with padding layers ("NAME_torch_pad")
        in front of some. Layers that differ get new random weights.
    """
    conversion = _Conversion(model, rules)
    return graph_copy.rebuild_model(
        model, replace=conversion.replace, call=conversion.call
    )


class _Conversion:
    """Replacements of layers, and the padding in front of them."""

    def __init__(self, model: keras.Model, rules: backbones.TorchRules) -> None:
        self._rules = rules
        self._dropped = self._find_dropped(model)

    def replace(self, operation: keras.Operation) -> keras.Operation | None:
        """Returns the layer that takes an operation's place; None: a copy."""
        config = operation.get_config()
        changes = self._find_changes(operation)
        if not any(config[name] != value for name, value in changes.items()):
            return None
        return type(operation).from_config({**config, **changes})

    def call(
        self, operation: keras.Operation, arguments: Any, keywords: Any
    ) -> keras.KerasTensor:
        """Calls an operation, behind the padding that it needs."""
        if operation.name in self._dropped:
            return arguments[0]
        if padding := self._find_padding(operation):
            pad = keras.layers.ZeroPadding2D(
                padding, name=f"{operation.name}_torch_pad"
            )
            arguments = (pad(arguments[0]), *arguments[1:])
        return operation(*arguments, **keywords)

    def _find_dropped(self, model: keras.Model) -> set[str]:
        """Returns names of layers that pad or scale otherwise than PyTorch."""
        dropped = set()
        for operation in model.operations:
            if self._is_repadded(operation):
                before = operation.input._keras_history.operation
                if isinstance(before, keras.layers.ZeroPadding2D):
                    dropped.add(before.name)
            # EfficientNet and MobileNetV3 scale pictures in Keras' graph; the
            # layer "preprocess" scales them as torchvision's weights need it.
            scales = isinstance(
                operation, keras.layers.Rescaling | keras.layers.Normalization
            )
            if scales and operation.name != "preprocess":
                dropped.add(operation.name)
        return dropped

    def _find_changes(self, operation: keras.Operation) -> dict[str, Any]:
        rules = self._rules
        if isinstance(operation, keras.layers.BatchNormalization):
            changes: dict[str, Any] = {"momentum": rules.momentum}
            if rules.epsilon is not None:
                changes["epsilon"] = rules.epsilon
            # Inception v3 has no gamma in Keras.
            if rules.norms_scale:
                changes["scale"] = True
            return changes
        if isinstance(operation, keras.layers.AveragePooling2D):
            return {"padding": "valid"} if rules.pools_padding else {}
        if not isinstance(operation, _STRIDED_CONVOLUTIONS):
            return {}
        changes = {"use_bias": False} if rules.drops_biases else {}
        if rules.strides_in_3x3:
            changes |= _move_stride(operation)
        # The zeros come from a layer of their own; see `_find_padding`.
        if self._is_repadded(operation):
            changes["padding"] = "valid"
        return changes

    def _is_repadded(self, operation: keras.Operation) -> bool:
        if not self._rules.pads_both_sides:
            return False
        return (
            isinstance(operation, _STRIDED_CONVOLUTIONS)
            and operation.strides[0] > 1
            and operation.kernel_size[0] > 1
        )

    def _find_padding(self, operation: keras.Operation) -> int:
        rules = self._rules
        # PyTorch: k//2 zeros on both sides. TensorFlow's "same" at stride 2 on
        # an even size: k//2 - 1 in front and k//2 behind.
        if self._is_repadded(operation):
            return operation.kernel_size[0] // 2
        if rules.strides_in_3x3 and _STRIDED_3X3.fullmatch(operation.name):
            return 1
        is_pooling = isinstance(operation, keras.layers.AveragePooling2D)
        # PyTorch's count_include_pad divides by k·k at the border too; Keras'
        # "same" by the pixels inside.
        if rules.pools_padding and is_pooling:
            return operation.pool_size[0] // 2
        return 0


# The first blocks of stages 3 to 5, as Keras names their layers: only they have
# stride 2. He et al. 2016 stride in the 1x1, torchvision ("v1.5") in the 3x3.
_STRIDED_1X1 = re.compile(r"conv[345]_block1_1_conv")
_STRIDED_3X3 = re.compile(r"conv[345]_block1_2_conv")


def _move_stride(operation: keras.Operation) -> dict[str, Any]:
    if _STRIDED_1X1.fullmatch(operation.name):
        return {"strides": (1, 1)}
    if _STRIDED_3X3.fullmatch(operation.name):
        return {"strides": (2, 2), "padding": "valid"}
    return {}
