"""The ledger's port over HTTP."""

from collections.abc import Mapping, Sequence
from typing import Final, assert_never
from uuid import UUID

import attrs

from adapters.http_client_errors import WalletError, error_of
from adapters.http_client_intents import Judgement, carry_out
from adapters.http_client_reads import Reads
from adapters.http_client_requests import portions
from adapters.http_client_wire import Wire
from wallet_core.commands import Command, OpenWallet
from wallet_core.model import Transaction
from wallet_core.outcomes import Applied, Contention, DatabaseUnavailable, Outcome, Overloaded, Replayed, Unknown

UNSETTLED: Final = (Contention, Overloaded, DatabaseUnavailable, Unknown)


@attrs.frozen
class HttpLedger:
    """A ``Ledger`` that has a wallet service carry the commands out. ``api_keys``: one of each tenant.

    Each command is sent under its own key, and again under the same one as often as ``wire.retries`` allows, for each
    request anew. What then still is not settled comes back as ``Unknown`` if it may have been done, and as
    ``Contention``, ``Overloaded`` or ``DatabaseUnavailable`` (which a service that cannot be reached counts as) if it
    is certain that it was not.

    - Posts, holds, captures, releases and reversals that stand together are one request, and one batch of the service.
      Opening, changing and fencing are requests of their own. If one request is not settled, those that come after it
      are not sent, so that the order is kept.
    - An answer that was lost and asked for again is a ``Replayed``: over HTTP nobody can tell whose replay it is.
    - What the API does not tell of a transaction, a rejection or a fence is listed in ``adapters.http_client_told``.
      ``OpenWallet`` is answered with the wallet, so its transaction is asked for in a second request, which needs an
      API key that may read.

    Raises ``Refused`` where the request itself is at fault, as with an API key that is not valid.
    """

    wire: Wire
    api_keys: Mapping[UUID, str] = attrs.field(repr=False)

    async def execute(self, tenant: UUID, commands: Sequence[Command]) -> Sequence[Outcome]:
        """Carry out the commands. See ``ports.Ledger``, and above."""
        api_key = self.api_keys[tenant]
        outcomes: list[Outcome] = []
        for portion in portions(commands):
            judgements = await carry_out(self.wire, api_key, portion)
            for command, judgement in zip(portion, judgements, strict=True):
                outcomes.append(await self._outcome(api_key, command, judgement))
            if unsettled := next((outcome for outcome in outcomes if isinstance(outcome, UNSETTLED)), None):
                return [*outcomes, *[_not_sent(unsettled)] * (len(commands) - len(outcomes))]
        return outcomes

    async def _outcome(self, api_key: str, command: Command, judgement: Judgement) -> Outcome:
        match judgement.outcome:
            case None:
                raise error_of(command.key, judgement)
            case Applied() | Replayed() as done if isinstance(command, OpenWallet) and judgement.opened:
                return await self._opened(api_key, command, done)
            case outcome:
                return outcome

    async def _opened(self, api_key: str, command: OpenWallet, outcome: Applied | Replayed) -> Outcome:
        """The outcome with the whole transaction, if it can be had. That it was applied is certain either way."""
        try:
            found = await Reads(self.wire, api_key).look_up(command.key)
        except WalletError:
            return outcome
        if not isinstance(found, Transaction):
            return outcome
        whole = attrs.evolve(found, intent=command.intent())
        return Applied(whole) if isinstance(outcome, Applied) else Replayed(whole)


def _not_sent(unsettled: Contention | Overloaded | DatabaseUnavailable | Unknown) -> Outcome:
    """What is told of commands that come after one that is not settled: nothing of them was started."""
    match unsettled:
        case Contention() | Overloaded() | DatabaseUnavailable():
            return unsettled
        case Unknown():
            return DatabaseUnavailable()
        case _:
            assert_never(unsettled)
