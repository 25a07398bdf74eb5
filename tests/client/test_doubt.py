"""An attempt that was lost may still be carried out: what settles that, and what does not."""

from typing import Any

import httpx
import pytest

from adapters.http_client import (
    KeyFenced,
    KeyReused,
    OutcomeUnknown,
    Refused,
    Rejected,
    VersionConflict,
    WalletError,
    WalletExists,
)
from tests.client.scripted import LOST, WALLET, Script, applied, problem, refusal
from tests.support.builders import NOWHERE


@pytest.mark.parametrize("lost", [*LOST, problem("outcome-unknown"), problem("internal-error")], ids=str)
@pytest.mark.parametrize("slug", ["wallet-not-found", "unauthenticated", "malformed-request"])
async def test_what_is_not_remembered_settles_nothing_about_an_attempt_that_was_lost(
    lost: httpx.Response | Exception, slug: str
) -> None:
    """The first attempt may still be on its way, and find a wallet or an API key that the second did not."""
    script = Script([lost, refusal(slug)])
    with pytest.raises(OutcomeUnknown, match=slug) as unknown:
        await script.client().credit(WALLET, 5)
    assert {unknown.value.key} == set(script.keys)
    assert len(script.asked) == 2


async def test_being_turned_away_at_the_end_does_not_clear_what_was_lost_before() -> None:
    script = Script([LOST[0], problem("overloaded", "1")])
    with pytest.raises(OutcomeUnknown):
        await script.client(deadline_s=5).credit(WALLET, 5)


async def test_a_version_that_is_past_settles_it_and_one_that_may_come_does_not() -> None:
    conflict: dict[str, Any] = {"wallet_id": str(WALLET), "current_version": 7}
    script = Script([LOST[0], problem("version-conflict", expected_version=6, **conflict)])
    with pytest.raises(VersionConflict) as past:
        await script.client().credit(WALLET, 5, expected_version=6)
    assert (past.value.expected_version, past.value.current_version) == (6, 7)
    script = Script([LOST[0], problem("version-conflict", expected_version=8, **conflict)])
    with pytest.raises(OutcomeUnknown):
        await script.client().credit(WALLET, 5, expected_version=8)


@pytest.mark.parametrize(
    ("slug", "error"),
    [
        ("insufficient-funds", Rejected),
        ("idempotency-key-reused", KeyReused),
        ("idempotency-key-fenced", KeyFenced),
        ("wallet-exists", WalletExists),
    ],
)
async def test_what_was_decided_for_good_settles_what_was_lost_before(slug: str, error: type[WalletError]) -> None:
    script = Script([LOST[0], refusal(slug)])
    with pytest.raises(error):
        await script.client().debit(WALLET, 5)


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"id": 1}', b"not json", b"[" * 100_000])
async def test_a_success_that_cannot_be_read_is_no_answer(content: bytes) -> None:
    script = Script([httpx.Response(201, content=content), applied(replayed=True)])
    assert (await script.client().credit(WALLET, 5)).replayed
    script = Script([httpx.Response(201, content=content)])
    with pytest.raises(OutcomeUnknown):
        await script.client(deadline_s=2).credit(WALLET, 5)


async def test_an_error_of_somebody_else_s_is_no_decision_of_the_service() -> None:
    for status in (301, 404, 400, 451):
        script = Script([httpx.Response(status, content=b"<html></html>", headers={"location": "http://elsewhere/"})])
        with pytest.raises(Refused):
            await script.client().credit(NOWHERE, 5)
        assert len(script.asked) == 1
