"""The two applications that route.py compares, and the data they work on."""

import datetime as dt
import os
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import asyncpg
import sqlalchemy as sa
from fastapi import FastAPI
from pydantic import BaseModel

from crm_authz import AUTHZ_1, Rule, SigningKey, TokenIssuer, apply_state, unite
from crm_contracts import identity
from crm_database import Database, WriteContext, query, service_metadata
from crm_events.schema import JOURNAL_1
from crm_kernel import new_id
from crm_web import Application, ReadUnit, Router, Service, Settings, WriteUnit, create_app
from crm_web.idempotency import IDEMPOTENCY_1

URL = "https://crm.example"

note = sa.Table(
    "note",
    service_metadata(),
    sa.Column("id", sa.Uuid, primary_key=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("pages", sa.Integer, nullable=False),
)


class NewNote(BaseModel):
    title: str
    pages: int


class Note(BaseModel):
    id: uuid.UUID
    version: int
    title: str
    pages: int


_READ = query(sa.select(note).where(note.c.id == sa.bindparam("id")))
_INSERT = query(sa.insert(note).values({name: sa.bindparam(name) for name in ("id", "version", "title", "pages")}))


async def prepare(dsn: str) -> tuple[uuid.UUID, str]:
    """Tables, one note, a directory with one user and the token's key; answers the note's id and a token."""
    connection = await asyncpg.connect(dsn)
    table = "CREATE TABLE note (id uuid PRIMARY KEY, version int NOT NULL, title text NOT NULL, pages int NOT NULL)"
    for statement in (*JOURNAL_1, *AUTHZ_1, *IDEMPOTENCY_1, table):
        await connection.execute(statement)
    found = new_id()
    await connection.execute("INSERT INTO note VALUES ($1, 1, 'a note', 3)", found)
    await connection.close()
    database = await Database.open(dsn, name="bench")
    key, user, now = SigningKey.generate("k1"), new_id(), dt.datetime.now(dt.UTC)
    async with database.write(WriteContext(now=now)) as session:
        state = identity.UserState(name="Kim", status="active", department_id=new_id(), role_ids=[], epoch=1)
        await apply_state(session, identity.USER_TOPIC.name, user, 1, state)
        public = identity.SigningKeyState(kid=key.kid, jwk=key.public_jwk())
        await apply_state(session, identity.SIGNING_KEY.name, new_id(), 1, public)
        # Nobody beats the heart here: heard far ahead, so that the service isn't deaf after 30 s.
        await session.connection.execute("UPDATE directory_version SET heard_at = now() + interval '1 hour'")
    await database.close()

    class Rights:
        permissions = ("notes.note:*",)
        scopes: ClassVar = {"*": {"*": Rule("all")}}

    token = TokenIssuer(URL).issue(
        key,
        unite(user, [Rights()], ["notes"]),
        now=now,
        token_id=new_id(),
        session_id=new_id(),
        client_id="bench",
        epoch=1,
        role_epochs={},
        modules=["notes"],
    )
    return found, token


def ours() -> Application:
    """The routes as a service declares them."""
    router = Router("notes", module="notes", scoped=True)

    @router.get("/notes/{id}", permission="notes.note:read")
    async def read_note(id: uuid.UUID, unit: ReadUnit) -> Note:
        row = await unit.session.first(_READ, id=id)
        assert row is not None
        return Note(**dict(row))

    @router.post("/notes", permission="notes.note:create", status=201)
    async def create_note(body: NewNote, unit: WriteUnit) -> Note:
        created = Note(id=new_id(), version=1, title=body.title, pages=body.pages)
        await unit.session.execute(
            _INSERT, id=created.id, version=created.version, title=created.title, pages=created.pages
        )
        return created

    settings = Settings.load({}, service="notes", database_url=os.environ["DSN"], public_url=URL, signing_key="5a" * 32)
    return create_app(Service("notes", "Notes", routers=[router]), settings)


async def _nothing(_: object) -> None:
    return None


def bare() -> FastAPI:
    """The same SQL in FastAPI routes as its documentation shows them."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        # Without the round trip that resets a connection on its return: ours has none either.
        app.state.pool = await asyncpg.create_pool(os.environ["DSN"], min_size=1, max_size=12, reset=_nothing)
        yield
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/api/notes/v1/notes/{id}")
    async def read_note(id: uuid.UUID) -> Note:
        row = await app.state.pool.fetchrow("SELECT id, version, title, pages FROM note WHERE id = $1", id)
        return Note(**dict(row))

    @app.post("/api/notes/v1/notes", status_code=201)
    async def create_note(body: NewNote) -> Note:
        created = Note(id=new_id(), version=1, title=body.title, pages=body.pages)
        async with app.state.pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO note (id, version, title, pages) VALUES ($1, $2, $3, $4)",
                created.id,
                created.version,
                created.title,
                created.pages,
            )
        return created

    return app
