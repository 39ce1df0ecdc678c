"""`GET /cac` and `POST /cac/reset`, inside the PresenceDO."""

from __future__ import annotations

from tandem.contracts.cac import CacView, DimensionUse, WindowUse
from tandem.domain.cac import Dimension, ceiling, readmit
from tandem.sip import children
from tandem.sip.book import Book
from tandem.sip.presence import held_by

_OWN = (Dimension.ACCOUNT_IN, Dimension.ACCOUNT_OUT, Dimension.ACCOUNT_DIALER)


def view(book: Book, now: int) -> CacView:
    """All that is held, the account's own ceilings even when nothing is, and every sliding window."""
    return CacView(
        account_id=book.account_id,
        live_calls=sum(call.parent_id is None for call in book.calls.live()),
        child_calls=len({one.call_id for one in book.children.held()}),
        dimensions=[
            *_unused_ceilings(book),
            *(
                DimensionUse(dimension=one.dimension.value, subject=one.subject, used=one.used, max=one.limit)
                for one in book.limits.usage()
            ),
        ],
        windows=[
            WindowUse(
                limit_id=one.limit_id,
                subject=one.subject,
                used=one.used,
                max=one.max_count,
                period_sec=one.period_sec,
                hard=one.hard,
            )
            for one in book.limits.window_usage(now)
        ],
    )


def rebuild(book: Book, now: int) -> None:
    """Throws away all that is held and takes it anew from the live calls, and from what accounts below were granted."""
    book.holdings.release_all()
    for call in book.calls.live():
        readmit(book.holdings, call.call_id, held_by(book, call))
    children.rebuild(book, now)


def _unused_ceilings(book: Book) -> list[DimensionUse]:
    used = {one.dimension for one in book.limits.usage() if one.subject == book.account_id}
    return [
        DimensionUse(dimension=dimension.value, subject=own.account_id, used=0, max=ceiling(own, dimension))
        for own in book.limits.ceilings(book.account_id)[:1]
        for dimension in _OWN
        if dimension not in used and ceiling(own, dimension) is not None
    ]
