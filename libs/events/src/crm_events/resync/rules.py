"""What asker and answerer decide: pure functions of state and input, without clocks or I/O. tests/simulation drives them too.

An answer is a chain of pages. Each page says behind which cursor and how many records it begins, and where it ends; the asker takes
the one that begins where it stands, in one transaction with the new cursor, and ignores all others. So doubles, pages in a wrong order,
and two answerers at once change nothing; a page that is lost is noticed as silence, and asked for again from where the asker stands.
The number belongs to it: two answerers may have told other pages up to the same cursor, when a record changed between the two.
"""

import enum
from dataclasses import dataclass, replace

#: How many records may be under way to an asker that has not said that it took them.
WINDOW = 4_000


class Verdict(enum.Enum):
    """What to do with a page."""

    TAKE = "take"
    IGNORE = "ignore"
    FINISH = "finish"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Asked:
    """Where a request stands. cursor: the end of the last page taken; None: nothing was. applied: how many records were taken."""

    attempt: int
    cursor: str | None = None
    applied: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """A page as its headers tell it. after, before: the cursor, and how many records, behind which it begins. to: where it ends.
    count: records in it.

    total: on the last page, which has no records, how many there were in all. refusal: why the owner will never answer.
    """

    attempt: int
    after: str | None
    to: str | None
    before: int = 0
    count: int = 0
    total: int | None = None
    refusal: str | None = None


def judge(asked: Asked, page: Page) -> Verdict:
    """Whether this page is the next one."""
    if page.attempt != asked.attempt:
        return Verdict.IGNORE
    if page.refusal is not None:
        return Verdict.REFUSED
    if (page.after, page.before) != (asked.cursor, asked.applied):
        return Verdict.IGNORE
    return Verdict.TAKE if page.total is None else Verdict.FINISH


def taken(asked: Asked, page: Page) -> Asked:
    """The page was applied, and that is committed together with this."""
    return replace(asked, cursor=page.to, applied=asked.applied + page.count)


def asked_anew(asked: Asked) -> Asked:
    """Ask, or ask again after silence. What was taken stays taken."""
    return replace(asked, attempt=asked.attempt + 1)


def is_silent(heard: float | None, now: float, patience: float) -> bool:
    """Whether nothing came for so long that the request, or its answer, must be lost. heard: when it was sent, or last heard of."""
    return heard is None or now - heard >= patience


@dataclass(frozen=True, slots=True)
class Answering:
    """Where an answer stands: everything up to `cursor`, `sent` records in all, is with the broker."""

    attempt: int
    cursor: str | None = None
    sent: int = 0
    taken: int = 0
    complete: bool = False


def heard(known: Answering | None, asked: Asked) -> Answering:
    """A request arrived: a new one, one asked anew, or word of what was taken. Old ones change nothing."""
    if known is None or asked.attempt > known.attempt:
        return Answering(asked.attempt, asked.cursor, asked.applied, asked.applied)
    if asked.attempt == known.attempt:
        return replace(known, taken=max(known.taken, asked.applied))
    return known


def may_send(answering: Answering) -> bool:
    """Whether a page is due: not when everything was said, and not far ahead of what the asker took."""
    return not answering.complete and answering.sent - answering.taken < WINDOW


def said(answering: Answering, page: Page) -> Answering:
    """The page is with the broker."""
    return replace(
        answering,
        cursor=page.to,
        sent=answering.sent + page.count,
        complete=page.total is not None or answering.complete,
    )


def is_gap(known: int | None, told: int) -> bool:
    """Whether an event of version `told` shows that something before it is lacking. known: the version here; None: no such record."""
    return told > (known or 0) + 1
