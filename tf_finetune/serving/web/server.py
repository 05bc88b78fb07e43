"""uvicorn in a thread of this process."""

import asyncio
import base64
import concurrent.futures
import functools
import hashlib
import html
import json
import pathlib
import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence

import uvicorn
from starlette import routing, types
from starlette.responses import Response

from tf_finetune.serving import served_model, service
from tf_finetune.serving.web import (
    connections,
    request_bodies,
    responses,
    rest_api,
)
from tf_finetune.serving.web import limits as bounds

_BACKLOG = 128
_HEADERS = [
    ("Server", "tf_finetune"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
]
_Answer = Callable[[str, str, bytes], Response]


_FILE = pathlib.Path(__file__).parent / "assets" / "page.html"
# Placeholders of page.html; their values are escaped for HTML.
_PLACEHOLDERS = re.compile("MODEL_NAME|MODEL_COLUMNS|MODEL_LABELS")


class Server:
    """HTTP server that runs from its construction to `stop`.

    Args:
        address: Host and port; port 0: a free one.
        routes: Starlette's routes from paths to responses.
        limits: Limits of a client's use of the server.
        budget: Bytes of bodies that may be held at the same time.

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
        """Listens on an address and serves it in a thread of this process.

        Raises:
            OSError: The address cannot be listened on.
        """
        self._socket = _listen(address)
        bound, self.port = self._socket.getsockname()[:2]
        self.open: set[connections.Connection] = set()
        # A connection has one request at a time, so that none waits for a
        # thread.
        self._pool = concurrent.futures.ThreadPoolExecutor(
            limits.max_connections, "rest"
        )
        # Starlette's router alone: its application adds two layers around each
        # request that turn exceptions into responses, and routes raise none.
        router = routing.Router(
            routes,
            redirect_slashes=False,
            # For paths with a line break, which no route matches.
            default=responses.write_error(404, "Not found."),
        )
        app = bounds.BoundedRequest(
            router,
            limits=limits,
            budget=budget,
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
                # Else uvicorn would configure Python's logging anew.
                log_config=None,
                log_level="error",
                timeout_keep_alive=limits.timeout_seconds,
            )
        )
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self, grace_seconds: float) -> None:
        """Stops accepting connections and waits for the requests under way.

        Args:
            grace_seconds: Longest time to wait; later requests are cut.
        """
        self._server.config.timeout_graceful_shutdown = grace_seconds
        self._server.should_exit = True
        self._thread.join()
        # Computations that outlast the time of grace are not waited for.
        self._pool.shutdown(wait=False)

    def _serve(self) -> None:
        asyncio.run(self._server.serve([self._socket]))


class _Endpoint:
    """An ASGI application that answers with a function.

    A POST computes, in a thread. A GET shows what is known: a thread would
    take longer to begin and to end than its answer.
    """

    def __init__(self, answer: _Answer) -> None:
        self._answer = answer

    async def __call__(
        self, scope: types.Scope, receive: types.Receive, send: types.Send
    ) -> None:
        message = await receive()
        # Latin-1 has a character for every byte.
        path = scope["raw_path"].decode("latin-1")
        if scope["method"] == "GET":
            response = self._answer("GET", path, message["body"])
        else:
            response = await asyncio.get_running_loop().run_in_executor(
                scope["state"]["pool"],
                self._answer,
                scope["method"],
                path,
                message["body"],
            )
        await response(scope, receive, send)


def list_routes(services: Sequence[service.Service]) -> list[routing.Route]:
    """Lists the routes of the web pages, the labels and the REST API.

    Args:
        services: The models, at least one.

    Returns:
        Routes of /, /labels and all other paths, in the order of matching. The
        page and labels of each of several models are at /models/NAME and
        /models/NAME/labels, and / links to them.
    """
    api = route_all(rest_api.RestApi(services).answer)
    if len(services) == 1:
        (served,) = services
        return [*_list_model_routes(served.model, "/", "/labels"), api]
    shown = render_index([each.model.name for each in services])
    pages = [routing.Route("/", shown, methods=["GET"])]
    for each in services:
        address = f"/models/{each.model.name}"
        pages += _list_model_routes(each.model, address, f"{address}/labels")
    return [*pages, api]


def _list_model_routes(
    model: served_model.ServedModel, page: str, labels: str
) -> list[routing.Route]:
    """Returns the routes of a model's page and of its labels."""
    shown = render_page(model.name, model.columns, labels=labels)
    named = responses.write_json(model.labels)
    return [
        routing.Route(page, shown, methods=["GET"]),
        routing.Route(labels, named, methods=["GET"]),
    ]


def route_all(answer: _Answer) -> routing.Route:
    """Builds one route for all paths, answered by a function.

    Args:
        answer: Gets method, raw path and body and returns a response; must not
            raise. A POST is answered in a thread, a GET in the event loop, in
            which it must not compute or wait.
    """
    return routing.Route(
        "/{path:path}", _Endpoint(answer), methods=["GET", "POST"]
    )


def render_index(names: Sequence[str]) -> Response:
    """Renders a web page that links to the pages of several models.

    Args:
        names: The models' names.
    """
    links = "\n".join(
        f'<li><a href="/models/{html.escape(each)}">{html.escape(each)}</a>'
        for each in names
    )
    return _make_page(
        '<!DOCTYPE html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>Models</title>\n<h1>Models</h1>\n<ul>\n{links}\n</ul>\n",
        ["default-src 'none'"],
    )


def render_page(
    model_name: str,
    columns: Mapping[str, Sequence[str]] | None = None,
    *,
    labels: str = "/labels",
) -> Response:
    """Renders the web page on which a model is tried; it loads no other file.

    Its Content-Security-Policy allows only the page's own script and style, by
    their hashes, pictures that the page itself made, and requests to its own
    origin.

    Args:
        model_name: The model's name in requests.
        columns: For a model of table rows, by input the names of its columns;
            empty or None: it takes single pictures.
        labels: Path of the model's labels.
    """
    filled = {
        "MODEL_NAME": html.escape(model_name),
        "MODEL_LABELS": html.escape(labels),
        "MODEL_COLUMNS": html.escape(json.dumps(columns or {})),
    }
    text = _PLACEHOLDERS.sub(
        lambda found: filled[found[0]], _FILE.read_text(encoding="utf-8")
    )
    # The hashes are of the text that is sent, after the names were filled in.
    return _make_page(
        text,
        [
            "default-src 'none'",
            f"script-src {_hash_element(text, 'script')}",
            f"style-src {_hash_element(text, 'style')}",
            "img-src blob: data:",
            "connect-src 'self'",
        ],
    )


def _make_page(text: str, sources: Sequence[str]) -> Response:
    """Builds the response of a page that loads from these sources alone."""
    policy = [
        *sources,
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return Response(
        text,
        headers={
            "Content-Security-Policy": "; ".join(policy),
            "Referrer-Policy": "no-referrer",
        },
        media_type="text/html",
    )


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


def _hash_element(text: str, tag: str) -> str:
    content = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1]
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
