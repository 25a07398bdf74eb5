"""What stands in ``docs/command-line.md`` runs, and is true."""

import re
import shlex

from entrypoints import transfer_format
from entrypoints.people import exit_codes
from entrypoints.wallet import OPERATORS, PEOPLE
from tests.cli.people import Person
from tests.docs.sessions import ROOT, steps

# Ids of version 7 and keys, but for the wallet's; and times.
CHANGING = re.compile(
    r"(?!0190c0de)[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}|\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ"
)
PAGE = (ROOT / "docs" / "command-line.md").read_text()


def shown(output: str) -> str:
    """An output, without what differs from run to run. Widths of columns count."""
    return CHANGING.sub("…", output.strip())


def test_the_session_prints_what_the_page_says(person: Person) -> None:
    session = [step for step in steps(PAGE) if step.command.startswith("wallet ")]
    assert len(session) >= 9
    for step in session:
        done = person.wallet(*shlex.split(step.command)[1:])
        assert shown(done.output + done.errors) == shown(step.output or ""), step.command


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
