"""What is served to be read: the OpenAPI document and its page, and a page for each problem."""

from functools import cache
from html import escape
from typing import Final

import msgspec
from litestar.types import HTTPScope

from entrypoints.http import problem_types as types
from entrypoints.http.answers import JSON, Answer, problem_answer
from entrypoints.http.html import code, page, prefers, table
from entrypoints.http.openapi import build_document
from entrypoints.http.openapi_page import openapi_page
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
    return openapi_page() if prefers(scope, b"text/html", b"application/json") else _openapi_json()


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
        [code("status"), str(problem.status)],
        [code("outcome"), f"{code(problem.outcome)}: {OUTCOMES[problem.outcome]}"],
        [code("retry"), f"{code(problem.retry)}: {RETRIES[problem.retry]}"],
    ]
    if problem.carries:
        rows.append([", ".join(code(name) for name in problem.carries), "particular to this problem"])
    link = '<p><a href="/schema">All operations</a></p>'
    return page(problem.title, f"<p>{escape(problem.description)}</p>{table(['Member', 'Meaning'], rows)}{link}")


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
