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

from tf_finetune.weights import file_layers as layers
from tf_finetune.weights import graphs

Arrays = Callable[[graphs.Place], tuple[np.ndarray, ...]]

# Most elements of one tensor; 128 MiB as float32.
_MAX_ELEMENTS = 1 << 25


class Reproduction:
    """Evaluates a graph with its arrays on images."""

    def __init__(self, graph: graphs.Graph, arrays: Arrays) -> None:
        """Stores the graph and the function that returns arrays.

        Args:
            graph: Of the file.
            arrays: Returns the arrays of a layer; () where it has none.
        """
        self._graph = graph
        self._arrays = arrays

    def input_of(self, place: graphs.Place, images: np.ndarray) -> np.ndarray:
        """Computes the input of a layer, before zero padding.

        Raises:
            layers.Unreadable: A layer before it is not supported.
        """
        scope = self._scope(place, images)
        (ref,) = graphs.refs(_call(place.node, 0).args)
        while scope.graph.nodes[ref.name].class_name == "ZeroPadding2D":
            (ref,) = graphs.refs(_call(scope.graph.nodes[ref.name], 0).args)
        return np.asarray(self._tensor(scope, ref))

    def output_of(self, place: graphs.Place, images: np.ndarray) -> np.ndarray:
        """Computes the output of a layer. Raises as `input_of`."""
        scope = self._scope(place, images)
        return np.asarray(self._tensor(scope, graphs.Ref(name=place.node.name)))

    def before(self, place: graphs.Place) -> list[graphs.Node]:
        """Returns the nodes that change images before a layer, in order."""
        found: dict[str, graphs.Node] = {}
        graph = self._graph
        chain = []
        for model in place.models:
            chain.append((graph, model))
            graph = model.inner
        chain.append((graph, place.node))
        for graph, node in chain:
            for each in reversed(list(_ancestors(graph, node))):
                for leaf in _inside(each):
                    found.setdefault(f"{id(graph)}/{leaf.name}", leaf)
        # Resizing and padding move pixels; they scale no colors.
        idle = layers.IDLE | layers.SPATIAL
        return [each for each in found.values() if each.class_name not in idle]

    def _scope(self, place: graphs.Place, images: np.ndarray) -> "_Scope":
        scope = _Scope(self._graph, [images], ())
        for model in place.models:
            scope = self._inside(scope, model, 0)
        return scope

    def _inside(
        self, scope: "_Scope", model: graphs.Node, call: int
    ) -> "_Scope":
        key = (model.name, call)
        if key not in scope.inner:
            given = [
                self._tensor(scope, ref)
                for ref in graphs.refs(_call(model, call).args)
            ]
            scope.inner[key] = _Scope(
                model.inner, given, (*scope.models, model)
            )
        return scope.inner[key]

    def _tensor(self, scope: "_Scope", ref: graphs.Ref) -> Any:
        """Computes a tensor, after the tensors that it depends on."""
        # A list in place of recursion: a graph may exceed Python's limit.
        pending = [(scope, ref)]
        while pending:
            scope, ref = pending[-1]
            if scope.key(ref) in scope.values:
                pending.pop()
                continue
            node = scope.graph.nodes[ref.name]
            needed = _needed(scope, node, ref)
            missing = [r for r in needed if scope.key(r) not in scope.values]
            if missing:
                pending += [(scope, each) for each in missing]
                continue
            scope.values[scope.key(ref)] = self._value(scope, node, ref)
            scope.release(needed)
        return scope.values[scope.key(ref)]

    def _value(
        self, scope: "_Scope", node: graphs.Node, ref: graphs.Ref
    ) -> Any:
        if node.inner is not None:
            inside = self._inside(scope, node, ref.call)
            return self._tensor(inside, node.inner.outputs[ref.tensor])
        if not node.calls:
            places = [each.name for each in scope.graph.inputs]
            return scope.given[places.index(node.name)]
        call = _call(node, ref.call)
        args = _filled(call.args, scope)
        if node.class_name in layers.IDLE:
            return args[0]
        if node.is_layer and node.class_name not in layers.OPERATION_LAYERS:
            place = graphs.Place(node=node, models=scope.models)
            value = layers.apply(node, self._arrays(place), args[0])
        else:
            value = layers.operate(node, args, _filled(call.kwargs, scope))
        if math.prod(value.shape) > _MAX_ELEMENTS:
            raise layers.Unreadable(
                f"{node.class_name} {node.name!r}, which is huge"
            )
        return value


class _Scope:
    """Inputs and computed tensors of one call of a graph."""

    def __init__(
        self,
        graph: graphs.Graph,
        given: list[Any],
        models: tuple[graphs.Node, ...],
    ) -> None:
        self.graph = graph
        self.given = given
        self.models = models
        self.values: dict[tuple[str, int, int], Any] = {}
        self.inner: dict[tuple[str, int], _Scope] = {}
        # Number of readers of each tensor; without any left it is dropped.
        self._readers = collections.Counter(
            self.key(ref)
            for node in graph.nodes.values()
            for ref in graphs.refs([[c.args, c.kwargs] for c in node.calls])
        )

    def key(self, ref: graphs.Ref) -> tuple[str, int, int]:
        calls = len(self.graph.nodes[ref.name].calls)
        return ref.name, min(ref.call, max(calls - 1, 0)), ref.tensor

    def release(self, refs: list[graphs.Ref]) -> None:
        """Drops tensors that every reader has used, to bound memory."""
        for key in map(self.key, refs):
            self._readers[key] -= 1
            if not self._readers[key]:
                self.values.pop(key, None)


def _needed(
    scope: _Scope, node: graphs.Node, ref: graphs.Ref
) -> list[graphs.Ref]:
    if not node.calls:
        return []
    call = _call(node, ref.call)
    return [*graphs.refs(call.args), *graphs.refs(call.kwargs)]


def _call(node: graphs.Node, call: int) -> graphs.Call:
    # Keras 2 counts the creation of a model as its first call.
    return node.calls[min(call, len(node.calls) - 1)]


def _inside(node: graphs.Node) -> Iterator[graphs.Node]:
    """Yields a node, or the layers of the nested model that it is."""
    if node.inner is None:
        yield node
    else:
        for place in graphs.leaves(node.inner):
            yield place.node


def _ancestors(graph: graphs.Graph, node: graphs.Node) -> Iterator[graphs.Node]:
    pending, seen = [node], {node.name}
    while pending:
        for call in pending.pop(0).calls[:1]:
            for ref in graphs.refs((call.args, call.kwargs)):
                if ref.name not in seen:
                    seen.add(ref.name)
                    yield graph.nodes[ref.name]
                    pending.append(graph.nodes[ref.name])


def _filled(value: Any, scope: _Scope) -> Any:
    if isinstance(value, graphs.Ref):
        return scope.values[scope.key(value)]
    if isinstance(value, list | tuple):
        return type(value)(_filled(each, scope) for each in value)
    if isinstance(value, Mapping):
        return {key: _filled(each, scope) for key, each in value.items()}
    return value
