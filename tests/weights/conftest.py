"""Weights files written by hand, as Keras' two layouts have them."""

import json
import zipfile

import h5py
import numpy as np
import pytest


@pytest.fixture
def write_classic():
    """Writes {layer: {weight name: array}} as a classic .h5."""

    def write(path, layers, *, inside=None):
        with h5py.File(path, "w") as file:
            root = file.create_group(inside) if inside else file
            root.attrs["layer_names"] = [name.encode() for name in layers]
            for name, arrays in layers.items():
                group = root.create_group(name)
                group.attrs["weight_names"] = [key.encode() for key in arrays]
                for key, array in arrays.items():
                    group[key] = array
        return path

    return write


@pytest.fixture
def write_keras3():
    """Writes {layer path: (name, arrays)} as a .weights.h5 or .keras."""

    def write(path, layers, config=None):
        target = path.with_name("model.weights.h5") if config else path
        with h5py.File(target, "w") as file:
            for place, (name, arrays) in layers.items():
                group = file.create_group(f"{place}/vars")
                if name is not None:
                    group.attrs["name"] = name
                for number, array in enumerate(arrays):
                    group[str(number)] = array
        if config:
            with zipfile.ZipFile(path, "w") as archive:
                archive.write(target, "model.weights.h5")
                archive.writestr("config.json", json.dumps(config))
            target.unlink()
        return path

    return write


@pytest.fixture
def randomize():
    """Gives every float variable of a model other values than it had."""

    def apply(model, seed=0):
        random = np.random.default_rng(seed)
        for variable in model.variables:
            if variable.dtype == "float32":
                value = random.uniform(0.5, 1.5, variable.shape)
                variable.assign(value.astype(np.float32))
        return model

    return apply


@pytest.fixture
def make_backbone():
    """Wraps a model as a backbone, without stages and feature maps."""
    from tf_finetune.backbones import backbone

    def make(model, name="tiny", *, alpha=None, image_size=16, **facts):
        spec = backbone.BackboneSpec(
            name=name,
            builder="none:none",
            image_size=image_size,
            min_image_size=8,
            preprocessing="in_graph",
            **facts,
        )
        return backbone.Backbone(
            spec=spec,
            alpha=alpha,
            image_size=image_size,
            model=model,
            feature_maps={},
            stages=(),
        )

    return make
