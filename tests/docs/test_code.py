"""The code in the documents is what its language takes, and names commands, settings and files that there are."""

import ast
import json
import os
import re
import subprocess
from functools import cache
from itertools import chain

import click
import pytest

from entrypoints.settings import KNOWN, OF_CALLERS, PREFIX_OF_TESTS
from entrypoints.wallet import main
from tests.docs.pages import NAMES, ROOT, Block, blocks, prose
from tests.docs.sessions import commands

SHELL = ("sh", "bash", "console")
WALLET = re.compile(r"""^(?:\$ )?(?:[A-Z_]+=\S+ )*"?(?:\S*/)?wallet"? ([a-z].*)$""", re.MULTILINE)
OPERATORS = {"|", "||", "&&", ";", ">", "&", "#"}
"""Of the shell: what comes after them is no part of the command."""
ALSO_SET = {"WALLET_IMAGE"}
"""Variables of compose.yaml."""
FORMATS = {"transaction 1", "entry 1", "checkpoint 1"}
"""What stands at the beginning of what is hashed (docs/hash-chain.md)."""
MADE = ("deploy/secrets", "src/entrypoints/ui")
"""What is there only after something was run."""


def faults(block: Block) -> str:
    """What is wrong with the code in a block, as far as that can be said without running it."""
    try:
        if block.language == "python":
            ast.parse(block.code)
        elif block.language == "json":
            # What a page leaves out is marked.
            json.loads(re.sub(r"(?<=[\[{])…(?=[\]}])|, …(?=[\]}])", "", block.code))
    except (SyntaxError, ValueError) as error:
        return str(error)
    if block.language not in SHELL:
        return ""
    given = [command for command, _ in commands(block.code)] if block.language == "console" else [block.code]
    runs = [subprocess.run(["bash", "-n"], input=each, capture_output=True, text=True) for each in given]
    return "".join(run.stderr for run in runs)


@pytest.mark.parametrize("name", NAMES)
def test_the_code_of_the_page_can_be_read(name: str) -> None:
    assert [(block.line, found) for block in blocks(ROOT / name) if (found := faults(block))] == []


@pytest.mark.parametrize(
    ("language", "code"),
    [("python", "x = ("), ("json", "{'a': 1}"), ("sh", "if x"), ("console", "$ echo 'a\nb"), ("bash", "f() {")],
)
def test_code_that_cannot_be_read_is_found(language: str, code: str) -> None:
    assert faults(Block(language, code, 1))


def texts(name: str) -> list[str]:
    """What a reader may type: blocks of shell, and what stands in backquotes."""
    return [
        *(block.code for block in blocks(ROOT / name) if block.language in (*SHELL, "")),
        *re.findall(r"`([^`\n]+)`", prose(ROOT / name)),
    ]


def unknown(words: list[str]) -> str | None:
    """What the command line would not know of a command; None if it knows all of it."""
    command: click.Command = main
    options = {"--help", "--version"}
    for word in words:
        if word in OPERATORS or command.context_settings.get("ignore_unknown_options"):
            break
        if isinstance(command, click.Group) and re.fullmatch(r"[a-z]+(-[a-z]+)*", word):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return word
            command = found
            options.update(
                option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
            )
        elif word.startswith("--") and word.partition("=")[0] not in options:
            return word
    return None


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_that_the_page_names_exist(name: str) -> None:
    named = {words for text in texts(name) for words in WALLET.findall(text)} - FORMATS
    assert [(words, wrong) for words in named if (wrong := unknown(words.replace("`", "").split())) is not None] == []


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        ("serve", None),
        ("keys create --name x --scope=read", None),
        ("verify --since a | grep --color x", None),
        ("key create", "key"),
        ("db down", "down"),
        ("keys create --nome x", "--nome"),
        ("verify --scope=read", "--scope=read"),
    ],
)
def test_what_the_command_line_does_not_know_is_found(command: str, wrong: str | None) -> None:
    assert unknown(command.split()) == wrong


@pytest.mark.parametrize("name", NAMES)
def test_the_targets_that_the_page_names_can_be_made(name: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = chain.from_iterable(
        re.findall(r"^(?:[A-Z_]+=\S+ )*make ([a-z-]+)", text, re.MULTILINE) for text in texts(name)
    )
    assert sorted({*named} - targets) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_settings_that_the_page_names_exist(name: str) -> None:
    named = set(re.findall(r"\bWALLET_[A-Z_]*[A-Z]\b", (ROOT / name).read_text()))
    assert (
        sorted(each for each in named - {*KNOWN, *OF_CALLERS, *ALSO_SET} if not each.startswith(PREFIX_OF_TESTS)) == []
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_files_that_the_page_names_exist(name: str) -> None:
    folders = "|".join(("src", "tests", "docs", "deploy", "benchmarks", "scripts", "alembic", "examples", "frontend"))
    named = re.findall(rf"`((?:{folders})/[\w./-]*\w)`", prose(ROOT / name))
    assert sorted(each for each in {*named} - {*MADE} if not os.path.lexists(ROOT / each)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_modules_that_the_page_names_exist_somewhere(name: str) -> None:
    named = set(re.findall(r"`(?:[\w./-]*/)?(\w+\.py)`", prose(ROOT / name)))
    assert sorted(named - module_names()) == []


@cache
def module_names() -> set[str]:
    folders = ("src", "tests", "alembic", "benchmarks", "scripts", "examples", "docs")
    return {path.name for folder in folders for path in (ROOT / folder).rglob("*.py")}
