"""Decisions of every kind, as the ledger makes them."""

from functools import cache

from tests.support.book import Book
from tests.support.builders import A, B, C
from wallet_core import (
    AMOUNT_MAX,
    CaptureHold,
    ChangeWallet,
    NewCeiling,
    OpenWallet,
    PlaceHold,
    Post,
    Posting,
    ReleaseHold,
    Reverse,
    WalletStatus,
    credit,
    debit,
)
from wallet_core.model import Rejection, Transaction

STRANGE = {"": "", "quotes": "\"'`\\/", "\U0001f600": "\U0010ffff\u2028", "\ufb33": "\x01\n\x7f", "amount": "5"}


@cache
def every_kind() -> tuple[Transaction | Rejection, ...]:
    """One of each kind of transaction with everything in it that may be, and rejections with each kind of detail."""
    book = Book()
    opened = [
        book.apply(OpenWallet("open-a", "X9Z", id=A, floor=-AMOUNT_MAX, ceiling=AMOUNT_MAX, metadata=STRANGE)),
        book.apply(OpenWallet("open-b", "X9Z", id=B, ceiling=500)),
        book.apply(OpenWallet("open-c", "EUR", id=C)),
    ]
    posted = [
        book.apply(credit("credit", A, 100, metadata=STRANGE)),
        book.apply(Post("post", [Posting(A, B, 3), Posting(B, None, 1), Posting(None, A, 2)])),
    ]
    held = book.apply(PlaceHold("hold", A, 9, destination=B, expires_in_s=3600, metadata=STRANGE))
    captured = book.apply(CaptureHold("capture", held.id, 4, final=False))
    rest = [
        book.apply(ReleaseHold("release", held.id)),
        book.apply(Reverse("reverse", captured.id, metadata=STRANGE)),
        book.apply(ChangeWallet("change", B, WalletStatus.FROZEN, -5, NewCeiling(None), metadata=STRANGE)),
    ]
    rejected = [
        book.reject(debit("frozen", B, 1)),
        book.reject(debit("poor", C, 5)),
        book.reject(CaptureHold("late", held.id)),
        book.reject(Reverse("twice", captured.id)),
        book.reject(Post("currency", [Posting(A, C, 1)])),
        book.reject(credit("too-much", A, AMOUNT_MAX)),
    ]
    return (*opened, *posted, held, captured, *rest, *rejected)
