"""Freeze boundary: where a network is split to compute its frozen part once.

Everything below the first layer that trains gives the same activations for the
same picture in every epoch. The network is split there, anywhere in the graph:
a single tensor, or a few, cross the boundary. What the frozen part computes is
cached under a hash of it.
"""

import dataclasses
import hashlib
import json
import math
import os
from collections.abc import Collection, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.backbones import topology
from tf_finetune.config import picture_options
from tf_finetune.data.images import decoding
from tf_finetune.feature_cache import batches

# Inside a residual or dense block two tensors cross, in Inception's four.
_MAX_TENSORS = 4
# A boundary further down may hold fewer numbers, but the frozen layers above it
# are computed in every step: at most this fraction of the step's own
# multiplications.
_MAX_RECOMPUTED_FRACTION = 0.1
# A step is one forward pass and two backward: for inputs and for weights.
_PASSES_PER_STEP = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Boundary(batches.RowLayout):
    """Network in two models, below and above the freeze boundary.

    Both share the network's layers. Activations at the boundary are cached as
    rows of this layout.

    Attributes:
        shapes: Shape of each tensor at the boundary, without the batch axis.
        names: The layers whose outputs cross the boundary.
        images: The network's input.
        boundary_tensors: Tensors at the boundary, in the network's graph.
        suffix: Model from activations at the boundary, one tensor or several,
            to logits.
        frozen_share: Fraction of the forward pass's multiplications that lie
            below the boundary, 0..1.
    """

    names: tuple[str, ...]
    images: keras.KerasTensor
    boundary_tensors: tuple[keras.KerasTensor, ...]
    suffix: keras.Model
    frozen_share: float

    def build_prefix(self, *others: keras.KerasTensor) -> keras.Model:
        """Builds a model from pictures to activations at the boundary.

        Args:
            *others: Tensors of the network that are further outputs, after the
                activations.
        """
        return keras.Model(
            self.images, [*self.boundary_tensors, *others], name="prefix"
        )

    def build_upper_part(
        self, outputs: Sequence[keras.KerasTensor]
    ) -> keras.Model:
        """Builds a model from activations at the boundary to tensors above it.

        Args:
            outputs: Tensors of the network at or above the boundary, in the
                order of the new model's outputs.
        """
        crossing = self.boundary_tensors
        known = {id(tensor) for tensor in crossing}
        # Keras refuses a model with an output that is also an input.
        found = [
            keras.layers.Identity()(each) if id(each) in known else each
            for each in outputs
        ]
        return keras.Model(
            list(crossing) if len(crossing) > 1 else crossing[0], found
        )


def find_boundary(
    model: keras.Model, moving: Collection[str]
) -> Boundary | None:
    """Splits a network below its first trainable layer.

    Of the possible boundaries the one with the fewest activations is chosen, as
    long as few frozen layers lie above it (`_MAX_RECOMPUTED_FRACTION`).

    Args:
        model: Functional model with one input and one output.
        moving: Names of the layers that train.

    Returns:
        The split network; None where no layer with weights lies below the first
        layer that trains, or more than four tensors cross.
    """
    frozen = _find_frozen(model, moving)
    work = {id(each): _count_multiplications(each) for each in model.operations}
    moved = sum(
        work[id(each)] for each in model.operations if id(each) not in frozen
    )
    allowed = _MAX_RECOMPUTED_FRACTION * _PASSES_PER_STEP * moved
    best: tuple[float, list[keras.KerasTensor], set[int]] | None = None
    for below in _find_candidates(model, frozen):
        tensors = _find_crossing_tensors(model, below)
        # Frozen layers above this boundary, computed anew in every step.
        again = sum(work[each] for each in frozen - below)
        if not 0 < len(tensors) <= _MAX_TENSORS or again > allowed:
            continue
        # Numbers to cache for each picture.
        size = sum(math.prod(tensor.shape[1:]) for tensor in tensors)
        if best is None or size < best[0]:
            best = size, tensors, below
    if best is None or not any(work[each] for each in best[2]):
        return None
    return _build_boundary(model, best[1], sum(work[e] for e in best[2]), work)


