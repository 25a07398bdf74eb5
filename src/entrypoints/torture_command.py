"""``wallet torture``: a command of the project's checkout, whose code is among the tests and is not shipped."""

import os
import sys
from pathlib import Path
from typing import Final, NoReturn

import click

CHECKOUT: Final = Path(__file__).parents[2]
MODULE: Final = "tests.torture.command"


@click.command(
    # What it takes is for the code of the checkout to say.
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def torture(arguments: tuple[str, ...]) -> NoReturn:
    """Break the service under load, and check it (needs the checkout)."""
    if not (CHECKOUT / "tests" / "torture" / "command.py").exists():
        click.echo("wallet: torture needs the project's checkout, with its tests, installed editable", err=True)
        sys.exit(2)
    # Where the checkout is found first, and with paths that mean what they mean here.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
    os.execv(sys.executable, [sys.executable, "-m", MODULE, *arguments])
