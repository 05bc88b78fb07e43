"""A file's own graph, computed layer by layer as far as it is Keras' own.

No model is built of a config. Each layer that stands between the pictures and
the layer asked for is made alone, of a list of harmless classes, with plain
numbers and words as its options, once its arrays are seen to be those of its
config; so that a file can neither run code nor ask for memory it does not fill.
"""

import collections
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tf_finetune.weights import file_layers as layers
from tf_finetune.weights import graphs

Arrays = Callable[[graphs.Place], tuple[np.ndarray, ...]]

# Elements of one tensor, 128 MiB.
_MAX_ELEMENTS = 1 << 25


class Reproduction:
    """A graph with its arrays, ready to be computed on pictures."""

    def __init__(self, graph: graphs.Graph, arrays: Arrays) -> None:
        """Keeps both.

        Args:
            graph: Of the file.
            arrays: Those of a layer; () where it has none.
        """
        self._graph = graph
        self._arrays = arrays

    def input_of(self, place: graphs.Place, images: np.ndarray) -> np.ndarray:
        """Computes what goes into a layer, before zeros are padded to it.

        Raises:
            layers.Unreadable: Something before it is not known here.
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
        """Returns what does something to pictures before a layer, in order."""
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
        """Computes a tensor; what it needs first is kept on a list."""
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
    """One use of a graph: what goes in, and what was computed of it."""

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
        self._readers = collections.Counter(
            self.key(ref)
            for node in graph.nodes.values()
            for ref in graphs.refs([[c.args, c.kwargs] for c in node.calls])
        )

    def key(self, ref: graphs.Ref) -> tuple[str, int, int]:
        calls = len(self.graph.nodes[ref.name].calls)
        return ref.name, min(ref.call, max(calls - 1, 0)), ref.tensor

    def release(self, refs: list[graphs.Ref]) -> None:
        """Forgets tensors that every layer has read."""
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
    # Keras 2 counts the making of a model as its first call.
    return node.calls[min(call, len(node.calls) - 1)]


def _inside(node: graphs.Node) -> Iterator[graphs.Node]:
    """Yields a node, or the layers of the model that it is."""
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
