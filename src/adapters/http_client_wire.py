"""One request, and what came of it: an answer, a problem, or no answer.

The three are told apart by what a client may conclude. An answer says what was done. A problem says what was not, and
what to send next (its members ``outcome`` and ``retry``). Without an answer nobody knows, unless nothing was sent.
"""

import asyncio
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Self
from urllib.parse import quote

import anyio
import attrs
import httpx

from adapters.http_client_retries import Retries

Members = Mapping[str, Any]

CONNECT_SHARE_MAX: Final = 0.9
"""The share of an attempt's time that its connection may take: so that a connection which is never made is seen as
that, and not as an answer which never came."""

CONNECTIONS_MAX: Final = 100
BATCH_PATH: Final = "/v1/batches"
UNPROCESSED: Final = frozenset({408, 425, 429})
"""Statuses by which a proxy asks for the same again (RFC 9110, section 15.5.9; RFC 8470; RFC 6585)."""

_NOT_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
_MEMBERS: Final = frozenset({"type", "title", "status", "detail", "instance", "outcome", "retry"})
_TYPE_PREFIX: Final = "/problems/"


@attrs.frozen
class Request:
    """What to send. ``key`` is the idempotency key, where the path takes one."""

    method: str
    path: str
    body: Members | None = None
    key: str | None = None
    query: Mapping[str, str] = attrs.field(factory=dict)

    def content(self) -> bytes | None:
        """The body, in UTF-8."""
        if self.body is None:
            return None
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


@attrs.frozen
class Answer:
    """The service did what it was asked for. ``replayed``: it had done so before, under the same key."""

    members: Members
    replayed: bool = False
    again = False
    retry_after_s = 0.0


@attrs.frozen
class Problem:
    """The service did not do it, or does not know (RFC 9457).

    ``slug`` names the kind of problem; it is empty for an error that is none of the API's. ``details`` are the members
    that the kind adds. ``request_id`` is what the service's log calls the request.
    """

    slug: str
    status: int
    title: str
    detail: str
    outcome: str
    retry: str
    details: Members = attrs.field(factory=dict)
    replayed: bool = False
    retry_after_s: float = 0.0
    request_id: str | None = None

    @classmethod
    def of(cls, members: Members, *, replayed: bool, retry_after_s: float = 0.0, request_id: str | None = None) -> Self:
        """The problem that these members are. Raises ``ValueError`` if they are none."""
        try:
            return cls(
                str(members["type"]).removeprefix(_TYPE_PREFIX),
                int(members["status"]),
                str(members["title"]),
                str(members.get("detail", "")),
                str(members["outcome"]),
                str(members["retry"]),
                {name: value for name, value in members.items() if name not in _MEMBERS},
                replayed,
                retry_after_s,
                request_id,
            )
        except (LookupError, TypeError) as error:
            raise ValueError("these members are no problem of the API") from error

    @property
    def again(self) -> bool:
        """Whether the same request, with the same key, is the way to the answer. The service says so."""
        return self.retry == "same_key"

    @property
    def in_doubt(self) -> bool:
        """Whether it may have been done all the same, or may yet be."""
        return self.outcome == "unknown"

    def __str__(self) -> str:
        said = f"{self.status} {self.slug or self.title}"
        return f"{said}: {self.detail}" if self.detail else said


@attrs.frozen
class NoAnswer:
    """There is no answer of the service's. ``in_doubt``: the request may have arrived."""

    why: str
    in_doubt: bool
    retry_after_s: float = 0.0
    again = True

    def __str__(self) -> str:
        return self.why


Reply = Answer | Problem | NoAnswer


