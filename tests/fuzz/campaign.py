"""A campaign of schemathesis: requests made of the OpenAPI document, answers held to it.

It sends what the document allows and what it forbids, values at every bound, undeclared methods, missing headers, and
sequences that follow the document's links. All requests are made of one seed, so that a campaign can be repeated.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs
import requests
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData, Failure
from schemathesis.core.transport import Response
from schemathesis.engine import events, from_schema
from schemathesis.generation.case import Case
from schemathesis.hooks import HookContext, unregister

from tests.fuzz import expectations
from tests.fuzz.calls import Call, recorded
from tests.fuzz.preparation import Preparation

Json = Any

PHASES: Final = ("examples", "coverage", "fuzzing", "stateful")

SUCCESSES_MIN: Final = 3
"""A campaign that gets nowhere finds nothing."""


@attrs.frozen
class Finding:
    """An answer that is not what the document says, and the request that got it."""

    check: str
    operation: str | None
    phase: str
    message: str
    reproduction: str

    def __str__(self) -> str:
        return f"{self.operation}: {self.check}, when {self.phase}: {self.message}\n{self.reproduction}"


@attrs.frozen
class Report:
    """What came of a campaign."""

    findings: Sequence[Finding]
    calls: Sequence[Call]
    scenarios: Mapping[str, int]
    """How many were played, by phase."""


def campaign(
    url: str,
    api_key: str,
    *,
    name: str = "fuzz",
    seed: int = 1,
    examples: int = 10,
    sequences: int = 60,
    rounds_max: int = 1,
    minutes: float | None = None,
    only: Sequence[str] = (),
    phases: Sequence[str] = PHASES,
) -> Report:
    """Attack the service there. Raises what goes wrong with the campaign itself.

    ``examples`` are per operation, ``sequences`` per round. A round of sequences ends early where an answer depends on
    what was sent before the sequence began, so there are more, until each operation has succeeded a few times.
    With ``minutes``, all is repeated for so long, with new data each time. ``only`` names the operations to attack,
    ``name`` begins most idempotency keys.
    """
    document = requests.get(f"{url}/schema/openapi.json", timeout=10).json()
    settings = _settings(url, api_key, seed, examples, sequences, phases)
    if minutes is not None:
        settings["max-time"] = round(minutes * 60)
        settings["generation"]["deterministic"] = False
    findings: list[Finding] = []
    scenarios: Counter[str] = Counter()
    with recorded() as calls, _prepared(name):
        _play(document, settings, only, findings, scenarios)
        operations = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
        for number in range(1, rounds_max):
            if successes(calls).keys() >= operations and min(successes(calls).values()) >= SUCCESSES_MIN:
                break
            again = _settings(url, api_key, seed + number, examples, sequences, ("stateful",))
            _play(document, again, only, findings, scenarios)
    return Report(findings, calls, scenarios)


def successes(calls: Sequence[Call]) -> Counter[str]:
    """How often each operation has done or told what it was asked for."""
    return Counter(call.operation for call in calls if 200 <= call.status < 300)


def _play(
    document: Json, settings: Json, only: Sequence[str], findings: list[Finding], scenarios: Counter[str]
) -> None:
    schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(settings))
    selected = schema.include(operation_id=list(only)) if only else schema
    for event in from_schema(selected).execute():
        match event:
            case events.ScenarioFinished():
                scenarios[event.phase.value] += 1
                findings.extend(_findings(event))
            case events.NonFatalError():
                raise event.value
            case events.FatalError():
                raise event.exception
            case _:
                # How far it has got.
                pass


def _settings(url: str, api_key: str, seed: int, examples: int, sequences: int, phases: Sequence[str]) -> Json:
    return {
        "seed": seed,
        "base-url": url,
        "headers": {"Authorization": f"Bearer {api_key}"},
        "warnings": False,
        "request-timeout": 10,
        "generation": {"deterministic": True, "database": "none", "max-examples": examples},
        "phases": {
            "examples": {"enabled": "examples" in phases, "fill-missing": True},
            "coverage": {"enabled": "coverage" in phases},
            "fuzzing": {"enabled": "fuzzing" in phases},
            # Links that are guessed by names would be most of them, and lead nowhere.
            "stateful": {
                "enabled": "stateful" in phases,
                "generation": {"max-examples": sequences, "mode": "positive"},
                "inference": {"algorithms": []},
            },
        },
        # Our own, of the module ``expectations``, know what a schema cannot say.
        "checks": {"positive_data_acceptance": {"enabled": False}},
    }


@contextmanager
def _prepared(name: str) -> Iterator[None]:
    """Changes what schemathesis sends in this process."""
    preparation = Preparation(name)

    def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
        preparation.before_call(context, case, kwargs)

    def after_call(context: HookContext, case: Case[Any], response: Response) -> None:
        preparation.after_call(context, case, response)

    def filter_failure(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:
        return not (isinstance(failure, AcceptedNegativeData) and expectations.is_answered_one_by_one(case))

    hooks = (before_call, after_call, filter_failure)
    for hook in hooks:
        schemathesis.hook(hook)
    try:
        yield
    finally:
        for hook in hooks:
            unregister(hook)


def _findings(event: events.ScenarioFinished) -> Iterator[Finding]:
    for checks in event.recorder.checks.values():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                yield Finding(
                    check.name,
                    failure.operation,
                    event.phase.value,
                    f"{failure.title}: {failure.message}",
                    check.failure_info.code_sample,
                )
