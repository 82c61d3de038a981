"""Each guard taken away by substitution: then a test of the ordinary suite must notice."""

import uuid
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest
from services.customers.tests.contact import test_contacts
from services.customers.tests.customer import test_customers
from services.customers.tests.pool import test_claim, test_release

from crm_customers.app import SERVICE
from crm_customers.contact import actions as contacts
from crm_customers.contact import store as contact_store
from crm_customers.customer import actions as customer_actions
from crm_customers.customer import store as customer_store
from crm_customers.pool import actions, store
from crm_customers.pool.actions import Pool
from crm_records import lock_records, locking
from crm_testing.service import Caller, Running, running


@pytest.fixture
async def roomy(customers_dsn: str) -> AsyncIterator[Running]:
    async with running(SERVICE, customers_dsn, pool_max=80, lock_timeout_seconds=60) as found:
        yield found


@pytest.fixture(autouse=True)
def fresh_statements() -> Any:
    """Lock statements are compiled once per shape."""
    locking._lock_statement.cache_clear()
    yield
    locking._lock_statement.cache_clear()


async def notices(test: Awaitable[None]) -> None:
    with pytest.raises((AssertionError, KeyError)):
        await test


@pytest.mark.requirement("CU-43")
async def test_a_claim_that_does_not_look_again_after_the_lock_is_noticed(
    roomy: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row as it was before the lock: then all who waited for it find the customer in its pool."""
    real = actions._lock_any

    async def seen_before_the_lock(unit: Any, customer_id: uuid.UUID) -> Any:
        async with unit.database.read() as session:
            (before,) = await session.connection.fetch(
                "SELECT pool_id, pooled_at FROM customer WHERE id = $1", customer_id
            )
        found = await real(unit, customer_id)
        if found is not None:
            found.values |= {"pool_id": before["pool_id"] and uuid.UUID(int=before["pool_id"].int)}
            found.values |= {"pooled_at": before["pooled_at"], "owner_id": None}
        return found

    monkeypatch.setattr(actions, "_lock_any", seen_before_the_lock)
    await notices(test_claim.test_of_many_who_claim_at_once_exactly_one_gets_the_customer(roomy.dsn))


@pytest.mark.requirement("CU-43")
async def test_a_cap_without_its_lock_is_noticed(
    customers: Running, admin: Caller, rep: Caller, colleague: Caller, manager: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(*given: Any) -> None:
        """Nobody waits for anybody."""

    monkeypatch.setattr(store, "one_claim_at_a_time", at_once)
    await notices(test_claim.test_the_daily_cap_holds_under_parallel_claims(customers, admin, rep, colleague, manager))


@pytest.mark.requirement("CU-43")
async def test_a_cap_that_counts_what_is_still_owned_is_noticed(
    customers: Running, admin: Caller, rep: Caller, colleague: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def owned(session: Any, pool_id: uuid.UUID, user_id: uuid.UUID, since: Any) -> int:
        return int(await session.connection.fetchval("SELECT count(*) FROM customer WHERE owner_id = $1", user_id))

    monkeypatch.setattr(store, "claims_since", owned)
    await notices(
        test_claim.test_the_cap_counts_claims_from_the_pools_history_and_nothing_else(customers, admin, rep, colleague)
    )


@pytest.mark.requirement("CU-40")
async def test_claims_of_non_members_are_noticed(
    customers: Running, admin: Caller, rep: Caller, colleague: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pool, "has_member", lambda self, user_id, path: True)
    await notices(test_claim.test_only_members_claim_and_others_do_not_learn_of_it(customers, admin, rep, colleague))


@pytest.mark.requirement("PL-21")
async def test_releases_by_members_of_a_customer_are_noticed(
    customers: Running, rep: Caller, colleague: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def seen(unit: Any, record: Any, record_id: uuid.UUID, action: Any, **options: Any) -> Any:
        return (await lock_records(unit, record, [record_id]))[record_id]

    monkeypatch.setattr(actions, "lock_one", seen)
    await notices(test_release.test_members_of_a_customer_do_not_release_it(customers, rep, colleague))


@pytest.mark.requirement("CU-30")
async def test_customers_that_are_not_held_while_a_contact_is_made_are_noticed(
    customers: Running, rep: Caller, manager: Caller, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def not_held(session: Any, scope: Any, ids: Any) -> dict[uuid.UUID, uuid.UUID | None]:
        rows = await session.connection.fetch("SELECT id, owner_id FROM customer WHERE id = ANY($1::uuid[])", ids)
        # The transfer goes on in between.
        await session.connection.fetchval("SELECT pg_sleep(0.2)")
        return {uuid.UUID(int=row["id"].int): row["owner_id"] and uuid.UUID(int=row["owner_id"].int) for row in rows}

    monkeypatch.setattr(contacts, "visible_held", not_held)
    await notices(
        test_contacts.test_contacts_made_while_their_customer_changes_hands_end_with_its_owner(
            customers, rep, manager, admin
        )
    )


@pytest.mark.requirement("CU-20")
async def test_moves_that_do_not_wait_for_each_other_are_noticed(rep: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once(session: Any) -> None:
        await session.connection.fetchval("SELECT pg_sleep(0.2)")

    monkeypatch.setattr(customer_store, "lock_tree", at_once)
    await notices(test_customers.test_moves_at_the_same_time_close_no_cycle_together(rep))


@pytest.mark.requirement("CU-20")
async def test_parents_that_nobody_looks_at_are_noticed(
    customers: Running, rep: Caller, manager: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def all_of_them(session: Any, scope: Any, ids: Any) -> set[uuid.UUID]:
        return set(ids)

    monkeypatch.setattr(customer_actions.store, "visible", all_of_them)
    await notices(test_customers.test_a_customer_belongs_to_a_parent_that_its_user_sees(customers, rep, manager))


@pytest.mark.requirement("CU-30")
async def test_contacts_with_owners_of_their_own_that_follow_are_noticed(
    customers: Running, rep: Caller, manager: Caller, admin: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(session: Any, ids: Any) -> None:
        """Nothing stops following."""

    monkeypatch.setattr(contact_store, "stop_following", never)
    await notices(
        test_contacts.test_contacts_follow_their_customer_unless_they_have_owners_of_their_own(
            customers, rep, manager, admin
        )
    )
