"""The application: a route for each operation, and the pages. Nothing under ``/v1`` is reached without an API key."""

import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, Final
from uuid import UUID

from litestar import Litestar, Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, HTTPScope, Method, Receive

from entrypoints.http import documents, shapes
from entrypoints.http import problem_types as types
from entrypoints.http.answers import JSON, Answer, Reply, ReplyFrom, problem_answer
from entrypoints.http.batches import fence, run_batch
from entrypoints.http.cors import Cors
from entrypoints.http.direct import Beginning, Direct, Endpoint
from entrypoints.http.edge import Edge
from entrypoints.http.events import list_events
from entrypoints.http.lab import PATH as LAB_PATH
from entrypoints.http.lab import Lab
from entrypoints.http.metrics import PATH as METRICS_PATH
from entrypoints.http.metrics import Metrics
from entrypoints.http.operation import Operation
from entrypoints.http.operations import OPERATIONS
from entrypoints.http.problems import Problem, Refused, malformed
from entrypoints.http.reads import READS, read
from entrypoints.http.requests import BODY_BYTES_MAX
from entrypoints.http.server import GRACE_S_MAX
from entrypoints.http.service import Service
from entrypoints.http.ui import PAGES, UserInterface
from entrypoints.http.watch import Watch, secrets_of
from entrypoints.http.writes import WRITES, write
from entrypoints.http.writes import begin as begin_write
from entrypoints.logs import HIDE

Handle = Callable[[Service, UUID, HTTPScope, Receive], Awaitable[ASGIApp]]
Handler = Callable[[Request[Any, Any, Any]], Awaitable[ASGIApp]]
Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

logger = logging.getLogger("wallet.http")

HANDLES: Final[Mapping[str, Handle]] = {
    **{id: partial(write, kind) for id, kind in WRITES.items()},
    **{id: partial(read, kind) for id, kind in READS.items()},
    "runBatch": run_batch,
    "fenceKey": fence,
    "listEvents": list_events,
}
"""What answers each operation that needs an API key, by operation id."""


def create_app(
    service: Service,
    *,
    lifespan: Sequence[Lifespan] = (),
    ui: UserInterface | None = None,
    lab: Lab | None = None,
    metrics: Metrics | None = None,
    watch: Watch | None = None,
    cors_origins: Sequence[str] = (),
) -> ASGIApp:
    """The service as an ASGI application. ``lifespan`` opens and closes what it stands on."""
    routes = create_routes(service, lifespan=lifespan, ui=ui, lab=lab, metrics=metrics)
    endpoints: dict[tuple[str, str], Endpoint] = {
        (operation.method, operation.path): _endpoint(operation, service) for operation in OPERATIONS
    }
    beginnings: dict[tuple[str, str], Beginning] = {
        (operation.method, operation.path): _beginning(operation, service)
        for operation in OPERATIONS
        if operation.id in WRITES
    }
    direct = Direct(routes, endpoints, _failed, beginnings)
    app = lab.around(direct) if lab else direct

    def begin(scope: HTTPScope, body: bytes, reply: Reply) -> bool:
        if (lab and lab.is_asked(scope)) or (metrics and metrics.is_elsewhere(scope)):
            return False
        return direct.begin(scope, body, reply)

    # The end of the process waits for what is begun, and gives up only tasks.
    begins = service.timeout_s <= GRACE_S_MAX
    edge = Edge(metrics.around(app) if metrics else app, watch=watch, begin=begin if begins else None)
    return Cors(edge, cors_origins, Edge) if cors_origins else edge


def create_routes(
    service: Service,
    *,
    lifespan: Sequence[Lifespan] = (),
    ui: UserInterface | None = None,
    lab: Lab | None = None,
    metrics: Metrics | None = None,
) -> Litestar:
    """The routes of the application."""
    routes: dict[str, dict[Method, Handler]] = defaultdict(dict)
    for operation in OPERATIONS:
        routes[operation.path][operation.method] = _handler(_endpoint(operation, service))
    for path, answer in _pages(ui or UserInterface()).items():
        routes[path]["GET"] = answer
    if lab:
        routes[LAB_PATH]["GET"] = _lab(lab, service)
    if metrics:
        routes[METRICS_PATH]["GET"] = _metrics(metrics)
    return Litestar(
        [handler for path, methods in routes.items() for handler in _route(path, methods)],
        lifespan=list(lifespan),
        exception_handlers={HTTPException: _turn_away, Exception: _fail},
        openapi_config=None,
        logging_config=None,
    )


def _endpoint(operation: Operation, service: Service) -> Endpoint:
    """What answers an operation, whichever way a request comes to it."""
    if operation.scope is None:
        return _health(operation, service)
    handle, scope_needed = HANDLES[operation.id], operation.scope
    route = operation.route

    async def answer(scope: HTTPScope, receive: Receive) -> ASGIApp:
        # What is left in the state is for the log and the metrics.
        state = scope["state"]
        state["route"] = route
        try:
            principal = state["principal"] = await service.authenticate(scope, scope_needed)
            return await handle(service, principal.tenant, scope, receive)
        except Refused as refused:
            return problem_answer(refused.problem, scope)

    return answer