def hash_network(model: keras.Model, square: picture_options.Square) -> str:
    """Hashes a network and its input settings to the key of its outputs.

    Two networks with the same key give the same output for a picture. Hashed
    are the weights, the graph (layers by position, since Keras numbers their
    names by a counter of the process), its output tensors, the size and kind of
    resizing, the handling of transparency and 16-bit values, the versions of
    TensorFlow and of the decoder, and the kernels in use, whose results differ
    in the last digits.

    Args:
        model: A functional model, with its weights.
        square: What pictures are decoded into, the model's input.

    Returns:
        32 hexadecimal digits.
    """
    digest = hashlib.sha256()
    facts = [
        _describe_graph(model),
        square.size,
        square.resize,
        square.pixels.key,
        tf.__version__,
        decoding.VERSION,
        os.environ.get("TF_ENABLE_ONEDNN_OPTS"),
        [device.device_type for device in tf.config.list_physical_devices()],
    ]
    digest.update(json.dumps(facts, sort_keys=True, default=str).encode())
    # Weights by value, so that equal networks of different runs share features.
    for weight in model.weights:
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()[:32]  # 128 bits.


def _build_boundary(
    model: keras.Model,
    tensors: list[keras.KerasTensor],
    below: float,
    work: dict[int, float],
) -> Boundary:
    makers = {id(each.output): each.name for each in model.operations}
    return Boundary(
        names=tuple(makers[id(tensor)] for tensor in tensors),
        shapes=tuple(tuple(tensor.shape[1:]) for tensor in tensors),
        images=model.inputs[0],
        boundary_tensors=tuple(tensors),
        suffix=keras.Model(
            tensors if len(tensors) > 1 else tensors[0],
            model.outputs[0],
            name="suffix",
        ),
        frozen_share=below / sum(work.values()),
    )


def _find_frozen(model: keras.Model, moving: Collection[str]) -> set[int]:
    """Returns ids of operations whose output does not change in training."""
    found: set[int] = set()
    made: set[int] = set()
    for operation in model.operations:
        before = topology.list_inputs(operation)
        # Frozen only if all its inputs are, too.
        if operation.name in moving or any(id(t) not in made for t in before):
            continue
        found.add(id(operation))
        made.add(id(operation.output))
    return found


def _find_candidates(model: keras.Model, frozen: set[int]) -> list[set[int]]:
    """Returns sets of operations below possible boundaries, largest first."""
    found: list[set[int]] = []
    below: set[int] = set()
    waist = {id(each) for each in topology.find_bottlenecks(model)}
    for operation in model.operations:
        below.add(id(operation))
        if not below <= frozen:
            break
        if id(operation) in waist:
            found.append(set(below))
    # Several tensors may leave the whole frozen part; one leaves any other set.
    return [frozen, *reversed(found)]


def _find_crossing_tensors(
    model: keras.Model, below: set[int]
) -> list[keras.KerasTensor]:
    """Returns the tensors made below a boundary and used above it."""
    used = {
        id(tensor)
        for operation in model.operations
        if id(operation) not in below
        for tensor in topology.list_inputs(operation)
    }
    used |= {id(tensor) for tensor in model.outputs}
    return [
        operation.output
        for operation in model.operations
        if id(operation) in below and id(operation.output) in used
    ]


def _count_multiplications(operation: keras.Operation) -> float:
    """Counts multiplications per picture of a layer with kernels, else 0."""
    # Size of the kernel times the positions at which it is applied.
    weights = getattr(operation, "weights", [])
    kernels = sum(
        math.prod(each.shape) for each in weights if len(each.shape) > 1
    )
    return float(kernels * math.prod(operation.output.shape[1:-1]))


def _describe_graph(model: keras.Model) -> list[Any]:
    """Returns every operation's settings and inputs, by position."""
    place = {
        id(operation.output): index
        for index, operation in enumerate(model.operations)
    }
    operations = [
        [
            type(operation).__name__,
            _describe_settings(operation),
            [
                place[id(tensor)]
                for tensor in keras.tree.flatten(operation.input)
                if id(tensor) in place
            ],
        ]
        for operation in model.operations
    ]
    return [operations, [place[id(tensor)] for tensor in model.outputs]]


def _describe_settings(operation: keras.Operation) -> Any:
    """Returns an operation's config without names, at any depth."""
    return _drop_names(operation.get_config())


def _drop_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _drop_names(each)
            for name, each in value.items()
            # `trainable` does not change the output of a frozen network.
            if name not in ("name", "registered_name", "trainable")
        }
    if isinstance(value, (list, tuple)):
        return [_drop_names(each) for each in value]
    return value
