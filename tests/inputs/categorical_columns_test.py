"""Tests of tf_finetune/inputs/categorical_columns.py."""

import keras
import numpy as np
import tensorflow as tf

from tf_finetune.config import data_options
from tf_finetune.inputs import categorical_columns

_INPUT = categorical_columns.make_input(
    data_options.DataOptions(categorical_columns=("zip", "zip:2"))
)
_ROWS = [("94501",), ("93510",), ("Ü2x",), ("94501",)]


def test_a_column_is_asked_once_and_taken_as_long_as_named():
    assert _INPUT.columns == ("zip",)
    expected = [[zip_, zip_[:2]] for (zip_,) in _ROWS]
    assert _INPUT.stack(_ROWS).tolist() == expected
    sent = tf.constant(_INPUT.stack_request(_ROWS).tolist())
    taken = [[e.decode() for e in row] for row in _INPUT.take(sent).numpy()]
    assert taken == expected


def test_words_in_the_graph_are_those_that_were_solved_on(tmp_path):
    asked = _INPUT.stack([*_ROWS, ("never",), ("",)])
    for encoding in _INPUT.fit_encodings(_INPUT.stack(_ROWS)):
        inputs = _INPUT.build(32)
        keras.Model(inputs, encoding.add_layers(inputs)).save(
            tmp_path / "words.keras"
        )
        model = keras.saving.load_model(tmp_path / "words.keras")
        got = model(tf.constant(asked.tolist()))
        np.testing.assert_array_equal(got, encoding.encode(asked))
        # Words that were not seen have no feature.
        assert not np.asarray(got)[-2:].any()


def test_words_weigh_one_two_or_four():
    found = _INPUT.fit_encodings(_INPUT.stack(_ROWS))
    assert [e.encode(_INPUT.stack(_ROWS)).max() for e in found] == [1, 2, 4]
