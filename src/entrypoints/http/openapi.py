"""The OpenAPI 3.1 document: made of the operations, the shapes and the problem types, so that it cannot differ."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec

from entrypoints.http.links import links_of
from entrypoints.http.operation import EVERYWHERE, Operation
from entrypoints.http.operations import OPERATIONS
from entrypoints.http.problem_types import ProblemType
from entrypoints.http.problems import ALL
from wallet_core.checks import KEY_LENGTH_MAX

JsonObject = dict[str, Any]

SCHEMAS: Final = "#/components/schemas/"
SECURITY: Final = "apiKey"

INTEGER_MEMBERS: Final = frozenset(
    (
        "amount",
        "amount_max",
        "available",
        "balance",
        "bytes_max",
        "ceiling",
        "change",
        "current_version",
        "expected_version",
        "held",
        "needed",
        "remaining",
    )
)
UUID_MEMBERS: Final = frozenset(("wallet_id", "hold_id", "transaction_id", "source", "destination"))

ERRORS_SCHEMA: Final[JsonObject] = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "field": {"type": "string", "description": "a path such as postings[0].amount; empty for the whole"},
            "message": {"type": "string"},
        },
        "required": ["field", "message"],
    },
}

PROBLEM_SCHEMA: Final[JsonObject] = {
    "type": "object",
    "description": "RFC 9457, with two members that say what became of the request and what to send next.",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string", "format": "uri-reference"},
        "outcome": {
            "enum": ["not_applied", "rejected", "unknown"],
            "description": "what became of the request; `rejected` is remembered under the key",
        },
        "retry": {
            "enum": ["same_key", "reread", "new_key", "never"],
            "description": "what to send next: the same; the same with the version read anew; a new key; nothing",
        },
    },
    "required": ["type", "title", "status", "detail", "instance", "outcome", "retry"],
}

HEADERS: Final[JsonObject] = {
    "Idempotent-Replayed": {
        "description": "whether this is the answer to an earlier request with the same key",
        "schema": {"enum": ["true", "false"]},
        "required": True,
    },
    "X-Request-Id": {"description": "the one sent, or one that was made", "schema": {"type": "string"}},
    "ETag": {"description": "the wallet's version", "schema": {"type": "string"}},
    "Location": {"description": "where the new wallet is", "schema": {"type": "string", "format": "uri-reference"}},
    "Retry-After": {"description": "in seconds", "schema": {"type": "integer"}},
}

DESCRIPTION: Final = """\
Wallets that credit and debit exactly once.

