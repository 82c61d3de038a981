"""Notes: a tiny real service. As a program it serves them: `python notes_service.py`, settings in CRM_*."""

import asyncio
import sys
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

import sqlalchemy as sa
import uvloop
from fastapi import Form, Query
from pydantic import BaseModel, ConfigDict, Field

from crm_authz import AUTHZ_1
from crm_contracts import Envelope, Event, Registry, Topic, registry
from crm_contracts.events import Part
from crm_database import WriteSession, query, service_metadata
from crm_events import Reaction, Step, record
from crm_events.schema import BUS_1, JOURNAL_1, RESYNC_1
from crm_kernel import Conflict, NotFound, new_id
from crm_web import Json, Limits, ReadUnit, Router, Service, Settings, Stream, WriteUnit
from crm_web.idempotency import IDEMPOTENCY_1
from crm_web.run import serve

metadata = service_metadata()
note = sa.Table(
    "note",
    metadata,
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("pages", sa.Integer, nullable=False),
)
#: Every table of the service.
TABLES: tuple[str, ...] = (
    *JOURNAL_1,
    *BUS_1,
    *RESYNC_1,
    *AUTHZ_1,
    *IDEMPOTENCY_1,
    "CREATE TABLE note (id uuid PRIMARY KEY, version int NOT NULL, title text NOT NULL, pages int NOT NULL)",
    # Checked at the commit, so that a commit itself can fail.
    "ALTER TABLE note ADD CONSTRAINT uq_note_title UNIQUE (title) DEFERRABLE INITIALLY DEFERRED",
)


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewNote(Strict):
    title: Annotated[str, Field(max_length=20)]
    pages: Annotated[int, Field(ge=0, le=1000, strict=True)] = 1
    tags: list[Annotated[str, Field(max_length=5)]] = Field(default_factory=list)


class Note(BaseModel):
    id: uuid.UUID
    version: int
    title: str
    pages: int


class Login(Strict):
    username: str
    password: str


class NoteState(Part):
    title: str


#: Contracts of its own: the product's registry knows nothing of notes, but in a process that is the notes service.
contracts = registry if __name__ == "__main__" else Registry()
NOTE_TOPIC = contracts.topic(Topic("crm.notes.note", "notes", ("notes",), "Notes.", partitions=1))


@contracts.event("crm.notes.note.created.v1", NOTE_TOPIC, example={})
class NoteCreated(Event[NoteState]):
    """A note was made."""


async def mirror(session: WriteSession, envelope: Envelope) -> None:
    """A projection that keeps nothing but its inbox row."""


MIRROR = Reaction("notes.mirror", (NOTE_TOPIC.name,), handle=mirror)


class NoteMissing(NotFound):
    code = "note.not_found"
    title = "There is no such note"


class NoteFull(Conflict):
    code = "note.full"
    title = "The note is full"


_READ = query(sa.select(note).where(note.c.id == sa.bindparam("id")))
_LOCK = query(sa.select(note).where(note.c.id == sa.bindparam("id")).with_for_update())
_ALL = query(sa.select(note).order_by(note.c.id))
_INSERT = query(sa.insert(note).values(**{name: sa.bindparam(name) for name in ("id", "title", "pages")}, version=1))
_UPDATE = query(
    sa.update(note)
    .where(note.c.id == sa.bindparam("at"))
    .values(title=sa.bindparam("title_"), version=note.c.version + 1)
    .returning(note)
)

router = Router("notes", module="notes", scoped=True)
open_router = Router("notes", prefix="/open")


@router.get("/notes/{id}", permission="notes.note:read", errors=[NoteMissing], example={"title": "A"})
async def read_note(id: uuid.UUID, unit: ReadUnit) -> Note:
    """One note."""
    row = await unit.session.first(_READ, id=id)
    if row is None:
        raise NoteMissing
    return Json(Note(**dict(row)), etag=row["version"])  # type: ignore[return-value]


@router.get("/notes", permission="notes.note:read")
async def list_notes(
    unit: ReadUnit, limit: Annotated[int, Query(ge=1, le=200)] = 50, cursor: str | None = None, sort: str = "id"
) -> dict[str, Any]:
    position = unit.open_cursor(cursor, query={"sort": sort}) if cursor else []
    rows = await unit.session.fetch(_ALL)
    return {
        "items": [dict(row) for row in rows[:limit]],
        "after": position,
        "next": unit.sign_cursor([limit], query={"sort": sort}),
    }


@router.post("/notes/search", permission="notes.note:read", reads=True)
async def search_notes(body: NewNote, unit: ReadUnit) -> dict[str, Any]:
    await unit.session.connection.execute("DELETE FROM note")
    return {}


