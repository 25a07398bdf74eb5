"""What schemathesis checks of its own goes by the schema. These checks know what no schema can say."""

import re
from collections.abc import Iterator
from typing import Any, Final

import schemathesis
from schemathesis.checks import CheckContext
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.generation.meta import REQUEST_SHAPE_PROBES, coverage_scenario

Json = Any

ANSWERED_ONE_BY_ONE: Final = ("runBatch",)
"""Operations that answer 200 and judge each member of the body on its own."""

UNSAYABLE: Final = (
    (r"cursor|after", r"is not a cursor that this .*"),
    (r"|(commands\[\d+\])", r"must change at least one of .*"),
    (r"at", r"must not be given together with version"),
    (r"metadata", r"must be at most 4096 bytes in all|must not hold the character U\+0000"),
    (r"postings\[\d+\]", r"must name a source or a destination|.*differ.*"),
    (r"(.*\.)?destination", r"must be another wallet"),
    (r"Idempotency-Key", r"must be 1 to 255 visible ASCII characters, bare or as a quoted string"),
    (r"expected_versions", r"names a wallet twice|names wallet \S+, which no posting does"),
)
"""Field and message of what the document allows and the service refuses all the same, because it is about several
fields at once, about bytes instead of characters, or about what was given out before. A key that begins with a
quotation mark has to be a quoted string."""

REFUSED: Final = (400, 405, 413, 415)
"""Statuses that say that a request is not what the API takes. 422 says that a rule refuses what it asks for."""


@schemathesis.check
def what_the_document_allows_is_taken(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    if (
        case.meta is None
        or not case.meta.generation.mode.is_positive
        or coverage_scenario(case) in REQUEST_SHAPE_PROBES
    ):
        return
    for problem in _problems(response):
        if problem["status"] in REFUSED:
            errors = problem.get("errors") or [{"field": "", "message": problem["detail"]}]
            assert all(map(_is_unsayable, errors)), f"the document allows what is refused: {errors}"


@schemathesis.check
def what_the_document_forbids_is_refused_in_its_place(ctx: CheckContext, response: Response, case: Case[Any]) -> None:
    if (
        case.meta is not None
        and case.meta.generation.mode.is_negative
        and is_answered_one_by_one(case)
        and coverage_scenario(case) not in REQUEST_SHAPE_PROBES
    ):
        assert any(problem["status"] in (400, 401, 415) for problem in _problems(response)), "all of it was taken"


def is_answered_one_by_one(case: Case[Any]) -> bool:
    return case.operation.definition.raw.get("operationId") in ANSWERED_ONE_BY_ONE


def _problems(response: Response) -> Iterator[Json]:
    if response.status_code >= 400:
        yield response.json()
    elif "application/json" in response.headers["content-type"][0]:
        answer = response.json()
        for result in answer.get("results", ()) if isinstance(answer, dict) else ():
            if "problem" in result:
                yield result["problem"]


def _is_unsayable(error: dict[str, str]) -> bool:
    return any(
        re.fullmatch(field, error["field"]) and re.fullmatch(message, error["message"]) for field, message in UNSAYABLE
    )