@attrs.frozen
class Wire:
    """A service, and the connections to it. ``retries`` says how long to insist, and how long to wait for what.

    At most ``CONNECTIONS_MAX`` requests are under way, so that none waits for a connection inside ``http``: one that
    gives up there just as it is given a connection takes it along, for good (httpcore 1.0.9).
    """

    http: httpx.AsyncClient
    base_url: str
    retries: Retries
    _room: asyncio.Semaphore = attrs.field(
        init=False, factory=lambda: asyncio.Semaphore(CONNECTIONS_MAX), eq=False, repr=False
    )

    async def send(self, api_key: str, request: Request, timeout_s: float) -> Reply:
        """Send a request once, and wait for its answer for at most ``timeout_s``."""
        connect_s = min(self.retries.connect_s, timeout_s * CONNECT_SHARE_MAX)
        began = time.monotonic()
        try:
            async with asyncio.timeout(connect_s):
                await self._room.acquire()
        except TimeoutError:
            return NoAnswer(f"no connection: {CONNECTIONS_MAX} requests are under way", in_doubt=False)
        try:
            return await self._send(api_key, request, timeout_s - (time.monotonic() - began), connect_s)
        finally:
            self._room.release()

    async def _send(self, api_key: str, request: Request, timeout_s: float, connect_s: float) -> Reply:
        try:
            # Not asyncio's, which would break into what httpcore does to give a connection back, and lose it too.
            with anyio.fail_after(timeout_s):
                response = await self.http.request(
                    request.method,
                    self.base_url + _target(request),
                    content=request.content(),
                    headers=_headers(api_key, request),
                    timeout=httpx.Timeout(None, connect=connect_s, pool=connect_s),
                    follow_redirects=False,
                )
        except _NOT_SENT as error:
            return NoAnswer(f"no connection: {_said(error)}", in_doubt=False)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError):
            raise
        except httpx.TransportError as error:
            # Whoever breaks off in the middle may have done everything.
            return NoAnswer(f"the connection broke: {_said(error)}", in_doubt=True)
        except TimeoutError:
            return NoAnswer(f"no answer within {timeout_s:.3g} s", in_doubt=True)
        return _reply(response)


def _target(request: Request) -> str:
    # By hand: the service takes a plus for a plus, and keys may hold any visible character.
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in request.query.items())
    return f"{request.path}?{query}" if query else request.path


def _headers(api_key: str, request: Request) -> dict[str, str]:
    headers = {"Accept": "application/json, application/problem+json"}
    if api_key:
        headers["Authorization"] = f"Bearer {api_key}"
    if request.body is not None:
        headers["Content-Type"] = "application/json"
    if request.key is not None:
        headers["Idempotency-Key"] = _header_key(request.key)
    return headers


def _header_key(key: str) -> str:
    """A key that begins like a quoted string has to be one (RFC 8941, section 3.3.3)."""
    if not key.startswith('"'):
        return key
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _reply(response: httpx.Response) -> Reply:
    retry_after_s = _retry_after_s(response.headers.get("retry-after"))
    members = _members(response)
    if response.is_success and members is not None:
        return Answer(members, response.headers.get("idempotent-replayed") == "true")
    said = f"{response.status_code} {response.reason_phrase}".strip()
    if members is not None and not response.is_success:
        try:
            return Problem.of(
                members,
                replayed=response.headers.get("idempotent-replayed") == "true",
                retry_after_s=retry_after_s,
                request_id=response.headers.get("x-request-id"),
            )
        except ValueError:
            pass
    if response.is_success or response.is_server_error or response.status_code in UNPROCESSED:
        # A proxy's words, or a broken answer. What the service did behind it, nobody knows.
        return NoAnswer(f"no answer of the service's, but {said}", in_doubt=True, retry_after_s=retry_after_s)
    return Problem("", response.status_code, said, "", "not_applied", "never")


def _members(response: httpx.Response) -> Members | None:
    try:
        document = json.loads(response.content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _retry_after_s(value: str | None) -> float:
    """Seconds, or until a time (RFC 9110, section 10.2.3). What is neither asks for nothing."""
    if value is None:
        return 0.0
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__
