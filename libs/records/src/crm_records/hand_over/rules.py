"""What is decided about a service's part in a hand-over, without queries: what an ask begins, when work may begin, where it stands."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from crm_authz import Directory
from crm_contracts.hand_overs import HandOverWorkStatus
from crm_kernel.errors import Conflict, Refusal, Unavailable

#: At most so often it is told how far the work is.
TOLD_EVERY: Final = dt.timedelta(seconds=1)
#: A request may go by a directory that is so old: it looks every 200 ms, and may wait two seconds for a Consistency-Token afterwards.
DIRECTORY_AGE: Final = dt.timedelta(seconds=5)
#: The longest that a request may take, a batch: nothing that began before is under way any more.
LONGEST_REQUEST: Final = dt.timedelta(seconds=60)
#: How long to wait before looking again whether such requests are over.
LOOK_AGAIN: Final = dt.timedelta(seconds=1)

What = Literal["begin", "nothing"]


class DismissalUnheard(Unavailable):
    """The directory here is behind identity's: new records could still come to the leaver. It waits."""

    code = "hand_over.dismissal_unheard"
    title = "This service has not heard of the dismissal yet"


class UserIsBack(Unavailable):
    """The dismissal was taken back; that the hand-over is cancelled will be heard any moment. It waits."""

    code = "hand_over.user_is_back"
    title = "The user was reinstated"


class SuccessorNotActive(Conflict):
    """The end of an attempt: the successor has left too. It can go on with another one."""

    code = "hand_over.successor_not_active"
    title = "The successor is not active any more"


class RecordsRefused(Refusal):
    """The end of an attempt: records stay the leaver's although everything was tried. The job's rows say which, and why."""

    status = 409
    code = "hand_over.records_refused"
    title = "Some records could not be handed over"


@dataclass(frozen=True)
class HandOver:
    """What identity asked of this service, and where it stands. moved, remaining: by record type."""

    id: uuid.UUID
    version: int
    user_id: uuid.UUID
    user_epoch: int
    successor_id: uuid.UUID
    successor_epoch: int
    attempt: int
    status: HandOverWorkStatus
    asked_by: uuid.UUID
    asked_at: dt.datetime
    told_at: dt.datetime
    ended_at: dt.datetime | None
    job_id: uuid.UUID | None
    problem: Mapping[str, Any] | None
    moved: Mapping[str, int] = field(default_factory=dict)
    remaining: Mapping[str, int] = field(default_factory=dict)


def on_ask(known: HandOver | None, attempt: int) -> What:
    """What an ask begins. An attempt that was heard of is heard once; so is one of a hand-over that was cancelled meanwhile."""
    if known is not None and (attempt <= known.attempt or known.status == "cancelled"):
        return "nothing"
    return "begin"


def is_stopped_by_cancel(known: HandOver) -> bool:
    """Whether a cancellation ends what is under way; what is done, or could not be done, stays so."""
    return known.status == "running"


def require_heard(found: HandOver, directory: Directory) -> None:
    """Return when records may change hands. Raises DismissalUnheard, UserIsBack, SuccessorNotActive.

    Both users must be known at least as identity knew them when it asked: a user's epoch rises with every change of the status.
    """
    user, successor = directory.users.get(found.user_id), directory.users.get(found.successor_id)
    if user is None or user.epoch < found.user_epoch or successor is None or successor.epoch < found.successor_epoch:
        raise DismissalUnheard
    if user.status != "dismissed":
        raise UserIsBack
    if not successor.active:
        raise SuccessorNotActive


@dataclass(frozen=True)
class Place:
    """Where the work stands: a pass goes through the record types, each in the order of ids. Passes are made until one moves nothing.

    begun_at: when records could first be moved, by the database's clock: what requests still under way have not heard of the dismissal
    began before that, and a little after it.
    """

    begun_at: dt.datetime
    record: int = 0
    after: uuid.UUID | None = None
    moved: int = 0
    refused: int = 0

    def json(self) -> dict[str, Any]:
        """As the job's position."""
        return {
            "begun_at": self.begun_at.isoformat(),
            "record": self.record,
            "after": None if self.after is None else str(self.after),
            "moved": self.moved,
            "refused": self.refused,
        }

    @classmethod
    def read(cls, position: Mapping[str, Any] | None, now: dt.datetime) -> "Place":
        """From the job's position; None: at the beginning."""
        if position is None:
            return cls(now)
        after = position["after"]
        return cls(
            dt.datetime.fromisoformat(position["begun_at"]),
            position["record"],
            None if after is None else uuid.UUID(after),
            position["moved"],
            position["refused"],
        )


def hears_of_it(place: Place) -> dt.datetime:
    """From this instant on every request that begins knows of the dismissal."""
    return place.begun_at + DIRECTORY_AGE


def may_end(place: Place, now: dt.datetime, oldest: dt.datetime | None) -> bool:
    """Whether a pass that moved nothing was the last: no request that might not know of the dismissal is under way.

    now, oldest: the database's clock, and when the oldest transaction under way began; None: there is none.
    """
    knows = hears_of_it(place)
    if now < knows:
        return False
    return oldest is None or oldest >= knows or now >= knows + LONGEST_REQUEST
