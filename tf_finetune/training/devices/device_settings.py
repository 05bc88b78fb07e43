"""Precision, XLA and steps per call for each kind of device, with reasons.

The one switch that must be set before TensorFlow loads, oneDNN, is set in
`environment.start_tensorflow`; here it is only reported.
"""

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from typing import Literal

import keras
import tensorflow as tf

from tf_finetune.config import training_options

# Scaling of pixels stays in float32: float16 has 11 bits for 0..255.
_PREPROCESSING = (keras.layers.Rescaling, keras.layers.Normalization)

# From here on NVIDIA's GPUs have units for float16 (NVIDIA, "Train With Mixed
# Precision", compute capability 7.0).
_FLOAT16_CAPABILITY = (7, 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Device:
    """Device or devices that a run trains on.

    Attributes:
        kind: "cpu", "gpu" or "tpu"; all replicas are of one kind.
        name: Name for the log, e.g. "CPU (2 cores)".
        replicas: Number of devices that compute in parallel.
        compute_capability: NVIDIA's compute capability of the weakest GPU, e.g.
            (8, 0); None for others.
    """

    kind: Literal["cpu", "gpu", "tpu"]
    name: str
    replicas: int = 1
    compute_capability: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Precision and compilation settings of training.

    Attributes:
        precision: Keras dtype policy of the backbone while it trains.
        jit_compile: Argument of `Model.compile`: whether XLA is used.
        steps_per_execution: Argument of `Model.compile`.
        line: Device and settings with their reasons, a line of the plan.
    """

    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"]
    jit_compile: bool | Literal["auto"]
    steps_per_execution: int
    line: str


def detect_device(strategy: tf.distribute.Strategy) -> Device:
    """Describes the devices that the replicas of a strategy run on."""
    replicas = strategy.num_replicas_in_sync
    if isinstance(strategy, tf.distribute.TPUStrategy):
        return Device(kind="tpu", name="TPU", replicas=replicas)
    gpus = tf.config.get_visible_devices("GPU")
    if not gpus:
        name = f"CPU ({os.cpu_count()} cores)"
        return Device(kind="cpu", name=name, replicas=replicas)
    details = [tf.config.experimental.get_device_details(each) for each in gpus]
    capabilities = [each.get("compute_capability") for each in details]
    return Device(
        kind="gpu",
        name=details[0].get("device_name", "GPU"),
        replicas=replicas,
        # The weakest GPU decides: all replicas compute in one precision.
        compute_capability=None if None in capabilities else min(capabilities),
    )


def choose_settings(
    found: Device, precision: training_options.Precision, *, onednn: str
) -> Settings:
    """Chooses precision, XLA and steps per call for a device.

    Args:
        found: The device.
        precision: Value of `--precision`; "auto": float16 on GPUs that have
            units for it, bfloat16 on TPUs, else float32.
        onednn: State of oneDNN in words, for `Settings.line`.
    """
    if precision == "auto":
        chosen, reason = _choose_precision(found)
    else:
        chosen, reason = precision, "as requested"
    parts = [f"{chosen} ({reason}; --precision)"]
    if found.kind == "cpu":
        # MobileNetV2's forward pass took 11 times as long with XLA; 4 or 16
        # steps in one call changed nothing beyond the noise, not even for a
        # net that trains on 1,800 pictures a second.
        jit_compile: bool | Literal["auto"] = False
        parts += ["no XLA (slower on a CPU)", f"oneDNN {onednn}"]
    elif found.replicas > 1 and found.kind == "gpu":
        jit_compile = False
        parts.append("no XLA (it cannot sum gradients across GPUs here)")
    else:
        jit_compile = "auto"
        parts.append("XLA where Keras supports it")
    count = f"{found.replicas} x " if found.replicas > 1 else ""
    return Settings(
        precision=chosen,
        jit_compile=jit_compile,
        steps_per_execution=1,
        line=f"device: {count}{found.name}: {', '.join(parts)}",
    )


def _choose_precision(found: Device) -> tuple[str, str]:
    capability = found.compute_capability
    if found.kind == "tpu":
        return "mixed_bfloat16", "TPUs multiply in bfloat16"
    if found.kind == "cpu":
        return "float32", "the fastest on most CPUs"
    if capability is None or capability < _FLOAT16_CAPABILITY:
        return "float32", "this GPU has no float16 units"
    return "mixed_float16", "this GPU has float16 units; losses in float32"


@contextlib.contextmanager
def apply_policy(model: keras.Model, policy: str) -> Iterator[None]:
    """Sets the dtype policy of a model's float32 layers within its block.

    A function is traced with the policy in force when it first runs: it has to
    run for the first time inside the block to compute in `policy`.

    Args:
        model: The backbone. Pooling and head are not among its layers and stay
            in float32, and so do logits and losses.
        policy: Keras dtype policy; "float32" changes nothing.
    """
    changed = [each for each in _list_layers(model) if _takes_policy(each)]
    before = [layer.dtype_policy for layer in changed]
    try:
        if policy != "float32":
            for layer in changed:
                layer.dtype_policy = policy
        yield
    finally:
        for layer, own in zip(changed, before, strict=True):
            layer.dtype_policy = own


def add_loss_scaling(
    optimizer: keras.optimizers.Optimizer, policy: str
) -> keras.optimizers.Optimizer:
    """Wraps an optimizer with loss scaling under the policy "mixed_float16".

    Keras does so only for a model whose own policy is mixed_float16.

    Returns:
        The wrapper; `optimizer` itself under any other policy.
    """
    # Small gradients vanish in float16 (5 bits of exponent); bfloat16 has the
    # range of float32 (8 bits).
    if policy != "mixed_float16":
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def _takes_policy(layer: keras.Layer) -> bool:
    return (
        layer.dtype_policy.name == "float32"
        # Of a nested model, the layers in it are changed.
        and not isinstance(layer, keras.Model)
        and not isinstance(layer, _PREPROCESSING)
    )


def _list_layers(model: keras.Model) -> list[keras.Layer]:
    """Returns the layers of a model at any depth.

    `Model.layers` omits those inside a composed layer, which would stay in
    float32 if only the layer around them changed.
    """
    return model._flatten_layers(include_self=False)
