"""The graph that a model file's config describes, as plain data.

No model is built: the config of a .keras file or of a whole-model .h5 becomes
nodes with names, arguments and the path of their arrays in the file.
Source: keras/src/models/functional.py, `get_config`; of Keras 2 likewise.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

from tf_finetune.weights import layer_matching

# Deepest nesting of models; bounds the recursion on a stranger's config.
_MAX_DEPTH = 32


@dataclasses.dataclass(frozen=True, kw_only=True)
class TensorRef:
    """Reference to an output tensor of a node.

    Attributes:
        name: The node's name.
        call: Index of its call.
        tensor: Index among the outputs of that call.
    """

    name: str
    call: int = 0
    tensor: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerCall:
    """Arguments of one call of a layer; tensors in them are `TensorRef`s."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """Layer or operation in a graph.

    Attributes:
        name: Its name in its graph.
        class_name: E.g. "Conv2D"; of an operation e.g. "TrueDivide".
        is_layer: False for an operation that is not a layer.
        config: Its options.
        calls: Its calls in order; empty for an input.
        path: Its path in a Keras 3 file; empty for an operation.
        inner: The graph of a model that is used as a layer; else None.
    """

    name: str
    class_name: str
    is_layer: bool
    config: Mapping[str, Any]
    calls: tuple[LayerCall, ...]
    path: str
    inner: "Graph | None" = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Graph:
    """Graph of a functional or sequential model.

    Attributes:
        name: The model's name.
        nodes: Its nodes by name, in the order of the file.
        inputs: The model's inputs.
        outputs: The model's outputs.
    """

    name: str
    nodes: dict[str, Node]
    inputs: tuple[TensorRef, ...]
    outputs: tuple[TensorRef, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LayerPlace:
    """A layer with the nested models that contain it.

    Attributes:
        node: The layer.
        models: The models, outermost first; empty in the top graph.
    """

    node: Node
    models: tuple[Node, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of `models`, outermost first."""
        return tuple(each.name for each in self.models)


def parse_graph(config: Any) -> Graph | None:
    """Parses the graph in a model's config; None if it is damaged or has none.

    Subclassed models have none: only their code knows how layers are used.
    """
    try:
        return _parse_model(config, "", 0)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return None  # Only arrays are needed; a config is extra evidence.


def iterate_layers(
    graph: Graph, models: tuple[Node, ...] = ()
) -> Iterator[LayerPlace]:
    """Yields the layers of `graph`, which `models` contain, in file order."""
    for node in graph.nodes.values():
        if node.inner is not None:
            yield from iterate_layers(node.inner, (*models, node))
        else:
            yield LayerPlace(node=node, models=models)


def iterate_refs(value: Any) -> Iterator[TensorRef]:
    """Yields the `TensorRef`s in an argument, nested ones too."""
    if isinstance(value, TensorRef):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from iterate_refs(each)
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from iterate_refs(each)


def _parse_model(config: Any, path: str, depth: int) -> Graph | None:
    """Parses the config of a model that lies at `path` in a Keras 3 file."""
    if depth > _MAX_DEPTH or not isinstance(config, dict):
        return None
    inner = config["config"]
    layers = inner["layers"] if isinstance(inner, dict) else inner
    sequential = config["class_name"] == "Sequential"
    if not sequential and config["class_name"] not in ("Functional", "Model"):
        return None
    counts: dict[str, int] = {}
    nodes: dict[str, Node] = {}
    before: TensorRef | None = None
    for layer in layers:
        name = layer.get("name") or layer["config"]["name"]
        calls = _parse_calls(layer.get("inbound_nodes") or [])
        # A Sequential stores no calls: each layer reads the one before it.
        if sequential and before is not None:
            calls = (LayerCall(args=(before,), kwargs={}),)
        nodes[name] = _build_node(layer, name, calls, path, counts, depth)
        before = TensorRef(name=name)
    if sequential:
        return _build_sequential(config, nodes)
    return Graph(
        name=inner.get("name", ""),
        nodes=nodes,
        inputs=tuple(_iterate_ends(inner["input_layers"])),
        outputs=tuple(_iterate_ends(inner["output_layers"])),
    )


