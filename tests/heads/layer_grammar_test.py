"""What --head_layers may say."""

import pytest

from tf_finetune import errors
from tf_finetune.heads import layer_grammar


def test_every_kind_of_token():
    found = layer_grammar.parse_layers(
        ("512", "relu", "dropout:0.3", "batch_norm", "layer_norm", "dropout:0")
    )
    assert found == (
        layer_grammar.LayerSpec(kind="dense", units=512),
        layer_grammar.LayerSpec(kind="activation", activation="relu"),
        layer_grammar.LayerSpec(kind="dropout", share=0.3),
        layer_grammar.LayerSpec(kind="batch_norm"),
        layer_grammar.LayerSpec(kind="layer_norm"),
        layer_grammar.LayerSpec(kind="dropout", share=0.0),
    )
    assert layer_grammar.parse_layers(()) == ()


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("rleu", "Did you mean 'relu'?"),
        ("droput:0.3", "Did you mean 'dropout:0.3'?"),
        ("batchnorm", "Did you mean 'batch_norm'?"),
        ("0", "whole numbers above 0"),
        ("-5", "whole numbers above 0"),
        ("1.5", "whole numbers above 0"),
        ("²", "whole numbers above 0"),
        ("", "whole numbers above 0"),
        ("softmax", "elu, gelu"),
        ("dropout", "dropout:SHARE"),
        ("dropout:", "dropout:SHARE"),
        ("dropout:x", "dropout:SHARE"),
        ("dropout:1", "from 0 to below 1"),
        ("dropout:nan", "from 0 to below 1"),
        ("dropout:-0.1", "from 0 to below 1"),
    ],
)
def test_a_wrong_token_is_named_with_what_is_possible(token, words):
    with pytest.raises(errors.UsageError) as raised:
        layer_grammar.parse_layers(("64", token, "relu"))
    message = str(raised.value)
    assert message.startswith(f"{token!r} in --head_layers=64,{token},relu")
    assert words in message


def test_keras_knows_every_activation():
    keras = pytest.importorskip("keras")
    for name in layer_grammar.ACTIVATIONS:
        assert callable(keras.activations.get(name))
