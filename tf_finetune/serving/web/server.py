"""uvicorn in a thread of this process."""

import asyncio
import concurrent.futures
import functools
import socket
import threading
from collections.abc import Sequence

import uvicorn
from starlette import routing

from tf_finetune.serving.web import application, connections, request_bodies
from tf_finetune.serving.web import limits as bounds

_BACKLOG = 128
_HEADERS = [
    ("Server", "tf_finetune"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
]


class Server:
    """Serves routes from its start to `stop`.

    Attributes:
        port: The port that is listened on.
        open: The connections that count against `ClientLimits.max_connections`.
    """

    def __init__(
        self,
        address: tuple[str, int],
        routes: Sequence[routing.BaseRoute],
        limits: request_bodies.ClientLimits,
        budget: request_bodies.ByteBudget,
    ) -> None:
        """Listens, and answers from now on.

        Args:
            address: Host and port; port 0: a free one.
            routes: From paths to answers.
            limits: Bounds on a client's use of the server.
            budget: Bytes of bodies that may be held at the same time.

        Raises:
            OSError: The address cannot be listened on.
        """
        self._socket = _listen(address)
        bound, self.port = self._socket.getsockname()[:2]
        self.open: set[connections.Connection] = set()
        self._pool = concurrent.futures.ThreadPoolExecutor(
            limits.max_connections, "rest"
        )
        app = application.build(
            routes,
            limits,
            budget,
            hosts=bounds.list_expected_hosts(address[0], bound),
            pool=self._pool,
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                http=functools.partial(
                    connections.Connection, bounds=limits, places=self.open
                ),
                ws="none",
                lifespan="off",
                interface="asgi3",
                backlog=_BACKLOG,
                headers=_HEADERS,
                server_header=False,
                proxy_headers=False,
                access_log=False,
                log_config=None,
                log_level="error",
                timeout_keep_alive=limits.timeout_seconds,
            )
        )
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self, grace_seconds: float) -> None:
        """Accepts nothing more and waits for the requests under way.

        Args:
            grace_seconds: How long they may take.
        """
        self._server.config.timeout_graceful_shutdown = grace_seconds
        self._server.should_exit = True
        self._thread.join()
        self._pool.shutdown(wait=False)

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self._socket]))


def _listen(address: tuple[str, int]) -> socket.socket:
    is_ipv6 = ":" in address[0]
    listening = socket.create_server(
        address,
        family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
        backlog=_BACKLOG,
        dualstack_ipv6=is_ipv6 and socket.has_dualstack_ipv6(),
    )
    # Connections inherit it. Without it the body of an answer would wait for
    # the client to confirm the head: 40 ms.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    return listening
