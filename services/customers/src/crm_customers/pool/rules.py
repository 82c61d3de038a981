"""The public pool's decisions (CU-43): who may claim, when, and why not. Pure: time and counts come in as arguments."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from crm_kernel.errors import Conflict, Forbidden


class AlreadyClaimed(Conflict):
    """409: the customer left the pool; somebody else was faster."""

    code = "customer.already_claimed"
    title = "The customer is no longer in the pool"


class NotInPool(Conflict):
    """409: the customer is in no pool."""

    code = "customer.not_in_pool"
    title = "The customer is in no pool"


class AlreadyInPool(Conflict):
    """409: the customer waits in a pool already."""

    code = "customer.already_in_pool"
    title = "The customer is in a pool already"


class CustomerLocked(Conflict):
    """409: a locked customer is not released (CU-13)."""

    code = "customer.locked"
    title = "The customer is locked"


class ClaimCapReached(Conflict):
    """409: the day's claims are used up; `available_from` says when the next day begins (company time zone)."""

    code = "pool.claim_cap_reached"
    title = "You have claimed as many customers today as the pool allows"


class CoolingDown(Conflict):
    """409: the previous owner waits before claiming it again; `available_from` says until when."""

    code = "pool.cooling_down"
    title = "You owned this customer until recently"


class OnHold(Conflict):
    """409: a new arrival is not claimable yet; `available_from` says from when on."""

    code = "pool.on_hold"
    title = "The customer arrived in the pool only recently"


class NotPoolMember(Forbidden):
    """403: only members of the pool claim from it."""

    code = "pool.not_member"
    title = "You are not a member of this pool"


class NotPoolAdministrator(Forbidden):
    """403: only the pool's administrators assign from it."""

    code = "pool.not_administrator"
    title = "You don't administer this pool"


@dataclass(frozen=True)
class Pool:
    """A pool's members and limits.

    open_to_all: every user who may claim at all is a member. daily_claim_cap: claims per user and day, None: no limit.
    cooldown: how long the previous owner can't claim it back. hold: how long a new arrival can't be claimed by anybody.
    """

    id: uuid.UUID
    administrator_ids: frozenset[uuid.UUID]
    member_user_ids: frozenset[uuid.UUID]
    member_department_ids: frozenset[uuid.UUID]
    open_to_all: bool
    daily_claim_cap: int | None
    cooldown: dt.timedelta
    hold: dt.timedelta

    def has_member(self, user_id: uuid.UUID, department_path: tuple[uuid.UUID, ...]) -> bool:
        """Whether a user may claim: named, of a named department or below it, an administrator, or the pool is open."""
        return (
            self.open_to_all
            or user_id in self.member_user_ids
            or user_id in self.administrator_ids
            or not self.member_department_ids.isdisjoint(department_path)
        )


@dataclass(frozen=True)
class Pooled:
    """A customer's place in a pool. previous_owner_id: who gave it up, at `pooled_at`."""

    pool_id: uuid.UUID | None
    pooled_at: dt.datetime | None
    previous_owner_id: uuid.UUID | None
    locked: bool = False


def check_claim(
    pool: Pool,
    customer: Pooled,
    *,
    user_id: uuid.UUID,
    claimed_today: int,
    next_day: dt.datetime,
    now: dt.datetime,
) -> None:
    """Whether the user may claim the customer now; each limit refuses with its own code and says from when on it would work.

    claimed_today: the user's claims from this pool since the day began, counted from the pool's history, not from what the user
    still owns; what was created by or assigned to them doesn't count. next_day: when the next company day begins.

    Raises AlreadyClaimed, OnHold, CoolingDown, ClaimCapReached.
    """
    if customer.pool_id != pool.id or customer.pooled_at is None:
        raise AlreadyClaimed
    claimable_from = customer.pooled_at + pool.hold
    if now < claimable_from:
        raise OnHold(extra=available_from(claimable_from))
    if customer.previous_owner_id == user_id:
        again_from = customer.pooled_at + pool.cooldown
        if now < again_from:
            raise CoolingDown(extra=available_from(again_from))
    if pool.daily_claim_cap is not None and claimed_today >= pool.daily_claim_cap:
        raise ClaimCapReached(extra=available_from(next_day))


def check_release(customer: Pooled) -> None:
    """Whether an owned customer may go back to a pool. Raises AlreadyInPool, CustomerLocked."""
    if customer.pool_id is not None:
        raise AlreadyInPool
    if customer.locked:
        raise CustomerLocked("A locked customer stays with its owner; unlock it first")


def check_assign(pool: Pool, customer: Pooled) -> None:
    """Whether an administrator may give the customer away: it must still be in this pool. Raises AlreadyClaimed."""
    if customer.pool_id != pool.id:
        raise AlreadyClaimed


def available_from(instant: dt.datetime) -> Mapping[str, str]:
    """The member of a refusal that says from when on it would work; RFC 3339 UTC."""
    return {"available_from": instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")}
