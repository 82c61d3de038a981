"""What is compared with the oracle, per kind of operation (matrix.py). Each check raises AssertionError for what differs."""

import contextlib
import datetime as dt
import json
import uuid
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any
from unittest import mock

from tests.scope import oracle
from tests.scope.matrix import ACTIVITY, CONTACT, CONTRACT, CUSTOMER, NAMED_BY, OPPORTUNITY, PAYMENT, TICKET, Row
from tests.scope.stand import COUNTED, PERMISSIONS, Stand, facts_of
from tests.scope.world import NOW, Record, World

from crm_records.jobs import matching
from crm_testing.service import Answered, Caller

STALE = '"999"'


@dataclass
class Bench:
    """One caller before the services. now: the services' clock."""

    stand: Stand
    world: World
    user: str
    random: Random
    now: Any
    asked: int = 0
    _callers: dict[Any, Caller] = field(default_factory=dict)

    def reaches(self, record: Record, action: str = "read", *, by_ownership: bool = False) -> bool:
        """What the oracle says."""
        plain = {"owner": record.owner, "members": record.members}
        return bool(
            oracle.allowed(
                self.world.organisation,
                self.world.roles[self.user],
                self.user,
                record.type,
                plain,
                action,
                self.now,
                by_ownership,
            )
        )

    def may_give(self, record_type: str, to: str) -> bool:
        return bool(oracle.may_give(self.world.organisation, self.world.roles[self.user], self.user, record_type, to))

    def seen(self, record_type: str, *, deleted: bool = False) -> list[Record]:
        """The records that the caller sees."""
        return [one for one in self.world.of(record_type) if one.deleted is deleted and self.reaches(one)]

    def hidden(self, record_type: str) -> list[Record]:
        return [one for one in self.world.of(record_type) if not one.deleted and not self.reaches(one)]

    def sample(self, record_type: str, each: int = 2) -> list[Record]:
        """Some records that are seen, some that are not, one that is deleted."""
        kinds = (self.seen(record_type), self.hidden(record_type))
        chosen = [one for kind in kinds for one in self.random.sample(kind, min(each, len(kind)))]
        deleted = [one for one in self.world.of(record_type) if one.deleted]
        return chosen + self.random.sample(deleted, min(1, len(deleted)))

    def caller(self, service: str, *, user: str | None = None, permissions: Iterable[str] = PERMISSIONS) -> Caller:
        key = (service, user or self.user, tuple(permissions), self.now)
        if key not in self._callers:
            self._callers[key] = self.stand.caller(service, key[1], permissions=key[2])
        return self._callers[key]

    async def ask(
        self, row: Row, *, caller: Caller | None = None, place: dict[str, str] | None = None, **options: Any
    ) -> Answered:
        """Send the row's request. place: values for the parts of its path."""
        self.asked += 1
        path = row.path.format_map(place or {})
        return await (caller or self.caller(row.service))(row.method, path, **options)


def absent() -> str:
    """An id that no record has."""
    return str(uuid.uuid4())


def named_by(row: Row) -> str:
    """The field that the row's records are looked up by."""
    return NAMED_BY.get(row.record or "", "name")


def ids(answer: Answered) -> list[str]:
    return [item["id"] for item in answer["items"]]


def of(records: Iterable[Record]) -> set[str]:
    return {record.id for record in records}


def same(found: Any, expected: Any, words: str) -> None:
    assert found == expected, f"{words}: {found} instead of {expected}"


# -- lists -------------------------------------------------------------------------------------------------------------


async def check_list(bench: Bench, row: Row) -> None:
    assert row.record is not None
    expected = bench.seen(row.record)
    hidden = bench.hidden(row.record)

    async def listed(caller: Caller | None = None, **asked: Any) -> Answered:
        if row.kind == "search":
            return await bench.ask(row, caller=caller, json=asked)
        if "filter" in asked:
            asked["filter"] = json.dumps(asked["filter"])
        return await bench.ask(row, caller=caller, params=asked)

    whole = await listed(limit=200, count="exact")
    same(sorted(ids(whole)), sorted(of(expected)), f"{row.path} lists")
    same(whole["count"], len(expected), f"{row.path} counts")
    same((await listed(limit=1, count="estimate"))["count"], len(expected), f"{row.path} estimates")
    names = {one.id: one.name for one in expected}
    name = named_by(row)
    same({item["id"]: item[name] for item in whole["items"]}, names, f"{row.path} shows")
    await _pages(bench, row, listed, expected)
    # Later customers were transferred, which sales hasn't heard of.
    if row.record == ACTIVITY and row.kind == "list" and bench.now == NOW:
        await _about(bench, row, expected)
    gone = bench.seen(row.record, deleted=True)
    same(sorted(ids(await listed(limit=200, deleted="only"))), sorted(of(gone)), f"{row.path} lists of the deleted")
    # What is asked by values of what is not seen finds nothing, and counts nothing.
    for one in bench.random.sample(hidden, min(2, len(hidden))):
        by_name = {"field": name, "op": "eq", "value": one.name}
        for asked in ({"filter": by_name}, {"q": one.name}, {"filter": {"field": "id", "op": "eq", "value": one.id}}):
            for counted in ("exact", "estimate"):
                found = await listed(**asked, count=counted)
                same((ids(found), found["next"], found["count"]), ([], None, 0), f"{row.path} {asked}")
        either = {"or": [by_name, {"not": by_name}]}
        found = await listed(filter=either, limit=200, count="exact")
        same((sorted(ids(found)), found["count"]), (sorted(of(expected)), len(expected)), f"{row.path} {either}")
        if one.owner is not None:
            by_owner = {"field": "owner_id", "op": "eq", "value": one.owner}
            owned = [other for other in expected if other.owner == one.owner]
            found = await listed(filter=by_owner, count="exact")
            same((sorted(ids(found)), found["count"]), (sorted(of(owned)), len(owned)), f"{row.path} {by_owner}")


