"""Makes calls to the instances of the service, and writes each into the journal before and after."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote

import attrs
import msgspec
from msgspec import Raw

from tests.torture.http_client import HttpClient, NoAnswer, NotSent, Response
from tests.torture.intents import Intent, decode, encode, request_of
from tests.torture.journal import NO_ANSWER, NOT_SENT, Journal, Op, Told

PATIENCE_S: Final = 4.0
"""How long a client waits for an answer; longer than the service's own limit, so that it usually hears of that."""

READS: Final[Mapping[str, str]] = {
    "wallet": "/v1/wallets/{}",
    "entries": "/v1/wallets/{}/entries?limit=5",
    "key": "/v1/idempotency-keys?key={}",
    "hold": "/v1/holds/{}",
}

Retry = Literal["same_key", "reread", "new_key", "never"]


@attrs.frozen
class Answer:
    """What a caller learns of one intent or read. Status 0: there was no answer."""

    status: int
    members: Mapping[str, Any]
    fired: str = ""
    """Which of the faults that it asked the lab for have fired."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def retry(self) -> Retry:
        """What the contract tells to do next. Without an answer it is the same key that gets one."""
        retry: Retry = self.members.get("retry", "same_key")
        return retry


@attrs.frozen
class Caller:
    """Calls to several instances of the service."""

    instances: Sequence[HttpClient]
    journal: Journal

    async def write(self, intent: Intent, instance: int, *, fault: str = "", patience_s: float = PATIENCE_S) -> Answer:
        """Send one intent as a request of its own."""
        method, path, body = request_of(intent)
        headers = {"idempotency-key": intent["idempotency_key"]}
        if fault:
            headers["wallet-lab-fault"] = fault
        number = self.journal.sent("write", instance, [encode(intent)], fault=fault)
        told = await self._ask(number, instance, method, path, body=body, headers=headers, patience_s=patience_s)
        return Answer(told.status, _members(told.body), told.fired)

    async def batch(self, intents: Sequence[Intent], instance: int) -> Sequence[Answer]:
        """Send several intents as one batch: an answer for each, or one for all of them."""
        number = self.journal.sent("batch", instance, [encode(intent) for intent in intents])
        body = encode({"commands": intents})
        told = await self._ask(number, instance, "POST", "/v1/batches", body=body)
        members = _members(told.body)
        if told.status != 200:
            return [Answer(told.status, members)] * len(intents)
        return [
            Answer(result["status"], result.get("transaction") or result["problem"]) for result in members["results"]
        ]

    async def fence(self, key: str, instance: int) -> Answer:
        """Make sure that nothing more happens under a key, and learn what did."""
        number = self.journal.sent("fence", instance, subject=key)
        told = await self._ask(number, instance, "POST", "/v1/fences", body=encode({"key": key}))
        return Answer(told.status, _members(told.body))

    async def read(self, op: Literal["wallet", "entries", "key", "hold"], subject: str, instance: int) -> Answer:
        """Read what there is of a wallet, a key or a hold."""
        number = self.journal.sent(op, instance, subject=subject)
        told = await self._ask(number, instance, "GET", READS[op].format(quote(subject, safe="")))
        return Answer(told.status, _members(told.body))

    def close(self) -> None:
        for instance in self.instances:
            instance.close()
        self.journal.close()

    async def _ask(
        self,
        number: int,
        instance: int,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        patience_s: float = PATIENCE_S,
    ) -> Told:
        try:
            response = await self.instances[instance].request(
                method, path, body=body, headers=headers, timeout_s=patience_s
            )
        except NotSent:
            told = Told(number, time.monotonic_ns(), failure=NOT_SENT)
        except NoAnswer:
            told = Told(number, time.monotonic_ns(), failure=NO_ANSWER)
        else:
            told = _told(number, response)
        self.journal.told(told)
        return told


def _told(number: int, response: Response) -> Told:
    at_ns = time.monotonic_ns()
    replayed = response.headers.get("idempotent-replayed") == "true"
    body = response.body or b"null"
    if b"\n" in body or not _is_json(body):
        # Not an answer of this API, which is a finding; as a string, so that the journal stays readable.
        body = encode(response.body.decode("utf-8", "replace"))
    return Told(
        number,
        at_ns,
        status=response.status,
        replayed=replayed,
        fired=response.headers.get("wallet-lab-fired", ""),
        body=Raw(body),
    )


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=Raw)
    except msgspec.DecodeError:
        return False
    return True


def _members(body: Raw) -> Mapping[str, Any]:
    try:
        return decode(body)
    except msgspec.DecodeError:
        return {}


__all__ = ["PATIENCE_S", "Answer", "Caller", "Op", "Retry"]
