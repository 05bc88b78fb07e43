"""Networks that compute with changed weights, without changed layers.

A Keras 3 graph runs with given tensors in place of its variables
(`keras.StatelessScope`). An adapter is therefore a function of weights, W_eff =
f(W₀, θ), for any kind of layer: the layers stay Keras' own, W₀ is never
assigned while θ trains, and merging evaluates f once.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tf_finetune.adaptation import adapter_file
from tf_finetune.model import assembly

Numbers = Mapping[str, Any]
"""The adapter's own values by name: "a", "b", "delta", "scale", "shift"."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Site:
    """A layer of the backbone that an adapter may change.

    Attributes:
        owner: Name of the layer of the backbone that is or contains it.
        layer: The layer whose variables are changed.
        place: Its position among the layers of the backbone that have
            variables of their own, from 0.
        feeds_batch_norm: Whether all that reads its output are batch norms.
        seed: Seed of random draws.
    """

    owner: str
    layer: keras.Layer
    place: int
    feeds_batch_norm: bool
    seed: int

    def name_number(self, variable: str, number: str) -> str:
        """Names a value of the adapter: "12_conv_pw_3/kernel/a".

        It joins place and name of the layer, `variable` (the name of W in it)
        and `number` (the name of θ). The place comes first, for Keras numbers
        the names of some layers by a counter of the process.
        """
        return f"{self.place}_{self.layer.name}/{variable}/{number}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """Change of one variable of the network, W ↦ f(W, θ).

    Attributes:
        site: The layer that it changes.
        target: The variable W.
        variable: Name of W in its layer: "kernel".
        numbers: The variables θ, by name; two changes may share one.
        compute: f, a function of W and of `numbers` as tensors or arrays; W
            itself for the values that `numbers` start with.
    """

    site: Site
    target: keras.Variable
    variable: str
    numbers: Mapping[str, keras.Variable]
    compute: Callable[[Any, Numbers], Any]


class Adapter:
    """Changes of a network with their variables, and the results of merging.

    Args:
        network: The network; its present weights are W₀.
        changes: In the order in which they are applied.

    Attributes:
        changes: In the order in which they are applied.
        numbers: Every variable of the adapter by its name (`Site.name_number`).
        network: The network that is changed.
        base_sha256: Fingerprint of its weights W₀, of `hash_weights`.
    """

    def __init__(self, network: keras.Model, changes: Sequence[Change]) -> None:
        """Takes the changes of a network, whose weights are now W₀."""
        self.network, self.changes = network, tuple(changes)
        self.base_sha256 = adapter_file.hash_weights(network.weights)
        self.numbers: dict[str, keras.Variable] = {}
        known: set[int] = set()
        for change in self.changes:
            for name, variable in change.numbers.items():
                # A number that two changes share has one name.
                if id(variable) not in known:
                    known.add(id(variable))
                    path = change.site.name_number(change.variable, name)
                    self.numbers[path] = variable
        self._initial = self._read_numbers()
        self._pretrained = {
            id(change.target): np.array(change.target)
            for change in self.changes
        }
        self._merged: list[dict[str, np.ndarray]] = []

    @property
    def targets(self) -> list[keras.Variable]:
        """The variables that change, each once."""
        found = {id(each.target): each.target for each in self.changes}
        return [*found.values()]

    def read_pretrained(self, variable: keras.Variable) -> np.ndarray:
        """Returns W₀ of a variable, or its present value if none changes it."""
        return self._pretrained.get(id(variable), np.asarray(variable))

    def compute_weights(
        self, read: Callable[[keras.Variable], Any] = lambda each: each
    ) -> list[tuple[keras.Variable, Any]]:
        """Computes the effective weights f(W, θ).

        Args:
            read: Returns W of a variable; the default is its present value.

        Returns:
            Pairs of a variable and the tensor that stands in for it.
        """
        found: dict[int, tuple[keras.Variable, Any]] = {}
        for change in self.changes:
            target = change.target
            _, value = found.get(id(target), (target, read(target)))
            found[id(target)] = target, change.compute(value, change.numbers)
        return [*found.values()]

    def merge(self) -> None:
        """Assigns the effective weights to the network.

        The adapter's variables get the values that they had before training;
        those that were merged are kept for `find_merged`.
        """
        numbers = self._read_numbers()
        if _are_equal(numbers, self._initial):
            return
        for target, value in self.compute_weights():
            target.assign(value)
        self._merged.append(numbers)
        self.assign(self._initial)

    def assign(self, numbers: Mapping[str, np.ndarray]) -> None:
        """Assigns an array to every variable of the adapter, by its name."""
        for name, variable in self.numbers.items():
            variable.assign(numbers[name])

    def find_merged(self) -> dict[str, np.ndarray] | None:
        """Finds the adapter's values that gave the network its weights.

        Returns:
            Arrays by name, those before training where the network has its
            pretrained weights; None where no merged values alone give its
            present weights, such as after further training.
        """
        # Weights that no change is about may have moved, too.
        others = [self.read_pretrained(each) for each in self.network.weights]
        if adapter_file.hash_weights(others) != self.base_sha256:
            return None
        before = self._read_numbers()
        for numbers in (self._initial, *self._merged):
            self.assign(numbers)
            made = self.compute_weights(self.read_pretrained)
            if all(np.array_equal(value, each) for each, value in made):
                self.assign(before)
                return numbers
        self.assign(before)
        return None

    def _read_numbers(self) -> dict[str, np.ndarray]:
        return {name: np.array(each) for name, each in self.numbers.items()}


class AdaptedNetwork(keras.layers.Layer):
    """Layer that computes a network with the weights that an adapter gives.

    Its trainable variables are the adapter's and the head's; the network's
    layers are shared.
    """

    def __init__(self, network: keras.Model, adapter: Adapter) -> None:
        """Wraps a network, whose layers and variables are shared."""
        # float32: the effective weights are cast by the layers that use them.
        super().__init__(name="adapted_network", dtype="float32")
        self.network, self.adapter = network, adapter
        # In a list, in which Keras finds them as variables of this layer.
        self.numbers = [*adapter.numbers.values()]

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Computes the network's outputs with the effective weights."""
        changed = self.adapter.compute_weights()
        with keras.StatelessScope(state_mapping=changed) as scope:
            outputs = self.network(inputs, training=training)
        # No update leaves the scope: the states of random generators are
        # assigned here, or every step would drop the same features.
        for variable in self.network.non_trainable_variables:
            new = scope.get_current_value(variable)
            is_target = any(variable is target for target, _ in changed)
            if new is not None and not is_target:
                variable.assign(new)
        return outputs


