"""The OpenAPI document describes the service that serves it."""

from typing import Final

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from entrypoints.http.batches import BatchBody
from entrypoints.http.operations import OPERATIONS
from entrypoints.http.problems import ALL
from tests.http.api import Api, Json, document

CONTRACT: Final = {
    "POST /v1/wallets": 201,
    "PATCH /v1/wallets/{id}": 200,
    "POST /v1/wallets/{id}/credits": 201,
    "POST /v1/wallets/{id}/debits": 201,
    "POST /v1/transactions": 201,
    "POST /v1/transactions/{id}/reversal": 201,
    "POST /v1/wallets/{id}/holds": 201,
    "POST /v1/holds/{id}/capture": 201,
    "POST /v1/holds/{id}/release": 201,
    "POST /v1/batches": 200,
    "POST /v1/fences": 200,
    "GET /v1/wallets/{id}": 200,
    "GET /v1/wallets": 200,
    "GET /v1/wallets/{id}/entries": 200,
    "GET /v1/wallets/{id}/verification": 200,
    "GET /v1/transactions/{id}": 200,
    "GET /v1/transactions": 200,
    "GET /v1/holds/{id}": 200,
    "GET /v1/wallets/{id}/holds": 200,
    "GET /v1/idempotency-keys": 200,
    "GET /v1/events": 200,
    "GET /health/live": 200,
    "GET /health/ready": 200,
}

OF_NO_OPERATION: Final = {"method-not-allowed"}
"""A method that a path does not take is no operation."""


def test_the_document_is_valid() -> None:
    validate(document(), cls=OpenAPIV31SpecValidator)


def test_the_document_has_every_call_of_the_contract() -> None:
    described = {
        f"{method.upper()} {path}": operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
    assert set(described) == set(CONTRACT)
    for call, status in CONTRACT.items():
        assert str(status) in described[call]["responses"]


def test_every_problem_is_listed_for_an_operation_that_can_give_it() -> None:
    listed = {
        slug
        for methods in document()["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
        if status >= "400" and "application/problem+json" in response["content"]
        for slug in response["description"].replace("`", "").split("; ")
    }
    assert listed == set(ALL) - OF_NO_OPERATION


def test_every_link_leads_to_an_operation_and_names_what_it_takes() -> None:
    operations = {
        operation["operationId"]: operation
        for methods in document()["paths"].values()
        for operation in methods.values()
    }
    links = [
        link
        for operation in operations.values()
        for response in operation["responses"].values()
        for link in response.get("links", {}).values()
    ]
    for link in links:
        target = operations[link["operationId"]]
        assert set(link.get("parameters", {})) <= {parameter["name"] for parameter in target["parameters"]}
        assert ("requestBody" not in link) or "requestBody" in target
    # The life of a wallet: from its opening, all that is done with it can be followed.
    assert len({link["operationId"] for link in links}) >= 17


def test_amounts_are_bounded_integers_everywhere() -> None:
    def integers(schema: Json, path: str) -> list[str]:
        if isinstance(schema, dict):
            found = [path] if schema.get("type") == "number" else []
            return found + [each for name, value in schema.items() for each in integers(value, f"{path}.{name}")]
        if isinstance(schema, list):
            return [each for value in schema for each in integers(value, path)]
        return []

    assert integers(document()["components"]["schemas"], "") == []
    amount = document()["components"]["schemas"]["AmountBody"]["properties"]["amount"]
    assert (amount["type"], amount["minimum"], amount["maximum"]) == ("integer", 1, 2**53 - 1)


def test_every_body_refuses_unknown_fields() -> None:
    schemas = document()["components"]["schemas"]
    for operation in OPERATIONS:
        if operation.body is not None:
            assert schemas[operation.body.__name__]["additionalProperties"] is False
    commands = schemas[BatchBody.__name__]["properties"]["commands"]["items"]
    assert set(commands["discriminator"]["mapping"]) == {
        "credit",
        "debit",
        "post",
        "hold",
        "capture",
        "release",
        "reversal",
    }


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html; charset=utf-8"),
        ("application/json, text/html", "application/json"),
        ("application/json;q=0.5, text/html", "text/html; charset=utf-8"),
        ("text/*;q=0.9, application/json;q=0.1", "text/html; charset=utf-8"),
        ("text/html;q=0", "application/json"),
        ("text/html;q=high", "application/json"),
    ],
)
async def test_the_schema_is_json_or_a_page_as_the_client_prefers(
    api: Api, accept: str | None, media_type: str
) -> None:
    headers = {"accept": accept} if accept else {"accept": ""}
    answer = await api.get("/schema", api_key=None, headers=headers)
    assert answer.headers["content-type"] == media_type
    if media_type == "application/json":
        assert answer.json() == document()


async def test_the_document_is_served_without_a_key(api: Api) -> None:
    assert (await api.get("/schema/openapi.json", api_key=None)).json() == document()


async def test_the_page_shows_every_operation_and_fetches_nothing(api: Api) -> None:
    page = await api.get("/schema", api_key=None, headers={"accept": "text/html"})
    for operation in OPERATIONS:
        assert f"<code>{operation.method} {operation.path}</code>" in page.text
    for slug in set(ALL) - OF_NO_OPERATION:
        assert f'href="/problems/{slug}"' in page.text
    assert "<script" not in page.text
    assert "src=" not in page.text
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
