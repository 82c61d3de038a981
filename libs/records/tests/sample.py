"""Two record types of a shipping company: voyages, which have owners, and ports, which have none."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field

from crm_authz import AUTHZ_1
from crm_contracts import Event, Part, Registry, Topic
from crm_contracts.examples import USER, owned
from crm_contracts.records import STANDARD_FACTS, MoneyState, RecordState, StandardEvents, TransferredEvent
from crm_database import ReadSession, insert_rows, query, service_metadata
from crm_events.schema import ARCHIVE_1, BUS_1, JOURNAL_1, RESYNC_1
from crm_kernel import Conflict, new_id
from crm_records import (
    TEXT_1,
    Change,
    Checkbox,
    Date,
    DateTime,
    DecimalNumber,
    Draft,
    Email,
    IdList,
    Integer,
    LongText,
    MoneyField,
    Phone,
    RecordHooks,
    RecordType,
    Reference,
    Select,
    Text,
    Url,
    UserRef,
    Writing,
    ddl,
    record_permissions,
    record_router,
    record_table,
)
from crm_web import Service
from crm_web.idempotency import IDEMPOTENCY_1

#: Not the product's registry: these contracts are nobody's.
registry = Registry()


class CargoState(Part):
    goods: str
    tons: int


class VoyageState(RecordState):
    number: str
    name: str
    phone: str | None = None
    email: str | None = None
    website: str | None = None
    crew: int | None = None
    weight: str | None = None
    price: MoneyState | None = None
    insured: bool = False
    departs_on: str | None = None
    docked_at: str | None = None
    kind: str | None = None
    status: str = "planned"
    port_id: uuid.UUID | None = None
    captain_id: uuid.UUID | None = None
    stop_ids: list[uuid.UUID] = Field(default_factory=list)
    note: str | None = None
    cargo: list[CargoState] = Field(default_factory=list)


class PortState(RecordState):
    code: str
    name: str
    open: bool = True


def events_for(name: str, state: type[RecordState], example: dict[str, Any], *, has_owner: bool) -> StandardEvents[Any]:
    """What crm_contracts.records.standard_events does, in a registry of our own."""
    topic = registry.topic(Topic(f"crm.shipping.{name}", "shipping", (), f"{name}s"))
    types: dict[str, type[Event[Any]]] = {}
    for fact, words in STANDARD_FACTS.items():
        if fact in ("transferred", "members-changed") and not has_owner:
            continue
        parent: Any = TransferredEvent[state] if fact == "transferred" else Event[state]  # type: ignore[valid-type]
        model = type(f"{name}{fact}", (parent,), {"__doc__": words, "__module__": __name__})
        extra = {"from_user_id": None, "to_user_id": USER} if fact == "transferred" else {}
        registered = registry.event(f"{topic.name}.{fact}.v1", topic, example=owned(example, **extra))(model)
        types[fact] = registered
    return StandardEvents(topic, types)


VOYAGE_FIELDS = (
    Text("name", required=True, max_length=120, searchable=True, indexed=True, example="부산 – Rotterdam"),
    Phone("phone", searchable=True),
    Email("email"),
    Url("website"),
    Integer("crew", minimum=0, maximum=5000),
    DecimalNumber("weight", digits=3, minimum=0),
    MoneyField("price", minimum=0),
    Checkbox("insured"),
    Date("departs_on"),
    DateTime("docked_at"),
    Select("kind", ("freight", "passengers")),
    Select("status", ("planned", "sailing", "arrived"), read_only=True, default="planned"),
    Reference("port_id", to="shipping.port"),
    UserRef("captain_id"),
    IdList("stop_ids", to="shipping.port"),
    LongText("note"),
)
PORT_FIELDS = (
    Text("code", required=True, max_length=5, pattern="[A-Z]{5}", searchable=True),
    Text("name", required=True, searchable=True),
    Checkbox("open", default=True),
)

metadata = service_metadata()
voyage = record_table(metadata, "voyage", VOYAGE_FIELDS)
port = record_table(metadata, "port", PORT_FIELDS, scoped=False)
cargo = sa.Table(
    "voyage_cargo",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("voyage_id", sa.Uuid, sa.ForeignKey("voyage.id"), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("goods", sa.Text, nullable=False),
    sa.Column("tons", sa.Integer, nullable=False),
)


class CargoInput(BaseModel):
    model_config = ConfigDict(extra="forbid")

    goods: str = Field(max_length=50)
    tons: int = Field(ge=0, le=1000, strict=True)


class NoPirates(Conflict):
    code = "voyage.pirates"
    title = "Pirates don't sail with us"


_cargo_of = query(
    sa.select(cargo.c.voyage_id, cargo.c.goods, cargo.c.tons)
    .where(cargo.c.voyage_id == sa.func.any(sa.bindparam("ids", type_=sa.dialects.postgresql.ARRAY(sa.Uuid))))
    .order_by(cargo.c.voyage_id, cargo.c.position)
)


class VoyageHooks(RecordHooks):
    """No pirates; and the cargo, which are child rows."""

    async def prepare_create(self, unit: Writing, drafts: Sequence[Draft]) -> None:
        for draft in drafts:
            if "pirate" in draft["name"].lower():
                draft.refuse(NoPirates())
            draft.parts["cargo"] = _plain(draft.inputs.get("cargo"))

    async def prepare_change(self, unit: Writing, changes: Sequence[Change]) -> None:
        loading = [change for change in changes if "cargo" in change.inputs]
        stored = await self.read_parts(unit.session, [change.id for change in loading]) if loading else {}
        for change in changes:
            if "pirate" in change["name"].lower():
                change.refuse(NoPirates())
        for change in loading:
            change.parts["cargo"] = _plain(change.inputs["cargo"])
            change.always = change.parts != stored[change.id]

    async def after_write(self, unit: Writing, rows: Sequence[Draft | Change]) -> None:
        touched = [row for row in rows if "cargo" in row.parts]
        changed = [row.id for row in touched if isinstance(row, Change)]
        if changed:
            await unit.session.connection.execute("DELETE FROM voyage_cargo WHERE voyage_id = ANY($1)", changed)
        content = [
            {"id": new_id(), "voyage_id": row.id, "position": position, **item}
            for row in touched
            for position, item in enumerate(row.parts["cargo"])
        ]
        await insert_rows(unit.session, cargo, content)

    async def read_parts(self, session: ReadSession, ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, dict[str, Any]]:
        found: dict[uuid.UUID, dict[str, Any]] = {record_id: {"cargo": []} for record_id in ids}
        for row in await session.fetch(_cargo_of, ids=list(ids)):
            found[row["voyage_id"]]["cargo"].append({"goods": row["goods"], "tons": row["tons"]})
        return found


def _plain(given: Sequence[CargoInput] | None) -> list[dict[str, Any]]:
    return [item.model_dump() for item in given or ()]


_example = {"name": "부산 – Rotterdam", "created_at": "2026-03-01T09:00:00Z", "updated_at": "2026-03-01T09:00:00Z"}
VOYAGE = RecordType(
    service="shipping",
    name="voyage",
    plural="voyages",
    title="Voyage",
    titles={"ko": "항해", "zh": "航次", "ru": "Рейс"},
    table=voyage,
    events=events_for("voyage", VoyageState, {**_example, "number": "V-2603-0001"}, has_owner=True),
    state=VoyageState,
    fields=VOYAGE_FIELDS,
    number="V-{yy}{mm}-{n:04}",
    hooks=VoyageHooks(),
    parts={"cargo": list[CargoState]},
    inputs={"cargo": list[CargoInput]},
)
PORT = RecordType(
    service="shipping",
    name="port",
    plural="ports",
    title="Port",
    titles={"ko": "항구", "zh": "港口", "ru": "Порт"},
    table=port,
    events=events_for("port", PortState, {**_example, "code": "KRPUS"}, has_owner=False),
    state=PortState,
    fields=PORT_FIELDS,
)

SERVICE = Service(
    name="shipping",
    title="Shipping",
    routers=[record_router(VOYAGE), record_router(PORT)],
    permissions=[*record_permissions(VOYAGE), *record_permissions(PORT)],
)

TABLES: tuple[str, ...] = (
    *JOURNAL_1,
    *BUS_1,
    *RESYNC_1,
    *ARCHIVE_1,
    *AUTHZ_1,
    *IDEMPOTENCY_1,
    *TEXT_1,
    *ddl(voyage),
    *ddl(port),
    """CREATE TABLE voyage_cargo (id uuid PRIMARY KEY, voyage_id uuid NOT NULL REFERENCES voyage, position int NOT NULL,
       goods text NOT NULL, tons int NOT NULL)""",
)
