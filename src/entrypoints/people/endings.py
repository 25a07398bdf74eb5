"""How a command that was not done ends: one line that says what is known and what to do, and an exit code."""

from collections.abc import Callable

from entrypoints.people import access, exit_codes
from entrypoints.people.tables import printable

Amount = Callable[[int], str]

_NO_AMOUNTS = frozenset({"version", "expected_version", "current_version", "postings"})

_ADVICE = {
    "unauthenticated": "check WALLET_API_KEY or --key",
    "forbidden": "use an API key that has the scope",
    "rate-limited": "wait, and repeat it with the same key",
}


def ending(error: access.WalletError, amount: Amount) -> tuple[int, str]:
    """The exit code, and the line."""
    match error:
        case access.Rejected():
            compared = ", ".join(_compared(name, value, amount) for name, value in error.details.items())
            why = f"{error.reason.value}: {compared}" if compared else error.reason.value
            again = "that is remembered under this key" if not error.replayed else "it was rejected before"
            return exit_codes.REJECTED, (
                f"rejected, {why}. Nothing moved, and {again} ({error.key}); once it makes sense, it is a new command"
            )
        case access.VersionConflict():
            return exit_codes.CONFLICT, (
                f"wallet {error.wallet_id} has version {error.current_version}, not {error.expected_version}. Nothing "
                f"was done: look at it again, then repeat with --expected-version {error.current_version} "
                f"--idempotency-key {error.key}"
            )
        case access.KeyReused():
            return exit_codes.CONFLICT, (
                f"the idempotency key {error.key} stands for something else (wallet decision {error.key} shows it). "
                "Nothing was done: leave --idempotency-key out for a new intent"
            )
        case access.KeyFenced():
            return exit_codes.CONFLICT, (
                f"the idempotency key {error.key} is fenced: nothing was done under it, and nothing will be"
            )
        case access.WalletExists():
            return exit_codes.CONFLICT, f"there is a wallet {error.wallet_id} already. Nothing was done"
        case access.OutcomeUnknown():
            return exit_codes.UNKNOWN, f"nobody knows whether it was done ({error.why}). {how_to_find_out(error.key)}"
        case access.ServiceUnavailable():
            if error.key is None:
                return exit_codes.UNAVAILABLE, f"the service is not there ({error.why}); try again"
            return exit_codes.UNAVAILABLE, (
                f"nothing was done, the service is not there ({error.why}). To go on: the same command, with or "
                f"without --idempotency-key {error.key}"
            )
        case access.NotFound():
            return exit_codes.REFUSED, f"{error}; is the API key of another tenant?" if error.thing else str(error)
        case access.Refused():
            advice = _ADVICE.get(error.problem.slug)
            return exit_codes.REFUSED, f"refused: {printable(str(error))}" + (f"; {advice}" if advice else "")
        case _:
            return exit_codes.UNAVAILABLE, f"{printable(str(error))}; does the URL lead to a wallet service?"


def interrupted(sent: str | None) -> str:
    """What is known when somebody interrupts a command whose write, of this key, may be under way."""
    if sent is None:
        return "interrupted; nothing was sent that changes anything"
    return f"interrupted, and nobody knows whether it was done. {how_to_find_out(sent)}"


def how_to_find_out(key: str) -> str:
    """How to make certain what became of a key."""
    return (
        f"To find out: wallet decision {key}. To go on: the same command with --idempotency-key {key}. "
        f"To rule it out: wallet fence {key}"
    )


def _compared(name: str, value: str | int | None, amount: Amount) -> str:
    said = name.replace("_", " ")
    if isinstance(value, int) and name not in _NO_AMOUNTS:
        return f"{said} {amount(value)}"
    return f"{said} {'none' if value is None else printable(str(value))}"