Amounts are integers of the currency's smallest unit. Every write carries an `Idempotency-Key`: sending the same
request again gives the first answer, byte for byte, and never does it twice. Every problem says what became of the
request (`outcome`) and what to send next (`retry`).
"""


def build_document() -> JsonObject:
    """The document, as JSON values."""
    paths: defaultdict[str, JsonObject] = defaultdict(dict)
    for operation in OPERATIONS:
        paths[operation.path][operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Wallet Service",
            "version": version("wallet-service"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": dict(paths),
        "components": {
            "schemas": _schemas(),
            "headers": HEADERS,
            "securitySchemes": {
                SECURITY: {"type": "http", "scheme": "bearer", "description": "An API key. It names the tenant."}
            },
        },
    }


def problems_of(operation: Operation) -> Sequence[ProblemType]:
    """Every problem that the operation can answer with."""
    return operation.problems if operation.scope is None else (*EVERYWHERE, *operation.problems)


def _operation(operation: Operation) -> JsonObject:
    described = " ".join(
        part for part in (operation.description, operation.scope and f"Needs the scope `{operation.scope}`.") if part
    )
    members: JsonObject = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": described,
        "parameters": _parameters(operation),
        "responses": _responses(operation),
        "security": [] if operation.scope is None else [{SECURITY: [operation.scope]}],
    }
    if operation.body is not None:
        members["requestBody"] = {
            "required": operation.body_required,
            "content": {"application/json": {"schema": _ref(operation.body.__name__)}},
        }
    return members


def _parameters(operation: Operation) -> list[JsonObject]:
    parameters: list[JsonObject] = []
    if "{id}" in operation.path:
        schema = {"type": "string", "format": "uuid"}
        parameters.append({"name": "id", "in": "path", "required": True, "schema": schema})
    if operation.keyed:
        parameters.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "required": True,
                "description": "chosen by the client; bare, or as a quoted string",
                "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": "^[!-~]+$"},
            }
        )
    if operation.streams:
        description = "of a stream: the `id` of the last event that was received, to go on after it"
        schema = {"type": "string"}
        parameters.append({"name": "Last-Event-ID", "in": "header", "description": description, "schema": schema})
    parameters.extend(
        {
            "name": parameter.name,
            "in": "query",
            "required": parameter.required,
            "description": parameter.description,
            "schema": dict(parameter.schema),
        }
        for parameter in operation.query
    )
    return parameters


def _responses(operation: Operation) -> JsonObject:
    answers = operation.answers if isinstance(operation.answers, tuple) else (operation.answers,)
    common = ["X-Request-Id"] if operation.method == "GET" else ["X-Request-Id", "Idempotent-Replayed"]
    own = {"openWallet": ["Location"], "getWallet": ["ETag"]}.get(operation.id, [])
    responses: JsonObject = {
        str(operation.status): _response("Success", "application/json", [a.__name__ for a in answers], common + own)
    }
    if links := links_of(operation.id):
        responses[str(operation.status)]["links"] = links
    if operation.streams:
        responses["200"]["content"]["text/event-stream"] = {"schema": {"type": "string"}}
    if operation.id == "getWallet":
        responses["304"] = {"description": "The wallet still has a version that If-None-Match names"}
    for status, answer in operation.other_answers.items():
        responses[str(status)] = _response("Not now", "application/json", [answer.__name__], common)
    by_status: defaultdict[int, list[ProblemType]] = defaultdict(list)
    for problem in problems_of(operation):
        by_status[problem.status].append(problem)
    for status, problems in sorted(by_status.items()):
        headers = [*common, *(["Retry-After"] if any(problem.retry_after for problem in problems) else [])]
        names = [_schema_name(problem) for problem in problems]
        description = "; ".join(f"`{problem.slug}`" for problem in problems)
        responses[str(status)] = _response(description, "application/problem+json", names, headers)
    return responses


def _response(description: str, media_type: str, schemas: Sequence[str], headers: Iterable[str]) -> JsonObject:
    schema = _ref(schemas[0]) if len(schemas) == 1 else {"oneOf": [_ref(name) for name in schemas]}
    return {
        "description": description,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in headers},
        "content": {media_type: {"schema": schema}},
    }


def _schemas() -> JsonObject:
    shapes: set[type] = set()
    for operation in OPERATIONS:
        shapes.update(operation.answers if isinstance(operation.answers, tuple) else (operation.answers,))
        if operation.body is not None:
            shapes.add(operation.body)
    in_order = sorted(shapes, key=lambda shape: shape.__name__)
    _, schemas = msgspec.json.schema_components(in_order, ref_template=SCHEMAS + "{name}")
    schemas["Problem"] = PROBLEM_SCHEMA
    schemas.update({_schema_name(problem): _problem_schema(problem) for problem in ALL.values()})
    return dict(sorted(schemas.items()))


def _problem_schema(problem: ProblemType) -> JsonObject:
    properties: JsonObject = {"type": {"const": problem.uri}, "status": {"const": problem.status}}
    properties.update({name: _member_schema(name) for name in problem.carries})
    return {"description": problem.description, "allOf": [_ref("Problem")], "properties": properties}


def _member_schema(name: str) -> Mapping[str, Any]:
    if name == "errors":
        return ERRORS_SCHEMA
    if name in INTEGER_MEMBERS:
        return {"type": "integer"}
    return {"type": "string", "format": "uuid"} if name in UUID_MEMBERS else {"type": "string"}


def _schema_name(problem: ProblemType) -> str:
    return "".join(part.capitalize() for part in problem.slug.split("-")) + "Problem"


def _ref(name: str) -> JsonObject:
    return {"$ref": SCHEMAS + name}
