"""Server of models, from its start to its graceful end."""

import contextlib
import importlib.util
import queue
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tf_finetune import errors
from tf_finetune.config import serve_config
from tf_finetune.serving.web import request_bodies

if TYPE_CHECKING:
    from tf_finetune.serving import served_model, service

    LoadModels = Callable[[], Sequence[served_model.ServedModel]]

# Time that running requests get after a signal to stop.
_GRACE_SECONDS = 30.0
# Requests of the largest allowed size that may be in memory at once.
_HELD_REQUESTS = 4
# TensorFlow Serving's default port of gRPC.
_GRPC_PORT = 8500
_LIBRARIES = ("starlette", "uvicorn", "httptools")
_POLL_SECONDS = 0.5

GRPC_INSTALL_HINT = (
    "pip install --no-deps tensorflow-serving-api && pip install grpcio "
    "(without --no-deps it would install a second TensorFlow)"
)


def has_grpc() -> bool:
    """Returns whether gRPC and TensorFlow Serving's stubs are installed."""
    return all(
        importlib.util.find_spec(each)
        for each in ("grpc", "tensorflow_serving")
    )


def check_grpc(config: serve_config.ServeConfig) -> None:
    """Raises `UsageError` if `--grpc_port` is a number and gRPC is missing."""
    if isinstance(config.grpc_port, int) and not has_grpc():
        raise errors.UsageError(
            f"--grpc_port={config.grpc_port} needs the stubs of TensorFlow "
            f"Serving, which are not installed: {GRPC_INSTALL_HINT}. "
            "--grpc_port=none serves REST alone."
        )


def check_libraries() -> None:
    """Raises `UsageError` unless the web server's libraries are installed."""
    missing = [
        each for each in _LIBRARIES if importlib.util.find_spec(each) is None
    ]
    if missing:
        raise errors.UsageError(
            f"Serving needs {', '.join(missing)}, not installed here: "
            "pip install 'tf_finetune[serve]'."
        )


def serve_models(
    load: "LoadModels",
    config: serve_config.ServeConfig,
    *,
    report: Callable[[str], None],
) -> None:
    """Serves models until SIGTERM or SIGINT (Ctrl-C).

    Running requests are finished first; a second signal ends at once.

    Args:
        load: Loads the models, at least one.
        config: Where to listen, and the limits.
        report: Called with the addresses once they accept requests.

    Raises:
        RunError: The SavedModel cannot be loaded.
        UsageError: An address cannot be listened on.
    """
    with (
        _catch_stop_signals() as stop,
        serve_in_background(load, config, report=report),
    ):
        _wait_for_stop(stop)
        report("Stopping: current requests are finished first.")


@contextlib.contextmanager
def serve_in_background(
    load: "LoadModels",
    config: serve_config.ServeConfig,
    *,
    report: Callable[[str], None],
) -> Iterator[str]:
    """Serves models in threads while a block lasts.

    Args:
        load: Loads the models, at least one.
        config: Where to listen, and the limits.
        report: Called with the addresses once they accept requests.

    Yields:
        The address of the first model over REST,
        http://HOST:PORT/v1/models/NAME.

    Raises:
        RunError: A model cannot be loaded.
        UsageError: An address cannot be listened on.
    """
    with contextlib.ExitStack() as ends:
        services = _start_services(load(), config, ends)
        budget = request_bodies.ByteBudget(
            _HELD_REQUESTS * config.max_request_megabytes << 20
        )
        address = _start_rest(services, config, budget, ends)
        first, *others = [each.model for each in services]
        path = f"{address}/v1/models/{first.name}"
        report(
            f"Serving {first.name}, version {first.version}: {address}/ (a "
            f"page to try it), {path}:predict"
        )
        for each in others:
            report(
                f"Serving {each.name}, version {each.version}: "
                f"{address}/v1/models/{each.name}:predict"
            )
        report(_start_grpc(services, config, budget, ends))
        yield path


