"""What stands in ``docs/command-line.md`` runs, and is true."""

import os
import re
import stat
import sys
from pathlib import Path

from entrypoints import transfer_format
from entrypoints.people import exit_codes
from entrypoints.wallet import OPERATORS, PEOPLE
from tests.cli.people import Person
from tests.docs.sessions import ROOT, Step, steps, surprises

PAGE = (ROOT / "docs" / "command-line.md").read_text()


def test_the_session_prints_what_the_page_says(person: Person, tmp_path: Path) -> None:
    program = tmp_path / "wallet"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m entrypoints.wallet "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "api-key").write_text(person.api_key)
    session = [Step(f'export PATH="{tmp_path}:{os.environ["PATH"]}"', None), *steps(PAGE)]
    assert len([step for step in session if step.output is not None]) >= 9
    assert surprises(session, person.url, tmp_path) == []


def test_exit_codes_and_formats_are_those_of_the_code() -> None:
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE)}
    assert told == {value for name, value in vars(exit_codes).items() if name.isupper() and isinstance(value, int)}
    assert f"`{transfer_format.FORMAT}`" in PAGE
    assert f"each {transfer_format.PORTION:,} transactions" in PAGE
    lines = {name for name, kind in transfer_format.Line.__annotations__.items() if kind}
    assert {line for line in lines if not re.search(rf"^\| `{line}`", PAGE, re.MULTILINE)} == set()
    structs = (transfer_format.Transaction, transfer_format.Entry, transfer_format.Mark, transfer_format.End)
    members = {name for struct in structs for name in struct.__struct_fields__}
    assert {name for name in members if f"`{name}`" not in PAGE} == set()


def test_every_command_is_named() -> None:
    assert {name for name in (*PEOPLE, *OPERATORS) if not re.search(rf"`(wallet )?{name}\b", PAGE)} <= {"torture"}