def build_trainer(network: keras.Model, adapter: Adapter) -> keras.Model:
    """Builds a model with the inputs and outputs of a network, adapted.

    Args:
        network: Functional model; its layers are shared.
        adapter: Changes of variables of the network.
    """
    inputs = [
        keras.Input(each.shape[1:], dtype=each.dtype) for each in network.inputs
    ]
    inputs = inputs if len(inputs) > 1 else inputs[0]
    outputs = AdaptedNetwork(network, adapter)(inputs)
    return keras.Model(inputs, outputs, name=network.name)


def list_sites(
    built: assembly.Assembly, chosen: Sequence[keras.Layer]
) -> list[Site]:
    """Lists the layers with variables within chosen layers of a backbone.

    Args:
        built: The network.
        chosen: Layers of its backbone.

    Returns:
        The layers at any depth that have variables of their own, in the order
        of the graph.
    """
    names = {layer.name for layer in chosen}
    found, place = [], 0
    for owner in built.backbone.model.layers:
        inner = owner._flatten_layers()
        for layer in (each for each in inner if _has_own_variables(each)):
            if owner.name in names:
                found.append(
                    Site(
                        owner=owner.name,
                        layer=layer,
                        place=place,
                        feeds_batch_norm=_feeds_batch_norm(built, owner),
                        seed=built.seed,
                    )
                )
            place += 1
    return found


def _has_own_variables(layer: keras.Layer) -> bool:
    return bool(layer._trainable_variables or layer._non_trainable_variables)


def _feeds_batch_norm(built: assembly.Assembly, layer: keras.Layer) -> bool:
    """Returns whether batch norms alone read the output of a layer."""
    known = {id(each) for each in built.trainer.operations}
    readers = [
        node.operation
        for node in layer._outbound_nodes
        if id(node.operation) in known
    ]
    return bool(readers) and all(
        isinstance(each, keras.layers.BatchNormalization) for each in readers
    )


def _are_equal(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray]
) -> bool:
    return all(np.array_equal(value, theirs[k]) for k, value in ours.items())
