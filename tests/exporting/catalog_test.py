"""The formats by name."""

from tf_finetune.exporting import catalog


def test_the_formats_that_the_flag_promises_exist():
    assert catalog.EXPORTS.names() == ("h5", "keras", "saved_model")
    for name in catalog.EXPORTS.names():
        assert callable(catalog.EXPORTS.get(name))
