"""The problems that are no judgement of a rule (RFC 9457): what went wrong, and what a client may do about it."""

from collections.abc import Mapping, Sequence
from typing import Final, Literal

import attrs

from wallet_core.outcomes import Thing

Effect = Literal["not_applied", "rejected", "unknown"]
"""What became of the request: nothing; a refusal that is remembered under its key; or nobody here can tell."""

Retry = Literal["same_key", "reread", "new_key", "never"]
"""What to send next: the same with the same key; the same key with the version read anew; a new key; nothing."""

RETRY_AFTER_S: Final = 1


@attrs.frozen
class ProblemType:
    """One kind of problem.

    ``detail`` is a sentence in which ``{name}`` stands for a member that the problem carries. ``carries`` names those
    members; the OpenAPI document and the problem's page show them.
    """

    slug: str
    status: int
    title: str
    outcome: Effect
    retry: Retry
    detail: str
    description: str
    carries: Sequence[str] = ()
    retry_after: bool = False

    @property
    def uri(self) -> str:
        """The reference that identifies the type, where its page is served."""
        return f"/problems/{self.slug}"


def _refused(slug: str, status: int, title: str, detail: str, description: str, *carries: str) -> ProblemType:
    """The request itself is at fault, and will be however often it is sent."""
    return ProblemType(slug, status, title, "not_applied", "never", detail, description, carries)


def _passing(slug: str, status: int, title: str, outcome: Effect, detail: str, description: str) -> ProblemType:
    """Nothing is wrong with the request: the same one, with the same key, gets the answer later."""
    return ProblemType(slug, status, title, outcome, "same_key", detail, description, retry_after=status != 504)


