"""A way to Redis that may be slow, broken or closed."""

from collections.abc import Iterable

from tests.support.proxy.relay import Passage, Relay


class _Plainly:
    def opened(self) -> None:
        return None

    def from_client(self, data: bytes) -> Iterable[Passage]:
        return [Passage(data)]

    def from_server(self, data: bytes) -> Iterable[Passage]:
        return [Passage(data)]


class PlainRelay(Relay):
    """A proxy that passes on what it gets."""

    def dialogue(self) -> _Plainly:
        return _Plainly()
