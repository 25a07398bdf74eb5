"""A proxy that speaks PostgreSQL's protocol, and cuts or stalls connections at the moments that matter.

    async with PostgresProxy.before(dsn) as proxy:
        engine = create_engine(proxy.dsn)
        rule = proxy.arm(Point.AFTER_COMMIT, Cut(), application="wallet-service")
        …
        await rule.fired()

``arm`` takes any of the actions of ``rules``, and says how often, with which probability, and for which statement or
application. ``cut_all`` and ``silence_all`` do it to all connections at once; ``refuse`` and ``listen`` take the server
away and bring it back; ``shape`` makes the way slow. ``fired_counts`` and ``sqlstates`` tell what has happened.

TLS is declined, since nothing could be read inside of it.
"""

from collections import Counter
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from random import Random
from typing import Final, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

from adapters.postgres.engine import dsn_of_each_host
from tests.support.proxy.postgres_frames import CANCEL_REQUEST, GSS_REQUEST, SSL_REQUEST, Frame, Frames
from tests.support.proxy.relay import Address, Passage, Relay, Shape
from tests.support.proxy.rules import Moment

PORT_DEFAULT: Final = 5432
DECLINED: Final = b"N"


class Point(StrEnum):
    """When a rule may fire."""

    START_UP = "start-up"
    """A client asks to be let in; the server has not heard it."""
    STATEMENT_SENT = "statement-sent"
    """A statement, COMMIT excepted, is with the server, and nothing of its answer with the client."""
    BEFORE_COMMIT = "before-commit"
    """The client has sent COMMIT; the server has not heard it."""
    COMMIT_SENT = "commit-sent"
    """COMMIT is with the server, which may not have carried it out yet."""
    AFTER_COMMIT = "after-commit"
    """The server has committed and says so; the client has not heard it."""
    ERROR = "error"
    """The server has reported an error, and the client has heard it. The text is its SQLSTATE."""
    CANCEL_REQUEST = "cancel-request"
    """A client asks to have a statement cancelled, which it does on a connection of its own."""


class PostgresDialogue:
    """Follows one connection. See ``relay.Dialogue``."""

    def __init__(self, sqlstates: Counter[str] | None = None) -> None:
        self.sqlstates: Counter[str] = Counter() if sqlstates is None else sqlstates
        self.application = ""
        self.statement = ""
        self.transaction = "I"
        """As the server said last: I for none, T for one, E for one that failed."""
        self._client = Frames(starting=True)
        self._server = Frames(starting=False)
        self._prepared: dict[str, str] = {}
        self._executed = False

    def opened(self) -> Moment | None:
        return None

    def from_client(self, data: bytes) -> Iterator[Passage]:
        for frame in self._client.feed(data):
            yield self._asked(frame) if frame.kind else self._started(frame)

    def from_server(self, data: bytes) -> Iterator[Passage]:
        for frame in self._server.feed(data):
            committed = frame.kind == b"C" and frame.texts()[0] == "COMMIT"
            if frame.kind == b"Z":
                self.transaction = frame.body.decode()
            elif frame.kind in (b"E", b"N"):
                self.sqlstates[frame.sqlstate] += 1
            error = Moment(Point.ERROR, self.application, frame.sqlstate) if frame.kind == b"E" else None
            yield Passage(frame.raw, before=self._at(Point.AFTER_COMMIT) if committed else None, after=error)

    def _started(self, frame: Frame) -> Passage:
        if frame.code in (SSL_REQUEST, GSS_REQUEST):
            return Passage(b"", reply=DECLINED)
        if frame.code == CANCEL_REQUEST:
            return Passage(frame.raw, before=self._at(Point.CANCEL_REQUEST))
        self.application = frame.start_up_settings.get("application_name", "")
        return Passage(frame.raw, before=self._at(Point.START_UP))

    def _asked(self, frame: Frame) -> Passage:
        match frame.kind:
            case b"Q":
                self.statement = frame.texts()[0]
                return self._sent(frame)
            case b"P":
                name, text, *_ = frame.texts()
                self._prepared[name] = text
            case b"B":
                # The one before it, whose answer is not waited for.
                sent = self._at(Point.STATEMENT_SENT) if self._executed else None
                self._executed = False
                self.statement = self._prepared.get(frame.texts()[1], "")
                return Passage(frame.raw, before=sent)
            case b"E":
                self._executed = True
                if _is_commit(self.statement):
                    return Passage(frame.raw, before=self._at(Point.BEFORE_COMMIT))
            case b"S" if self._executed:
                self._executed = False
                if _is_commit(self.statement):
                    return Passage(frame.raw, after=self._at(Point.COMMIT_SENT))
                return self._sent(frame)
        return Passage(frame.raw)

    def _sent(self, frame: Frame) -> Passage:
        if _is_commit(self.statement):
            return Passage(frame.raw, before=self._at(Point.BEFORE_COMMIT), after=self._at(Point.COMMIT_SENT))
        return Passage(frame.raw, after=self._at(Point.STATEMENT_SENT))

    def _at(self, point: Point) -> Moment:
        return Moment(point, self.application, self.statement)


class PostgresProxy(Relay):
    """A proxy in front of one PostgreSQL server."""

    def __init__(
        self, upstream: Address, target: str, *, random: Random | None = None, shape: Shape | None = None
    ) -> None:
        super().__init__(upstream, random=random, shape=shape)
        self.sqlstates: Counter[str] = Counter()
        """The errors and warnings that the server has sent, by SQLSTATE, whether or not a client waited for them."""
        self._target = target

    @classmethod
    def before(cls, dsn: str, *, random: Random | None = None, shape: Shape | None = None) -> Self:
        """A proxy in front of the server of this URL, which names one host, on TCP or a Unix socket."""
        (host_dsn,) = dsn_of_each_host(dsn)
        return cls(address_of(host_dsn), host_dsn, random=random, shape=shape)

    @property
    def dsn(self) -> str:
        """The URL with which it was made, by way of the proxy."""
        return self.dsn_to(self._target)

    def dsn_to(self, dsn: str) -> str:
        """The URL of another database on the same server, by way of the proxy."""
        return through(dsn, [self.port])

    def dialogue(self) -> PostgresDialogue:
        return PostgresDialogue(self.sqlstates)


def address_of(dsn: str) -> Address:
    """Where the only host of a URL listens."""
    parts = urlsplit(dsn)
    query = dict(parse_qsl(parts.query))
    host = parts.hostname or query.get("host", "127.0.0.1")
    port = parts.port or int(query.get("port", PORT_DEFAULT))
    return Path(host) / f".s.PGSQL.{port}" if host.startswith("/") else (host, port)


def through(dsn: str, ports: list[int]) -> str:
    """The URL with its hosts replaced by proxies at these ports, in this order."""
    parts = urlsplit(dsn)
    user = parts.netloc.rpartition("@")[0]
    query = {name: value for name, value in parse_qsl(parts.query) if name not in ("host", "port")}
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    return f"postgresql://{user}{'@' if user else ''}{hosts}{parts.path}" + (f"?{urlencode(query)}" if query else "")


def _is_commit(statement: str) -> bool:
    return statement.strip().rstrip(";").strip().upper() == "COMMIT"
