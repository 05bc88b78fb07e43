"""Options of the server."""

import dataclasses
import re
from typing import Literal

from tf_finetune import errors
from tf_finetune.config import option_types, options


@dataclasses.dataclass(frozen=True, kw_only=True)
class ServeConfig:
    """All options of `python -m tf_finetune.serve`.

    The help text of each field documents it. An impossible value raises
    `UsageError`.
    """

    workdir: str = options.option("", "The finished run whose export to serve.")
    exports: str | None = options.option(
        None,
        "The folder of exported versions; none: export/ in the workdir.",
    )
    adapters: tuple[str, ...] = options.option(
        (),
        "adapter.h5 files or workdirs, in place of a run: one backbone in "
        "memory, and each adapter a model of its own, called as its workdir or "
        "file is, or NAME in NAME=PATH.",
    )
    weights: str = options.option(
        "",
        "Weights that the adapters change, a value of train's --weights; "
        "empty: those that the files name.",
    )
    version: int | None = options.option(
        None, "The version to serve; none: the newest."
    )
    model_name: str | None = options.option(
        None,
        "The model's name in addresses, /v1/models/NAME; none: the one in "
        "the export's model.config, or else model.",
    )
    host: str = options.option(
        "127.0.0.1",
        "The address to listen on; the default answers this machine only, "
        "0.0.0.0 everyone who can reach it, without authentication.",
    )
    port: int = options.option(
        8501, "The port of REST and of the page; 0: a free one."
    )
    grpc_port: int | Literal["auto"] | None = options.option(
        "auto",
        "The port of gRPC, 0: a free one; auto: 8500 if the stubs of "
        "TensorFlow Serving are installed.",
    )
    max_batch_size: int = options.option(
        32, "Pictures of waiting requests that are computed in one batch."
    )
    max_delay_milliseconds: float = options.option(
        0.0, "How long an idle model waits for more requests to batch."
    )
    max_queue: int = options.option(
        256, "Pictures that may wait; more are refused with status 503."
    )
    max_request_megabytes: int = options.option(
        32, "Size of a request; a larger one is refused with status 413."
    )
    max_answer_megabytes: int = options.option(
        64,
        "Size of the arrays of an answer; a request whose answer could be "
        "larger is refused with status 413.",
    )
    max_pixels: int = options.option(
        50_000_000,
        "Refuse pictures of more pixels than this, and compute no more than "
        "this together: each pixel takes some 15 bytes while it is decoded.",
    )
    max_connections: int = options.option(
        64, "Open connections; more are refused with status 503."
    )
    timeout_seconds: float = options.option(
        30.0, "How long a client may take to send a request or read an answer."
    )

    def __post_init__(self) -> None:
        _check_adapters(self)
        if self.exports is None and not self.adapters:
            option_types.require_value(
                self, "workdir", "the folder that training printed as its "
                "results.",
            )  # fmt: skip
        elif self.workdir and not self.adapters:
            raise errors.UsageError(
                f"--exports={self.exports} is served whatever --workdir="
                f"{self.workdir} holds; give one of them."
            )
        if not re.fullmatch(r"[A-Za-z0-9_.@-]+", self.model_name or "model"):
            raise errors.UsageError(
                "--model_name may have letters, digits, _ . @ and -, got "
                f"{self.model_name!r}."
            )
        # Versions may be times in milliseconds.
        option_types.require_range(
            self, "version", at_least=0, at_most=2**63 - 1
        )
        for name in ("port", "grpc_port"):
            option_types.require_range(self, name, at_least=0, at_most=65535)
        if self.port and self.port == self.grpc_port:
            raise errors.UsageError(
                f"--port and --grpc_port cannot both be {self.port}."
            )
        for name in (
            "max_batch_size",
            "max_queue",
            "max_pixels",
            "max_connections",
        ):
            option_types.require_range(self, name, at_least=1)
        # A protobuf message is limited to 2 GiB.
        for name in ("max_request_megabytes", "max_answer_megabytes"):
            option_types.require_range(self, name, at_least=1, at_most=2047)
        option_types.require_range(
            self, "max_delay_milliseconds", at_least=0, at_most=10_000
        )
        option_types.require_range(
            self, "timeout_seconds", above=0, at_most=86_400
        )


def _check_adapters(config: ServeConfig) -> None:
    """Raises `UsageError` for options that adapters or exports do not read."""
    if not config.adapters:
        if config.weights:
            raise errors.UsageError(
                f"--weights={config.weights} is for --adapters, which is not "
                "given: an exported model holds its weights. Leave it out."
            )
        return
    for name in ("workdir", "exports", "version", "model_name"):
        value = getattr(config, name)
        if value not in ("", None):
            raise errors.UsageError(
                f"--{name}={value} is for an exported model, and --adapters="
                f"{','.join(config.adapters)} is served without one. Leave one "
                "of them out; NAME=PATH names the model of an adapter."
            )
