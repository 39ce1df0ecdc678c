"""`GET /cac` and `POST /cac/reset`, inside the PresenceDO."""

from __future__ import annotations

from tandem.contracts.cac import CacView, DimensionUse
from tandem.domain.cac import readmit, wants_of
from tandem.sip.book import Book


def view(book: Book) -> CacView:
    return CacView(
        account_id=book.account_id,
        live_calls=len(book.calls.live()),
        dimensions=[
            DimensionUse(dimension=str(dimension), subject=subject, used=used, max=_limit(book, subject))
            for dimension, subject, used in book.holdings.usage()
        ],
    )


def rebuild(book: Book) -> None:
    """Throws away all that is held and takes it anew from the live calls."""
    book.holdings.release_all()
    for call in book.calls.live():
        readmit(book.holdings, call.call_id, wants_of(book.account_id, call))


def _limit(book: Book, subject: str) -> int | None:
    user = book.directory.user(subject)
    return None if user is None else user.max_simultaneous
