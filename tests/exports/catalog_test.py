"""The formats by name."""

from tf_finetune.exports import catalog

_FORMATS = (
    "h5",
    "keras",
    "litert",
    "litert_dynamic",
    "litert_float16",
    "litert_int8",
    "onnx",
    "saved_model",
    "torch",
    "whole_h5",
)


def test_the_formats_that_the_flag_promises_exist():
    assert catalog.EXPORTS.names() == _FORMATS
    for name in catalog.EXPORTS.names():
        assert callable(catalog.EXPORTS.get(name))


def test_whole_rows_have_formats_of_the_same_names():
    assert set(catalog.ROW_FORMATS) == {"keras", "saved_model"}
    assert set(catalog.ROW_FORMATS) <= set(_FORMATS)


def test_extras_belong_to_formats():
    assert set(catalog.EXTRAS) <= set(_FORMATS)
