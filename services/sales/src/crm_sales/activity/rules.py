"""Activities' decisions: when one can have happened, whose timeline it stands in (SA-30). Pure."""

import datetime as dt
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from crm_kernel.errors import FieldError, Invalid
from crm_records.inputs import CLOCK_TOLERANCE
from crm_records.refusals import OccurredInFuture
from crm_sales.activity.links import Link

#: How far back one may enter what one did, without the permission to backdate.
FREE_PAST: Final = dt.timedelta(days=30)


class LinkUnknown(Invalid):
    """422: no such record here (yet), or the caller may not see it. Send the Consistency-Token of the record's creation."""

    code = "link.unknown"
    title = "There is no such record to link"


class ParticipantUnknown(Invalid):
    """422: no such user."""

    code = "participant.unknown"
    title = "There is no such user"


def needs_backdate(happened_at: dt.datetime, now: dt.datetime) -> bool:
    """Whether it lies so far back that entering it needs the permission to backdate. Raises OccurredInFuture."""
    if happened_at > now + CLOCK_TOLERANCE:
        detail = "What has happened did not happen in the future"
        raise OccurredInFuture(errors=[FieldError("/happened_at", OccurredInFuture.code, detail)])
    return happened_at < now - FREE_PAST


def check_links(links: Sequence[Link], visible: Collection[Link], present: Collection[Link]) -> None:
    """Raise LinkUnknown, with a pointer to each link that the caller doesn't see. present: what it is about already may stay."""
    unknown = [index for index, link in enumerate(links) if link not in visible and link not in present]
    if unknown:
        raise LinkUnknown(
            errors=[FieldError(f"/links/{index}", LinkUnknown.code, LinkUnknown.title) for index in unknown]
        )


def check_participants(
    participants: Sequence[uuid.UUID], users: Collection[uuid.UUID], present: Collection[uuid.UUID]
) -> None:
    """Raise ParticipantUnknown, with a pointer to each participant that is no user. present: who stands there already may stay."""
    unknown = [index for index, one in enumerate(participants) if one not in users and one not in present]
    if unknown:
        raise ParticipantUnknown(
            errors=[
                FieldError(f"/participants/{index}", ParticipantUnknown.code, ParticipantUnknown.title)
                for index in unknown
            ]
        )


def customer_of(links: Sequence[Link], customers: Mapping[Link, uuid.UUID]) -> uuid.UUID | None:
    """The customer of the first link that has one."""
    return next((customers[link] for link in links if link in customers), None)
