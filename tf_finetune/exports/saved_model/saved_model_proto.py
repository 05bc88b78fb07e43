"""Edits of `saved_model.pb` after TensorFlow has written it."""

import pathlib
from collections.abc import Mapping

from tensorflow.core.protobuf import saved_model_pb2

_MODEL, _FINGERPRINT = "saved_model.pb", "fingerprint.pb"


def set_methods(folder: pathlib.Path, methods: Mapping[str, str]) -> None:
    """Sets the method names of signatures and makes the bytes reproducible.

    `tf.saved_model.save` sets the method of every signature to "predict", with
    which TensorFlow Serving does not classify. Maps are written in the order
    of their keys, so that equal exports have equal bytes. `fingerprint.pb` is
    removed: it would no longer match, and it contains a random number; loading
    does not need it.

    Args:
        folder: The SavedModel.
        methods: By signature, the name of its method.
    """
    path = folder / _MODEL
    proto = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    # No argument of `tf.saved_model.save` sets a method name.
    for graph in proto.meta_graphs:
        for name, method in methods.items():
            if name in graph.signature_def:
                graph.signature_def[name].method_name = method
    path.write_bytes(proto.SerializeToString(deterministic=True))
    (folder / _FINGERPRINT).unlink(missing_ok=True)


def read_methods(folder: pathlib.Path) -> dict[str, str]:
    """Reads the method name of each signature.

    Args:
        folder: The SavedModel.
    """
    contents = (folder / _MODEL).read_bytes()
    proto = saved_model_pb2.SavedModel.FromString(contents)
    return {
        name: signature.method_name
        for name, signature in proto.meta_graphs[0].signature_def.items()
        # __saved_model_init_op, TensorFlow's own, initializes tables.
        if not name.startswith("__")
    }
