"""The OpenAPI document as a page: plain HTML, made of the document itself."""

from functools import cache
from html import escape

from entrypoints.http.answers import Answer
from entrypoints.http.html import code, page, table
from entrypoints.http.openapi import SCHEMAS, JsonObject, build_document


@cache
def openapi_page() -> Answer:
    """All operations and the shapes of their bodies and answers."""
    document = build_document()
    schemas = document["components"]["schemas"]
    parts = ["".join(f"<p>{_marked(text)}</p>" for text in document["info"]["description"].split("\n\n"))]
    parts.append('<p>As a document: <a href="/schema/openapi.json">openapi.json</a></p>')
    tag = ""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["tags"][0] != tag:
                tag = operation["tags"][0]
                parts.append(f"<h2>{escape(tag)}</h2>")
            parts.append(_operation(path, method, operation, schemas))
    parts.append("<h2>Shapes</h2>")
    parts += [_shape(name, schema) for name, schema in schemas.items() if not name.endswith("Problem")]
    parts.append(_shape("Problem", schemas["Problem"]))
    return page("API", "".join(parts))


def _operation(path: str, method: str, operation: JsonObject, schemas: JsonObject) -> str:
    title = f'<h3 id="{operation["operationId"]}">{escape(operation["summary"])}</h3>'
    parts = [title, f"<p>{code(f'{method.upper()} {path}')}</p><p>{_marked(operation['description'])}</p>"]
    rows = [
        [code(parameter["name"]), parameter["in"], _kind(parameter["schema"]), _note(parameter)]
        for parameter in operation["parameters"]
    ]
    if "requestBody" in operation:
        name = _name(operation["requestBody"]["content"]["application/json"]["schema"])
        required = schemas[name].get("required", ())
        rows += [
            [code(member), "body", _kind(schema), _note({**schema, "required": member in required})]
            for member, schema in schemas[name]["properties"].items()
        ]
    if rows:
        parts.append(table(["Name", "In", "Type", "Note"], rows))
    answers = []
    for status, response in operation["responses"].items():
        said = response["description"]
        if status >= "400" and "`" in said:
            said = ", ".join(
                f'<a href="/problems/{slug}">{code(slug)}</a>' for slug in said.replace("`", "").split("; ")
            )
        else:
            content = response.get("content", {}).values()
            said = escape(said) + "".join(f": {_kind(media['schema'])}" for media in content)
        answers.append([escape(status), said])
    parts.append(table(["Status", "Answer"], answers))
    return "".join(parts)


def _shape(name: str, schema: JsonObject) -> str:
    required = schema.get("required", ())
    rows = [
        [code(member), _kind(members), _note({**members, "required": member in required})]
        for member, members in schema.get("properties", {}).items()
    ]
    told = f"<p>{_marked(schema['description'])}</p>" if "description" in schema else ""
    content = table(["Name", "Type", "Note"], rows) if rows else f"<p>{_kind(schema)}</p>"
    return f'<h3 id="{name}">{code(name)}</h3>{told}{content}'


def _kind(schema: JsonObject) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = _name(schema)
        return f'<a href="#{name}">{code(name)}</a>'
    for combination in ("anyOf", "oneOf"):
        if combination in schema:
            return " or ".join(_kind(each) for each in schema[combination])
    if "enum" in schema:
        return ", ".join(code(str(value)) for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema['items'])}"
    kind = escape(schema.get("format") or schema.get("type", "any"))
    if "minimum" in schema or "maximum" in schema:
        kind += f", {schema.get('minimum', '…')} to {schema.get('maximum', '…')}"
    return kind


def _note(member: JsonObject) -> str:
    required = "required" if member.get("required") is True else ""
    return "; ".join(part for part in (required, _marked(member.get("description", ""))) if part)


def _name(schema: JsonObject) -> str:
    name: str = schema["$ref"].removeprefix(SCHEMAS)
    return name


def _marked(text: str) -> str:
    """Text in which backquotes mark code."""
    return "".join(code(part) if index % 2 else escape(part) for index, part in enumerate(text.split("`")))
