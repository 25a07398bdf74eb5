"""What the commands have in common: where the wallets are, how results are shown, and how a command ends."""

import functools
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar
from uuid import UUID, uuid4

import attrs
import click

from entrypoints.people import amounts, exit_codes
from entrypoints.people.amounts import AmountError, Written

if TYPE_CHECKING:
    from entrypoints.people.access import WalletClient

T = TypeVar("T")

TIMEOUT_S_DEFAULT: Final = 10.0

_OPTIONS: Final = ("url", "api_key", "local", "as_json", "minor", "timeout_s")


@attrs.define
class Desk:
    """The options that every command has, and one command at work with them."""

    url: str | None
    api_key: str | None = attrs.field(repr=False)
    local: bool
    as_json: bool
    minor: bool
    timeout_s: float
    currency: str | None = attrs.field(init=False, default=None)
    """What the command's amounts are in, once that is known."""
    _sent: str | None = attrs.field(init=False, default=None)

    def carry_out(self, work: "Callable[[WalletClient], Awaitable[T]]") -> T:
        """Do it, and return what came of it; or end the process with a line that says why not, and an exit code."""
        # Imported here, so that whoever asks for help does not wait for it.
        from entrypoints.people import access, endings

        try:
            place = access.place(os.environ, self.url, self.api_key, local=self.local, timeout_s=self.timeout_s)
            return access.at(place, os.environ, work)
        except (access.PlaceError, AmountError, access.InvalidCommand) as error:
            fail(exit_codes.REFUSED, str(error))
        except access.WalletError as error:
            fail(*endings.ending(error, self.amount_in(None)))
        except KeyboardInterrupt:
            fail(exit_codes.INTERRUPTED, endings.interrupted(self._sent))

    def sending(self, key: str) -> str:
        """Note that from now on the write of this key may have happened."""
        self._sent = key
        return key

    def amount_in(self, currency: str | None) -> Callable[[int], str]:
        """How to print amounts of a currency, or of that of the command. Of one that is not known, in minor units."""
        known = currency or self.currency
        return lambda amount: amounts.text(amount, known or "", minor=self.minor or known is None)

    def change_in(self, currency: str | None) -> Callable[[int], str]:
        """As ``amount_in``, with a plus before a gain."""
        known = currency or self.currency
        return lambda amount: amounts.text(amount, known or "", minor=self.minor or known is None, signed=True)

    def parse(self, amount: Written, *, signed: bool = False) -> int:
        """An amount in the command's currency. Raises ``AmountError``."""
        currency = self.currency or amount.currency or ""
        return amounts.parse(amount, currency, minor=self.minor, signed=signed)

    async def learn_currency(self, client: "WalletClient", wallet_id: UUID, amount: Written | None = None) -> None:
        """Find out what a wallet's amounts are in. Of smallest units, in JSON, nothing need be known."""
        if (self.minor or (self.as_json and amount is None)) and (amount is None or amount.currency is None):
            return
        self.currency = (await client.wallet(wallet_id)).currency

    def show(self, members: Any, lines: Iterable[str]) -> None:
        """Print a result: as JSON if that was asked for."""
        if self.as_json:
            click.echo(json.dumps(members, ensure_ascii=False, indent=2))
            return
        for line in lines:
            click.echo(line)


def fail(code: int, message: str) -> NoReturn:
    """End with one line on standard error."""
    click.echo(f"wallet: {' '.join(message.split())}", err=True)
    sys.exit(code)


class Misuse(click.UsageError):
    """The command was not written as it has to be."""

    exit_code = exit_codes.REFUSED

    def show(self, file: Any = None) -> None:
        """Tell it in one line."""
        path = "wallet" if self.ctx is None else self.ctx.command_path
        click.echo(f"wallet: {' '.join(self.format_message().split())} ({path} --help tells more)", err=True)


class Command(click.Command):
    """A command whose misuse has the exit code of everything that is the command's own fault."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"epilog": exit_codes.HELP, **options})

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the command's words."""
        try:
            return super().make_context(*arguments, **options)
        except click.UsageError as error:
            raise Misuse(error.format_message(), error.ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        """Do it."""
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            raise Misuse(error.format_message(), ctx) from error


def with_wallets(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the options that say where the wallets are and how to show them, as its first argument."""

    @click.option("--url", metavar="URL", help="Where the service is. [env: WALLET_URL]")
    @click.option(
        "--key",
        "api_key",
        metavar="API-KEY",
        help="What opens the wallets; others on this machine can see it. [env: WALLET_API_KEY, WALLET_API_KEY_FILE]",
    )
    @click.option("--local", is_flag=True, help="In this process, with the database in WALLET_DATA_DIR (.wallet).")
    @click.option("--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
                  default=TIMEOUT_S_DEFAULT, show_default=True, help="How long to insist.")  # fmt: skip
    @click.option("--json", "as_json", is_flag=True, help="Print JSON, in the shapes of the API.")
    @click.option("--minor", is_flag=True, help="Amounts in the smallest unit, such as cents.")
    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> T:
        return command(Desk(**{name: options.pop(name) for name in _OPTIONS}), *arguments, **options)

    return run


def new_key() -> str:
    """An idempotency key: of one intent, made before its first attempt."""
    return str(uuid4())