def _beginning(operation: Operation, service: Service) -> Beginning:
    """What begins a write at once, if its key is known and its body of the usual size."""
    kind = WRITES[operation.id]
    route = operation.route

    def begin(scope: HTTPScope, body: bytes, reply: ReplyFrom) -> bool:
        if len(body) > BODY_BYTES_MAX:
            return False
        state = scope["state"]
        state["route"] = route
        try:
            principal = state["principal"] = service.recognize(scope, "write")
            if principal is None:
                return False
            begin_write(kind, service, principal.tenant, scope, body, reply)
        except Refused as refused:
            problem = refused.problem
            reply(lambda: problem_answer(problem, scope))
        return True

    return begin


def _handler(endpoint: Endpoint) -> Handler:
    async def answer(request: Request[Any, Any, Any]) -> ASGIApp:
        return await endpoint(request.scope, request.receive)

    return answer


def _lab(lab: Lab, service: Service) -> Handler:
    async def answer(request: Request[Any, Any, Any]) -> ASGIApp:
        try:
            await service.authenticate(request.scope, "read")
        except Refused as refused:
            return problem_answer(refused.problem, request.scope)
        return lab.answer()

    return answer


def _metrics(metrics: Metrics) -> Handler:
    async def answer(request: Request[Any, Any, Any]) -> ASGIApp:
        return await metrics.answer(request.scope)

    return answer


def _health(operation: Operation, service: Service) -> Endpoint:
    checks = operation.id == "ready"
    route = operation.route

    async def answer(scope: HTTPScope, receive: Receive) -> ASGIApp:
        scope["state"]["route"] = route
        if checks and not await service.ready():
            return Answer(503, (JSON,), shapes.encode(shapes.Health("unavailable", ["database"])))
        return Answer(200, (JSON,), shapes.encode(shapes.Health("ok")))

    return answer


def _pages(ui: UserInterface) -> Mapping[str, Handler]:
    return {
        path: _page(answer)
        for path, answer in {
            **dict.fromkeys(PAGES, ui.index),
            "/assets/{name:path}": ui.asset,
            "/problems/{slug:str}": documents.problem_page,
            "/schema": documents.schema,
            "/schema/openapi.json": documents.openapi,
        }.items()
    }


def _page(make: Callable[[HTTPScope], Answer]) -> Handler:
    async def answer(request: Request[Any, Any, Any]) -> ASGIApp:
        return make(request.scope)

    return answer


def _route(path: str, methods: Mapping[Method, Handler]) -> Iterator[HTTPRouteHandler]:
    """The handlers of a path. OPTIONS is turned away like any other method, instead of being answered without a key."""
    allowed = ", ".join(sorted(methods))

    async def turn_away(request: Request[Any, Any, Any]) -> ASGIApp:
        return _method_not_allowed(allowed, request.scope)

    litestar_path = path.replace("{id}", "{id:str}")
    # First, because Litestar would add an answer of its own to a path that has none.
    handlers: dict[Method, Handler] = {"OPTIONS": turn_away, **methods}
    for method, handler in handlers.items():
        yield HTTPRouteHandler(litestar_path, http_method=method, name=f"{method} {path}")(handler)


def _turn_away(request: Request[Any, Any, Any], exception: HTTPException) -> Response[bytes]:
    """The answer to what no route takes."""
    match exception:
        case NotFoundException():
            answer = problem_answer(Problem(types.NOT_FOUND), request.scope)
        case MethodNotAllowedException():
            methods = str((exception.headers or {}).get("allow", "")).split(", ")
            allowed = ", ".join(sorted(set(methods) - {"OPTIONS"}))
            answer = _method_not_allowed(allowed, request.scope)
        case _ if exception.status_code < 500:
            answer = problem_answer(malformed("", exception.detail).problem, request.scope)
        case _:
            return _fail(request, exception)
    return _response(answer)


def _fail(request: Request[Any, Any, Any], exception: Exception) -> Response[bytes]:
    return _response(_failed(request.scope, exception))


def _failed(scope: HTTPScope, bug: Exception) -> Answer:
    """The answer to a bug. The log gets the details, the client gets none."""
    id = scope["state"].get("request_id")
    # The error may quote what it was about.
    hide = {HIDE: secrets_of(scope, b"authorization", b"idempotency-key")}
    logger.error("%s %s failed, request %s", scope["method"], scope["path"], id, exc_info=bug, extra=hide)
    return problem_answer(Problem(types.INTERNAL_ERROR), scope)


def _method_not_allowed(allowed: str, scope: HTTPScope) -> Answer:
    headers = ((b"allow", allowed.encode()),)
    return problem_answer(Problem(types.METHOD_NOT_ALLOWED, headers=headers), scope)


def _response(answer: Answer) -> Response[bytes]:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(answer.body, status_code=answer.status, headers=headers, media_type=headers["content-type"])
