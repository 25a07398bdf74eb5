"""A proxy in front of the service that spoils one thing: what a campaign has to find."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Final

import httpx

from tests.support.http_servers import Quiet, answering

METHODS: Final = ("GET", "POST", "PATCH", "PUT", "DELETE", "OPTIONS", "HEAD", "TRACE", "QUERY")
OF_THE_CONNECTION: Final = ("connection", "content-length", "host", "keep-alive", "transfer-encoding")


Send = Callable[[httpx.Request], httpx.Response]

Meddle = Callable[[httpx.Request, Send], httpx.Response]
"""Answers a request, with the service at hand."""


@contextmanager
def meddling(url: str, meddle: Meddle) -> Iterator[str]:
    """The address of a proxy that stands in front of the service there."""
    with httpx.Client(timeout=10) as client:

        class Handler(Quiet, BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # One packet for each answer, sent at once.
            wbufsize = -1
            disable_nagle_algorithm = True

            def answer(self) -> None:
                content = self.rfile.read(int(self.headers.get("content-length", 0)))
                sent = [(name, value) for name, value in self.headers.items() if name.lower() != "host"]
                headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in sent]
                request = httpx.Request(self.command, url + self.path, headers=headers, content=content)
                try:
                    response = meddle(request, client.send)
                except httpx.LocalProtocolError:
                    # A probe with bytes that no header may hold.
                    response = httpx.Response(400)
                self.send_response(response.status_code)
                for name, value in response.headers.items():
                    if name not in OF_THE_CONNECTION:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(response.content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(response.content)

        for method in METHODS:
            setattr(Handler, f"do_{method}", Handler.answer)
        with answering(Handler) as address:
            yield address
