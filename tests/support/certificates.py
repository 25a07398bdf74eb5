"""Certificates made on the spot: an authority of a test's own, and what it has signed."""

import ssl
from pathlib import Path

import attrs
import trustme


@attrs.frozen
class Signed:
    """A certificate with its chain, and its key, each in a file."""

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """For a server that shows it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """An authority that nobody knows yet, with its certificate in a file."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._made = trustme.CA()
        self.file = folder / "ca.pem"
        self._made.cert_pem.write_to_path(self.file)

    def sign(self, *names: str) -> Signed:
        """A certificate for a server or client of these host names or addresses."""
        made = self._made.issue_cert(*names)
        signed = Signed(self._folder / f"{names[0]}.pem", self._folder / f"{names[0]}.key")
        signed.certificate.write_bytes(b"".join(each.bytes() for each in made.cert_chain_pems))
        made.private_key_pem.write_to_path(signed.key)
        return signed
