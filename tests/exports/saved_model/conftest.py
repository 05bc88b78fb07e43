"""A model of rows whose answers can be told by hand."""

import pathlib
import types

import numpy as np
import pytest
from PIL import Image

_SIZE = 24
_MEDIAN = 7.0
_WEIGHTS = (2.0, 3.0)
_WHOLE = {"94501": 10.0, "93510": 20.0}
_BEGIN = {"94": 1.0, "93": 2.0}


@pytest.fixture(scope="session")
def value():
    """A function: shades 0..255 of a row's pictures, number, word → value."""

    def of(front, back, number, word):
        found = _MEDIAN if np.isnan(number) else number
        shades = _WEIGHTS[0] * front / 255 + _WEIGHTS[1] * back / 255
        return (
            shades + found + _WHOLE.get(word, 0.0) + _BEGIN.get(word[:2], 0.0)
        )

    return of


@pytest.fixture(scope="session")
def fused():
    """A model as `inputs.fused_model` builds them."""
    keras = pytest.importorskip("keras")
    ops, layers = keras.ops, keras.layers
    images = keras.Input([2, _SIZE, _SIZE, 3], name="images")
    numbers = keras.Input([1], name="numbers")
    words = keras.Input([2], name="words", dtype="string")
    shades = layers.Dense(1, use_bias=False, name="pictures_part")(
        ops.mean(images, axis=(2, 3, 4)) / 255.0
    )
    known = ops.where(ops.isnan(numbers), np.float32(_MEDIAN), numbers)
    parts = [shades, known]
    for place, weights in enumerate((_WHOLE, _BEGIN)):
        lookup = layers.StringLookup(
            vocabulary=list(weights), output_mode="one_hot"
        )
        dense = layers.Dense(1, use_bias=False, name=f"word_{place}")
        parts.append(dense(lookup(words[:, place : place + 1])))
    inputs = {"images": images, "numbers": numbers, "words": words}
    model = keras.Model(inputs, layers.Add()(parts), name="fused")
    model.get_layer("pictures_part").set_weights([np.array(_WEIGHTS)[:, None]])
    for place, weights in enumerate((_WHOLE, _BEGIN)):
        column = np.array([0.0, *weights.values()])[:, None]
        model.get_layer(f"word_{place}").set_weights([column])
    return model


@pytest.fixture(scope="session")
def rows(tmp_path_factory, value):
    """Rows of gray pictures, a number and a word: paths, values and so on."""
    folder = tmp_path_factory.mktemp("rows")
    shades = [(0, 255), (51, 102), (204, 0), (255, 255), (102, 51)]
    paths = []
    for number, pair in enumerate(shades):
        names = [folder / f"{number}_{side}.png" for side in "fb"]
        for path, shade in zip(names, pair, strict=True):
            Image.new("RGB", (_SIZE, _SIZE), (shade,) * 3).save(path)
        paths.append(tuple(map(str, names)))
    numbers = np.array([[1.0], [np.nan], [-2.5], [40.0], [0.0]], "float32")
    words = [("94501",), ("93510",), ("94777",), ("",), ("élan",)]
    values = [
        [value(*pair, each[0], *word)]
        for pair, each, word in zip(shades, numbers, words, strict=True)
    ]
    return types.SimpleNamespace(
        paths=paths, numbers=numbers, words=words, values=np.array(values)
    )


@pytest.fixture(scope="session")
def build_row_job(fused, rows):
    """A function: where to export to → the job."""
    from tf_finetune.config import data_options
    from tf_finetune.exports import job as jobs
    from tf_finetune.inputs import input_protocol, input_rows

    inputs = input_protocol.list_inputs(
        data_options.DataOptions(
            image_column=("front", "back"),
            numeric_columns=("area",),
            categorical_columns=("place", "place:2"),
        )
    )
    held_out = [
        input_rows.Row(
            where="",
            values={
                "images": paths,
                "numbers": tuple(map(float, numbers)),
                "words": words,
            },
        )
        for paths, numbers, words in zip(
            rows.paths, rows.numbers, rows.words, strict=True
        )
    ]

    def build(destination: pathlib.Path):
        return jobs.ExportJob(
            model=fused,
            class_names=("price",),
            image_size=_SIZE,
            resize="squash",
            destination=destination,
            proof=jobs.ParityReference(
                paths=tuple(row.paths[0] for row in held_out),
                predictions=rows.values,
                rows=tuple(held_out),
                batch_size=2,
            ),
            inputs=inputs,
            task="regression",
            unit=np.array([40.0]),
            name="houses",
            measuring_seconds=0.2,
        )

    return build
