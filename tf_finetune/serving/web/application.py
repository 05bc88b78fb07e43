"""The web application: its routes, behind the limits."""

import asyncio
import concurrent.futures
from collections.abc import Callable, Sequence

from starlette import (
    applications,
    exceptions,
    middleware,
    requests,
    routing,
    types,
)
from starlette.responses import Response

from tf_finetune.serving import service
from tf_finetune.serving.web import (
    limits,
    request_bodies,
    responses,
    rest_api,
    try_page,
)

Answer = Callable[[str, str, bytes], Response]


def list_routes(served: service.Service) -> list[routing.Route]:
    """Returns the page, the labels and TensorFlow Serving's REST API."""
    shown = try_page.render_page(served.model.name, served.model.columns)
    labels = responses.write_json(served.model.labels)
    return [
        routing.Route("/", shown, methods=["GET"]),
        routing.Route("/labels", labels, methods=["GET"]),
        route_all(rest_api.RestApi(served).answer),
    ]


def route_all(answer: Answer) -> routing.Route:
    """Returns a route from every path to a function that runs in a thread.

    Args:
        answer: From method, raw path and body to the answer; raises nothing.
    """
    return routing.Route(
        "/{path:path}", _InThread(answer), methods=["GET", "POST"]
    )


class _InThread:
    """An ASGI application that answers with a function."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    async def __call__(
        self, scope: types.Scope, receive: types.Receive, send: types.Send
    ) -> None:
        message = await receive()
        response = await asyncio.get_running_loop().run_in_executor(
            scope["app"].state.pool,
            self._answer,
            scope["method"],
            scope["raw_path"].decode("latin-1"),
            message["body"],
        )
        await response(scope, receive, send)


def build(
    routes: Sequence[routing.BaseRoute],
    bounds: request_bodies.ClientLimits,
    budget: request_bodies.ByteBudget,
    *,
    hosts: frozenset[str] | None,
    pool: concurrent.futures.Executor,
) -> applications.Starlette:
    """Returns the application.

    Args:
        routes: From paths to answers.
        bounds: On a client's use of the server.
        budget: Bytes of bodies that may be held at the same time.
        hosts: The server's names, see `origin_check.list_expected_hosts`.
        pool: Threads in which answers are computed.
    """
    app = applications.Starlette(
        routes=routes,
        middleware=[
            middleware.Middleware(
                limits.BoundedRequest,
                limits=bounds,
                budget=budget,
                hosts=hosts,
            ),
        ],
        exception_handlers={exceptions.HTTPException: _explain},
    )
    app.state.pool = pool
    return app


async def _explain(
    request: requests.Request, error: exceptions.HTTPException
) -> Response:
    return responses.write_error(error.status_code, error.detail)