async def _about(bench: Bench, row: Row, expected: list[Record]) -> None:
    """What is about a record is shown to who sees that too, and only what they see of it."""
    gone = [one for one in bench.world.of(CUSTOMER) if one.deleted]
    for nowhere in [absent(), *(one.id for one in [*bench.hidden(CUSTOMER)[:2], *gone[:1]])]:
        refused = await bench.ask(row, params={"about": f"{CUSTOMER}:{nowhere}"})
        same((refused.status, refused.codes), (422, [("query:about", "link.unknown")]), f"{row.path} about {nowhere}")
    for one in bench.seen(CUSTOMER)[:2]:
        about = [activity for activity in expected if activity.customer == one.id]
        found = await bench.ask(row, params={"about": f"{CUSTOMER}:{one.id}", "count": "exact"})
        same((sorted(ids(found)), found["count"]), (sorted(of(about)), len(about)), f"{row.path} about {one}")


async def _pages(bench: Bench, row: Row, listed: Callable[..., Awaitable[Answered]], expected: list[Record]) -> None:
    """Page after page: everything once, in order; a cursor is good for nobody else."""
    name = named_by(row)
    sort = bench.random.choice((name, f"-{name}", "-updated_at", "created_at"))
    limit = max(1, len(expected) // 3)
    seen: list[str] = []
    cursor = None
    while True:
        page = await listed(sort=sort, limit=limit, **({} if cursor is None else {"cursor": cursor}))
        seen += ids(page)
        cursor = page["next"]
        if cursor is None:
            break
        assert len(seen) < len(expected), f"{row.path} has more pages than records"
        others = [user for user in bench.world.roles if user != bench.user]
        if others:
            other = bench.caller(row.service, user=bench.random.choice(others))
            refused = await listed(other, sort=sort, limit=limit, cursor=cursor)
            same((refused.status, refused["code"]), (422, "cursor.invalid"), f"{row.path} with another's cursor")
    same(sorted(seen), sorted(of(expected)), f"{row.path} by pages of {limit}, {sort}")
    if sort.endswith(name):
        order = [one.id for one in sorted(expected, key=lambda one: one.name, reverse=sort.startswith("-"))]
        same(seen, order, f"{row.path} in the order {sort}")


# -- single records ----------------------------------------------------------------------------------------------------


async def check_see(bench: Bench, row: Row) -> None:
    assert row.record is not None
    nowhere = await bench.ask(row, place={"id": absent()})
    same(nowhere.status, 404, f"{row.path} of nothing")
    for record in bench.sample(row.record):
        answer = await bench.ask(row, place={"id": record.id})
        shown = bench.reaches(record) and (not record.deleted or row.deleted == "shown")
        same(answer.status, 200 if shown else 404, f"{row.path} of {record}")
        if not shown:
            same(_words(answer), _words(nowhere), f"{row.path} of {record} tells more than of nothing")
        elif row.path.endswith("/members"):
            same({item["user_id"] for item in answer["items"]}, {m["user"] for m in record.members}, row.path)


def _words(answer: Answered) -> Any:
    return {name: value for name, value in answer.body.items() if name != "trace_id"}


async def check_timeline(bench: Bench, row: Row) -> None:
    """Of a customer that is seen: the entries of its records that are seen, whatever of their history was told."""
    nowhere = await bench.ask(row, place={"id": absent()})
    same(nowhere.status, 404, f"{row.path} of nothing")
    for customer in bench.sample(CUSTOMER, 3):
        place = {"id": customer.id}
        answer = await bench.ask(row, place=place, params={"limit": 200})
        if customer.deleted or not bench.reaches(customer):
            same((answer.status, _words(answer)), (404, _words(nowhere)), f"{row.path} of {customer}")
            continue
        seen = [one for one in _belonging(bench, customer) if not one.deleted and bench.reaches(one)]
        _same_entries(row, answer["items"], seen, "shows")
        (chosen,) = bench.random.sample(sorted({one.type for one in _belonging(bench, customer)}), 1)
        of_type = await bench.ask(row, place=place, params={"limit": 200, "types": chosen})
        _same_entries(row, of_type["items"], [one for one in seen if one.type == chosen], f"shows of {chosen}")
        await _timeline_pages(bench, row, customer, [item["id"] for item in answer["items"]])
        # Types of record that the caller may not read are left out, whatever the scope says.
        blind = bench.caller("customers", permissions=["customers.customer:read", f"{chosen}:read"])
        few = await bench.ask(row, caller=blind, place=place, params={"limit": 200})
        allowed = [one for one in seen if one.type in (CUSTOMER, chosen)]
        _same_entries(row, few["items"], allowed, f"shows to who may read {chosen} only")


def _belonging(bench: Bench, customer: Record) -> list[Record]:
    return [one for one in bench.world.records if customer.id in (one.id, one.customer)]


def _same_entries(row: Row, items: list[dict[str, Any]], records: list[Record], words: str) -> None:
    found = sorted((item["record"]["type"], item["record"]["id"], item["record"]["name"]) for item in items)
    expected = [
        (one.type, one.id, None if one.type == PAYMENT else one.name)
        for one in records
        # An activity has one entry, others one for each fact.
        for _ in range(1 if one.type == ACTIVITY else 1 + len(facts_of(one)))
    ]
    same(found, sorted(expected), f"{row.path} {words}")


async def _timeline_pages(bench: Bench, row: Row, customer: Record, whole: list[str]) -> None:
    paged: list[str] = []
    asked: dict[str, Any] = {"limit": max(1, len(whole) // 3)}
    while True:
        page = await bench.ask(row, place={"id": customer.id}, params=asked)
        paged += ids(page)
        if page["next"] is None:
            break
        asked["cursor"] = page["next"]
        others = [user for user in bench.world.roles if user != bench.user and _sees_as(bench, user, customer)]
        for other in others[:1]:
            refused = await bench.ask(
                row, caller=bench.caller("customers", user=other), place={"id": customer.id}, params=asked
            )
            same((refused.status, refused["code"]), (422, "cursor.invalid"), f"{row.path} with another's cursor")
    same(paged, whole, f"{row.path} by pages")


def _sees_as(bench: Bench, user: str, record: Record) -> bool:
    plain = {"owner": record.owner, "members": record.members}
    world = bench.world
    return bool(oracle.allowed(world.organisation, world.roles[user], user, record.type, plain, "read", bench.now))


async def check_act(bench: Bench, row: Row) -> None:
    """With a stale version: who may change the record is told so, and nothing is changed."""
    assert row.record is not None
    users = sorted(bench.world.active)
    targets = [user for user in users if bench.may_give(row.record, user)]
    body = row.body
    if isinstance(body, dict) and body.get("to_user_id") == "<target>":
        body = {"to_user_id": bench.random.choice(targets or users)}
        if not targets:
            record = bench.random.choice(bench.world.records).id
            refused = await bench.ask(row, place={"id": record}, json=body)
            same((refused.status, refused["code"]), (403, "scope.target_out_of_scope"), row.path)
            return
    elif isinstance(body, dict) and body.get("stage_id") == "<unknown>":
        body = {"stage_id": absent()}
    for record in [None, *bench.sample(row.record)]:
        place = {"id": absent() if record is None else record.id, "user_id": bench.random.choice(users), "version": "1"}
        answer = await bench.ask(row, place=place, match=STALE, **({} if body is None else {"json": body}))
        if record is None or not bench.reaches(record) or (record.deleted and row.deleted == "missing"):
            expected: tuple[int, str] = (404, "record.not_found")
        elif not bench.reaches(record, row.action, by_ownership=row.by_ownership):
            expected = (403, "scope.record")
        else:
            expected = (412, "record.stale")
        found = (answer.status, answer.body.get("code"))
        same(found, expected, f"{row.method} {row.path} of {record}")


async def check_take(bench: Bench, row: Row) -> None:
    """With a stale version too. Members of queues are not among the callers: they may not see queues."""
    assert row.record is not None
    for record in [None, *bench.sample(row.record, 4)]:
        answer = await bench.ask(row, place={"id": absent() if record is None else record.id}, match=STALE)
        expected: tuple[int, str | None] = (412, "record.stale")
        if record is None or record.deleted or not bench.reaches(record):
            expected = (404, "record.not_found")
        elif record.owner == bench.user:
            expected = (200, None)
        elif record.owner is not None:
            expected = (409, "ticket.already_assigned")
        elif not bench.reaches(record, "write"):
            expected = (403, "scope.record")
        same((answer.status, answer.body.get("code")), expected, f"{row.path} of {record}")


@dataclass(frozen=True)
class _Below:
    """What a new record names. record: the type of it. member: of the body. code: when it is unknown; None: it is not compared.

    pointer: to it. refused: why a new one is refused all the same below what is seen; None: it is made.
    """

    record: str
    member: str
    code: str | None
    pointer: str
    refused: str | None = None

    def names(self, record_id: str) -> dict[str, Any]:
        """The part of the body."""
        return {self.member: [{"type": self.record, "id": record_id}] if self.member == "links" else record_id}


_BELOW: dict[str, tuple[_Below, ...]] = {
    CUSTOMER: (_Below(CUSTOMER, "parent_id", "customer.parent_unknown", "/parent_id"),),
    CONTACT: (_Below(CUSTOMER, "customer_id", "contact.customer_unknown", "/customer_id"),),
    OPPORTUNITY: (_Below(CUSTOMER, "customer_id", None, "/customer_id"),),
    ACTIVITY: tuple(
        _Below(linked, "links", "link.unknown", "/links/0")
        for linked in (CUSTOMER, CONTACT, OPPORTUNITY, CONTRACT, TICKET)
    ),
    TICKET: (_Below(CUSTOMER, "customer_id", "ticket.customer_unknown", "/customer_id"),),
    CONTRACT: (_Below(CUSTOMER, "customer_id", "contract.customer_unknown", "/customer_id"),),
    # All contracts are drafts, which nobody pays for; whether one is seen is asked before.
    PAYMENT: (_Below(CONTRACT, "contract_id", "payment.contract_unknown", "/contract_id", "contract.not_active"),),
}


def _needed(bench: Bench, record_type: str) -> dict[str, Any]:
    """What a new record must have besides what it is below."""
    if record_type == PAYMENT:
        return {"amount": {"amount": "1.00", "currency": "USD"}, "paid_on": bench.now.date().isoformat()}
    named = {NAMED_BY.get(record_type, "name"): "New"}
    return named | ({"kind": "call"} if record_type == ACTIVITY else {})


async def check_create(bench: Bench, row: Row) -> None:
    assert row.record is not None
    users = list(bench.world.organisation["users"])
    needed = _needed(bench, row.record)
    for user in bench.random.sample(users, min(4, len(users))):
        body = {**needed, "owner_id": user, **_BELOW[row.record][0].names(absent())}
        answer = await bench.ask(row, json=body)
        if user != bench.user and not bench.may_give(row.record, user):
            same((answer.status, answer["code"]), (403, "scope.target_out_of_scope"), f"{row.path} for {user}")
        else:
            # Good so far; what it belongs to is not there.
            same(answer.status, 422, f"{row.path} for {user}")
    for below in _BELOW[row.record]:
        await _create_below(bench, row, below, needed)


async def _create_below(bench: Bench, row: Row, below: _Below, needed: dict[str, Any]) -> None:
    assert row.record is not None
    # Activities begin neither about what is deleted, nor about what is a deleted customer's; other records stand below what is seen.
    gone = {one.id for one in bench.world.of(CUSTOMER) if one.deleted} if below.member == "links" else set()
    refused = [c for c in bench.world.of(below.record) if c.deleted or not bench.reaches(c)][:3]
    refused += [c for c in bench.seen(below.record) if c.customer in gone][:1]
    for one in refused:
        answer = await bench.ask(row, json={**needed, **below.names(one.id)})
        same(answer.status, 422, f"{row.path} below {one}")
        same([error[0] for error in answer.codes], [below.pointer], f"{row.path} below {one}")
        if below.code:
            same([error[1] for error in answer.codes], [below.code], f"{row.path} below {one}")
    for one in [c for c in bench.seen(below.record) if c.customer not in gone][:1]:
        answer = await bench.ask(row, json={**needed, **below.names(one.id)})
        if below.refused:
            same((answer.status, answer["code"]), (409, below.refused), f"{row.path} below {one}")
            continue
        same(answer.status, 201, f"{row.path} below {one}")
        async with bench.stand.services[row.service].database.write(_context(bench)) as session:
            table = row.record.split(".")[1]
            await session.connection.execute(f"DELETE FROM {table} WHERE id = $1", answer["id"])


def _context(bench: Bench) -> Any:
    from crm_database import WriteContext

    return WriteContext(now=bench.now)


# -- many at once ------------------------------------------------------------------------------------------------------


def _verdict(bench: Bench, record: Record | None, action: str) -> str | None:
    """The code with which a row is refused; None when the scope has nothing against it."""
    if record is None or record.deleted or not bench.reaches(record):
        return "record.not_found"
    return None if bench.reaches(record, action) else "scope.record"


def _codes(answer: Answered) -> list[str | None]:
    return [row.get("code") for row in answer["rows"]]


async def check_batch(bench: Bench, row: Row) -> None:
    """Changes without a difference: the rows that are reached are `unchanged`."""
    assert row.record is not None
    records = [None, *bench.sample(row.record, 4)]
    expected = [_verdict(bench, record, "write") for record in records]
    before = await _owners(bench, row)
    for by in ("id", "external_ref"):
        rows = []
        for record in records:
            named = (absent() if record is None else record.id) if by == "id" else {"system": "test", "id": absent()}
            if record is not None and by == "external_ref":
                named = record.ref
            rows.append({by: named, named_by(row): "Other" if record is None else record.name})
        answer = await bench.ask(row, json={"mode": "change", "rows": rows})
        same(answer.status, 200, row.path)
        same(_codes(answer), expected, f"{row.path} by {by}: {rows}")
        done = [one.get("done") for one in answer["rows"]]
        same(done, ["unchanged" if code is None else None for code in expected], row.path)
    # A reference that is taken is refused alike, whoever may see by what.
    taken = [{"external_ref": record.ref, **_new(bench, record)} for record in records if record is not None]
    if taken:
        answer = await bench.ask(row, json={"mode": "create", "rows": taken})
        same(set(_codes(answer)), {"record.external_ref_taken"}, f"{row.path} with references that are taken")
    same(await _owners(bench, row), before, f"{row.path} changed something")


def _new(bench: Bench, record: Record) -> dict[str, Any]:
    """A new record like this one."""
    if record.type == TICKET:
        return {"subject": "New", "stranger_name": "Kim"}
    needed = _needed(bench, record.type)
    (below, *_) = _BELOW[record.type]
    above = record.contract or record.customer
    return needed if above is None or record.type == OPPORTUNITY else {**needed, **below.names(above)}


async def _job(bench: Bench, row: Row, accepted: Answered) -> list[dict[str, Any]] | None:
    """What became of the rows of a job, after it was done; None when it ended as a whole with a refusal."""
    same(accepted.status, 202, f"{row.path} {accepted}")
    await bench.stand.services[row.service].work()
    caller = bench.caller(row.service)
    job = await caller.done("GET", accepted.headers["location"])
    same(job["state"], "succeeded", f"{row.path} {job}")
    found = await caller.done("GET", f"{accepted.headers['location']}/rows", params={"limit": 1000})
    same(found["next"], None, row.path)
    items: list[dict[str, Any]] = found["items"]
    return items


def _is_super(bench: Bench) -> bool:
    """Their tokens here have their roles' rights only; the directory gives them all."""
    return bool(bench.world.organisation["users"][bench.user]["super_admin"])


async def check_batch_job(bench: Bench, row: Row) -> None:
    """As `check_batch`, by a job."""
    assert row.record is not None
    if _is_super(bench):
        return
    records = [None, *bench.sample(row.record, 4)]
    expected = [_verdict(bench, record, "write") for record in records]
    before = await _owners(bench, row)
    rows = [
        {"id": absent() if one is None else one.id, named_by(row): "Other" if one is None else one.name}
        for one in records
    ]
    found = await _job(bench, row, await bench.ask(row, json={"mode": "change", "rows": rows}))
    same([one.get("code") for one in found or ()], expected, f"{row.path}: {rows}")
    done = [one.get("done") for one in found or ()]
    same(done, ["unchanged" if code is None else None for code in expected], row.path)
    same(await _owners(bench, row), before, f"{row.path} changed something")


async def check_change_many(bench: Bench, row: Row) -> None:
    """Each record gets the name that it has: by its id, and by its name as a filter."""
    assert row.record is not None
    for record in [None, *bench.sample(row.record, 3)]:
        name = "Other" if record is None else record.name
        body: dict[str, Any] = {"values": {named_by(row): name}}
        verdict = _verdict(bench, record, "write")
        answer = await bench.ask(row, json={**body, "ids": [absent() if record is None else record.id]})
        same((answer.status, _codes(answer)), (200, [verdict]), f"{row.path} of {record}")
        same(answer["rows"][0].get("done"), "unchanged" if verdict is None else None, f"{row.path} of {record}")
        answer = await bench.ask(row, json={**body, "filter": {"field": named_by(row), "op": "eq", "value": name}})
        changed = [record.id] if record is not None and verdict is None else []
        same((answer.status, ids_of(answer)), (200, changed), f"{row.path} of what is called as {record}")


def ids_of(answer: Answered) -> list[str]:
    """The records that rows are about."""
    return [one["id"] for one in answer["rows"]]


async def check_rows(bench: Bench, row: Row) -> None:
    """Rows that would be refused for another reason once they are reached: the reason tells which were."""
    assert row.record is not None
    body: dict[str, Any] = {"stage_id": absent()} if row.kind == "advance-rows" else {"outcome": "on_hold"}
    records = [None, *bench.sample(row.record, 4)]
    expected = [_verdict(bench, record, "write") for record in records]
    before = await bench.stand.services["sales"].rows(
        "SELECT id, version, outcome, stage_id FROM opportunity ORDER BY id"
    )
    for by in ("id", "external_ref"):
        nothing = absent() if by == "id" else {"system": "test", "id": absent()}
        names = [nothing if record is None else record.id if by == "id" else record.ref for record in records]
        rows = [{**body, by: name} for name in names]
        answer = await bench.ask(row, json={"rows": rows})
        same(answer.status, 200, row.path)
        scoped = [code if code in ("record.not_found", "scope.record") else None for code in _codes(answer)]
        same(scoped, expected, f"{row.path} by {by}: {rows}")
    after = await bench.stand.services["sales"].rows(
        "SELECT id, version, outcome, stage_id FROM opportunity ORDER BY id"
    )
    same(after, before, f"{row.path} changed something")


async def _owners(bench: Bench, row: Row) -> dict[str, str | None]:
    assert row.record is not None
    table = row.record.split(".")[1]
    rows = await bench.stand.services[row.service].rows(f"SELECT id, owner_id FROM {table}")
    return {str(one["id"]): None if one["owner_id"] is None else str(one["owner_id"]) for one in rows}


async def check_transfer_many(bench: Bench, row: Row) -> None:
    """By filter and by ids. What changes hands is noted in the world, so that the next checks judge by it."""
    assert row.record is not None
    users = sorted(bench.world.active)
    for by in ("filter", "ids", *(() if _is_super(bench) else ("filter as a job", "ids as a job"))):
        targets = [user for user in users if bench.may_give(row.record, user)]
        to = bench.random.choice(targets or users)
        records = bench.world.of(row.record)
        if by.startswith("filter"):
            body: dict[str, Any] = {
                "filter": {"field": named_by(row), "op": "starts_with", "value": row.record.split(".")[1]}
            }
            asked = [one for one in records if _verdict(bench, one, "transfer") is None]
        else:
            asked = bench.sample(row.record, 3)
            if not asked:
                continue
            body = {"ids": [one.id for one in asked]}
        # Everything is too much for one request.
        with mock.patch.object(matching, "MAX_ROWS", 0) if by.endswith("job") else contextlib.nullcontext():
            answer = await bench.ask(row, json={**body, "to_user_id": to})
        if not targets:
            same((answer.status, answer["code"]), (403, "scope.target_out_of_scope"), f"{row.path} to {to}")
            continue
        if answer.status == 202:
            rows = await _job(bench, row, answer) or []
        else:
            same(answer.status, 200, f"{row.path} {answer}")
            rows = answer["rows"]
        verdicts = {one.id: _verdict(bench, one, "transfer") for one in asked}
        verdicts |= {
            one.id: "customer.already_in_pool"
            for one in asked
            if one.pool and verdicts[one.id] is None and one.owner != to
        }
        found = {one["id"]: one.get("code") for one in rows}
        same(found, verdicts, f"{row.path} by {by} to {to}")
        for one in asked:
            if verdicts[one.id] is None and one.owner != to:
                one.owner = to
                one.members = [member for member in one.members if member["user"] != to]
        same(await _owners(bench, row), {one.id: one.owner for one in records}, f"{row.path} by {by} to {to}")


# -- the pool ----------------------------------------------------------------------------------------------------------


def _is_member(bench: Bench, pool: Any) -> bool:
    plain = {"administrators": pool.administrators, "users": pool.users, "departments": pool.departments}
    return bool(oracle.is_pool_member(bench.world.organisation, plain, bench.user))


async def check_claim(bench: Bench, row: Row) -> None:
    pools = {pool.id: pool for pool in bench.world.pools}
    pooled = [one for one in bench.world.of("customers.customer") if one.pool]
    for record in [None, *bench.sample("customers.customer", 3), *pooled]:
        answer = await bench.ask(row, place={"id": absent() if record is None else record.id})
        expected: tuple[int, str] = (404, "record.not_found")
        if record is not None and not record.deleted:
            if record.pool and _is_member(bench, pools[record.pool]):
                # It arrived just now, and the pool holds it.
                expected = (409, "pool.on_hold")
            elif not record.pool and bench.reaches(record):
                expected = (409, "customer.not_in_pool")
        same((answer.status, answer["code"]), expected, f"{row.path} of {record}")


async def check_pool(bench: Bench, row: Row) -> None:
    for pool in bench.world.pools:
        answer = await bench.ask(row, place={"id": pool.id})
        if not _is_member(bench, pool):
            same((answer.status, answer["code"]), (403, "pool.not_member"), row.path)
            continue
        expected = [one for one in bench.world.of("customers.customer") if one.pool == pool.id and not one.deleted]
        if row.kind == "pool":
            same(sorted(ids(answer)), sorted(of(expected)), row.path)
        else:
            same((answer.status, answer["items"]), (200, []), row.path)
    same((await bench.ask(row, place={"id": absent()})).status, 404, row.path)


async def check_assign(bench: Bench, row: Row) -> None:
    """Only with customers that are not in the pool: nothing is given away, and all are answered alike."""
    for pool in bench.world.pools:
        outside = [one.id for one in bench.world.of("customers.customer") if one.pool != pool.id or one.deleted][:5]
        to = bench.random.choice(sorted(bench.world.active))
        answer = await bench.ask(row, place={"id": pool.id}, json={"customer_ids": [*outside, absent()], "user_id": to})
        if bench.user not in pool.administrators:
            same((answer.status, answer["code"]), (403, "pool.not_administrator"), row.path)
        elif not bench.may_give("customers.customer", to):
            same((answer.status, answer["code"]), (403, "scope.target_out_of_scope"), row.path)
        else:
            same(set(_codes(answer)), {"customer.already_claimed"}, row.path)


# -- figures -----------------------------------------------------------------------------------------------------------


def _money(records: Iterable[Record]) -> dict[str, str]:
    minor = sum(one.minor for one in records)
    return {"amount": f"{minor // 100}.{minor % 100:02}", "currency": "USD"}


def _two_months(bench: Bench) -> tuple[dt.date, dt.date, dict[str, str]]:
    """The days that figures are asked for, and the parameters that ask for them."""
    last = bench.now.date()
    first = last - (last - last.replace(day=1)) - (last.replace(day=1) - last.replace(month=last.month - 1, day=1))
    return first, last, {"from": first.isoformat(), "to": last.isoformat()}


#: Outcomes of which contracts and payments count.
_COUNTING = {CONTRACT: ("active", "terminated"), PAYMENT: ("approved",)}


async def check_report(bench: Bench, row: Row) -> None:
    first, last, params = _two_months(bench)

    def within(record_type: str, outcome: str | None = None) -> list[Record]:
        return [one for one in bench.seen(record_type) if first <= one.day <= last and outcome in (None, one.outcome)]

    deals = {outcome: within("sales.opportunity", outcome) for outcome in ("won", "lost", "open")}
    if row.path.endswith("sales-brief"):
        figures = (await bench.ask(row, params=params))["figures"]
        expected = {
            "new_customers": len(within("customers.customer")),
            "new_contacts": len(within("customers.contact")),
            "new_opportunities": len(within("sales.opportunity")),
            "won": len(deals["won"]),
            "lost": len(deals["lost"]),
            "activities": len(within(ACTIVITY)),
        }
        same({name: figures[name]["current"]["count"] for name in expected}, expected, f"{row.path} {params}")
        same(figures["won"]["current"]["value"], _money(deals["won"]), f"{row.path} {params}")
        for name, record_type in (("contracts", CONTRACT), ("payments", PAYMENT)):
            counted_ones = [one for one in within(record_type) if one.outcome in _COUNTING[record_type]]
            money = {"count": len(counted_ones), "value": _money(counted_ones)}
            same(figures[name]["current"], money, f"{row.path} {params} {name}")
        blind = await bench.ask(
            row, params=params, caller=bench.caller("analytics", permissions=["analytics.report:read"])
        )
        same(set(blind["figures"].values()), {None}, f"{row.path} for who may read no records")
        return
    group = "user"
    answer = await bench.ask(row, params={**params, "group_by": group})
    if row.path.endswith("funnel"):
        same(answer["total"]["entered"]["count"], len(within("sales.opportunity")), f"{row.path} {params}")
        shown = {one["key"]: one["entered"]["count"] for one in answer["rows"]}
        counted: dict[str | None, int] = {}
        for one in within("sales.opportunity"):
            counted[one.credited] = counted.get(one.credited, 0) + 1
        same(shown, counted, f"{row.path} {params}")
    else:
        total = answer["total"]
        found = (total["won"]["count"], total["lost"]["count"], total["open"]["count"], total["won"]["value"])
        same(
            found,
            (*(len(deals[name]) for name in ("won", "lost", "open")), _money(deals["won"])),
            f"{row.path} {params}",
        )
        shown = {one["key"]: tuple(one[name]["count"] for name in ("won", "lost", "open")) for one in answer["rows"]}
        owners = {one.credited for one in within("sales.opportunity")}
        expected = {
            owner: tuple(sum(one.credited == owner for one in deals[name]) for name in ("won", "lost", "open"))
            for owner in owners
        }
        same(shown, expected, f"{row.path} {params}")
    blind = await bench.ask(
        row,
        params={**params, "group_by": group},
        caller=bench.caller("analytics", permissions=["analytics.report:read"]),
    )
    same((blind.status, blind["code"]), (403, "permission.missing"), f"{row.path} for who may read no opportunities")


async def check_money_report(bench: Bench, row: Row) -> None:
    """row.record: of which the figures are."""
    first, last, params = _two_months(bench)
    record_type = str(row.record)
    figure = {CONTRACT: "signed", PAYMENT: "received"}[record_type]
    counted = [
        one for one in bench.seen(record_type) if first <= one.day <= last and one.outcome in _COUNTING[record_type]
    ]
    names = {one.id: one.name for one in bench.seen(CUSTOMER)}

    def figures(ones: list[Record]) -> dict[str, Any]:
        return {"count": len(ones), "value": _money(ones)}

    for group, key_of in (("user", lambda one: one.credited), ("customer", lambda one: one.customer)):
        answer = await bench.ask(row, params={**params, "group_by": group})
        same(answer["total"][figure], figures(counted), f"{row.path} {params}")
        keys = {key_of(one) for one in counted}
        expected = {key: figures([one for one in counted if key_of(one) == key]) for key in keys}
        same({one["key"]: one[figure] for one in answer["rows"]}, expected, f"{row.path} {params} by {group}")
        if group == "customer":
            labels = {one["key"]: one["label"] for one in answer["rows"]}
            same(labels, {key: names.get(key, key) for key in keys}, f"{row.path} {params}: names of customers")
    blind = await bench.ask(
        row,
        params={**params, "group_by": "user"},
        caller=bench.caller("analytics", permissions=["analytics.report:read"]),
    )
    same((blind.status, blind["code"]), (403, "permission.missing"), f"{row.path} for who may read no {record_type}")


async def check_log(bench: Bench, row: Row) -> None:
    rules = oracle.rules_of(bench.world.roles[bench.user], "analytics.event", "read")
    answer = await bench.ask(row)
    same(answer.status, 200 if "all" in rules else 403, row.path)


async def check_feed(bench: Bench, row: Row) -> None:
    """From the first event on: every fact of the records that are seen, and nothing of the others."""
    _same_facts(row, await _followed(bench, row), bench.world.records, bench.reaches, "tells")
    (chosen,) = bench.random.sample(COUNTED, 1)
    blind = bench.caller("analytics", permissions=["analytics.feed:read", f"{chosen}:read"])
    own = [one for one in bench.world.records if one.type == chosen]
    _same_facts(row, await _followed(bench, row, caller=blind), own, bench.reaches, f"tells who may read {chosen} only")
    types = {"types": f"crm.{chosen}.*"}
    _same_facts(row, await _followed(bench, row, params=types), own, bench.reaches, f"tells of {chosen}")


async def _followed(bench: Bench, row: Row, params: dict[str, Any] | None = None, **options: Any) -> list[str]:
    found: list[str] = []
    asked: dict[str, Any] = {"limit": 100, **(params or {})}
    while True:
        page = await bench.ask(row, params=asked, **options)
        found += [item["subject"] for item in page["items"]]
        if not page["more"]:
            return found
        asked["after"] = page["cursor"]


def _same_facts(
    row: Row, subjects: list[str], records: Iterable[Record], seen: Callable[[Record], bool], words: str
) -> None:
    expected = [
        one.id
        for one in records
        if one.type in COUNTED and seen(one)
        for _ in range(1 + len(facts_of(one)) + one.deleted)
    ]
    same(sorted(subjects), sorted(expected), f"{row.path} {words}")


async def check_operate(bench: Bench, row: Row) -> None:
    """Nobody's events are in it: all of it or nothing. The requests are for what is not there, so that nothing is changed."""
    assert row.record is not None
    rules = oracle.rules_of(bench.world.roles[bench.user], row.record, row.action)
    answer = await bench.ask(row, place={"event_id": str(uuid.uuid4())}, json=row.body)
    if "all" not in rules:
        same((answer.status, answer["code"]), (403, "operations.everything_needed"), row.path)
    elif "{event_id}" in row.path:
        same((answer.status, answer["code"]), (404, "dead_letter.not_found"), row.path)
    else:
        same(answer.status, 200 if row.method == "GET" else 422, row.path)


# -- users -------------------------------------------------------------------------------------------------------------


def _user(user: str) -> Record:
    """A user as a record that is their own."""
    return Record(user, "identity.user", "", user, [], False, 0, None)  # type: ignore[arg-type]


def _sees(bench: Bench, user: str) -> bool:
    return user == bench.user or bench.reaches(_user(user))


async def check_users(bench: Bench, row: Row) -> None:
    expected = sorted(user for user in bench.world.organisation["users"] if _sees(bench, user))
    whole = await bench.ask(row, params={"limit": 200, "count": "exact"})
    same((sorted(ids(whole)), whole["count"]), (expected, len(expected)), row.path)
    for user in bench.world.organisation["users"]:
        if not _sees(bench, user):
            found = await bench.ask(row, params={"q": user, "count": "exact"})
            same((ids(found), found["count"]), ([], 0), f"{row.path} for {user}")


async def check_user(bench: Bench, row: Row) -> None:
    for user in [absent(), *bench.world.organisation["users"]]:
        known = user in bench.world.organisation["users"] and _sees(bench, user)
        same((await bench.ask(row, place={"id": user})).status, 200 if known else 404, f"{row.path} of {user}")


async def check_user_act(bench: Bench, row: Row) -> None:
    """With a stale version, as far as the operation has one: nobody out of sight is found, nobody out of reach is changed."""
    others = [user for user in bench.world.organisation["users"] if user != bench.user]
    for user in [absent(), *bench.random.sample(others, min(3, len(others)))]:
        place = {"id": user, "session_id": absent()}
        seen = user in bench.world.organisation["users"] and _sees(bench, user)
        if seen and bench.reaches(_user(user), "write"):
            # What the operation says then is for its own tests.
            continue
        answer = await bench.ask(row, place=place, match=STALE, **({} if row.body is None else {"json": row.body}))
        same(answer.status, 403 if seen else 404, f"{row.method} {row.path} of {user}")


def _leavers(bench: Bench) -> list[str]:
    """The users of whom there is a hand-over, under their own id."""
    return sorted(user for user in bench.world.organisation["users"] if user not in bench.world.active)


async def check_hand_overs(bench: Bench, row: Row) -> None:
    """Page after page: those of leavers who are seen, and of nobody else; those under way first."""
    expected = [user for user in _leavers(bench) if _sees(bench, user)]
    found: list[Any] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await bench.ask(row, params={"limit": max(1, len(expected) // 2), **cursor})
        found += page["items"]
        if page["next"] is None:
            break
        cursor = {"cursor": page["next"]}
    same(sorted(item["user_id"] for item in found), expected, row.path)
    running = [item["state"] == "running" for item in found]
    same(running, sorted(running, reverse=True), f"{row.path}: what is under way comes first")
    failed = await bench.ask(row, params={"limit": 200, "state": "failed"})
    same(
        sorted(ids(failed)),
        sorted(item["id"] for item in found if item["state"] == "failed"),
        f"{row.path} that failed",
    )


async def check_hand_over(bench: Bench, row: Row) -> None:
    for user in [absent(), *_leavers(bench)]:
        known = user in bench.world.organisation["users"] and _sees(bench, user)
        same((await bench.ask(row, place={"id": user})).status, 200 if known else 404, f"{row.path} of {user}")


async def check_hand_over_act(bench: Bench, row: Row) -> None:
    """With a stale version: nobody's out of sight is found, nobody's out of reach is changed."""
    for user in [absent(), *_leavers(bench)[:6]]:
        seen = user in bench.world.organisation["users"] and _sees(bench, user)
        expected = 404 if not seen else 412 if bench.reaches(_user(user), "write") else 403
        answer = await bench.ask(
            row, place={"id": user}, match=STALE, **({} if row.body is None else {"json": row.body})
        )
        same(answer.status, expected, f"{row.method} {row.path} of {user}")


#: How each kind of operation is checked; what changes records comes last.
CHECKS: dict[str, Callable[[Bench, Row], Awaitable[None]]] = {
    "list": check_list,
    "search": check_list,
    "see": check_see,
    "timeline": check_timeline,
    "act": check_act,
    "create": check_create,
    "batch": check_batch,
    "batch-job": check_batch_job,
    "change-many": check_change_many,
    "advance-rows": check_rows,
    "outcome-rows": check_rows,
    "claim": check_claim,
    "pool": check_pool,
    "pool-history": check_pool,
    "assign": check_assign,
    "take": check_take,
    "report": check_report,
    "money-report": check_money_report,
    "feed": check_feed,
    "log": check_log,
    "operate": check_operate,
    "users": check_users,
    "user": check_user,
    "user-act": check_user_act,
    "hand-overs": check_hand_overs,
    "hand-over": check_hand_over,
    "hand-over-act": check_hand_over_act,
    "transfer-many": check_transfer_many,
}
