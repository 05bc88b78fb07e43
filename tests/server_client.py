"""Asks a server of an export with scripts/client.py, over both protocols."""

import contextlib
import importlib.util
import io
import json
import pathlib
import urllib.request
from typing import Any

_CLIENT = pathlib.Path(__file__).parents[1] / "scripts" / "client.py"
_SPEC = importlib.util.spec_from_file_location("client", _CLIENT)
_client = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_client)


class Talk:
    """A server of this process and its client.

    Attributes:
        protocols: "rest", and "grpc" where the official stubs are installed.
    """

    def __init__(self, version: pathlib.Path, **flags: Any) -> None:
        """Starts serving.

        Args:
            version: The exported SavedModel.
            **flags: Of `python -m tf_finetune.serve`.
        """
        import tf_finetune
        from tf_finetune.serving import server

        said: list[str] = []
        has_grpc = server.has_grpc()
        self._version = version
        self._server = tf_finetune.start_server(
            "",
            exports=str(version.parent),
            port=0,
            grpc_port=0 if has_grpc else None,
            report=said.append,
            **flags,
        )
        self.protocols = ("rest", "grpc") if has_grpc else ("rest",)
        self._root, _, self._name = self._server.address.partition(
            "/v1/models/"
        )
        self._grpc = said[1].removeprefix("gRPC: ") if has_grpc else "none"

    def close(self) -> None:
        """Ends the server."""
        self._server.stop()

    def ask(self, paths: list, *flags: str) -> dict[str, list]:
        """Returns by protocol what is answered, a value a picture."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            _client.main(
                [*map(str, paths), f"--model={self._name}",
                 f"--rest={self._root}", f"--grpc={self._grpc}", *flags]
            )  # fmt: skip
        lines = [json.loads(each) for each in printed.getvalue().splitlines()]
        found = {
            protocol: [e["answer"] for e in lines if e["protocol"] == protocol]
            for protocol in self.protocols
        }
        assert [e["picture"] for e in lines] == [*map(str, paths)] * len(found)
        return found

    def alike(self, paths: list, *flags: str) -> list:
        """Returns the answers, which are the same over every protocol."""
        found = self.ask(paths, *flags)
        for each in found.values():
            assert each == found["rest"]
        return found["rest"]

    def check_what_lies_beside(self, class_names) -> None:
        """Looks at labels, the server's settings and the warm-up requests."""
        with urllib.request.urlopen(f"{self._root}/labels") as response:
            assert json.load(response) == list(class_names)
        config = (self._version.parent / "model.config").read_text()
        assert f'name: "{self._name}"' in config
        if "grpc" in self.protocols:
            self._check_warm_up()

    def _check_warm_up(self) -> None:
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import (
            prediction_log_pb2,
            prediction_service_pb2_grpc,
        )

        path = self._version / "assets.extra" / "tf_serving_warmup_requests"
        sizes = []
        with grpc.insecure_channel(self._grpc) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            for record in tf.data.TFRecordDataset(str(path)):
                log = prediction_log_pb2.PredictionLog.FromString(
                    record.numpy()
                )
                answer = stub.Predict(log.predict_log.request, timeout=60)
                bad = tf.make_ndarray(answer.outputs["error"])
                assert not any(bad)
                sizes.append(len(bad))
        assert sizes == [2**n for n in range(len(sizes))] and sizes


def damaged(path: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Returns a copy of a picture that ends in the middle."""
    content = path.read_bytes()
    copy = folder / f"damaged{path.suffix}"
    copy.write_bytes(content[: len(content) // 2])
    return copy