@router.post("/notes", permission="notes.note:create", status=201)
async def create_note(body: NewNote, unit: WriteUnit) -> Note:
    created = Note(id=new_id(), version=1, title=body.title, pages=body.pages)
    values = {"title": created.title, "pages": created.pages}
    await record(
        unit.session, [Step(note, created.id, NoteCreated, NoteState(title=body.title), values=values, new=True)]
    )
    return created


@router.patch("/notes/{id}", permission="notes.note:update", errors=[NoteMissing, NoteFull])
async def change_note(id: uuid.UUID, body: NewNote, unit: WriteUnit) -> Note:
    row = await unit.session.first(_LOCK, id=id)
    if row is None:
        raise NoteMissing
    unit.require_match(row["version"])
    changed = await unit.session.first(_UPDATE, at=id, title_=body.title)
    assert changed is not None
    if body.title == "full":
        raise NoteFull
    if body.title == "bug":
        raise RuntimeError("secret detail: SELECT * FROM note")
    if body.title == "answered no":
        return Json({"no": True}, status=409)  # type: ignore[return-value]
    return Note(**dict(changed))


@router.post("/notes/{id}/touch", permission="notes.note:update", status=204)
async def touch_note(id: uuid.UUID, unit: WriteUnit) -> None:
    unit.require("notes.note:touch")


@router.post("/hold", permission="notes.note:create", limits=Limits(timeout_seconds=0.3))
async def hold(unit: WriteUnit) -> dict[str, Any]:
    await unit.session.execute(_INSERT, id=new_id(), title="held", pages=1)
    await unit.session.connection.execute("SELECT pg_sleep(20)")
    return {}


@router.post("/quick", permission="notes.note:create", status=201, limits=Limits(timeout_seconds=0.3))
async def quick(body: NewNote, unit: WriteUnit) -> dict[str, Any]:
    await unit.session.execute(_INSERT, id=new_id(), title=body.title, pages=1)
    return {}


@router.post("/wait", permission="notes.note:create")
async def wait(body: NewNote, unit: WriteUnit) -> dict[str, Any]:
    """Insert, then wait until somebody takes the advisory lock 77 away."""
    await unit.session.execute(_INSERT, id=new_id(), title=body.title, pages=1)
    await unit.session.connection.execute("SELECT pg_advisory_xact_lock(77)")
    return {"done": body.title}


@router.get("/whoami", access="authenticated")
async def whoami(unit: ReadUnit) -> dict[str, Any]:
    return {
        "user": unit.caller.user_id,
        "address": unit.address,
        "trace": unit.trace_id,
        "now": unit.now,
        "zone": unit.calendar.time_zone,
    }


@router.get("/rows", permission="notes.note:read", stream=True)
async def stream_rows(unit: ReadUnit, fail: bool = False, forever: bool = False) -> Stream:
    database = unit.database

    async def chunks() -> AsyncIterator[bytes]:
        async with database.read() as session:
            for number in range(3):
                yield f"{await session.connection.fetchval('SELECT $1::int', number)}\n".encode()
            if fail:
                raise RuntimeError("broken in the middle")
            while forever:
                await asyncio.sleep(0.01)
                yield b"."

    return Stream(chunks(), "text/plain")


@open_router.get("/hello", access="public")
async def hello(
    name: str = "world", age: int | None = None, tag: Annotated[list[str] | None, Query()] = None
) -> dict[str, Any]:
    return {"hello": name, "age": age, "tag": tag}


@open_router.post("/login", access="public", limits=Limits(rate="login"))
async def login(body: Annotated[Login, Form()]) -> dict[str, Any]:
    return {"welcome": body.username}


@open_router.get("/by/{word}/{rest}", access="public")
async def by_word(word: str, rest: str) -> dict[str, Any]:
    return {"word": word, "rest": rest}


@open_router.get("/by/{other}/fixed", access="public")
async def by_fixed(other: str) -> dict[str, Any]:
    return {"other": other}


SERVICE = Service("notes", "Notes", routers=[router, open_router])
MIRRORING = replace(SERVICE, reactions=[MIRROR])


async def _main(parts: list[str]) -> int:
    given: dict[str, Any] = {"app": "app" in parts, "worker": "worker" in parts}
    if "blocking" in parts:
        # One second later some code forgets to await, and nothing else happens any more.
        asyncio.get_running_loop().call_later(1.0, time.sleep, 3600)
        given["lifeless_seconds"] = 2.0
    return await serve(MIRRORING, Settings.load(), **given)


if __name__ == "__main__":
    sys.exit(uvloop.run(_main(sys.argv[1:] or ["app"])))
