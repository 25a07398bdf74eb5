"""What a call of the client can end in, other than being done. Each says what a caller may do next.

``key`` is the idempotency key of the intent, whether the caller chose it or the client made it.
"""

from collections.abc import Mapping
from typing import assert_never
from uuid import UUID

import attrs

from adapters.http_client_intents import Judgement
from adapters.http_client_wire import Problem
from wallet_core import outcomes
from wallet_core.model import Reason, Rejection
from wallet_core.outcomes import Thing
from wallet_core.ports import Unavailable


class WalletError(Exception):
    """The call was not done, or nobody knows. The subclasses say which, and what to do about it."""


@attrs.define(eq=False, slots=False)
class Rejected(WalletError):
    """A rule refused it, and that is remembered under the key: a new attempt, if it still makes sense, needs a new key.

    ``details`` says what was compared, for instance ``available`` and ``needed``, in minor units.
    """

    key: str
    reason: Reason
    details: Mapping[str, str | int | None]
    replayed: bool = False

    def __str__(self) -> str:
        compared = ", ".join(f"{name} {value}" for name, value in self.details.items())
        return f"{self.reason.value} ({compared}), key {self.key}"


@attrs.define(eq=False, slots=False)
class VersionConflict(WalletError):
    """The wallet no longer has the version that was expected. Nothing was done or remembered: read the wallet, decide
    again, and send the same key with the new version."""

    key: str
    wallet_id: UUID
    expected_version: int
    current_version: int

    def __str__(self) -> str:
        return (
            f"wallet {self.wallet_id} has version {self.current_version}, not {self.expected_version}, key {self.key}"
        )


@attrs.define(eq=False, slots=False)
class KeyReused(WalletError):
    """The key stands for something else, which is untouched. Nothing was done; another intent needs another key."""

    key: str

    def __str__(self) -> str:
        return f"key {self.key} was used for something else"


@attrs.define(eq=False, slots=False)
class KeyFenced(WalletError):
    """Nothing was done under the key, and nothing ever will be. A new attempt needs a new key."""

    key: str

    def __str__(self) -> str:
        return f"key {self.key} is fenced"


@attrs.define(eq=False, slots=False)
class NotFound(WalletError):
    """There is no such thing. Nothing was done or remembered. ``thing`` is None where it is neither a wallet, a hold
    nor a transaction: a wallet had no such version, for instance."""

    thing: Thing | None = None
    id: UUID | None = None
    key: str | None = None

    def __str__(self) -> str:
        return "there is nothing here" if self.thing is None else f"there is no {self.thing.value} {self.id}"


@attrs.define(eq=False, slots=False)
class WalletExists(WalletError):
    """A wallet of this id is there already, opened under another key. Nothing was done."""

    key: str
    wallet_id: UUID

    def __str__(self) -> str:
        return f"wallet {self.wallet_id} exists already"


@attrs.define(eq=False, slots=False)
class ServiceUnavailable(WalletError, Unavailable):
    """Until the deadline the service could not do it, and it is certain that nothing was done. The same key may be
    sent again later. ``why`` is what the last attempt came to."""

    why: str
    key: str | None = None

    def __str__(self) -> str:
        return f"nothing was done, after the last of the time: {self.why}"


@attrs.define(eq=False, slots=False)
class OutcomeUnknown(WalletError):
    """The deadline was reached, and an attempt may have been carried out, or may yet be. The key makes it certain:
    send the same call with it again, ask with ``look_up``, or rule it out with ``fence``. Never use a new key for it.

    ``why`` is what the last attempt came to.
    """

    key: str
    why: str

    def __str__(self) -> str:
        return f"nobody knows whether key {self.key} was carried out: {self.why}"


@attrs.define(eq=False, slots=False)
class Refused(WalletError):
    """The request itself is at fault, and will be however often it is sent: malformed, without a valid API key,
    without the scope, or sent to what is no wallet service. Nothing was done."""

    problem: Problem
    key: str | None = None

    def __str__(self) -> str:
        errors = self.problem.details.get("errors")
        return f"{self.problem}" if not errors else f"{self.problem} {errors}"


@attrs.define(eq=False, slots=False)
class NotUnderstood(WalletError):
    """The service answered a read with something that its API does not have."""

    why: str

    def __str__(self) -> str:
        return f"the answer was not understood: {self.why}"


def error_of(key: str, judgement: Judgement) -> WalletError:
    """The error that a command under this key ended in. Raises ``ValueError`` if it ended in none."""
    match judgement.outcome:
        case outcomes.Rejected(rejection):
            return Rejected(key, rejection.reason, rejection.details)
        case outcomes.Replayed(Rejection() as rejection):
            return Rejected(key, rejection.reason, rejection.details, replayed=True)
        case outcomes.VersionConflict(wallet_id, expected_version, current_version):
            return VersionConflict(key, wallet_id, expected_version, current_version)
        case outcomes.KeyReused():
            return KeyReused(key)
        case outcomes.KeyFenced():
            return KeyFenced(key)
        case outcomes.NotFound(thing, id):
            return NotFound(thing, id, key)
        case outcomes.WalletExists(wallet_id):
            return WalletExists(key, wallet_id)
        case outcomes.Contention() | outcomes.Overloaded() | outcomes.DatabaseUnavailable():
            return ServiceUnavailable(judgement.why, key)
        case outcomes.Unknown():
            return OutcomeUnknown(key, judgement.why)
        case None if judgement.refused is not None:
            return Refused(judgement.refused, key)
        case outcomes.Applied() | outcomes.Replayed() | outcomes.Fenced() | None:
            raise ValueError(f"{judgement.outcome} is no error")
        case _:
            assert_never(judgement.outcome)
