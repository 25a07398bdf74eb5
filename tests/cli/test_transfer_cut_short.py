"""Exports and imports that are killed, overtaken or disturbed, and go on."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrypoints import bootstrap, transfer_command, transfer_export, transfer_import
from entrypoints.transfer_format import FormatError
from tests.cli.ledgers import content, edited, exported, on, rows, transaction
from tests.databases import Databases, execute
from tests.databases import run as wait_for
from tests.http.process import environment
from tests.verification.scene import ALICE, BOB, TENANT, go_on
from wallet_core import Command, PlaceHold, credit, debit, transfer

PORTION = 20


@pytest.fixture(scope="module")
def long_scene(databases: Databases, scene: str) -> Iterator[str]:
    """A ledger of many portions."""
    dsn = databases.copy(scene)
    kinds: list[Callable[[str], Command]] = [
        lambda key: credit(key, ALICE, 2),
        lambda key: transfer(key, ALICE, BOB, 1),
        lambda key: debit(key, BOB, 1),
        lambda key: PlaceHold(key, ALICE, 1),
    ]
    for start in range(0, 240, 60):
        wait_for(go_on(dsn, *(kinds[number % 4](f"more-{number}") for number in range(start, start + 60))))
    yield dsn
    databases.drop(dsn)


@pytest.fixture
def small_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many portions in a short ledger."""
    monkeypatch.setattr(transfer_export, "PORTION", 5)
    monkeypatch.setattr(transfer_import, "PORTION", 5)
    monkeypatch.setattr(transfer_import, "WAITING_MAX", 10)


def killed(dsn: str, seed: int, *words: object) -> int:
    """Run a command until it is done, and return how often it was killed before."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.cli.killed", str(seed), str(PORTION), *map(str, words)],
        env=environment({"WALLET_DATABASE_URL": dsn}),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout.splitlines()[-1])


def test_an_export_that_is_killed_anywhere_goes_on_and_comes_to_the_same(
    long_scene: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_export, "PORTION", PORTION)
    whole, file = exported(long_scene, tmp_path / "whole.jsonl"), tmp_path / "ledger.jsonl"
    assert killed(long_scene, 1, "export", "--output", file) >= 2
    assert content(file) == content(whole)
    assert sorted(os.listdir(tmp_path)) == ["ledger.jsonl", "whole.jsonl"]


def test_an_import_that_is_killed_anywhere_goes_on_and_comes_to_the_same(
    long_scene: str, database: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer_export, "PORTION", PORTION)
    exported(long_scene, file)
    assert killed(database, 3, "import", file) >= 3
    assert rows(database) == rows(long_scene)
    assert on(database, "verify").code == 0


def _cut(file: Path, marks: int, more: bytes) -> Path:
    """Make the export an unfinished one, with so many whole portions and something more."""
    text = file.read_bytes()
    kept, left = b"", marks
    for line in text.splitlines(keepends=True):
        kept += line
        if line.startswith(b'{"mark"'):
            left -= 1
            if left == 0:
                break
    part = file.with_name(f"{file.name}.part")
    part.write_bytes(kept + more)
    file.unlink()
    return part


@pytest.mark.parametrize(
    "more",
    [b"", b'{"transaction":{"id', b"\0" * 4096, b'{"mark":{"transactions":15,"entries":99,"sha256":"00"}}\n', b"\n"],
    ids=["nothing", "half a line", "zeros", "a mark that is wrong", "an empty line"],
)
def test_what_is_whole_of_an_unfinished_export_is_kept(
    scene: str, file: Path, tmp_path: Path, small_portions: None, more: bytes
) -> None:
    whole = exported(scene, tmp_path / "whole.jsonl")
    _cut(exported(scene, file), 2, more)
    done = on(scene, "export", "--output", file)
    assert done.code == 0
    assert "were in" in done.errors
    assert content(file) == content(whole)


def test_an_unfinished_export_goes_on_with_what_is_there_by_then(
    own_scene: str, file: Path, tmp_path: Path, small_portions: None
) -> None:
    _cut(exported(own_scene, file), 3, b"")
    wait_for(go_on(own_scene, credit("since", ALICE, 5)))
    assert "were in" in on(own_scene, "export", "--output", file).errors
    assert content(file) == content(exported(own_scene, tmp_path / "whole.jsonl"))


OVERTAKEN = """
    UPDATE transactions SET position = (SELECT min(position) - 1 FROM transactions) WHERE idempotency_key = 'ring'
