"""Ids that a test can foresee."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID


def id_number(number: int) -> UUID:
    """A UUID of version 7 in form (RFC 9562), so that nothing that inspects ids takes offence; ascending in number."""
    high, low = divmod(number, 1 << 62)
    return UUID(int=(high << 80) | (0x7 << 76) | (0b10 << 62) | low)


class CountingIds:
    """An ``Ids`` source that counts: two ledgers that do the same give the same ids."""

    def __init__(self, last_number: int = 1_000_000) -> None:
        self.last_number = last_number

    def __call__(self, now: datetime) -> Iterator[UUID]:
        while True:
            self.last_number += 1
            yield id_number(self.last_number)

    def upcoming(self, amount: int) -> list[UUID]:
        """The next ids, without using them up."""
        return [id_number(self.last_number + 1 + offset) for offset in range(amount)]
