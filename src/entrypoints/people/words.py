"""The words of the commands: ids, amounts, times, and what a shell completes them to."""

import os
import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import click
from click.shell_completion import CompletionItem

from entrypoints.people import amounts
from entrypoints.people.amounts import Written

COMPLETION_S_MAX: Final = 1.0
"""A shell that waits longer for its completion is in the way."""
COMPLETIONS_MAX: Final = 200

_SPAN: Final = re.compile(r"([0-9]{1,9})(s|m|h|d)?")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Id(click.ParamType[UUID]):
    """An id, written out. An abbreviation would be short for another one some day, and money goes where it points."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        """The id in a text."""
        if isinstance(value, UUID):
            return value
        if not re.fullmatch(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", value):
            self.fail(f"{value!r} is no id: ids are written out, such as 0190a0a0-0000-7000-8000-000000000000")
        return UUID(value)


class WalletId(Id):
    """A wallet's id, which shells complete where there is a service and a key to ask it with."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Ids that begin like this, each with what is in the wallet."""
        try:
            return _wallets(ctx.params, incomplete.lower())
        except Exception:  # noqa: BLE001 - whatever it is, a shell that waits for a completion cannot use an error
            return []


class Span(click.ParamType[int]):
    """A span of time, in seconds."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The seconds of ``90``, ``90s``, ``15m``, ``2h`` or ``7d``."""
        if isinstance(value, int):
            return value
        found = _SPAN.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no span of time: write 90s, 15m, 2h or 7d")
        return int(found[1]) * _SECONDS[found[2] or "s"]


class Moment(click.ParamType[datetime]):
    """A time; without a zone it is in UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time of ``2026-01-31``, ``2026-01-31T12:00``, ``…Z``; or of ``2h``, so long ago."""
        if isinstance(value, datetime):
            return value
        if _SPAN.fullmatch(value) and value[-1] in _SECONDS:
            return datetime.now(UTC) - timedelta(seconds=Span().convert(value, param, ctx))
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time: write 2026-01-31, 2026-01-31T12:00:00Z, or 2h for two hours ago")
        return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


class Amount(click.ParamType[Written]):
    """An amount that is one word: ``12.50``, or ``"12.50 EUR"`` in quotes."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Written:
        """The amount as it was written. What it is an amount of is known later."""
        return value if isinstance(value, Written) else amounts.written((value,))


def metadata(pairs: tuple[str, ...]) -> dict[str, str]:
    """Names and values, each written as ``name=value``."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, parted, value = pair.partition("=")
        if not parted or not name or name in found:
            raise click.UsageError(f"--metadata {pair!r} has to be name=value, each name once")
        found[name] = value
    return found


def _wallets(options: dict[str, Any], beginning: str) -> list[CompletionItem]:
    from entrypoints.people import access

    place = access.place(
        os.environ, options.get("url"), options.get("api_key"), local=False, timeout_s=COMPLETION_S_MAX
    )
    if place.url is None:
        # A database is not started for a press of a key.
        return []

    async def find(client: access.WalletClient) -> list[CompletionItem]:
        found: list[CompletionItem] = []
        async for wallet in client.wallets():
            if str(wallet.id).startswith(beginning):
                balance = amounts.text(wallet.balance, wallet.currency)
                found.append(CompletionItem(str(wallet.id), help=f"{balance}, {wallet.status.value}"))
                if len(found) == COMPLETIONS_MAX:
                    break
        return found

    return access.at(place, os.environ, find)