"""


def test_an_unfinished_export_that_was_overtaken_begins_anew(
    own_scene: str, file: Path, tmp_path: Path, small_portions: None
) -> None:
    """What had not ended when it was begun may have its place before what was written."""
    _cut(exported(own_scene, file), 3, b"")
    wait_for(execute(own_scene, OVERTAKEN))
    done = on(own_scene, "export", "--output", file)
    assert done.code == 0
    assert "were in" not in done.errors
    assert content(file) == content(exported(own_scene, tmp_path / "whole.jsonl"))


def test_without_that_look_it_would_lack_what_overtook_it(
    own_scene: str, file: Path, small_portions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> bool:
        return True

    _cut(exported(own_scene, file), 3, b"")
    wait_for(execute(own_scene, OVERTAKEN))
    monkeypatch.setattr(transfer_command, "still_the_beginning", never)
    with pytest.raises(RuntimeError, match="was read, and"):
        on(own_scene, "export", "--output", file)


def test_an_unfinished_export_of_another_tenant_is_left_alone(scene: str, file: Path, small_portions: None) -> None:
    part = _cut(exported(scene, file), 2, b"")
    text = part.read_bytes()
    refused = on(scene, "export", "--tenant", "other", "--output", file)
    assert refused.code == 1
    assert "remove it, or name another file" in refused.line
    assert part.read_bytes() == text


def test_two_exports_do_not_write_one_file(scene: str, file: Path) -> None:
    with file.with_name(f"{file.name}.part").open("wb") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        assert "another export writes" in on(scene, "export", "--output", file).line


def test_what_comes_before_an_edited_portion_holds_and_the_right_file_goes_on(
    scene: str, database: str, file: Path, tmp_path: Path, small_portions: None
) -> None:
    right = exported(scene, tmp_path / "right.jsonl")
    edited(exported(scene, file), lambda lines: transaction(lines, "rent")["entries"][0].update(change=-99))
    assert on(database, "import", file).code == 1
    there = rows(database)
    assert 0 < len(there["transactions"]) < 15
    assert on(database, "verify").code == 0
    done = on(database, "import", right)
    assert done.code == 0
    assert f"{len(there['transactions'])} decisions were there" in done.errors
    assert rows(database) == rows(scene)


def test_a_file_that_changes_while_it_is_read_is_refused_before_the_portion(
    scene: str, database: str, file: Path, small_portions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = transfer_import.whole

    def changing(path: Path) -> object:
        told = whole(path)
        path.write_bytes(path.read_bytes().replace(b'"too-much"', b'"too-many"'))
        return told

    exported(scene, file)
    monkeypatch.setattr(transfer_command, "whole", changing)
    refused = on(database, "import", file)
    assert refused.code == 1
    assert "are not as they were written" in refused.line
    assert {row["outcome"] for row in rows(database)["transactions"]} == {"applied"}


def test_somebody_elses_write_to_the_tenant_ends_the_import_with_nothing_of_the_portion(
    scene: str, database: str, file: Path, small_portions: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = bootstrap.PostgresTransfer.write
    theirs: list[Command] = [credit("theirs", ALICE, 1)]

    async def overtaken(self: bootstrap.PostgresTransfer, tenant: object, portion: bootstrap.Writing) -> None:
        if "pay-alice" in portion.transactions["idempotency_key"] and theirs:
            await go_on(database, theirs.pop())
        await write(self, TENANT, portion)

    exported(scene, file)
    monkeypatch.setattr(bootstrap.PostgresTransfer, "write", overtaken)
    refused = on(database, "import", file)
    assert refused.code == 4
    assert "somebody else writes to the tenant" in refused.line
    assert "pay-alice" not in {row["idempotency_key"] for row in rows(database)["transactions"]}
    assert on(database, "verify").code == 0


def test_portions_have_a_bound(file: Path, scene: str, small_portions: None) -> None:
    exported(scene, file)
    text = b"".join(line for line in file.read_bytes().splitlines(keepends=True) if not line.startswith(b'{"mark"'))
    file.write_bytes(text)
    with file.open("rb") as lines, pytest.raises(FormatError, match="between two marks"):
        list(transfer_import.portions(lines))
