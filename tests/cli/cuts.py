"""A way to the service on which answers to writes get lost: the request arrives, and nobody hears of it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import attrs


@attrs.define
class Cut:
    """``url`` leads to the service. ``arrived`` is set when a write has been answered, which its sender never learns:
    the connection is closed, or stays silent if ``silent``."""

    url: str
    arrived: threading.Event
    silent: bool


@contextmanager
def cutting(url: str, *, silent: bool = False) -> Iterator[Cut]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        cut = Cut(f"http://127.0.0.1:{listener.getsockname()[1]}", threading.Event(), silent)
        target = urlsplit(url)
        accepting = threading.Thread(target=_accept, args=(listener, target.hostname, target.port, cut), daemon=True)
        accepting.start()
        try:
            yield cut
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()


def _accept(listener: socket.socket, host: str, port: int, cut: Cut) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            threading.Thread(target=_serve, args=(client, host, port, cut), daemon=True).start()


def _serve(client: socket.socket, host: str, port: int, cut: Cut) -> None:
    writes = threading.Event()
    with client, socket.create_connection((host, port)) as service, suppress(OSError):
        threading.Thread(target=_pass_on, args=(client, service, writes), daemon=True).start()
        while answer := service.recv(65_536):
            if writes.is_set():
                cut.arrived.set()
                if not cut.silent:
                    client.shutdown(socket.SHUT_RDWR)
                    return
            else:
                client.sendall(answer)


def _pass_on(client: socket.socket, service: socket.socket, writes: threading.Event) -> None:
    with suppress(OSError):
        while request := client.recv(65_536):
            if request.startswith((b"POST", b"PATCH")):
                writes.set()
            service.sendall(request)
        service.shutdown(socket.SHUT_RDWR)
