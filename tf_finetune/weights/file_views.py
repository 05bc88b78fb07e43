"""Views of a weights file: candidates for the layers to match with a model.

A file may hold exactly the model's layers, more around them (a top), or the
model as one layer of a bigger one. Each possibility is a view; the merge takes
the one that matches most.
"""

import dataclasses
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tf_finetune.weights import layer_matching, saved_weights

# Of batch norms: the default of Keras 1, and that of the files from Caffe.
_EPSILON = 1e-3
_CAFFE_EPSILON = 1.1e-5
_LAYER = re.compile(r"(res|bn|scale)([2-5])([a-z])(\d*)_branch(1|2[abc])")
_BRANCHES = {"1": "0", "2a": "1", "2b": "2", "2c": "3"}
_STEM = {"conv1": "conv1_conv", "bn_conv1": "conv1_bn"}
_SCALE_PREFIX = "scale"
# Class names as they occur in numbered names, such as convolution2d_3.
_BASES = {
    "convolution2d": "conv2d",
    "batchnormalization": "batch_normalization",
    "separableconvolution2d": "separable_conv2d",
    "depthwiseconv2d": "depthwise_conv2d",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileView:
    """Layers of a file, or of a part of it, and of a model, for matching.

    Attributes:
        prefix: Path of the part that is listed; "" for the whole file.
        units: The model's layers.
        entries: The file's layers.
        ordered: Whether `entries` are in the order of the saved model.
    """

    prefix: str
    units: list[layer_matching.Unit]
    entries: list[layer_matching.Entry]
    ordered: bool


def iterate_views(
    file: saved_weights.SavedWeights, model: Any
) -> Iterator[FileView]:
    """Yields listings of a file's layers to match with `model`, simplest first.

    Each takes another part of the file for the model, or opens nested models.
    """
    if file.kind == "classic_h5":
        yield from _iterate_classic(file, model)
    else:
        yield from _iterate_keras3(file, model)


def translate_names(names: Iterable[str]) -> dict[str, str]:
    """Translates layer names of Keras 1 and early Keras 2 into those of today.

    ResNets were res3b_branch2a, bn3b_branch2a until keras-applications 1.0.7.

    Args:
        names: All layers of a file: "conv1" alone may be anything.

    Returns:
        New names by the old ones; names that are still in use are left out.

    Source: github.com/fchollet/deep-learning-models, resnet50.py.
    """
    found = {}
    for name in names:
        if match := _LAYER.fullmatch(name):
            found[name] = _build_name(*match.groups())
        elif (split := re.fullmatch(r"([a-z0-9]+?)(_\d+)?", name)) and (
            split[1] in _BASES
        ):
            found[name] = _BASES[split[1]] + (split[2] or "")
    if any(_LAYER.fullmatch(name) for name in found):
        found |= {old: new for old, new in _STEM.items() if old in names}
    return found


def join_scales(file: saved_weights.SavedWeights) -> saved_weights.SavedWeights:
    """Merges the Scale layers of an old ResNet file into its batch norms.

    ResNets converted from Caffe have a layer scale3b_branch2a behind each norm,
    whose γ and β belong into it.

    Returns:
        A copy with the `epsilon` of such files; `file` itself if it is none.

    Source: github.com/flyyufelix/cnn_finetune, resnet_152.py.
    """
    names = [layer.name or "" for layer in file.layers]
    if not any(_LAYER.fullmatch(name) for name in names):
        return file
    scales = {
        _find_norm_name(layer.name): layer.arrays
        for layer in file.layers
        if (layer.name or "").startswith(_SCALE_PREFIX)
        and len(layer.arrays) == 2
    }
    kept = []
    for layer in file.layers:
        if _find_norm_name(layer.name or "") in scales:
            continue
        if layer.name in scales and len(layer.arrays) == 4:
            gamma, beta, mean, variance = layer.arrays
            factor, offset = scales[layer.name]
            # (γ x + β) f + o = γf x + (βf + o), x the normalized input.
            joined = (gamma * factor, beta * factor + offset, mean, variance)
            layer = dataclasses.replace(layer, arrays=joined)
        kept.append(layer)
    epsilon = _CAFFE_EPSILON if scales else _EPSILON
    return dataclasses.replace(file, layers=tuple(kept), epsilon=epsilon)


def _iterate_classic(
    file: saved_weights.SavedWeights, model: Any
) -> Iterator[FileView]:
    layers = [layer for layer in file.layers if layer.arrays]
    flat = layer_matching.list_flat_layers(model)
    names = {unit.name for unit in flat}
    kinds = {unit.kind[-1] for unit in flat}
    # 1. The file's layers one to one with the model's, nested models as one.
    whole = [(layer.path, layer.path, layer.arrays) for layer in layers]
    yield FileView(
        prefix="",
        units=layer_matching.list_top_layers(model),
        entries=_build_classic_entries(whole, kinds),
        ordered=True,
    )
    parts = {
        layer.path: list(_split_nested_layer(layer, names)) for layer in layers
    }
    if all(len(each) == 1 for each in parts.values()):
        # Versions of Keras order the layers of a file differently; the numbers
        # in their names keep the order of creation.
        yield FileView(
            prefix="",
            units=_order_by_number(flat),
            entries=_order_by_number(_build_classic_entries(whole, kinds)),
            ordered=True,
        )
        return
    # 2. All nested models of the file opened.
    every = [part for each in parts.values() for part in each]
    yield FileView(
        prefix="",
        units=flat,
        entries=_build_classic_entries(every, kinds),
        ordered=True,
    )
    # 3. One nested model of the file alone.
    for path, inside in parts.items():
        if len(inside) > 1:
            yield FileView(
                prefix=path,
                units=_order_by_number(flat),
                entries=_order_by_number(_build_classic_entries(inside, kinds)),
                ordered=True,
            )


def _build_classic_entries(
    layers: Iterable[tuple[str, str, tuple]], kinds: set[str]
) -> list[layer_matching.Entry]:
    """Makes entries from (name, path, arrays) triples in file order."""
    entries = []
    layers = list(layers)
    today = translate_names([name for name, _, _ in layers])
    for place, (name, path, arrays) in enumerate(layers):
        name = _replace_slashes(today.get(name, name))
        base = layer_matching.split_number(name)[0]
        numbered = base in kinds
        entries.append(
            layer_matching.Entry(
                label=name,
                name=None if numbered else name,
                kind=(base,) if numbered else None,
                order=(place,),
                arrays=arrays,
                path=path,
            )
        )
    return entries


def _order_by_number(layers: list[Any]) -> list[Any]:
    """Sets the order of layers to the numbers that Keras gave their names."""
    return [
        dataclasses.replace(
            each,
            order=(
                layer_matching.split_number(getattr(each, "label", each.name))[
                    1
                ],
            ),
        )
        for each in layers
    ]


def _split_nested_layer(
    layer: saved_weights.SavedLayer, names: set[str]
) -> Iterator[tuple[str, str, tuple]]:
    """Splits a nested model's arrays into its layers, by their names."""
    scopes: dict[str, list] = {}
    for array_name, array in zip(layer.array_names, layer.arrays, strict=True):
        scopes.setdefault(posixpath.dirname(array_name), []).append(array)
    if len(scopes) == 1:
        yield layer.path, layer.path, layer.arrays
        return
    for scope, arrays in scopes.items():
        full = _replace_slashes(scope)
        name = full if full in names else posixpath.basename(scope)
        yield name, f"{layer.path}/{scope}", tuple(arrays)


def _replace_slashes(name: str) -> str:
    """Spells "conv1/bn" of old files as Keras 3 does, which has no slash."""
    return name.replace("/", "_")


def _iterate_keras3(
    file: saved_weights.SavedWeights, model: Any
) -> Iterator[FileView]:
    layers = [layer for layer in file.layers if layer.arrays]
    prefixes = {
        prefix for layer in layers for prefix in _iterate_ancestors(layer.path)
    }
    leaves = layer_matching.list_layers(model)
    kinds = {unit.kind[-1] for unit in leaves}
    today = translate_names(
        [layer.name or posixpath.basename(layer.path) for layer in layers]
    )
    # Outermost containers first.
    for prefix in sorted(prefixes, key=lambda each: (each.count("/"), each)):
        yield FileView(
            prefix=prefix,
            units=leaves,
            entries=[
                _build_keras3_entry(layer, prefix, kinds, today)
                for layer in layers
                if layer.path.startswith(prefix + "/")
            ],
            ordered=file.graph is not None,
        )


def _build_keras3_entry(
    layer: saved_weights.SavedLayer,
    prefix: str,
    kinds: set[str],
    today: Mapping[str, str],
) -> layer_matching.Entry:
    # Containers alternate: CLASS/layers/CLASS/layers/CLASS.
    keys = layer.path[len(prefix) + 1 :].split("/")[::2]
    split = [layer_matching.split_number(key) for key in keys]
    kind = tuple(base for base, _ in split)
    # A file without names calls layers by class and count, or by their names.
    name = layer.name or keys[-1]
    name = today.get(name, name)
    own = {kind[-1]} if layer.name else kinds
    numbered = layer_matching.split_number(name)[0] in own
    return layer_matching.Entry(
        label=name,
        name=None if numbered else name,
        kind=kind,
        order=tuple(number for _, number in split),
        arrays=layer.arrays,
        path=layer.path,
    )


def _iterate_ancestors(path: str) -> Iterator[str]:
    while "/" in path:
        path = posixpath.dirname(path)
        yield path


def _find_norm_name(scale: str) -> str | None:
    """Returns the batch norm in front of a Scale: bn_conv1 of scale_conv1."""
    if not scale.startswith(_SCALE_PREFIX):
        return None
    return "bn" + scale.removeprefix(_SCALE_PREFIX)


def _build_name(
    kind: str, stage: str, letter: str, number: str, branch: str
) -> str:
    # Blocks of deep stages are named a, b1, b2, …
    block = ord(letter) - ord("a") + 1 if not number else int(number) + 1
    end = "conv" if kind == "res" else "bn"
    return f"conv{stage}_block{block}_{_BRANCHES[branch]}_{end}"
