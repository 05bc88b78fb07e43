"""Computes a file's own graph layer by layer, without building its model.

Each layer between the images and the requested layer is built alone, from an
allowlist of classes and with plain numbers and words as its options, after its
arrays were checked against its config; so that a file can neither run code nor
ask for memory that it does not fill.
"""

import collections
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tf_finetune.weights import config_graph, node_execution

Arrays = Callable[[config_graph.LayerPlace], tuple[np.ndarray, ...]]

# Most elements of one tensor; 128 MiB as float32.
_MAX_ELEMENTS = 1 << 25


class GraphRunner:
    """Interpreter of a file's graph that computes its tensors from images.

    Args:
        graph: The graph in the file's config.
        arrays: Returns the arrays of a layer; () where it has none.
    """

    def __init__(self, graph: config_graph.Graph, arrays: Arrays) -> None:
        """Stores the graph and the function that returns arrays."""
        self._graph = graph
        self._arrays = arrays

    def compute_input(
        self, place: config_graph.LayerPlace, images: np.ndarray
    ) -> np.ndarray:
        """Computes the input of a layer, before zero padding.

        Args:
            place: The layer and the nested models that contain it.
            images: [batch, height, width, 3], the input of the whole graph.

        Returns:
            The input of the layer's first call, [batch, …].

        Raises:
            node_execution.UnsupportedNodeError: A layer before it is not
                supported, or its output is too large.
        """
        scope = self._enter_place(place, images)
        (ref,) = config_graph.iterate_refs(_select_call(place.node, 0).args)
        while scope.graph.nodes[ref.name].class_name == "ZeroPadding2D":
            (ref,) = config_graph.iterate_refs(
                _select_call(scope.graph.nodes[ref.name], 0).args
            )
        return np.asarray(self._compute_tensor(scope, ref))

    def compute_output(
        self, place: config_graph.LayerPlace, images: np.ndarray
    ) -> np.ndarray:
        """Computes the output of a layer.

        Args:
            place: The layer and the nested models that contain it.
            images: [batch, height, width, 3], the input of the whole graph.

        Returns:
            The output of the layer's first call, [batch, …].

        Raises:
            node_execution.UnsupportedNodeError: The layer or one before it is
                not supported, or its output is too large.
        """
        scope = self._enter_place(place, images)
        return np.asarray(
            self._compute_tensor(
                scope, config_graph.TensorRef(name=place.node.name)
            )
        )

    def list_nodes_before(
        self, place: config_graph.LayerPlace
    ) -> list[config_graph.Node]:
        """Lists the layers and operations that change colors before a layer.

        Layers that do nothing in inference, resize or pad are left out.

        Args:
            place: The layer and the nested models that contain it.

        Returns:
            Nodes in the order of computation, those of nested models included.
        """
        found: dict[str, config_graph.Node] = {}
        graph = self._graph
        chain = []
        for model in place.models:
            chain.append((graph, model))
            graph = model.inner
        chain.append((graph, place.node))
        for graph, node in chain:
            # Reversed, since the nearest ancestors come first.
            for each in reversed(list(_iterate_ancestors(graph, node))):
                for leaf in _iterate_inside(each):
                    # A name is unique within its graph only.
                    found.setdefault(f"{id(graph)}/{leaf.name}", leaf)
        # Resizing and padding move pixels; they scale no colors.
        idle = node_execution.IDENTITY_LAYERS | node_execution.SPATIAL_LAYERS
        return [each for each in found.values() if each.class_name not in idle]

    def _enter_place(
        self, place: config_graph.LayerPlace, images: np.ndarray
    ) -> "_GraphCall":
        scope = _GraphCall(self._graph, [images], ())
        for model in place.models:
            scope = self._enter_model(scope, model, 0)
        return scope

    def _enter_model(
        self, scope: "_GraphCall", model: config_graph.Node, call: int
    ) -> "_GraphCall":
        key = (model.name, call)
        if key not in scope.inner:
            given = [
                self._compute_tensor(scope, ref)
                for ref in config_graph.iterate_refs(
                    _select_call(model, call).args
                )
            ]
            scope.inner[key] = _GraphCall(
                model.inner, given, (*scope.models, model)
            )
        return scope.inner[key]

    def _compute_tensor(
        self, scope: "_GraphCall", ref: config_graph.TensorRef
    ) -> Any:
        """Computes a tensor, after the tensors that it depends on."""
        # A list in place of recursion: a graph may exceed Python's limit.
        pending = [(scope, ref)]
        while pending:
            scope, ref = pending[-1]
            if scope.key(ref) in scope.values:
                pending.pop()
                continue
            node = scope.graph.nodes[ref.name]
            needed = _list_dependencies(scope, node, ref)
            missing = [r for r in needed if scope.key(r) not in scope.values]
            if missing:
                pending += [(scope, each) for each in missing]
                continue
            scope.values[scope.key(ref)] = self._value(scope, node, ref)
            scope.release(needed)
        return scope.values[scope.key(ref)]

    def _value(
        self,
        scope: "_GraphCall",
        node: config_graph.Node,
        ref: config_graph.TensorRef,
    ) -> Any:
        if node.inner is not None:
            inside = self._enter_model(scope, node, ref.call)
            return self._compute_tensor(inside, node.inner.outputs[ref.tensor])
        if not node.calls:
            places = [each.name for each in scope.graph.inputs]
            return scope.given[places.index(node.name)]
        call = _select_call(node, ref.call)
        args = _fill_tensors(call.args, scope)
        if node.class_name in node_execution.IDENTITY_LAYERS:
            return args[0]
        if (
            node.is_layer
            and node.class_name not in node_execution.OPERATION_LAYERS
        ):
            place = config_graph.LayerPlace(node=node, models=scope.models)
            value = node_execution.run_layer(node, self._arrays(place), args[0])
        else:
            value = node_execution.run_operation(
                node, args, _fill_tensors(call.kwargs, scope)
            )
        if math.prod(value.shape) > _MAX_ELEMENTS:
            raise node_execution.UnsupportedNodeError(
                f"{node.class_name} {node.name!r}, which is huge"
            )
        return value


