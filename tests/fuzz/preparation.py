"""What is changed about the requests of schemathesis before they are sent, so that more of them get somewhere.

Requests that are to be taken name wallets, holds and transactions that there are, most of the time. They have
idempotency keys of their own, and so have those that are to be refused for something else: else nearly all would be
refused because their key, the shortest there is, was used before.
"""

import itertools
from collections import defaultdict, deque
from typing import Any, Final

import attrs
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case
from schemathesis.hooks import HookContext

Json = Any

WAIT_MS_MAX: Final = 50
"""How long a request may ask to be kept waiting: a stream of events would otherwise be most of the time."""

KNOWN_MAX: Final = 6
"""How many ids of a kind are remembered: few, so that several requests meet at one wallet."""

SMALL_MAX: Final = 100
"""Most amounts that are not credited are at most this, so that there is enough for them now and then."""

CURRENCY: Final = "EUR"

NAMES: Final = {
    "wallet_id": "wallets",
    "source": "wallets",
    "destination": "wallets",
    "hold_id": "holds",
    "transaction_id": "transactions",
}
"""What the members of a body name."""


@attrs.define
class Preparation:
    """Changes requests, and learns from answers what there is. Chance has no part in it."""

    name: str
    _numbers: "itertools.count[int]" = attrs.field(factory=lambda: itertools.count(2))
    _known: dict[str, deque[str]] = attrs.field(factory=lambda: defaultdict(lambda: deque(maxlen=KNOWN_MAX)))
    _small: bool = True
    _key: str = attrs.field(default=attrs.Factory(lambda self: f"{self.name}-first", takes_self=True))

    def before_call(self, context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:
        if case.meta is None:
            return
        if not case.meta.is_negative_at(ParameterLocation.HEADER):
            for name, value in case.headers.items():
                if name.lower() == "idempotency-key":
                    case.headers[name] = self._new_key(value)
        if case.meta.generation.mode.is_negative:
            return
        if "id" in case.path_parameters:
            case.path_parameters["id"] = self._one_of(_thing(case), case.path_parameters["id"])
        if "wallet_id" in case.query:
            case.query["wallet_id"] = self._one_of("wallets", case.query["wallet_id"])
        if "wait_ms" in case.query:
            case.query["wait_ms"] = WAIT_MS_MAX
        for name in case.query.keys() & {"cursor", "after"}:
            case.query[name] = self._one_of(f"pages of {case.operation.path}", case.query[name])
        if isinstance(case.body, dict):
            self._small = not case.operation.path.endswith("/credits")
            case.body = self._changed(case.body)

    def after_call(self, context: HookContext, case: Case[Any], response: Response) -> None:
        if not 200 <= response.status_code < 300 or "application/json" not in response.headers["content-type"][0]:
            return
        answer = response.json()
        if case.method != "GET":
            self._learn(answer)
        elif answer.get("next_cursor"):
            self._known[f"pages of {case.operation.path}"].append(answer["next_cursor"])

    def _learn(self, answer: Json) -> None:
        if "currency" in answer:
            self._known["wallets"].append(answer["id"])
        elif "postings" in answer:
            self._known["transactions"].append(answer["id"])
            match answer["kind"], answer["hold"]:
                case "hold", hold:
                    self._known["holds"].append(hold["id"])
                case _, {"status": "captured" | "released", "id": id} if id in self._known["holds"]:
                    # Nothing more comes of it; the few holds that are known should be active ones.
                    self._known["holds"].remove(id)
        for result in answer.get("results", ()):
            if "transaction" in result:
                self._learn(result["transaction"])

    def _one_of(self, thing: str, generated: str | None) -> str | None:
        """Another that there is, three times of four."""
        known = self._known[thing]
        number = next(self._numbers)
        if not known or number % 4 == 0 or generated in known:
            return generated
        return known[number % len(known)]

    def _new_key(self, generated: str) -> str:
        """A key of its own, three times of five. Else the one before, for a replay, or the generated one."""
        number = next(self._numbers)
        if number % 5 == 0:
            return generated
        if number % 5 > 1:
            self._key = f"{self.name}-{number}"
        return self._key

    def _changed(self, value: Json, name: str = "") -> Json:
        match value:
            case dict():
                members = {member: self._changed(each, member) for member, each in value.items()}
                if name == "postings" and not (members.get("source") or members.get("destination")):
                    members["destination"] = self._one_of("wallets", None)
                return members
            case list():
                return [self._changed(each, name) for each in value]
            case float() if value.is_integer():
                # JSON Schema takes 12.0 for an integer. The service does not, and has tests that say so.
                return self._changed(int(value), name)
            case int() if name == "amount" and self._small and next(self._numbers) % 4:
                return value % SMALL_MAX + 1
            case str() if name == "idempotency_key":
                return self._new_key(value)
            case str() if name == "currency" and next(self._numbers) % 4:
                return CURRENCY
            case str() | None if name in NAMES:
                return value if value is None else self._one_of(NAMES[name], value)
            case _:
                return value


def _thing(case: Case[Any]) -> str:
    """What the path is about: the collection that its id is of."""
    path: str = case.operation.path
    return path.split("/")[2]
