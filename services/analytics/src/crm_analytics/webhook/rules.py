"""What is decided about webhooks, without queries: what is sent next, when it is tried again, when sending ends. And the refusals."""

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from crm_kernel import Conflict, Invalid

Status = Literal["active", "paused", "disabled"]
State = Literal["pending", "delivered", "withheld"]
Reason = Literal["owner_inactive", "not_allowed", "receiver_gone", "receiver_failing", "secret_lost"]

#: Whose owner has lost this permission has nothing sent any more.
PERMISSION: Final = "analytics.webhook:create"
#: Pauses after failures in a row; the last one from then on.
PAUSES: Final = tuple(
    dt.timedelta(seconds=seconds) for seconds in (5, 30, 120, 600, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600)
)
#: How long one event is tried, from its first attempt on.
PATIENCE: Final = dt.timedelta(days=3)
#: The longest that a receiver's Retry-After is waited for.
LONGEST_WISH: Final = dt.timedelta(hours=12)
#: The longest that a whole webhook rests after attempts that all failed: one record's trouble must not hold up the others.
LONGEST_REST: Final = dt.timedelta(seconds=60)
#: Events that wait to be delivered; the rest stays in the log.
MAX_PENDING: Final = 500
#: Requests to one receiver at the same time; of different records, of course.
AT_ONCE: Final = 4
#: How long what became of deliveries can be read, and how old an event may be that is sent without being asked for again. Deliveries are
#: kept a day longer than that, so that what was moved in the log is always known to have been sent.
KEPT: Final = dt.timedelta(days=30)
KEPT_MORE: Final = dt.timedelta(days=1)
#: An event recorded so shortly before its webhook was made may still count as later: services' clocks differ.
CLOCKS_DIFFER: Final = dt.timedelta(minutes=5)
#: How long the secret before the newest one is signed with as well.
OVERLAP: Final = dt.timedelta(hours=24)
#: Webhooks that one person may have.
MAX_WEBHOOKS: Final = 20
#: How long a process has a webhook to itself, from its last transaction on; and for how long of it a request may be begun.
LEASE: Final = dt.timedelta(seconds=60)
BEGIN_WITHIN: Final = dt.timedelta(seconds=20)


class TooManyWebhooks(Conflict):
    """409: the caller has as many webhooks as one may have."""

    code = "webhook.too_many"
    title = "You have as many webhooks as one may have"


class AddressRefused(Invalid):
    """422: nothing is sent to this address."""

    code = "webhook.address_refused"
    title = "Webhooks may not lead to this address"


class ReplayRefused(Invalid):
    """422: there is nothing in the log to send again from there."""

    code = "webhook.replay_refused"
    title = "It can't be sent again from there"


class LeaseLost(Exception):
    """Not a failure: another process has the webhook by now, or it was deleted. What was to be written isn't."""


@dataclass(frozen=True)
class Attempt:
    """What came of one request. seconds: how long it took. status: of the answer, None when there was none; then `error` says why.

    answer: the beginning of its text. retry_after: what the receiver asked to wait.
    """

    at: dt.datetime
    seconds: float
    status: int | None = None
    answer: str | None = None
    error: str | None = None
    retry_after: dt.timedelta | None = None

    @property
    def succeeded(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing more, ever."""
        return self.status == 410


@dataclass(frozen=True)
class Waiting:
    """A delivery that waits. seq: its place in the order. failures: in a row. attempts: of all times.

    first_attempt_at: since when it is tried, None: not yet. next_attempt_at: not before.
    """

    event_id: uuid.UUID
    subject: uuid.UUID
    seq: int
    failures: int
    attempts: int
    first_attempt_at: dt.datetime | None
    next_attempt_at: dt.datetime


@dataclass(frozen=True)
class Choice:
    """What to send now, and when there is something to send next; None: when something new is heard."""

    now: Sequence[Waiting]
    next_at: dt.datetime | None


def choose(heads: Iterable[Waiting], now: dt.datetime, most: int = AT_ONCE) -> Choice:
    """heads: of each record the first delivery that waits; what is behind it waits for it.

    What never failed comes first: records that fail again and again must not be in the way of the others.
    """
    ordered = sorted(heads, key=lambda head: (head.failures, head.seq))
    due = [head for head in ordered if head.next_attempt_at <= now]
    return Choice(due[:most], min((head.next_attempt_at for head in ordered), default=None))


def pause(failures: int) -> dt.timedelta:
    """How long to wait after the n-th failure in a row (1 is the first)."""
    return PAUSES[min(max(failures, 1), len(PAUSES)) - 1]


def next_attempt(
    failures: int, first_attempt_at: dt.datetime, now: dt.datetime, wish: dt.timedelta | None
) -> dt.datetime | None:
    """When an event is tried again; None when it was tried long enough.

    wish: the receiver's Retry-After; a longer one than LONGEST_WISH is not followed. The last attempt is made when the patience ends.
    """
    last = first_attempt_at + PATIENCE
    if now >= last:
        return None
    return min(now + max(pause(failures), min(wish or dt.timedelta(0), LONGEST_WISH)), last)


def rest(failed_rounds: int) -> dt.timedelta:
    """How long the whole webhook rests after so many rounds in a row of which every attempt failed."""
    return min(pause(failed_rounds), LONGEST_REST)


def oldest_sent(since: dt.datetime, now: dt.datetime) -> dt.datetime:
    """Events recorded before this are sent only when they are asked for again. since: when the webhook was made.

    They come up late when a log that lost rows is filled. Whether they were sent long ago nobody knows any more; and what was recorded
    before the webhook was made is not its affair.
    """
    return max(since - CLOCKS_DIFFER, now - KEPT)


def require_held(leased_by: uuid.UUID | None, lease: uuid.UUID) -> None:
    """Raises LeaseLost unless the lease still counts; asked under the row's lock."""
    if leased_by != lease:
        raise LeaseLost
