"""What the commands of administrators share: the way to the database, tables, and errors in one line."""

import asyncio
import json
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn, TypeVar

import click

from entrypoints import bootstrap
from entrypoints.bootstrap import BootstrapError
from entrypoints.settings import SettingError, Settings

T = TypeVar("T")

UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Duration(click.ParamType[timedelta]):
    """A length of time as people write it, such as 90s, 15m, 24h, 30d or 2w."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"([0-9]{1,6})([smhdw])", value)
        if found is None:
            self.fail(f"{value!r} is no duration like 90s, 15m, 24h, 30d or 2w", param, ctx)
        return timedelta(**{UNITS[found[2]]: int(found[1])})


class Moment(click.ParamType[datetime]):
    """A time as in RFC 3339, which names its zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            found = None
        if found is None or found.tzinfo is None:
            self.fail(f"{value!r} is no time with a zone, like 2030-01-31T12:00:00Z", param, ctx)
        return found


AS_JSON: Final = click.option("--json", "as_json", is_flag=True, help="One JSON object a line, instead of a table.")


def administer(work: Callable[[bootstrap.Admin], Awaitable[T]]) -> T:
    """Do an administrator's work on the database of the settings. An error ends the command with one line."""

    async def run(url: str) -> T:
        async with bootstrap.administration(url) as admin:
            return await work(admin)

    with errors_in_one_line(), bootstrap.administered(current_settings()) as url, bootstrap.explained():
        return asyncio.run(run(url))


def current_settings() -> Settings:
    """The settings of this process. Raises ``SettingError``."""
    return Settings.from_environment(os.environ)


def show(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def show_json(documents: Sequence[Mapping[str, object]]) -> None:
    """Print JSON Lines; times as in RFC 3339."""
    for document in documents:
        click.echo(json.dumps(document, default=_as_text))


def minute(at: datetime | None) -> str:
    """A time in a table; a dash for none."""
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M}"


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """End the command with one line for what is to be expected of the outside and of the settings."""
    try:
        yield
    except (SettingError, BootstrapError) as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """End the command with this line."""
    click.echo(f"wallet: {message}", err=True)
    sys.exit(1)


def _as_text(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