class _GraphCall:
    """Inputs and computed tensors of one call of a graph."""

    def __init__(
        self,
        graph: config_graph.Graph,
        given: list[Any],
        models: tuple[config_graph.Node, ...],
    ) -> None:
        self.graph = graph
        self.given = given
        self.models = models
        self.values: dict[tuple[str, int, int], Any] = {}
        self.inner: dict[tuple[str, int], _GraphCall] = {}
        # Number of readers of each tensor; without any left it is dropped.
        self._readers = collections.Counter(
            self.key(ref)
            for node in graph.nodes.values()
            for ref in config_graph.iterate_refs(
                [[c.args, c.kwargs] for c in node.calls]
            )
        )

    def key(self, ref: config_graph.TensorRef) -> tuple[str, int, int]:
        # As in `_select_call`: beyond the last call it is the last one.
        calls = len(self.graph.nodes[ref.name].calls)
        return ref.name, min(ref.call, max(calls - 1, 0)), ref.tensor

    def release(self, refs: list[config_graph.TensorRef]) -> None:
        """Drops tensors that every reader has used, to bound memory."""
        for key in map(self.key, refs):
            self._readers[key] -= 1
            if not self._readers[key]:
                self.values.pop(key, None)


def _list_dependencies(
    scope: _GraphCall, node: config_graph.Node, ref: config_graph.TensorRef
) -> list[config_graph.TensorRef]:
    if not node.calls:
        return []
    call = _select_call(node, ref.call)
    return [
        *config_graph.iterate_refs(call.args),
        *config_graph.iterate_refs(call.kwargs),
    ]


def _select_call(node: config_graph.Node, call: int) -> config_graph.LayerCall:
    # Keras 2 counts the creation of a model as its first call.
    return node.calls[min(call, len(node.calls) - 1)]


def _iterate_inside(node: config_graph.Node) -> Iterator[config_graph.Node]:
    """Yields a node, or the layers of the nested model that it is."""
    if node.inner is None:
        yield node
    else:
        for place in config_graph.iterate_layers(node.inner):
            yield place.node


def _iterate_ancestors(
    graph: config_graph.Graph, node: config_graph.Node
) -> Iterator[config_graph.Node]:
    pending, seen = [node], {node.name}
    while pending:
        for call in pending.pop(0).calls[:1]:
            for ref in config_graph.iterate_refs((call.args, call.kwargs)):
                if ref.name not in seen:
                    seen.add(ref.name)
                    yield graph.nodes[ref.name]
                    pending.append(graph.nodes[ref.name])


def _fill_tensors(value: Any, scope: _GraphCall) -> Any:
    if isinstance(value, config_graph.TensorRef):
        return scope.values[scope.key(value)]
    if isinstance(value, list | tuple):
        return type(value)(_fill_tensors(each, scope) for each in value)
    if isinstance(value, Mapping):
        return {key: _fill_tensors(each, scope) for key, each in value.items()}
    return value
