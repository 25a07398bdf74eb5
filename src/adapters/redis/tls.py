"""TLS to Redis: set up once for all connections of a store, with whom to trust as the URL says.

The client library would set it up for each connection anew. That reads the authorities of the system each time, which
takes as long as half of the time that a call has, and nothing else goes on meanwhile. It would also add an authority
that the URL names to those of the system, instead of trusting that one alone.
"""

import ssl
from collections.abc import Mapping
from typing import Any, Final

from redis.asyncio.connection import SSLConnection

OPTIONS: Final = frozenset(
    {"ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile", "ssl_password"}
)
"""What a URL may say."""


class TlsConnection(SSLConnection):
    """A connection with TLS as ``context`` has it."""

    def __init__(self, *, context: ssl.SSLContext, **options: Any) -> None:
        super().__init__(**options)
        self.ssl_context.context = context


def tls_context(options: Mapping[str, Any]) -> ssl.SSLContext:
    """Who is trusted: the authority in the file ``ssl_ca_certs``, else those of the system; and only under the name
    that is connected to. ``ssl_check_hostname=false`` takes any name, and ``ssl_cert_reqs=none`` anybody.

    Raises ``ValueError`` if that makes no sense.
    """
    try:
        if unknown := options.keys() - OPTIONS:
            raise ValueError(f"none is {', '.join(sorted(unknown))}")
        context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
        verifies = {"required": True, "none": False}.get(options.get("ssl_cert_reqs", "required"))
        if verifies is None:
            raise ValueError("ssl_cert_reqs is required or none")
        context.check_hostname = verifies and options.get("ssl_check_hostname", True)
        context.verify_mode = ssl.CERT_REQUIRED if verifies else ssl.CERT_NONE
        if "ssl_certfile" in options:
            password = options.get("ssl_password", "")
            # Without a password it would be asked for on the terminal.
            context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"), lambda: password)
    except (OSError, ValueError) as error:
        raise ValueError(f"the Redis URL's options of TLS cannot be used: {error}") from error
    return context


def refused_certificate(error: BaseException) -> str | None:
    """Why the server's certificate was refused, if that was what failed. Says nothing that came from the server."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLCertVerificationError):
            return f"its certificate is refused: {seen.verify_message.rstrip('.')}"
        seen = seen.__cause__ or seen.__context__
    return None
