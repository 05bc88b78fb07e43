"""Runs signatures of a SavedModel with plain TensorFlow.

`python -I saved_model.py FOLDER INPUTS.npz OUTPUTS.npz`

Inputs are named SIGNATURE/INPUT and outputs SIGNATURE/OUTPUT. Optional:
`batch_size`, rows at once, and `variables`, their expected number. Strings are
a pair NAME:bytes, uint8, all of them in a row, and NAME:lengths, in the shape
of the array.

Variables that functions read must be among `loaded.variables`, where tools
look, and a session that restores the folder, as TensorFlow Serving, C++ and
converters do, must compute the same for a first batch: Python finds variables
that are not tracked all the same, sessions do not.
"""

import sys

import numpy as np

# Must load where neither this package nor Keras is installed, as in a server.
sys.modules["tf_finetune"] = sys.modules["keras"] = None

import tensorflow as tf  # noqa: E402


def main(folder: str, inputs: str, outputs: str) -> None:
    """Calls every signature that has inputs and writes their outputs.

    Ends the process with a message if variables are not tracked, or a session
    computes something else.

    Args:
        folder: A SavedModel.
        inputs: `.npz` file of the inputs.
        outputs: `.npz` file to write.
    """
    given = _read(inputs)
    batch_size = int(given.pop("batch_size", sys.maxsize))
    expected = given.pop("variables", None)
    loaded = tf.saved_model.load(folder)
    if expected is not None:
        _require_variables(loaded, int(expected))
    answers = {}
    for name in sorted({key.partition("/")[0] for key in given}):
        own = {
            key.removeprefix(f"{name}/"): value
            for key, value in given.items()
            if key.startswith(f"{name}/")
        }
        answer = _call(loaded.signatures[name], own, batch_size)
        answers |= {f"{name}/{key}": value for key, value in answer.items()}
    _require_restored(folder, given, batch_size, answers)
    _write(outputs, answers)


def _require_variables(loaded, expected: int) -> None:
    """Ends the process unless every variable in use is tracked."""
    found = list(getattr(loaded, "variables", []))
    if len(found) != expected:
        sys.exit(
            f"{len(found)} variables are tracked; the model has {expected}."
        )
    tracked = {id(each) for each in found}
    for name, signature in sorted(loaded.signatures.items()):
        for each in signature.variables:
            if id(each) not in tracked:
                sys.exit(f"{name} reads {each.name}, which is not tracked.")


def _require_restored(
    folder: str, given: dict, batch_size: int, answers: dict
) -> None:
    """Ends the process unless a session computes the same for a first batch."""
    # Restored variables are the subject here; the calls before have run the
    # optimized graph, and optimizing it again takes half of the session's time.
    config = tf.compat.v1.ConfigProto()
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    config.graph_options.optimizer_options.opt_level = (
        tf.compat.v1.OptimizerOptions.L0
    )
    with (
        tf.Graph().as_default(),
        tf.compat.v1.Session(config=config) as session,
    ):
        # The tag of the graph that servers load.
        graph = tf.compat.v1.saved_model.load(session, ["serve"], folder)
        for name in sorted({key.partition("/")[0] for key in given}):
            signature = graph.signature_def[name]
            rows = {
                each.name: given[f"{name}/{key}"][:batch_size]
                for key, each in signature.inputs.items()
            }
            got = session.run(
                {key: each.name for key, each in signature.outputs.items()},
                rows,
            )
            for key, value in got.items():
                expected = answers[f"{name}/{key}"][: len(value)]
                if not _alike(np.asarray(value), expected):
                    sys.exit(f"A session computes another {name}/{key}.")


def _alike(got: np.ndarray, expected: np.ndarray) -> bool:
    if got.dtype.kind != "f":
        return np.array_equal(got, expected)
    # The same kernels, but Grappler may have rewritten the graph of the calls.
    size = max(1.0, float(np.abs(expected).max(initial=0)))
    return np.allclose(got, expected, rtol=0, atol=1e-3 * size)


def _call(signature, own: dict, batch_size: int) -> dict:
    batches = []
    for start in range(0, len(next(iter(own.values()))), batch_size):
        rows = {
            key: value[start : start + batch_size] for key, value in own.items()
        }
        # Lists, because TensorFlow would take an array of bytes for numbers.
        answer = signature(
            **{
                key: tf.constant(
                    part.tolist() if part.dtype == object else part
                )
                for key, part in rows.items()
            }
        )
        batches.append({key: value.numpy() for key, value in answer.items()})
    return {
        key: np.concatenate([each[key] for each in batches])
        for key in batches[0]
    }


def _read(path: str) -> dict:
    with np.load(path) as file:
        stored = dict(file)
    arrays = {}
    for name, value in stored.items():
        key, _, kind = name.partition(":")
        if not kind:
            arrays[key] = value
        elif kind == "lengths":
            text = stored[f"{key}:bytes"].tobytes()
            ends = np.cumsum(value)
            array = np.empty(value.size, dtype=object)
            for i, length in enumerate(value.flat):
                array[i] = text[ends[i] - length : ends[i]]
            arrays[key] = array.reshape(value.shape)
    return arrays


def _write(path: str, arrays: dict) -> None:
    stored = {}
    for name, value in arrays.items():
        if value.dtype == object:
            lengths = [len(each) for each in value.flat]
            stored[f"{name}:lengths"] = np.array(
                lengths, dtype="int64"
            ).reshape(value.shape)
            text = b"".join(value.flat)
            stored[f"{name}:bytes"] = np.frombuffer(text, dtype="uint8")
        else:
            stored[name] = value
    np.savez(path, **stored)


if __name__ == "__main__":
    main(*sys.argv[1:])
