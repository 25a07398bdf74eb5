"""What the site of the documents takes from the code: the API, the problems, the tables, and the order of the pages.

`docs/conf.py` has Sphinx call `fill` for each page that it reads. A line ``<!-- generated: NAME -->`` becomes what
`GENERATED` makes of the code, so that these parts of the reference cannot be out of date. The pages that list others
(`LISTING`) get a table of contents made of their own lists, so that the order is written down once. Links to Markdown
outside the documents become links to that file, as those to code are.
"""

import posixpath
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from adapters.postgres.schema import metadata
from entrypoints.http.documents import OUTCOMES, RETRIES
from entrypoints.http.openapi import SCHEMAS, build_document
from entrypoints.http.problem_types import ProblemType
from entrypoints.http.problems import ALL
from entrypoints.http.rejection_types import OF_REASON

Json = dict[str, Any]

LISTING: Final = ("index", "decisions/README")
UNLISTED: Final = "More"
"""Where the pages are that no list names yet."""

_MARK = re.compile(r"^<!-- generated: ([a-z]+) -->$", re.MULTILINE)
_SECTION = re.compile(r"^## (.+?)\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_MARKDOWN = re.compile(r"\]\((\.\./[\w/.-]+\.md)(?:#[\w-]+)?\)")
_ITEM = re.compile(r"^- \[(.+?)\]\(([\w/.-]+)\.md\)", re.MULTILINE)


def fill(text: str, docname: str, pages: Collection[str]) -> str:
    """The Markdown of a page, with what is generated in its place. ``pages`` are the names of all pages."""

    def outside(link: re.Match[str]) -> str:
        there = posixpath.normpath(posixpath.join(posixpath.dirname(docname), link[1]))
        return f"](path:{link[1]})" if there.startswith("../") else link[0]

    text = _MARKDOWN.sub(outside, _MARK.sub(lambda mark: GENERATED[mark[1]](), text))
    return text + tables_of_contents(text, docname, pages) if docname in LISTING else text


def tables_of_contents(text: str, docname: str, pages: Collection[str]) -> str:
    """For each section of a page that lists others, the same as a hidden table of contents."""
    folder, _, _ = docname.rpartition("/")
    sections = {
        title: {f"{folder}/{name}".lstrip("/"): shown for shown, name in _ITEM.findall(body)}
        for title, body in _SECTION.findall(text)
    }
    named = {name for section in sections.values() for name in section}
    elsewhere = {posixpath.dirname(name) for name in LISTING} - {folder}
    sections[UNLISTED] = {
        name: ""
        for name in sorted(pages)
        if name not in {*named, *LISTING} and name.startswith(folder) and posixpath.dirname(name) not in elsewhere
    }
    return "".join(_table_of_contents(title, section) for title, section in sections.items() if section)


def _table_of_contents(caption: str, section: Mapping[str, str]) -> str:
    lines = "\n".join(f"{shown} </{name}>" if shown else f"/{name}" for name, shown in section.items())
    return f"\n```{{toctree}}\n:hidden:\n:caption: {caption}\n\n{lines}\n```\n"


def operations() -> str:
    """Every operation of the API, by its tag."""
    document = build_document()
    schemas = document["components"]["schemas"]
    parts, tag = [], ""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"][0] != tag:
                tag = operation["tags"][0]
                parts.append(f"## {tag}\n")
            parts.append(_operation(f"{method.upper()} {path}", operation, schemas))
    return "\n".join(parts)


def shapes() -> str:
    """The shapes of bodies and answers. Problems have a page of their own."""
    schemas = build_document()["components"]["schemas"]
    return "\n".join(_shape(name, schema) for name, schema in schemas.items() if not name.endswith("Problem"))


def problems() -> str:
    """Every problem: first the decisions, then what decides nothing."""
    rejections = {type_.slug for type_ in OF_REASON.values()}
    decided = "\n".join(_problem(type_) for slug, type_ in ALL.items() if slug in rejections)
    undecided = "\n".join(_problem(type_) for slug, type_ in ALL.items() if slug not in rejections)
    return f"## A rule refused it\n\n{decided}\n## Nothing was decided\n\n{undecided}"


def tables() -> str:
    """The tables and their constraints, as SQL."""
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call] # the library publishes it without types
    parts = []
    for table in metadata.sorted_tables:
        indexes = sorted(table.indexes, key=lambda index: str(index.name))
        statements: list[DDLElement] = [CreateTable(table), *map(CreateIndex, indexes)]
        sql = ";\n\n".join(str(statement.compile(dialect=dialect)).strip() for statement in statements)
        parts.append(f"## {table.name}\n\n```sql\n{sql};\n```\n".replace("\t", "    "))
    return "\n".join(parts)


GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "operations": operations,
    "shapes": shapes,
    "problems": problems,
    "tables": tables,
}


