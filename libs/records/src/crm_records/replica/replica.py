"""A replica: what a service knows of another service's records, fed by their events, read through the caller's scope."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from crm_authz import Scope
from crm_contracts import Envelope, Topic
from crm_database import SCOPED, Query, ReadSession, WriteSession, query
from crm_events import HandleBatch, Held, Reaction
from crm_records.fields.references import plain_id
from crm_records.replica import store
from crm_records.replica.checking import check
from crm_records.replica.columns import Column
from crm_records.replica.told import Told, newest

_IDS = ARRAY(sa.Uuid())


@dataclass(frozen=True)
class Copy:
    """One record as the replica knows it. `copy["name"]`: the member's value, as `Column` says; None where it has none."""

    id: uuid.UUID
    version: int
    values: Mapping[str, Any]
    owner_id: uuid.UUID | None
    deleted: bool

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


class Replica:
    """What a service keeps of another service's records of one type.

    metadata: of the service's tables. record: the key under which scopes and memberships know them, `customers.customer`. topic: of
    their events; all carry the same state. columns: the members of it that are kept. scoped: False for records without owners
    (products): everybody with the permission reaches all. name: of the table, unless it is `<record>_replica`. extra: indexes.

    Members of the records go into `record_member` (crm_authz), so that scopes reach what is shared.
    Raises DeclarationError for columns that the contract doesn't have, has in another form, or may leave empty where they are required;
    and when `scoped` is not what the contract says.
    """

    def __init__(
        self,
        metadata: sa.MetaData,
        record: str,
        topic: Topic,
        columns: Sequence[Column],
        *,
        scoped: bool = True,
        name: str | None = None,
        extra: Sequence[sa.schema.SchemaItem] = (),
    ) -> None:
        self.record = record
        self.topic = topic
        self.columns = tuple(columns)
        self.scoped = scoped
        check(record, topic, self.columns, scoped)
        self.table = sa.Table(
            name or f"{record.rsplit('.', 1)[-1].replace('-', '_')}_replica",
            metadata,
            sa.Column("id", sa.Uuid, primary_key=True),
            sa.Column("version", sa.Integer, nullable=False),
            *(made for column in self.columns for made in column.columns()),
            *((sa.Column("owner_id", sa.Uuid),) if scoped else ()),
            sa.Column("deleted", sa.Boolean, nullable=False),
            *extra,
            info=dict(SCOPED) if scoped else {},
        )
        #: Compiled with and without a reason, with and without locks.
        self._found: dict[tuple[bool, bool], Query] = {}

    def reaction(self, group: str, heard: HandleBatch | None = None) -> Reaction:
        """What the worker does with the records' events. group: `sales.customers`; a projection, for whose events readers wait.

        heard: what else follows from them; it calls `keep` itself and goes by what was news, so that nothing follows twice.
        It takes the owner's word again whenever it is told (resync): what is newer stays.
        """

        async def keep(session: WriteSession, envelopes: Sequence[Envelope]) -> None:
            await self.keep(session, envelopes)

        return Reaction(
            group=group,
            topics=(self.topic.name,),
            handle_batch=heard or keep,
            resync="state",
            held=Held({self.topic.name: self.table}, forget=self._forget),
        )

    async def _forget(self, session: WriteSession, _: str, ids: Sequence[uuid.UUID]) -> None:
        await self.forget(session, ids)

    async def forget(self, session: WriteSession, ids: Sequence[uuid.UUID]) -> None:
        """Remove records that their owner doesn't know, with their members. Deleted ones stay: they are known to be deleted."""
        await store.forget(session, self.table, self.record, ids)

    def newest(self, envelopes: Sequence[Envelope]) -> list[Told]:
        """The newest of each record in a batch. Pure. Raises pydantic.ValidationError for data that doesn't fit its contract."""
        return newest(self.topic.name, self.columns, envelopes)

    async def keep(self, session: WriteSession, envelopes: Sequence[Envelope]) -> list[Told]:
        """Take a batch of events into the replica, in whatever order and however often it comes; answers what was news."""
        return await store.keep(session, self.table, self.record, self.columns, self.newest(envelopes))

    async def visible(self, session: ReadSession, scope: Scope | None, ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        """Which of these records the scope (over this type of record) reaches; unknown and deleted ones are not among them.

        scope: None for records without owners.
        """
        if not ids:
            return set()
        statement = self._select(scope, [self.table.c.id], deleted=False)
        rows = await session.fetch(statement, ids=list(dict.fromkeys(ids)))
        return {uuid.UUID(int=row["id"].int) for row in rows}

    async def seen(
        self, session: ReadSession, scope: Scope | None, ids: Sequence[uuid.UUID], *, deleted: bool = False
    ) -> dict[uuid.UUID, Copy]:
        """Those of these records that the scope reaches, with what is known of them. deleted: deleted ones too."""
        if not ids:
            return {}
        statement = self._select(scope, list(self.table.c), deleted=deleted)
        return self._copies(await session.fetch(statement, ids=list(dict.fromkeys(ids))))

    async def find(
        self, session: ReadSession, ids: Sequence[uuid.UUID], *, unscoped: str | None = None, lock: bool = False
    ) -> dict[uuid.UUID, Copy]:
        """Those of these records that are known at all, deleted ones too, whoever may see them.

        unscoped: for records with owners, why no scope is needed, in words. Raises UnscopedStatement without it. lock: nobody else
        changes them until the transaction ends, not even who is told them again.
        """
        if not ids:
            return {}
        shape = (bool(unscoped), lock)
        if shape not in self._found:
            asked = self.table.c.id == sa.func.any(sa.bindparam("ids", type_=_IDS, required=True))
            select = sa.select(self.table).where(asked)
            if lock:
                select = select.order_by(self.table.c.id).with_for_update()
            self._found[shape] = query(select, unscoped=unscoped)
        return self._copies(await session.fetch(self._found[shape], ids=list(dict.fromkeys(ids))))

    def _select(self, scope: Scope | None, columns: Sequence[sa.Column[Any]], *, deleted: bool) -> Query:
        table = self.table
        if (scope is None) == self.scoped:
            raise ValueError(
                f"{self.record}: {'needs a scope' if self.scoped else 'has no owners to limit by a scope'}"
            )
        select = sa.select(*columns).where(table.c.id == sa.func.any(sa.bindparam("ids", type_=_IDS, required=True)))
        if not deleted:
            select = select.where(table.c.deleted.is_(sa.false()))
        if scope is not None:
            # A scope over another type of record would look for other owners and other memberships.
            if scope.record_type != self.record and scope.reason is None:
                raise ValueError(f"{self.record}: the scope is over {scope.record_type}")
            select = select.where(scope.predicate(table))
        return query(select)

    def _copies(self, rows: Sequence[asyncpg.Record]) -> dict[uuid.UUID, Copy]:
        found = {}
        for row in rows:
            one = Copy(
                id=uuid.UUID(int=row["id"].int),
                version=row["version"],
                values={column.name: column.loaded(row) for column in self.columns},
                owner_id=plain_id(row["owner_id"]) if self.scoped else None,
                deleted=row["deleted"],
            )
            found[one.id] = one
        return found
