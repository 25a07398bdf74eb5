"""What the clients asked for and were told, key by key: the first pass, over the journals.

It keeps little of each call: times, a digest of the answer, and where in which journal the rest is to be found.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, Self

import attrs
import msgspec

from tests.concurrency.violations import AcknowledgedLost, DoubleEffect, WrongReceipt
from tests.torture.checker.answers import (
    Intent,
    read_decided,
    read_entries,
    read_hold,
    read_intent,
    read_problem,
    read_results,
    read_wallet,
    told_in,
)
from tests.torture.checker.findings import BadAnswer, Findings
from tests.torture.checker.keys import HoldLook, KeyHistory, Look, Timeline
from tests.torture.checker.places import place_of
from tests.torture.journal import NOT_SENT, Sent, Told, read_lines

REFUSALS: Final = frozenset(
    {
        "version-conflict",
        "contention",
        "overloaded",
        "database-unavailable",
        "outcome-unknown",
        "idempotency-key-reused",
        "idempotency-key-fenced",
    }
)
"""Besides rejections, the problems that these clients may be answered with."""


@attrs.define
class History:
    """All the journals."""

    paths: Sequence[Path]
    findings: Findings
    keys: dict[str, KeyHistory] = attrs.field(factory=dict)
    looks: dict[str, list[Look]] = attrs.field(factory=lambda: defaultdict(list))
    hold_looks: dict[str, list[HoldLook]] = attrs.field(factory=lambda: defaultdict(list))
    outcomes: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    """How many calls of which kind came to what: ``ok``, or the name of a problem, or why there was no answer."""
    calls: int = 0
    timeline: Timeline = attrs.field(factory=Timeline)
    _absent: list[tuple[str, int]] = attrs.field(factory=list)

    @classmethod
    def read(cls, paths: Sequence[Path], findings: Findings) -> Self:
        """Read all journals, and note what they contradict one another in."""
        history = cls(paths, findings)
        for number, path in enumerate(paths):
            history._read(number, path)
        for key, invoked_ns in history._absent:
            if history.keys[key].told_ns < invoked_ns:
                findings.add(AcknowledgedLost, key, f"{key} was not found by a look-up after it had been acknowledged")
        return history

    def open_keys(self) -> list[tuple[str, KeyHistory]]:
        """The keys of which nobody was told what became of them, and which may have taken effect."""
        return [(key, state) for key, state in self.keys.items() if state.in_doubt and not state.outcome]

    def _read(self, number: int, path: Path) -> None:
        pending: dict[int, tuple[int, Sent]] = {}
        for offset, line in read_lines(path):
            place = place_of(number, offset)
            if isinstance(line, Sent):
                self.calls += 1
                pending[line.call] = (place, line)
                self._sent(place, line)
            else:
                sent_place, sent = pending.pop(line.call)
                name = self._told(sent_place, sent, place, line)
                self.outcomes[sent.op, name] += 1
                effect = "read" if sent.op in _READS and name == "ok" else name
                self.timeline.add(line.at_ns, line.at_ns - sent.at_ns, effect, sent.instance)
        for _, sent in pending.values():
            # Its client was killed before it heard.
            self.outcomes[sent.op, "client-killed"] += 1
            self._doubt(sent)

    def _key(self, key: str) -> KeyHistory:
        state = self.keys.get(key)
        if state is None:
            state = self.keys[key] = KeyHistory()
        return state

    def _sent(self, place: int, sent: Sent) -> None:
        for index, raw in enumerate(sent.intents):
            state = self._key(read_intent(raw).idempotency_key)
            state.invoked_ns = min(state.invoked_ns, sent.at_ns)
            known = hash(bytes(raw))
            if known not in state.intent_hashes:
                state.intents += (place + index,)
                state.intent_hashes += (known,)
        if sent.op == "fence":
            self._key(sent.subject).fences += 1

    def _told(self, sent_place: int, sent: Sent, place: int, told: Told) -> str:
        """Take in an answer; returns the name of what came of the call."""
        if told.failure:
            if told.failure != NOT_SENT:
                self._doubt(sent)
            return told.failure
        try:
            name: str = _TAKERS[sent.op](self, sent_place, sent, place, told)
        except (msgspec.DecodeError, KeyError) as error:
            self.findings.add(BadAnswer, sent.subject, f"call {sent.call} was answered with no answer: {error}: {told}")
            self._doubt(sent)
            return "no-sense"
        return name

    def _doubt(self, sent: Sent) -> None:
        for raw in sent.intents:
            self._key(read_intent(raw).idempotency_key).in_doubt += 1

    def _take_write(self, sent_place: int, sent: Sent, place: int, told: Told) -> str:
        (raw,) = sent.intents
        intent = read_intent(raw)
        body = bytes(told.body)
        return self._take_one(intent, sent_place, told, told.status, told.replayed, place, body, alone=True)

    def _take_batch(self, sent_place: int, sent: Sent, place: int, told: Told) -> str:
        if told.status != 200:
            return self._refused(sent, told.status, bytes(told.body))
        results = read_results(told.body).results
        for index, (raw, result) in enumerate(zip(sent.intents, results, strict=True)):
            body = told_in(result)
            self._take_one(
                read_intent(raw),
                sent_place + index,
                told,
                result.status,
                result.replayed,
                place + index,
                body,
                alone=False,
            )
        return "ok"

    def _take_one(
        self,
        intent: Intent,
        asked: int,
        told: Told,
        status: int,
        replayed: bool,
        place: int,
        body: bytes,
        *,
        alone: bool,
    ) -> str:
        """What came of one intent, asked for at one place and answered at another."""
        key = intent.idempotency_key
        state = self._key(key)
        if status < 300:
            opened = intent.type == "open" and alone
            self._decided(key, state, "applied", body, place, told.at_ns, replayed, opened=opened)
            state.first_hand += not replayed
            if state.first_hand > 1 and not replayed:
                self.findings.add(
                    DoubleEffect, key, f"{state.first_hand} callers were told to be the first under {key}"
                )
            return "ok"
        problem = read_problem(body)
        slug = problem.type.removeprefix("/problems/")
        if problem.outcome == "rejected":
            self._decided(key, state, "rejected", body, place, told.at_ns, replayed)
            return slug
        if slug not in REFUSALS:
            self.findings.add(BadAnswer, key, f"{key} was answered with {status} {slug}")
        if slug == "idempotency-key-fenced":
            state.told_fenced = True
        elif slug == "idempotency-key-reused":
            state.told_reused += (asked,)
        elif problem.outcome == "unknown":
            state.in_doubt += 1
        return slug

    def _refused(self, sent: Sent, status: int, body: bytes) -> str:
        """A problem with the whole of a request."""
        problem = read_problem(body)
        slug = problem.type.removeprefix("/problems/")
        if slug not in REFUSALS:
            self.findings.add(BadAnswer, sent.subject, f"a {sent.op} was answered with {status} {slug}")
        if problem.outcome == "unknown":
            self._doubt(sent)
        return slug

    def _decided(
        self,
        key: str,
        state: KeyHistory,
        outcome: Literal["applied", "rejected", "fenced"],
        body: bytes,
        place: int,
        at_ns: int,
        replayed: bool,
        *,
        opened: bool = False,
    ) -> None:
        if at_ns < state.told_ns:
            state.told_ns, state.told_replayed = at_ns, replayed
        if state.outcome and state.outcome != outcome:
            self.findings.add(WrongReceipt, key, f"{key} was told to be {state.outcome}, and to be {outcome}")
        state.outcome = outcome
        if outcome == "fenced":
            return
        digest = hashlib.blake2b(body, digest_size=16).digest()
        before = state.digest_opened if opened else state.digest
        if before and before != digest:
            self.findings.add(WrongReceipt, key, f"the answers to {key} differ")
        if opened:
            state.digest_opened = digest
        else:
            state.digest, state.receipt = digest, place

    def _take_decided(self, sent_place: int, sent: Sent, place: int, told: Told) -> str:
        """The answer to a fence or to a look-up of a key."""
        if told.status != 200:
            if sent.op == "key" and told.status == 404:
                self._key(sent.subject)
                self._absent.append((sent.subject, sent.at_ns))
                return "not-found"
            return self._refused(sent, told.status, bytes(told.body))
        decided = read_decided(told.body)
        state = self._key(decided.key)
        body = told_in(decided)
        self._decided(decided.key, state, decided.outcome, body, place, told.at_ns, replayed=True)
        return "ok" if sent.op == "key" else f"fence-{decided.outcome}"

    def _take_wallet(self, sent_place: int, sent: Sent, place: int, told: Told) -> str:
        if told.status != 200:
            return self._refused(sent, told.status, bytes(told.body))
        seen = read_wallet(told.body)
        self.looks[sent.subject].append(Look(sent.at_ns, told.at_ns, seen.version, seen.balance, seen.held))
        return "ok"

    def _take_entries(self, sent_place: int, sent: Sent, place: int, told: Told) -> str:
        if told.status != 200:
            return self._refused(sent, told.status, bytes(told.body))
        items = read_entries(told.body).items
        top = items[0]
        look = Look(sent.at_ns, told.at_ns, top.version, top.balance_after, top.held_after, items)
        self.looks[sent.subject].append(look)
        return "ok"

    def _take_hold(self, sent_place: int, sent: Sent, place: int, told: Told) -> str:
        if told.status != 200:
            return self._refused(sent, told.status, bytes(told.body))
        hold = read_hold(told.body)
        self.hold_looks[hold.id].append(HoldLook(sent.at_ns, told.at_ns, hold))
        return "ok"


_TAKERS: Final[dict[str, Any]] = {
    "write": History._take_write,
    "batch": History._take_batch,
    "fence": History._take_decided,
    "key": History._take_decided,
    "wallet": History._take_wallet,
    "entries": History._take_entries,
    "hold": History._take_hold,
}
_READS: Final = frozenset({"key", "wallet", "entries", "hold"})