def _start_services(
    models: "Sequence[served_model.ServedModel]",
    config: serve_config.ServeConfig,
    ends: contextlib.ExitStack,
) -> "list[service.Service]":
    """Starts the queue of all models, and sends their warm-up requests."""
    from tf_finetune.serving import batching, service

    limits = batching.BatchLimits(
        max_batch_size=config.max_batch_size,
        max_delay_seconds=config.max_delay_milliseconds / 1000,
        max_queued_rows=config.max_queue,
        max_batch_weight=config.max_pixels,
    )
    services: list[service.Service] = []
    for model in models:
        made = service.Service(
            model,
            limits,
            max_pixels=config.max_pixels,
            max_answer_bytes=config.max_answer_megabytes << 20,
            beside=services[0] if services else None,
        )
        services.append(made)
        ends.callback(made.close)
        # The requests of the warm-up are messages of the stubs.
        if model.folder is not None and has_grpc():
            from tf_finetune.serving import warmup

            warmup.send_requests(made, model.folder)
    return services


def _start_rest(
    services: "Sequence[service.Service]",
    config: serve_config.ServeConfig,
    budget: request_bodies.ByteBudget,
    ends: contextlib.ExitStack,
) -> str:
    from tf_finetune.serving.web import server as servers

    limits = request_bodies.ClientLimits(
        max_request_bytes=config.max_request_megabytes << 20,
        max_connections=config.max_connections,
        timeout_seconds=config.timeout_seconds,
    )
    try:
        server = servers.Server(
            (config.host, config.port),
            servers.list_routes(services),
            limits,
            budget,
        )
    except OSError as error:
        raise _make_listen_error("port", config.port, config.host) from error
    ends.callback(server.stop, _GRACE_SECONDS)
    return f"http://{_format_host(config.host)}:{server.port}"


def _start_grpc(
    services: "Sequence[service.Service]",
    config: serve_config.ServeConfig,
    budget: request_bodies.ByteBudget,
    ends: contextlib.ExitStack,
) -> str:
    if config.grpc_port is None:
        return "gRPC: off (--grpc_port=none)"
    if not has_grpc():
        return f"gRPC: off, because it needs stubs: {GRPC_INSTALL_HINT}"
    from tf_finetune.serving import grpc_server

    asked = _GRPC_PORT if config.grpc_port == "auto" else config.grpc_port
    try:
        server, port = grpc_server.start_server(
            services,
            f"{_format_host(config.host)}:{asked}",
            max_request_bytes=config.max_request_megabytes << 20,
            max_calls=config.max_connections,
            timeout_seconds=config.timeout_seconds,
            budget=budget,
        )
    except RuntimeError as error:
        raise _make_listen_error("grpc_port", asked, config.host) from error
    # `stop` returns at once, with an event of the end of all calls.
    ends.callback(lambda: server.stop(_GRACE_SECONDS).wait())
    return f"gRPC: {_format_host(config.host)}:{port}"


def _make_listen_error(flag: str, port: int, host: str) -> errors.UsageError:
    return errors.UsageError(
        f"--{flag}={port} on --host={host} cannot be listened on: the port "
        "is taken or not allowed, or the address is not this machine's. "
        "Choose another port, or 0 for a free one."
    )


def _format_host(host: str) -> str:
    # IPv6 addresses stand in brackets before a port (RFC 3986, section 3.2.2).
    return f"[{host}]" if ":" in host else host


def _wait_for_stop(stop: "queue.SimpleQueue[int]") -> int:
    # Python handles signals in the main thread. After a pause (SIGSTOP) another
    # thread may get the signal, which does not wake this one: so it polls.
    while True:
        with contextlib.suppress(queue.Empty):
            return stop.get(timeout=_POLL_SECONDS)


@contextlib.contextmanager
def _catch_stop_signals() -> Iterator["queue.SimpleQueue[int]"]:
    """Yields a queue that receives the first SIGTERM or SIGINT."""
    # SimpleQueue.put is reentrant; a handler that sets an Event could wait for
    # a lock that the interrupted code holds.
    stop: queue.SimpleQueue[int] = queue.SimpleQueue()
    before: dict[int, Any] = {}

    def tell(number: int, _: object) -> None:
        stop.put(number)
        # The next signal ends the process at once.
        for each in before:
            signal.signal(each, signal.SIG_DFL)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            before[number] = signal.signal(number, tell)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
