"""Time that only moves when a test says so."""

from datetime import UTC, datetime, timedelta

NOON = datetime(2024, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)
"""Where most tests start. In the past of any real database, which matters to ``tests.support.stores``."""


class Clock:
    """Stands in for the database's clock."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move on; or back, with negative seconds, as clocks sometimes do."""
        self.now += timedelta(seconds=seconds)


def later(seconds: float) -> datetime:
    """That long after ``NOON``."""
    return NOON + timedelta(seconds=seconds)
