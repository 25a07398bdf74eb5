"""What is served to be read: the OpenAPI document and its page, and a page for each problem."""

from functools import cache
from html import escape
from typing import Final

import msgspec
from litestar.types import HTTPScope

from entrypoints.http import problem_types as types
from entrypoints.http.answers import JSON, Answer, problem_answer
from entrypoints.http.html import code, page, prefers, table
from entrypoints.http.openapi import SCHEMAS, JsonObject, build_document
from entrypoints.http.problems import ALL, Problem

VARY_ACCEPT: Final = (b"vary", b"Accept")


def openapi(scope: HTTPScope) -> Answer:
    """The OpenAPI document."""
    return _openapi_json()


@cache
def _openapi_json() -> Answer:
    return Answer(200, (JSON, VARY_ACCEPT), msgspec.json.format(msgspec.json.encode(build_document()), indent=1))


def schema(scope: HTTPScope) -> Answer:
    """The OpenAPI document, or its page for a client that would rather read HTML."""
    return _openapi_page() if prefers(scope, b"text/html", b"application/json") else _openapi_json()


def problem_page(scope: HTTPScope) -> Answer:
    """What a problem's type refers to: a page, or JSON for a client that would rather have that."""
    problem = ALL.get(scope["path_params"]["slug"])
    if problem is None:
        return problem_answer(Problem(types.NOT_FOUND), scope)
    if prefers(scope, b"application/json", b"text/html"):
        members = {
            "type": problem.uri,
            "title": problem.title,
            "status": problem.status,
            "outcome": problem.outcome,
            "retry": problem.retry,
            "description": problem.description,
            "carries": list(problem.carries),
        }
        return Answer(200, (JSON, VARY_ACCEPT), msgspec.json.encode(members))
    rows = [
        ["Status", str(problem.status)],
        ["What became of the request", f"{code(problem.outcome)}: {OUTCOMES[problem.outcome]}"],
        ["What to send next", f"{code(problem.retry)}: {RETRIES[problem.retry]}"],
    ]
    if problem.carries:
        rows.append(["It also carries", ", ".join(code(name) for name in problem.carries)])
    body = f"<p>{escape(problem.description)}</p>{table(['', ''], rows)}<p><a href='/schema'>All operations</a></p>"
    return page(problem.title, body)


OUTCOMES: Final = {
    "not_applied": "nothing was done, and nothing is remembered.",
    "rejected": "a rule refused it, and the refusal is remembered under the key.",
    "unknown": "it may have happened or not; the same key gets the truth.",
}
RETRIES: Final = {
    "same_key": "the same request with the same key. That is safe, and the way to the answer.",
    "reread": "read the wallet; then the same key with the new version.",
    "new_key": "this key is spent. A new attempt needs a new key.",
    "never": "nothing: the same request would fail again.",
}


@cache
def _openapi_page() -> Answer:
    document = build_document()
    parts = ["".join(f"<p>{_marked(text)}</p>" for text in document["info"]["description"].split("\n\n"))]
    parts.append('<p>As a document: <a href="/schema/openapi.json">openapi.json</a></p>')
    tag = ""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"][0] != tag:
                tag = operation["tags"][0]
                parts.append(f"<h2>{escape(tag)}</h2>")
            parts.append(_operation(path, method, operation, document["components"]["schemas"]))
    return page("API", "".join(parts))


def _operation(path: str, method: str, operation: JsonObject, schemas: JsonObject) -> str:
    title = f'<h3 id="{operation["operationId"]}">{escape(operation["summary"])}</h3>'
    parts = [title, f"<p>{code(f'{method.upper()} {path}')}</p><p>{_marked(operation['description'])}</p>"]
    rows = [
        [code(parameter["name"]), parameter["in"], _kind(parameter["schema"]), _note(parameter)]
        for parameter in operation["parameters"]
    ]
    if "requestBody" in operation:
        name = _name(operation["requestBody"]["content"]["application/json"]["schema"])
        required = schemas[name].get("required", ())
        rows += [
            [code(member), "body", _kind(schema), _note({**schema, "required": member in required})]
            for member, schema in schemas[name]["properties"].items()
        ]
    if rows:
        parts.append(table(["Name", "In", "Type", ""], rows))
    answers = []
    for status, response in operation["responses"].items():
        said = response["description"]
        if status >= "400" and "`" in said:
            said = ", ".join(
                f'<a href="/problems/{slug}">{code(slug)}</a>' for slug in said.replace("`", "").split("; ")
            )
        else:
            content = response.get("content", {}).values()
            said = escape(said) + "".join(f": {_kind(media['schema'])}" for media in content)
        answers.append([escape(status), said])
    parts.append(table(["Status", "Answer"], answers))
    return "".join(parts)


def _kind(schema: JsonObject) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return code(_name(schema))
    for combination in ("anyOf", "oneOf"):
        if combination in schema:
            return " or ".join(_kind(each) for each in schema[combination])
    if "enum" in schema:
        return ", ".join(code(str(value)) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    kind = escape(schema.get("format") or schema.get("type", "any"))
    if "minimum" in schema or "maximum" in schema:
        kind += f", {schema.get('minimum', '…')} to {schema.get('maximum', '…')}"
    return kind


def _note(member: JsonObject) -> str:
    required = "required" if member.get("required") is True else ""
    return "; ".join(part for part in (required, _marked(member.get("description", ""))) if part)


def _name(schema: JsonObject) -> str:
    name: str = schema["$ref"].removeprefix(SCHEMAS)
    return name


def _marked(text: str) -> str:
    """Text in which backquotes mark code."""
    return "".join(code(part) if index % 2 else escape(part) for index, part in enumerate(text.split("`")))