def _operation(call: str, operation: Json, schemas: Json) -> str:
    rows = [
        [f"`{parameter['name']}`", parameter["in"], _kind(parameter["schema"]), _note(parameter)]
        for parameter in operation["parameters"]
    ]
    if "requestBody" in operation:
        body = schemas[_name(operation["requestBody"]["content"]["application/json"]["schema"])]
        required = body.get("required", ())
        rows += [
            [f"`{name}`", "body", _kind(member), _note({**member, "required": name in required})]
            for name, member in body["properties"].items()
        ]
    answers = [[status, _answer(response)] for status, response in operation["responses"].items()]
    parts = [
        f"({operation['operationId']})=\n### {operation['summary']}\n",
        f"`{call}`\n",
        f"{operation['description']}\n",
        _table(["name", "in", "type", ""], rows) if rows else "",
        _table(["status", "answer"], answers),
    ]
    return "\n".join(part for part in parts if part.strip())


def _answer(response: Json) -> str:
    content = response.get("content", {})
    if "application/problem+json" in content and "`" in response["description"]:
        slugs = response["description"].replace("`", "").split("; ")
        return ", ".join(f"[`{slug}`](problems.md#{slug})" for slug in slugs)
    kinds = " or ".join(_kind(media["schema"]) for media in content.values())
    return f"{response['description']}: {kinds}" if kinds else str(response["description"])


def _shape(name: str, schema: Json) -> str:
    required = schema.get("required", ())
    rows = [
        [f"`{member}`", _kind(kind), _note({**kind, "required": member in required})]
        for member, kind in schema.get("properties", {}).items()
    ]
    described = schema.get("description", "").replace("\n", " ")
    content = _table(["name", "type", ""], rows) if rows else f"{_kind(schema)}\n"
    return f"(shape-{name})=\n### {name}\n\n{described}\n\n{content}"


def _problem(type_: ProblemType) -> str:
    rows = [
        ["`status`", str(type_.status)],
        ["`outcome`", f"`{type_.outcome}`: {OUTCOMES[type_.outcome]}"],
        ["`retry`", f"`{type_.retry}`: {RETRIES[type_.retry]}"],
    ]
    if type_.carries:
        rows.append(["also carries", ", ".join(f"`{name}`" for name in type_.carries)])
    if type_.retry_after:
        rows.append(["header", "`Retry-After`, in seconds"])
    return f"### {type_.slug}\n\n{type_.title}. {type_.description}\n\n{_table(['member', ''], rows)}"


def _kind(schema: Json) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = _name(schema)
        return "[Problem](problems.md)" if name == "Problem" else f"[{name}](#shape-{name})"
    for combination in ("anyOf", "oneOf"):
        if combination in schema:
            return " or ".join(_kind(each) for each in schema[combination])
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    kind = str(schema.get("format") or schema.get("type", "any"))
    if "minimum" in schema or "maximum" in schema:
        kind += f", {schema.get('minimum', '…')} to {schema.get('maximum', '…')}"
    return kind


def _note(member: Json) -> str:
    required = "required" if member.get("required") is True else ""
    # Of what may be null, the description is that of what it otherwise is.
    kinds = [member, *member.get("anyOf", ())]
    told = next((kind["description"] for kind in kinds if "description" in kind), "")
    return "; ".join(part for part in (required, told) if part).replace("\n", " ")


def _name(schema: Json) -> str:
    return str(schema["$ref"]).removeprefix(SCHEMAS)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)
