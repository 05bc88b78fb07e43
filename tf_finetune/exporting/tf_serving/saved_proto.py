"""The file `saved_model.pb`, completed after TensorFlow has written it."""

import pathlib
from collections.abc import Mapping

from tensorflow.core.protobuf import saved_model_pb2

_MODEL, _FINGERPRINT = "saved_model.pb", "fingerprint.pb"


def complete(folder: pathlib.Path, methods: Mapping[str, str]) -> None:
    """Sets what TensorFlow does not let one say, and orders the bytes.

    `tf.saved_model.save` calls the method of every signature "predict", and
    TensorFlow Serving classifies with none that is called so. Maps are written
    in the order of their keys, so that equal exports have equal bytes.
    `fingerprint.pb` goes: it would be that of other bytes, and it holds a
    random number; nothing needs it to load.

    Args:
        folder: The SavedModel.
        methods: By signature, the name of its method.
    """
    path = folder / _MODEL
    proto = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    for graph in proto.meta_graphs:
        for name, method in methods.items():
            if name in graph.signature_def:
                graph.signature_def[name].method_name = method
    path.write_bytes(proto.SerializeToString(deterministic=True))
    (folder / _FINGERPRINT).unlink(missing_ok=True)


def methods(folder: pathlib.Path) -> dict[str, str]:
    """Returns the name of the method of each signature.

    Args:
        folder: The SavedModel.
    """
    contents = (folder / _MODEL).read_bytes()
    proto = saved_model_pb2.SavedModel.FromString(contents)
    return {
        name: signature.method_name
        for name, signature in proto.meta_graphs[0].signature_def.items()
        # TensorFlow's own, which initialises tables.
        if not name.startswith("__")
    }
