"""What there is to say of an operation of the API: enough to route it, and to describe it in the OpenAPI document."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from entrypoints.http import problem_types as types
from entrypoints.http import shapes
from entrypoints.http.problem_types import ProblemType

Schema = Mapping[str, Any]


@attrs.frozen
class Parameter:
    """A query parameter."""

    name: str
    schema: Schema
    description: str
    required: bool = False


@attrs.frozen
class Operation:
    """One method on one path, which may hold an ``{id}``.

    ``scope`` is what the API key must be allowed to do; only outside ``/v1`` may it be None, and no key be needed.
    ``answers`` is the type of a successful answer, or several of which it is one; ``other_answers`` those with another
    status that are no problems. ``problems`` are those that not every operation has.
    """

    id: str
    method: Literal["GET", "POST", "PATCH"]
    path: str
    tag: str
    summary: str
    status: int
    answers: type | tuple[type, ...]
    scope: Literal["read", "write"] | None
    problems: Sequence[ProblemType]
    description: str = ""
    body: type | None = None
    body_required: bool = True
    keyed: bool = False
    """Whether it takes the header Idempotency-Key."""
    query: Sequence[Parameter] = ()
    other_answers: Mapping[int, type] = attrs.field(factory=dict)
    streams: bool = False
    """Whether it answers with a ``text/event-stream`` as well."""

    @property
    def route(self) -> str:
        """Its name in metrics and logs."""
        return f"{self.method} {self.path}"


EVERYWHERE: Final = (
    types.MALFORMED,
    types.UNAUTHENTICATED,
    types.FORBIDDEN,
    types.TENANT_SUSPENDED,
    types.RATE_LIMITED,
    types.INTERNAL_ERROR,
    types.OVERLOADED,
    types.DATABASE_UNAVAILABLE,
)
"""Problems that any operation can answer with."""

BODY: Final = (types.PAYLOAD_TOO_LARGE, types.UNSUPPORTED_MEDIA_TYPE, types.OUTCOME_UNKNOWN)
KEYED: Final = (types.KEY_MISSING, types.KEY_INVALID, types.KEY_REUSED, types.KEY_FENCED, types.CONTENTION, *BODY)


def write(
    id: str, method: Literal["POST", "PATCH"], path: str, tag: str, summary: str, body: type, *problems: ProblemType
) -> Operation:
    """A write of one command, whose idempotency key is in a header."""
    return Operation(
        id=id,
        method=method,
        path=path,
        tag=tag,
        summary=summary,
        status=200 if method == "PATCH" else 201,
        answers=shapes.Transaction,
        scope="write",
        problems=(*KEYED, *problems),
        body=body,
        keyed=True,
    )


def read(
    id: str, path: str, tag: str, summary: str, answers: type, *problems: ProblemType, query: Sequence[Parameter] = ()
) -> Operation:
    """A read."""
    return Operation(
        id=id,
        method="GET",
        path=path,
        tag=tag,
        summary=summary,
        status=200,
        answers=answers,
        scope="read",
        problems=problems,
        query=query,
    )
