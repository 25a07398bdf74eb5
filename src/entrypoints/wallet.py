"""What ``wallet`` runs: all commands, each imported when it is wanted. Whoever asks for one does not wait for the rest.

The commands for people need the HTTP client. Those for operators are the service's, and in ``entrypoints.cli``.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click

PEOPLE: Final[Mapping[str, tuple[str, str]]] = {
    "open": ("writes:open_", "Open a wallet in a currency, such as EUR or POINTS."),
    "credit": ("writes:credit", "Put money into a wallet from outside."),
    "debit": ("writes:debit", "Take money out of a wallet."),
    "transfer": ("writes:transfer", "Move money from one wallet to another."),
    "hold": ("writes:hold", "Set money aside, to be captured or released later."),
    "capture": ("writes:capture", "Take what a hold set aside: all of it, or an amount."),
    "release": ("writes:release", "Give back what a hold set aside."),
    "reverse": ("writes:reverse", "Move back what a transaction moved."),
    "show": ("reads:show", "Show a wallet, and what is held in it."),
    "history": ("reads:history", "Show what happened to a wallet, newest first."),
    "list": ("reads:list_", "List wallets, newest first."),
    "decision": ("reads:decision", "Find out what became of an idempotency key."),
    "fence": ("reads:fence", "Make sure that nothing more can happen under a key."),
    "completion": ("completion:completion", "Print what a shell needs to complete commands and ids."),
}
"""Where each command is, below ``entrypoints.people``, and what it does."""

OPERATORS: Final[Mapping[str, str]] = {
    "serve": "Start the service.",
    "db": "The database's schema.",
    "keys": "API keys: make, list, revoke.",
    "tenants": "Tenants.",
    "audit": "What administrators did.",
    "verify": "Prove the ledger.",
    "export": "Write a tenant's whole ledger to a file.",
    "import": "Read a tenant's ledger from a file.",
    "torture": "Break everything under load, and check.",
}
"""What each command of ``entrypoints.cli`` does. One that is missing here works, and is not listed."""

EPILOG: Final = """\b
Where the wallets are, and what opens them:
  WALLET_URL                 a service, such as http://127.0.0.1:8080
  WALLET_API_KEY             an API key; or WALLET_API_KEY_FILE, a file that holds it
Without a URL: the database in WALLET_DATA_DIR (.wallet), in this process. Settings of the service: wallet serve --help
"""


class Commands(click.Group):
    """The commands, found by name and imported then."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in the order in which they are told."""
        return [*PEOPLE, *OPERATORS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name."""
        return people_command(cmd_name) if cmd_name in PEOPLE else _operators_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List them without importing any."""
        with formatter.section("Wallets"):
            formatter.write_dl([(name, told) for name, (_, told) in PEOPLE.items()])
        with formatter.section("Operation"):
            formatter.write_dl(list(OPERATORS.items()))


def people_command(name: str) -> click.Command:
    """A command for people."""
    module, _, attribute = PEOPLE[name][0].partition(":")
    command = getattr(import_module(f"entrypoints.people.{module}"), attribute)
    if not isinstance(command, click.Command):
        raise TypeError(f"{name} is no command")
    return command


def _operators_command(ctx: click.Context, name: str) -> click.Command | None:
    try:
        from entrypoints.cli import main as operators
    except ImportError as error:
        if name not in OPERATORS:
            return None
        raise click.ClickException(f"this needs the service: install wallet-service[all] ({error})") from error
    return operators.get_command(ctx, name)


@click.command(
    cls=Commands, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(package_name="wallet-service")
def main() -> None:
    """Wallets that credit and debit exactly once."""


if __name__ == "__main__":
    main(prog_name="wallet")
