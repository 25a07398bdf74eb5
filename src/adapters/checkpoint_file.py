"""Checkpoints as files: where every chain of a tenant stood when it was last proved. One JSON object per line:

- a header: format, tenant, time, and the sums over everything up to then;
- one line for each wallet, in ascending order of its id: the end of its chain;
- a trailer: how many wallets there are, and the SHA-256 of all bytes before it.

Whoever can change the ledger could change a checkpoint beside it: keep checkpoints elsewhere.
Neither reading nor writing holds more than one line in memory.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Final
from uuid import UUID

import attrs

from wallet_core.audit import ChainHead
from wallet_core.canonical import time_text
from wallet_core.receipts import Terms
from wallet_core.verify import Checkpoint, TenantProof

FORMAT: Final = "wallet checkpoint 1"
LINE_BYTES_MAX: Final = 16 * 1024 * 1024
"""The longest line is a header with a sum for each currency."""

_encode = json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), sort_keys=True).encode
_NONSENSE = (ValueError, LookupError, TypeError, RecursionError)


class CheckpointError(Exception):
    """A checkpoint cannot be read, written or used. The message is one line, for whoever asked for it."""


class _Damaged(Exception):
    """In which way it is."""


@contextmanager
def read_checkpoint(path: Path, tenant: UUID) -> Iterator[Checkpoint]:
    """A checkpoint of this tenant. The file is gone through once before anything of it is used.

    Raises ``CheckpointError``, also later, while its heads are read.
    """
    with ExitStack() as stack:
        # Not around the use of the checkpoint: what fails there is no fault of the file.
        with _explained("read", path):
            file = stack.enter_context(path.open("rb"))
            wallets = _check(file, path, tenant)
            file.seek(0)
            header = _members(_line(file))
            checkpoint = Checkpoint(
                _sums(header, "entered"),
                _sums(header, "left"),
                _count(header, "transactions"),
                _count(header, "entries"),
                _heads(file, path, wallets),
            )
        yield checkpoint


def _check(file: IO[bytes], path: Path, tenant: UUID) -> int:
    """Make sure that the file is whole, and of this tenant. Returns the number of its wallets."""
    line = _line(file)
    header = _members(line)
    if header.get("format") != FORMAT:
        raise _Damaged(f"its first line is not that of a {FORMAT}")
    of = header["tenant"]["id"]
    if of != str(tenant):
        raise CheckpointError(f"{path} is a checkpoint of the tenant {header['tenant'].get('name')!r} ({of})")
    digest = hashlib.sha256(line)
    wallets, last_id = 0, ""
    while True:
        line = _line(file)
        members = _members(line)
        if "sha256" in members:
            break
        wallet_id, _ = _head(members)
        if wallet_id <= last_id:
            raise _Damaged("its wallets are not in order")
        wallets, last_id = wallets + 1, wallet_id
        digest.update(line)
    if members["sha256"] != digest.hexdigest() or members["wallets"] != wallets:
        raise _Damaged("its lines are not those that were written")
    if file.read(1):
        raise _Damaged("something follows its last line")
    return wallets


def _heads(file: IO[bytes], path: Path, wallets: int) -> Iterator[tuple[str, ChainHead]]:
    for _ in range(wallets):
        with _explained("read", path):
            head = _head(_members(_line(file)))
        yield head


def _line(file: IO[bytes]) -> bytes:
    line = file.readline(LINE_BYTES_MAX)
    if not line.endswith(b"\n"):
        raise _Damaged("it is cut off")
    return line


def _members(line: bytes) -> Mapping[str, Any]:
    members: Mapping[str, Any] = json.loads(line)
    if type(members) is not dict:
        raise _Damaged("a line is not a JSON object")
    return members


def _count(members: Mapping[str, Any], name: str) -> int:
    value = members[name]
    if type(value) is not int:
        raise _Damaged(f"{name} is not an integer")
    return value


def _text(members: Mapping[str, Any], name: str) -> str:
    value = members[name]
    if type(value) is not str:
        raise _Damaged(f"{name} is not a text")
    return value


def _sums(header: Mapping[str, Any], name: str) -> dict[str, int]:
    return {currency: _count(header[name], currency) for currency in header[name]}


def _head(members: Mapping[str, Any]) -> tuple[str, ChainHead]:
    terms = members["terms"]
    return str(UUID(_text(members, "wallet"))), ChainHead(
        _count(members, "version"),
        _count(members, "balance"),
        _count(members, "held"),
        _text(members, "hash"),
        _text(members, "time"),
        _count(members, "holds"),
        Terms(
            _text(terms, "currency"),
            _count(terms, "floor"),
            None if terms["ceiling"] is None else _count(terms, "ceiling"),
            _text(terms, "status"),
            _text(terms, "metadata_sha256"),
            _text(terms, "created_at"),
        ),
    )


@attrs.define
class CheckpointWriter:
    """Gathers the heads of a proof, beside the file that they are for. See ``write_checkpoint``."""

    path: Path
    _lines: IO[bytes]
    _wallets: int = 0

    def add(self, wallet_id: str, head: ChainHead) -> None:
        """Take note of the end of a wallet's chain; in ascending order of ids."""
        with _explained("write", self.path):
            self._lines.write(_bytes({"wallet": wallet_id, **attrs.asdict(head)}))
        self._wallets += 1

    def keep(self, tenant: UUID, tenant_name: str, proof: TenantProof) -> None:
        """Write the checkpoint, all or nothing: durably, or the file stays what it was. Of proofs that are ok only."""
        if not proof.ok:
            raise ValueError("only what is proved makes a checkpoint")
        header = {
            "format": FORMAT,
            "tenant": {"id": str(tenant), "name": tenant_name},
            "at": time_text(proof.at),
            "entered": dict(proof.flows.entered),
            "left": dict(proof.flows.left),
            "transactions": proof.flows.transactions,
            "entries": proof.flows.entries,
        }
        with _explained("write", self.path):
            self._lines.seek(0)
            descriptor, name = tempfile.mkstemp(prefix=f".{self.path.name}.", dir=self.path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    hashed = _Hashed(file)
                    hashed.write(_bytes(header))
                    shutil.copyfileobj(self._lines, hashed)
                    file.write(_bytes({"wallets": self._wallets, "sha256": hashed.digest.hexdigest()}))
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(self.path)
            except BaseException:
                with suppress(FileNotFoundError):
                    Path(name).unlink()
                raise
            _sync_folder(self.path.parent)


@contextmanager
def write_checkpoint(path: Path) -> Iterator[CheckpointWriter]:
    """A writer for a checkpoint at this place. Unless ``keep`` is called nothing is left behind.

    Raises ``CheckpointError`` at once if files cannot be made there, and not only after a long proof.
    """
    with _explained("write", path):
        if path.is_dir():
            raise CheckpointError(f"cannot write {path}: it is a folder")
        lines = tempfile.TemporaryFile(dir=path.parent)  # noqa: SIM115 - closed below; its user's errors are not of it
    with lines:
        yield CheckpointWriter(path, lines)


@attrs.define
class _Hashed:
    file: IO[bytes]
    digest: Any = attrs.field(factory=hashlib.sha256)

    def write(self, data: bytes) -> None:
        self.digest.update(data)
        self.file.write(data)


def _bytes(members: Mapping[str, Any]) -> bytes:
    return f"{_encode(members)}\n".encode()


def _sync_folder(folder: Path) -> None:
    """Make the new name durable as well."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(verb: str, path: Path) -> Iterator[None]:
    try:
        yield
    except _Damaged as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    except OSError as error:
        raise CheckpointError(f"cannot {verb} {path}: {error.strerror or error}") from error
    except _NONSENSE as error:
        raise CheckpointError(f"{path} is damaged: it makes no sense") from error
