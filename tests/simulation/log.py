"""What happens in a schedule: which kinds of things did, for the coverage; and, if it is wished, every single one."""

from collections.abc import Callable


class Log:
    """Everything that happens is told here. ``lines`` is the trace, None unless it is wanted."""

    def __init__(self, time: Callable[[], float], *, traced: bool) -> None:
        self._time = time
        self.covered: set[str] = set()
        self.lines: list[str] | None = [] if traced else None

    def cover(self, event: str) -> None:
        """This kind of thing has happened."""
        self.covered.add(event)
        if self.lines is not None:
            self.note("", event)

    def note(self, who: str, what: object) -> None:
        """This has happened. Callers ask first whether there is a trace, so that nothing is put into words in vain."""
        if self.lines is not None:
            self.lines.append(f"{self._time() * 1000:12.3f} ms  {who:<10} {what}")