MALFORMED = _refused(
    "malformed-request",
    400,
    "The request is malformed",
    "The request is malformed.",
    "The request is not what the API takes: not JSON, a field that is unknown, missing, given twice, of the wrong type "
    "or out of its range. Amounts are integers of the smallest unit, written without a fraction or an exponent.",
    "errors",
)
KEY_MISSING = _refused(
    "idempotency-key-missing",
    400,
    "The idempotency key is missing",
    "Send a header Idempotency-Key with this request.",
    "Every write carries a key that the client chooses, so that sending it again cannot do it twice.",
    "errors",
)
KEY_INVALID = _refused(
    "idempotency-key-invalid",
    400,
    "The idempotency key is invalid",
    "Idempotency-Key must be one header of 1 to 255 visible ASCII characters, bare or as a quoted string.",
    "The header Idempotency-Key takes 1 to 255 visible ASCII characters, bare or quoted, and is sent once.",
    "errors",
)
UNAUTHENTICATED = _refused(
    "unauthenticated",
    401,
    "An API key is needed",
    "Send a valid API key: Authorization: Bearer <key>.",
    "There is no API key with the request, or it is unknown, was revoked or has expired.",
)
FORBIDDEN = _refused(
    "forbidden",
    403,
    "The API key may not do this",
    "This API key does not have the scope {scope}.",
    "The API key is valid, but lacks the scope that the call needs: read for reading, write for writing.",
    "scope",
)
TENANT_SUSPENDED = _refused(
    "tenant-suspended",
    403,
    "The tenant is suspended",
    "The tenant of this API key is suspended.",
    "Whoever runs the service has suspended the tenant. Nothing is read or written for it until that is undone; what "
    "it has stays as it is, and what was decided under a key is still decided then.",
)
NOT_FOUND = _refused(
    "not-found",
    404,
    "There is nothing here",
    "There is nothing here.",
    "No such page, or nothing recorded under what was asked for.",
)
WALLET_NOT_FOUND = _refused(
    "wallet-not-found",
    404,
    "There is no such wallet",
    "There is no such wallet.",
    "Nothing was judged and nothing is remembered: once the wallet exists, the same key may be used.",
    "wallet_id",
)
HOLD_NOT_FOUND = _refused(
    "hold-not-found",
    404,
    "There is no such hold",
    "There is no such hold.",
    "Nothing was judged and nothing is remembered under the key.",
    "hold_id",
)
TRANSACTION_NOT_FOUND = _refused(
    "transaction-not-found",
    404,
    "There is no such transaction",
    "There is no such transaction.",
    "Nothing was judged and nothing is remembered under the key.",
    "transaction_id",
)
METHOD_NOT_ALLOWED = _refused(
    "method-not-allowed",
    405,
    "The method is not allowed here",
    "The header Allow lists the methods that this path takes.",
    "The path exists, but not with this method.",
)
VERSION_CONFLICT = ProblemType(
    "version-conflict",
    409,
    "The wallet has another version",
    "not_applied",
    "reread",
    "Wallet {wallet_id} has version {current_version}, not {expected_version}.",
    "Somebody else wrote to the wallet since it was read. Nothing was done or remembered: read the wallet, and if the "
    "write still makes sense send it with the same key and the new version.",
    ("wallet_id", "expected_version", "current_version"),
)
WALLET_EXISTS = _refused(
    "wallet-exists",
    409,
    "There is a wallet with this id",
    "Wallet {wallet_id} exists already.",
    "A wallet was to be opened under an id that is taken. Nothing was done.",
    "wallet_id",
)
CONTENTION = _passing(
    "contention",
    409,
    "Other writers were faster",
    "not_applied",
    "Other writers were faster each time this was tried. Nothing was done.",
    "The race for the wallet was lost more often than the service tries. Nothing was done or remembered.",
)
PAYLOAD_TOO_LARGE = _refused(
    "payload-too-large",
    413,
    "The body is too large",
    "The body must be at most {bytes_max} bytes.",
    "A body has at most 16 KiB, and a batch at most 1 MiB.",
    "bytes_max",
)
UNSUPPORTED_MEDIA_TYPE = _refused(
    "unsupported-media-type",
    415,
    "The body is not JSON",
    "Send the body as application/json, in UTF-8 and not compressed.",
    "The body must be application/json in UTF-8, without a Content-Encoding.",
)
KEY_REUSED = ProblemType(
    "idempotency-key-reused",
    422,
    "The idempotency key was used for something else",
    "not_applied",
    "new_key",
    "This idempotency key was used before, for something else.",
    "The key already stands for another request, which is untouched by this one. A new request needs a new key.",
)
KEY_FENCED = ProblemType(
    "idempotency-key-fenced",
    422,
    "The idempotency key is fenced",
    "not_applied",
    "new_key",
    "This idempotency key was fenced: nothing happened under it, and nothing ever will.",
    "Somebody made sure that nothing is done under this key. A new attempt needs a new key.",
)
RATE_LIMITED = _passing(
    "rate-limited",
    429,
    "Too many requests",
    "not_applied",
    "There were too many requests with this API key.",
    "The API key is used more often than it may be; each command of a batch counts. Nothing was started: wait as long "
    "as Retry-After says, and send the same again.",
)
INTERNAL_ERROR = ProblemType(
    "internal-error",
    500,
    "The service failed",
    "unknown",
    "same_key",
    "The service failed, and has logged why under the request's id.",
    "This is a fault of the service. Whether the write happened is not known; the same key gets the truth.",
)
OVERLOADED = _passing(
    "overloaded",
    503,
    "The service is busy",
    "not_applied",
    "More is waiting than the service takes on. Nothing was started.",
    "The queue is full, the turn of the request did not come in time, or the service is stopping. Nothing was started.",
)
DATABASE_UNAVAILABLE = _passing(
    "database-unavailable",
    503,
    "The database is away",
    "not_applied",
    "The database does not answer.",
    "The database cannot be reached. The member outcome says whether nothing was done (not_applied) or the "
    "connection was lost while the write was being kept (unknown): in both cases the same key gets the answer.",
)
OUTCOME_UNKNOWN = _passing(
    "outcome-unknown",
    504,
    "The answer took too long",
    "unknown",
    "The answer did not come in time. The write may still happen.",
    "The service stopped waiting, but the write goes on: it may have happened, happen yet, or fail. The same request "
    "with the same key gets the truth and cannot do it twice; a fence makes sure that nothing more happens.",
)

OF_MISSING: Final[Mapping[Thing, ProblemType]] = {
    Thing.WALLET: WALLET_NOT_FOUND,
    Thing.HOLD: HOLD_NOT_FOUND,
    Thing.TRANSACTION: TRANSACTION_NOT_FOUND,
}
