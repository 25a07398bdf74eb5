"""One occurrence of a problem, and its JSON."""

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import quote

import attrs

from entrypoints.http import problem_types as types
from entrypoints.http.problem_types import Effect, ProblemType
from entrypoints.http.rejection_types import OF_REASON
from wallet_core.model import Rejection

Member = str | int | None | list[dict[str, str]]

ALL: Final[Mapping[str, ProblemType]] = {
    type_.slug: type_
    for type_ in (
        types.MALFORMED,
        types.KEY_MISSING,
        types.KEY_INVALID,
        types.UNAUTHENTICATED,
        types.FORBIDDEN,
        types.TENANT_SUSPENDED,
        types.NOT_FOUND,
        *types.OF_MISSING.values(),
        types.METHOD_NOT_ALLOWED,
        types.VERSION_CONFLICT,
        types.WALLET_EXISTS,
        types.CONTENTION,
        types.PAYLOAD_TOO_LARGE,
        types.UNSUPPORTED_MEDIA_TYPE,
        *OF_REASON.values(),
        types.KEY_REUSED,
        types.KEY_FENCED,
        types.RATE_LIMITED,
        types.INTERNAL_ERROR,
        types.OVERLOADED,
        types.DATABASE_UNAVAILABLE,
        types.OUTCOME_UNKNOWN,
    )
}
"""Every problem by its slug: all that the service ever answers with, and a page for each."""

KEY_LOOKUP_PATH: Final = "/v1/idempotency-keys"


@attrs.frozen
class Problem:
    """A problem that occurred. ``instance`` is None where the request's own path identifies the occurrence best."""

    type: ProblemType
    members: Mapping[str, Member] = attrs.field(factory=dict)
    instance: str | None = None
    outcome: Effect | None = None
    """Where it differs from what the type says."""
    headers: Sequence[tuple[bytes, bytes]] = ()
    retry_after_s: int = types.RETRY_AFTER_S
    """How long to wait, for a problem that passes."""

    def json_members(self, path: str) -> dict[str, object]:
        """The members in their fixed order, those of RFC 9457 first. ``path`` is the request's."""
        return {
            "type": self.type.uri,
            "title": self.type.title,
            "status": self.type.status,
            "detail": self.type.detail.format_map(self.members),
            "instance": self.instance or path,
            "outcome": self.outcome or self.type.outcome,
            "retry": self.type.retry,
            **self.members,
        }


class Refused(Exception):
    """The request is answered with this problem, before or instead of any command."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.type.slug)
        self.problem = problem


def refusal(type: ProblemType, **members: Member) -> Refused:
    """To be raised: the request is refused with this problem."""
    return Refused(Problem(type, members))


def malformed(field: str, message: str, type: ProblemType = types.MALFORMED) -> Refused:
    """To be raised: one field is at fault. ``field`` is a path such as ``postings[0].amount``; empty for the whole."""
    return refusal(type, errors=[{"field": field, "message": message}])


def rejection_problem(rejection: Rejection) -> Problem:
    """The problem of a remembered refusal: a function of what is stored, so that a replay has the same bytes."""
    type_ = OF_REASON[rejection.reason]
    compared = {_member_name(name, rejection.details): value for name, value in rejection.details.items()}
    # In the order of the type's, not in whichever the details came back from where they are kept.
    members = {name: compared[name] for name in type_.carries}
    # The same wherever it is told, first or again, alone or in a batch, and it can be followed.
    instance = f"{KEY_LOOKUP_PATH}?key={quote(rejection.key, safe='')}"
    return Problem(type_, members, instance)


def _member_name(name: str, details: Mapping[str, object]) -> str:
    """RFC 9457 has taken ``status`` for the HTTP status."""
    if name != "status":
        return name
    return "hold_status" if "hold_id" in details else "wallet_status"
