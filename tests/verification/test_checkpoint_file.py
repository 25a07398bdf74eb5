"""A checkpoint file is whole, and of the tenant it is used for, or it is refused; it is written all or not at all."""

import hashlib
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from adapters.checkpoint_file import CheckpointError, read_checkpoint, write_checkpoint
from tests.support.ids import id_number
from wallet_core.audit import ChainHead, Flows
from wallet_core.findings import Check, Findings
from wallet_core.receipts import Terms
from wallet_core.verify import Checkpoint, TenantProof

TENANT, OTHER_TENANT = id_number(1), id_number(2)
TERMS = Terms("EUR", -5, 9_007_199_254_740_991, "frozen", "ab" * 32, "2026-01-31T12:00:00.123456Z")
HEADS = [
    (str(id_number(10)), ChainHead(3, -5, 0, "11" * 32, "2026-01-31T12:00:00.123456Z", 1, TERMS)),
    (str(id_number(11)), ChainHead(1, 0, 0, "22" * 32, "2026-01-31T12:00:01.123456Z", 0, TERMS)),
]


def proof(findings: Findings | None = None) -> TenantProof:
    flows = Flows(transactions=4, named=4, entries=4)
    flows.entered["EUR"] = 5
    flows.left["EUR"] = 10
    return TenantProof(2, 4, flows, datetime(2026, 2, 1, tzinfo=UTC), [], findings or Findings())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A checkpoint of two wallets."""
    path = tmp_path / "checkpoint.jsonl"
    with write_checkpoint(path) as writer:
        for wallet_id, head in HEADS:
            writer.add(wallet_id, head)
        writer.keep(TENANT, "default", proof())
    return path


def read(path: Path, tenant: UUID = TENANT) -> tuple[Checkpoint, list[tuple[str, ChainHead]]]:
    with read_checkpoint(path, tenant) as checkpoint:
        return checkpoint, list(checkpoint.heads)


def test_what_is_written_is_read(path: Path) -> None:
    checkpoint, heads = read(path)
    assert heads == HEADS
    assert (checkpoint.entered, checkpoint.left) == ({"EUR": 5}, {"EUR": 10})
    assert (checkpoint.transactions, checkpoint.entries) == (4, 4)


def test_it_is_lines_of_json_that_the_last_one_seals(path: Path) -> None:
    *lines, trailer = path.read_bytes().splitlines(keepends=True)
    assert json.loads(lines[0]) == {
        "format": "wallet checkpoint 1",
        "tenant": {"id": str(TENANT), "name": "default"},
        "at": "2026-02-01T00:00:00.000000Z",
        "entered": {"EUR": 5},
        "left": {"EUR": 10},
        "transactions": 4,
        "entries": 4,
    }
    assert json.loads(trailer) == {"wallets": 2, "sha256": hashlib.sha256(b"".join(lines)).hexdigest()}


def test_only_its_owner_may_read_it(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600


def sealed(*lines: bytes) -> bytes:
    """Lines with a last one that fits them, as only a bug would write them, or somebody who knows how."""
    text = b"".join(lines)
    trailer = {"wallets": len(lines) - 1, "sha256": hashlib.sha256(text).hexdigest()}
    return text + json.dumps(trailer).encode() + b"\n"


Damage = Callable[[bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "empty": lambda text: b"",
    "cut off within a line": lambda text: text[:-10],
    "cut off before its last line": lambda text: text[: text.rindex(b"\n", 0, -1) + 1],
    "its header only": lambda text: text[: text.index(b"\n") + 1],
    "longer": lambda text: text + b"{}\n",
    "another balance": lambda text: text.replace(b'"balance":-5', b'"balance":-4'),
    "a wallet less": lambda text: b"".join(text.splitlines(keepends=True)[:1] + text.splitlines(keepends=True)[2:]),
    "another number of wallets": lambda text: text.replace(b'"wallets":2', b'"wallets":3'),
    "no JSON": lambda text: b"checkpoint\n",
    "no object": lambda text: b"[]\n",
    "another format": lambda text: text.replace(b"checkpoint 1", b"checkpoint 2"),
    "no text": lambda text: bytes(range(256)),
    "deep": lambda text: b"[" * 100_000 + b"\n",
    "no tenant": lambda text: sealed(b'{"format":"wallet checkpoint 1"}\n'),
    "a tenant of the wrong type": lambda text: sealed(b'{"format":"wallet checkpoint 1","tenant":1}\n'),
    "no sums": lambda text: sealed(
        json.dumps({"format": "wallet checkpoint 1", "tenant": {"id": str(TENANT)}}).encode() + b"\n"
    ),
    "wallets in another order": lambda text: sealed(*(text.splitlines(keepends=True)[line] for line in (0, 2, 1))),
    "a wallet twice": lambda text: sealed(*(text.splitlines(keepends=True)[line] for line in (0, 1, 1))),
    "a version that is a text": lambda text: sealed(
        *text.replace(b'"version":3', b'"version":"3"').splitlines(keepends=True)[:-1]
    ),
    "no terms": lambda text: sealed(*text.replace(b'"terms"', b'"words"').splitlines(keepends=True)[:-1]),
    "an id that is none": lambda text: sealed(*text.replace(b'"wallet":"0', b'"wallet":"g').splitlines(True)[:-1]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_refused_before_anything_of_it_is_used(path: Path, damage: Damage) -> None:
    text = path.read_bytes()
    path.write_bytes(damage(text))
    assert path.read_bytes() != text
    with pytest.raises(CheckpointError) as caught, read_checkpoint(path, TENANT):
        pytest.fail("it was used")
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged: ")
    assert "\n" not in message


def test_a_checkpoint_of_another_tenant_is_refused(path: Path) -> None:
    with pytest.raises(CheckpointError, match="is a checkpoint of the tenant 'default'"):
        read(path, OTHER_TENANT)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"cannot read .*: No such file or directory"):
        read(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match=r"cannot read .*: Is a directory"):
        read(tmp_path)


def test_a_place_that_cannot_be_written_to_is_refused_at_once(tmp_path: Path) -> None:
    with (
        pytest.raises(CheckpointError, match=r"cannot write .*: No such file or directory"),
        write_checkpoint(tmp_path / "nowhere" / "checkpoint"),
    ):
        pytest.fail("it was begun")
    with pytest.raises(CheckpointError, match="is a folder"), write_checkpoint(tmp_path):
        pytest.fail("it was begun")


def test_what_goes_wrong_with_something_else_is_not_laid_to_the_file(path: Path) -> None:
    with pytest.raises(OSError, match="elsewhere"), read_checkpoint(path, TENANT):
        raise OSError("elsewhere")
    with pytest.raises(OSError, match="elsewhere"), write_checkpoint(path):
        raise OSError("elsewhere")


def test_a_writer_that_keeps_nothing_leaves_nothing_and_the_old_file_as_it_was(path: Path) -> None:
    before = path.read_bytes()
    with write_checkpoint(path) as writer:
        writer.add(*HEADS[0])
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_a_crash_while_it_is_written_leaves_the_old_file_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CheckpointError, match="No space left on device"), write_checkpoint(path) as writer:
        writer.keep(TENANT, "default", proof())
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_only_a_proof_makes_a_checkpoint(path: Path) -> None:
    findings = Findings()
    findings.add(Check.CHAIN, "broken")
    with pytest.raises(ValueError, match="only what is proved"), write_checkpoint(path) as writer:
        writer.keep(TENANT, "default", proof(findings))


def test_reading_and_writing_keep_no_more_than_a_line_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    wallets = 5_000

    def heads() -> Iterator[tuple[str, ChainHead]]:
        return ((str(id_number(number)), HEADS[0][1]) for number in range(wallets))

    tracemalloc.start()
    try:
        with write_checkpoint(path) as writer:
            for wallet_id, head in heads():
                writer.add(wallet_id, head)
            writer.keep(TENANT, "default", proof())
        with read_checkpoint(path, TENANT) as checkpoint:
            assert sum(1 for _ in checkpoint.heads) == wallets
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert path.stat().st_size > 2_000_000
    assert peak < 1_000_000
