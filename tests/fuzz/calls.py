"""Every call that leaves this process by ``requests``, which schemathesis sends with, and what was answered."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import requests

Json = Any

ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
QUOTED: Final = re.compile(r'"(.*)"', re.DOTALL)


@attrs.define(slots=False)
class Call:
    """A request and its answer. Bodies are None where they are no JSON."""

    request: requests.PreparedRequest
    response: requests.Response

    @property
    def method(self) -> str:
        return self.request.method or ""

    @property
    def path(self) -> str:
        return urlsplit(self.request.url or "").path

    @property
    def operation(self) -> str:
        """The method and the path, with ``{id}`` for what is an id there."""
        return f"{self.method} {ID.sub('{id}', self.path)}"

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def key(self) -> str | None:
        """The idempotency key that the header stands for, bare or quoted."""
        value: str | bytes | None = self.request.headers.get("Idempotency-Key")
        if value is None:
            return None
        # A header that was given as bytes stays what it was given as.
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        text = text.strip(" \t")
        quoted = QUOTED.fullmatch(text)
        return re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text

    @cached_property
    def sent(self) -> Json:
        return _parsed(self.request.body)

    @cached_property
    def answered(self) -> Json:
        return _parsed(self.response.content)

    def __str__(self) -> str:
        return f"{self.method} {self.path} with the key {self.key!r}, answered {self.status}"


def _parsed(content: bytes | str | None) -> Json:
    try:
        return json.loads(content or b"null")
    except ValueError:
        return None


@contextmanager
def recorded() -> Iterator[Sequence[Call]]:
    """Keeps all calls while it lasts, those included that no hook of schemathesis is told of, in their order."""
    calls: list[Call] = []
    real = requests.Session.send

    def send(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        response = real(session, request, **options)
        calls.append(Call(request, response))
        return response

    requests.Session.send = send  # type: ignore[method-assign, assignment]  # all of them pass here
    try:
        yield calls
    finally:
        requests.Session.send = real  # type: ignore[method-assign]  # as it was