def _build_sequential(config: Any, nodes: dict[str, Node]) -> Graph:
    """Builds the graph of a Sequential; adds an input where it has none."""
    names = list(nodes)
    first = nodes[names[0]]
    if first.class_name != "InputLayer":
        start = Node(
            name="",
            class_name="InputLayer",
            is_layer=True,
            config={},
            calls=(),
            path="",
        )
        call = LayerCall(args=(TensorRef(name=""),), kwargs={})
        nodes = {
            "": start,
            **nodes,
            first.name: dataclasses.replace(first, calls=(call,)),
        }
    inner = config["config"]
    return Graph(
        name=inner.get("name", "") if isinstance(inner, dict) else "",
        nodes=nodes,
        inputs=(TensorRef(name=next(iter(nodes))),),
        outputs=(TensorRef(name=names[-1]),),
    )


def _build_node(
    layer: dict[str, Any],
    name: str,
    calls: tuple[LayerCall, ...],
    path: str,
    counts: dict[str, int],
    depth: int,
) -> Node:
    is_layer = _is_layer(layer)
    place = ""
    if is_layer:
        # Keras 3 names layers in a file by class and count: dense, dense_1, …
        base = layer_matching.to_snake_case(layer["class_name"])
        number = counts.get(base, 0)
        counts[base] = number + 1
        # Source: keras/src/saving/saving_lib.py, `_save_container_state`.
        key = base if number == 0 else f"{base}_{number}"
        place = f"{path}/layers/{key}".lstrip("/")
    config = layer["config"]
    is_model = layer["class_name"] in ("Functional", "Model", "Sequential")
    return Node(
        name=name,
        class_name=layer["class_name"],
        is_layer=is_layer,
        config=config if isinstance(config, dict) else {},
        calls=calls,
        path=place,
        inner=_parse_model(layer, place, depth + 1) if is_model else None,
    )


def _is_layer(layer: dict[str, Any]) -> bool:
    """Returns whether a config is that of a layer, not of an operation."""
    if layer.get("module"):
        return ".ops." not in layer["module"]
    # An .h5 has no "module": layers are known by the keys of their configs.
    config = layer["config"]
    return (
        layer["class_name"] == "InputLayer"
        or not isinstance(config, dict)
        or "trainable" in config
        or "layers" in config
    )


def _parse_calls(inbound: list[Any]) -> tuple[LayerCall, ...]:
    calls = []
    for node in inbound:
        if isinstance(node, dict):
            calls.append(
                LayerCall(
                    args=tuple(_parse_value(each) for each in node["args"]),
                    kwargs=_parse_value(node["kwargs"]),
                )
            )
            continue
        # Keras 2: [[name, call, tensor, keywords], …], or one such list alone.
        given = [node] if node and isinstance(node[0], str) else node
        tensors = [_parse_old_ref(each) for each in given]
        keywords = given[0][3] if given and len(given[0]) > 3 else {}
        calls.append(
            LayerCall(
                args=(tensors[0] if len(tensors) == 1 else tensors,),
                kwargs={k: _parse_old_value(v) for k, v in keywords.items()},
            )
        )
    return tuple(calls)


def _parse_value(value: Any) -> Any:
    """Converts an argument of a Keras 3 config to `TensorRef`s and data."""
    if isinstance(value, list):
        return [_parse_value(each) for each in value]
    if not isinstance(value, dict):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if kind == "__keras_tensor__":
        name, call, tensor = config["keras_history"]
        return TensorRef(name=name, call=call, tensor=tensor)
    if kind in ("__tensor__", "__numpy__"):
        return config["value"]
    if kind == "__ellipsis__":
        return Ellipsis
    if kind == "__slice__":
        return slice(*(config[key] for key in ("start", "stop", "step")))
    return {key: _parse_value(each) for key, each in value.items()}


def _parse_old_value(value: Any) -> Any:
    is_ref = (
        isinstance(value, list)
        and len(value) == 3
        and isinstance(value[0], str)
        and all(isinstance(each, int) for each in value[1:])
    )
    return _parse_old_ref(value) if is_ref else value


def _parse_old_ref(value: Any) -> TensorRef:
    return TensorRef(name=value[0], call=value[1], tensor=value[2])


def _iterate_ends(value: Any) -> Iterator[TensorRef]:
    """Yields the inputs or outputs of a graph; a single one has no list."""
    if value and isinstance(value[0], str):
        value = [value]
    for each in value.values() if isinstance(value, dict) else value:
        yield _parse_old_ref(each)
