"""Predict, classify and regress on the served model, for REST and gRPC."""

import contextlib
import math
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from tf_finetune.serving import batching, failures, size_limits, tensor_info
from tf_finetune.serving import served_model as models
from tf_finetune.serving.web import request_bodies

DEFAULT_SIGNATURE = "serving_default"
# Responses of the largest allowed size that may be in memory at once.
_MAX_HELD_ANSWERS = 4


class Service:
    """Served model with checks of requests, batching and memory limits.

    Args:
        model: The model to call.
        limits: Limits of batching.
        max_pixels: Largest decoded size of one picture, pixels of all frames.
        max_answer_bytes: Largest size of the arrays of one response; four of
            that size may be held at the same time.
        beside: Service of another model, with the same limits, whose queue and
            memory both models share.

    Attributes:
        model: The model to call.
        check_rows: Raises `RequestError` 413 for a number of rows that is too
            large for one request.
    """

    def __init__(
        self,
        model: models.ServedModel,
        limits: batching.BatchLimits,
        *,
        max_pixels: int,
        max_answer_bytes: int,
        beside: "Service | None" = None,
    ) -> None:
        """Starts the batching thread, or takes that of another model."""
        self.model = model
        self.check_rows = limits.check_rows
        self._max_pixels = max_pixels
        self._max_answer_bytes = max_answer_bytes
        if beside is not None:
            self._answers, self._alone = beside._answers, beside._alone
            self._batcher = beside._batcher
            return
        self._answers = request_bodies.ByteBudget(
            _MAX_HELD_ANSWERS * max_answer_bytes
        )
        self._alone = threading.Lock()
        self._batcher = batching.Batcher(_run_model, limits)

    def predict(
        self,
        signature_name: str,
        inputs: Mapping[str, np.ndarray],
        ends: contextlib.ExitStack | None = None,
    ) -> dict[str, np.ndarray]:
        """Computes a signature's outputs, batched with other requests.

        Args:
            signature_name: The signature; empty: `serving_default`.
            inputs: Arrays by name, of the signature's types and shapes; strings
                are bytes with dtype object.
            ends: Gets a callback that releases the response's memory, to be
                closed when the response has been sent; None: it is released at
                once.

        Returns:
            Output arrays by name. Signatures with a batch dimension give one
            row for each input row.

        Raises:
            RequestError: 400, the inputs do not match the signature; 413, a
                picture or the response would be too large; 503, too many
                requests wait; or the model fails.
        """
        signature = self.model.signature(signature_name or DEFAULT_SIGNATURE)
        _check_inputs(signature, inputs)
        for info in signature.inputs:
            if info.has_rows:
                self.check_rows(len(inputs[info.name]))
        sizes = self._measure_images(signature, inputs)
        # Reserved before computing; `ends` takes over the reservation.
        with contextlib.ExitStack() as held:
            self._reserve_answer(signature, inputs, sizes, held)
            outputs = self._compute(signature, inputs, sizes)
            if ends is not None:
                ends.push(held.pop_all())
        return outputs

    def _reserve_answer(
        self,
        signature: models.Signature,
        inputs: Mapping[str, np.ndarray],
        sizes: np.ndarray,
        held: contextlib.ExitStack,
    ) -> None:
        rows = max([len(inputs[i.name]) for i in signature.inputs
                    if i.has_rows], default=1)  # fmt: skip
        whole = size_limits.ImageSize(
            int(sizes[:, 0].sum()), int(sizes[:, 1].max(initial=0))
        )
        most = size_limits.bound_bytes(signature.outputs, rows, whole)
        if most > self._max_answer_bytes:
            raise failures.RequestError(
                413,
                f"The answer of signature {signature.name!r} could have {most} "
                f"bytes; {self._max_answer_bytes} are allowed "
                "(--max_answer_megabytes). Send fewer or smaller pictures in "
                "a request, or use a signature with smaller outputs.",
            )
        held.enter_context(self._answers.reserve(most))

    def _compute(
        self,
        signature: models.Signature,
        inputs: Mapping[str, np.ndarray],
        sizes: np.ndarray,
    ) -> dict[str, np.ndarray]:
        if signature.can_batch and inputs:
            return self._batcher.answer(
                (self.model, signature.name),
                inputs,
                sizes[:, 0],
                # One client's response must not be padded to the size of
                # another client's picture.
                alone=size_limits.is_padded(signature.outputs),
            )
        # Signatures without a batch dimension run one request at a time.
        with self._alone:
            return self.model.run(signature.name, inputs)

    def classify(
        self, signature_name: str, examples: Sequence[bytes]
    ) -> list[list[tuple[str, float]]]:
        """Computes the classes of examples with their scores.

        Args:
            signature_name: The signature; empty: `serving_default`.
            examples: Serialized `tf.train.Example` messages.

        Returns:
            For each example pairs (class name, score) in the model's order. The
            name is empty or the score 0 if the signature does not return it.

        Raises:
            RequestError: The signature cannot classify, or `predict` raises it.
        """
        signature = self.model.signature(signature_name or DEFAULT_SIGNATURE)
        signature.require_classify()
        self.check_rows(len(examples))
        outputs = self.predict(signature.name, _make_inputs(examples))
        classes, scores = outputs.get("classes"), outputs.get("scores")
        # `require_classify` allows one of both to be missing.
        if classes is None:
            classes = np.full(scores.shape, b"", dtype=object)
        if scores is None:
            scores = np.zeros(classes.shape, dtype="float32")
        return [
            [
                # Through str: the shortest decimal that is this float32.
                (label.decode(errors="replace"), float(str(score)))
                for label, score in zip(
                    np.atleast_1d(labels), np.atleast_1d(row), strict=True
                )
            ]
            for labels, row in zip(classes, scores, strict=True)
        ]

    def regress(
        self, signature_name: str, examples: Sequence[bytes]
    ) -> list[float]:
        """Computes the predicted number of each example.

        Args:
            signature_name: The signature; empty: `serving_default`.
            examples: Serialized `tf.train.Example` messages.

        Raises:
            RequestError: The signature cannot regress, or `predict` raises it.
        """
        signature = self.model.signature(signature_name or DEFAULT_SIGNATURE)
        signature.require_regress()
        self.check_rows(len(examples))
        values = self.predict(signature.name, _make_inputs(examples))["outputs"]
        if values.size != len(examples):
            raise failures.RequestError(
                500,
                f"Signature {signature.name!r} returned {values.size} numbers "
                f"for {len(examples)} examples.",
            )
        # The shortest decimal that is this float32, as in `classify`.
        return [float(str(value)) for value in values.ravel()]

    def _measure_images(
        self, signature: models.Signature, inputs: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        """Measures each row's pictures: pixels and longest side, [rows, 2].

        A single row of zeros if no input with rows can hold pictures.
        """
        counts = np.zeros([1, 2], "int64")
        for info in signature.inputs:
            if info.is_text:
                texts = inputs[info.name]
                # A dimension of unknown size allows any number of strings per
                # row, so the strings themselves are counted.
                known = math.prod(n or 1 for n in (info.shape or ())[1:])
                self.check_rows(texts.size // max(1, known))
                found = size_limits.measure_images(
                    texts.ravel().tolist(), max_pixels=self._max_pixels
                )
                if info.has_rows:
                    counts = counts + _reduce_by_row(found, texts.shape)
        return counts

    def close(self) -> None:
        """Finishes waiting requests and stops the batching thread."""
        self._batcher.close()


def _run_model(
    key: tuple[models.ServedModel, str], inputs: batching.Arrays
) -> dict[str, np.ndarray]:
    """Computes a batch of one model and signature."""
    model, signature = key
    return model.run(signature, inputs)


def _reduce_by_row(
    sizes: Sequence[size_limits.ImageSize], shape: tuple[int, ...]
) -> np.ndarray:
    """Reduces picture sizes by row: sum of pixels, longest side, [rows, 2]."""
    pairs = [(each.pixels, each.side) for each in sizes]
    found = np.array(pairs, "int64").reshape([*shape, 2])
    inner = tuple(range(1, len(shape)))
    return np.stack(
        [found[..., 0].sum(inner), found[..., 1].max(inner, initial=0)], axis=1
    )


def _make_inputs(examples: Sequence[bytes]) -> dict[str, np.ndarray]:
    # Objects: NumPy's own bytes would lose zeros at the end.
    inputs = np.empty(len(examples), dtype=object)
    inputs[:] = list(examples)
    return {"inputs": inputs}


def _check_inputs(
    signature: models.Signature, inputs: Mapping[str, np.ndarray]
) -> None:
    tensor_info.check_names(signature.inputs, inputs)
    wanted = {info.name: info for info in signature.inputs}
    for name, array in inputs.items():
        wanted[name].check_type(array.dtype)
        wanted[name].check(array.shape)
    rows = {n: a.shape[0] for n, a in inputs.items() if wanted[n].has_rows}
    if len(set(rows.values())) > 1:
        raise failures.RequestError(
            400, f"The inputs differ in their number of rows: {rows}."
        )
