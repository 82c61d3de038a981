"""Leaving the company, and coming back (ID-5, ID-6): the status, and what becomes of the records, in one transaction."""

import uuid
from collections.abc import Collection

from crm_database import WriteSession
from crm_identity.hand_over import actions as hand_overs
from crm_identity.user.actions import set_status
from crm_identity.user.people import Authority, User


async def dismiss(
    session: WriteSession,
    authority: Authority,
    before: User,
    *,
    successor_id: uuid.UUID | None,
    dismissed_by: uuid.UUID,
    deployed: Collection[str],
) -> None:
    """Dismiss a user, and have their open records go to the successor in every service. `before` as for `actions.change`.

    successor_id: None: the nearest active superior, else who dismisses. deployed: the services that this deployment runs; empty: all.
    Raises StatusForbids, OnlySuperAdmin, LastSuperAdmin, SuccessorNotActive.
    """
    # The status first: whether somebody may be dismissed at all comes before who gets what they have.
    after = await set_status(session, authority, before, "dismiss")
    successor = await hand_overs.choose_successor(session, before.id, successor_id, dismissed_by)
    await hand_overs.begin(session, after, successor, dismissed_by=dismissed_by, deployed=deployed)


async def reinstate(session: WriteSession, authority: Authority, before: User) -> None:
    """Take a dismissal back. A hand-over that is under way, or failed, is cancelled; what has changed hands stays the successor's.

    Raises StatusForbids, OnlySuperAdmin.
    """
    # Before the status: from then on the directory's version row is held, which comes last.
    under_way = await hand_overs.lock_open(session, before.id)
    await set_status(session, authority, before, "reinstate")
    if under_way is not None:
        await hand_overs.cancel_open(session, under_way)
