"""Who hears what: one table over all topics, and what comes of it for one person."""

import datetime as dt
import uuid

import pytest

from crm_analytics.access.rules import AUDIENCES, hearing_of
from crm_authz import Directory, Rule, unite
from crm_authz.grants import Holder
from crm_authz.shipped import SHIPPED_ROLES
from crm_contracts import Member, registry
from crm_contracts.control import ALL as SERVICES
from crm_testing.service import Rights

NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
ME, OTHER, STRANGER = (uuid.uuid4() for _ in range(3))
DEAL, APPROVAL, PRODUCT, USER = (
    "crm.sales.opportunity",
    "crm.billing.approval",
    "crm.sales.product",
    "crm.identity.user",
)


def _holder(*permissions: str, scopes: dict[str, dict[str, Rule]] | None = None) -> Holder:
    return unite(ME, [Rights(permissions, scopes or {"*": {"*": Rule("self")}})], SERVICES)


def _known() -> Directory:
    from crm_authz import Changes, User

    user = User(id=ME, name="Me", status="active", department_id=uuid.uuid4(), superior_id=None)
    return Directory().with_changes(Changes(users=(user,)), version=1, heard_at=NOW, now=NOW)


@pytest.mark.requirement("PL-43")
def test_every_topic_has_an_audience_that_was_decided() -> None:
    assert set(AUDIENCES) == {topic.name for topic in registry.consumed_by("analytics")}


def test_what_is_told_by_owners_carries_them_and_what_identity_and_operators_say_is_open_to_nobody() -> None:
    for topic, audience in AUDIENCES.items():
        told = [
            registry.examples[name].get("access") for name, model in registry.events.items() if model.topic == topic
        ]
        if audience.kind in ("record", "named"):
            assert all(told), topic
        if topic.startswith("crm.identity.") or topic.endswith(".operation"):
            assert audience.kind == "everything", topic


def test_who_may_not_read_a_type_hears_nothing_of_it() -> None:
    hearing = hearing_of(_holder("customers.customer:read"), _known(), NOW)
    assert not hearing.hears(DEAL, ME, ())
    assert hearing.hears("crm.customers.customer", ME, ())
    assert hearing_of(_holder(), _known(), NOW).nothing


def test_who_reads_their_own_hears_of_their_own_and_of_what_they_share_in() -> None:
    hearing = hearing_of(_holder("sales.opportunity:read"), _known(), NOW)
    assert hearing.hears(DEAL, ME, ())
    assert not hearing.hears(DEAL, OTHER, ())
    assert not hearing.hears(DEAL, None, ())
    assert hearing.hears(DEAL, OTHER, [Member(user_id=ME, right="read")])
    assert not hearing.hears(DEAL, OTHER, [Member(user_id=STRANGER, right="write")])
    for ends, heard in ((NOW + dt.timedelta(seconds=1), True), (NOW, False)):
        assert hearing.hears(DEAL, OTHER, [Member(user_id=ME, right="read", expires_at=ends)]) is heard


def test_who_reaches_everything_hears_of_records_without_owner_too() -> None:
    hearing = hearing_of(_holder("sales.opportunity:read", scopes={"*": {"*": Rule("all")}}), _known(), NOW)
    assert hearing.hears(DEAL, None, ())
    assert not hearing.hears("crm.customers.customer", None, ()), "without the permission"
    assert not hearing.hears(USER, None, ()), "without the permission for the log"


def test_a_scope_that_reaches_nobody_hears_nothing_not_even_what_is_shared() -> None:
    hearing = hearing_of(_holder("sales.opportunity:read", scopes={"customers.*": {"*": Rule("all")}}), _known(), NOW)
    assert not hearing.hears(DEAL, ME, [Member(user_id=ME, right="write")])


def test_an_approval_is_heard_by_those_named_in_it_however_far_they_reach() -> None:
    everything = hearing_of(_holder("billing.approval:read", scopes={"*": {"*": Rule("all")}}), _known(), NOW)
    assert not everything.hears(APPROVAL, OTHER, [Member(user_id=STRANGER, right="read")])
    nothing = hearing_of(_holder("billing.approval:read", scopes={"sales.*": {"*": Rule("self")}}), _known(), NOW)
    for hearing in (everything, nothing):
        assert hearing.hears(APPROVAL, ME, ())
        assert hearing.hears(APPROVAL, OTHER, [Member(user_id=ME, right="read")])


def test_what_is_nobodys_is_heard_by_all_who_may_read_it() -> None:
    hearing = hearing_of(_holder("sales.product:read"), _known(), NOW)
    assert hearing.hears(PRODUCT, None, ())
    assert not hearing.hears("crm.sales.pipeline", None, ())


def test_the_log_itself_takes_permission_and_a_scope_that_reaches_everything() -> None:
    wide, narrow = {"analytics.event": {"read": Rule("all")}}, {"analytics.event": {"read": Rule("self")}}
    assert hearing_of(_holder("analytics.event:read", scopes=wide), _known(), NOW).hears(USER, None, ())
    assert not hearing_of(_holder("analytics.event:read", scopes=narrow), _known(), NOW).hears(USER, ME, ())
    assert not hearing_of(_holder("sales.opportunity:read", scopes=wide), _known(), NOW).hears(USER, None, ())


def test_only_the_super_administrator_may_send_events_outside() -> None:
    able = {
        role.key: {
            code: unite(ME, [role], SERVICES).allows(code)
            for code in ("analytics.feed:read", "analytics.webhook:create")
        }
        for role in SHIPPED_ROLES
    }
    assert {key for key, may in able.items() if may["analytics.webhook:create"]} == {"super_administrator"}
    assert {key for key, may in able.items() if not may["analytics.feed:read"]} == {"general"}
