"""Text for people: columns, pairs, times. Amounts are printed as ``amounts`` has them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

Row = Sequence[str]

GAP = "  "


def table(header: Row, rows: Iterable[Row], *, right: Iterable[int] = ()) -> list[str]:
    """Lines with a header, each column as wide as its longest cell; those of ``right`` are flush right."""
    cells = [header, *rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    flush_right = frozenset(right)
    return [
        GAP.join(
            cell.rjust(width) if column in flush_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def pairs(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each name and value."""
    listed = list(pairs)
    width = max(len(name) for name, _ in listed)
    return [f"{name.ljust(width)}{GAP}{value}".rstrip() for name, value in listed]


def time(moment: datetime) -> str:
    """A time to the second, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"


def printable(text: str) -> str:
    """Text of others, of which a terminal takes nothing for an order."""
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in text)
