"""The reference: bare FastAPI routes that run the same SQL through asyncpg. `python -m crm_stack.bench.reference SPECIFICATION PORT`.

No token is looked at here, no permission, no scope, no refusal: it is the floor that framework, driver and database give. Answers are
made by orjson and sent as bytes, which is faster than FastAPI's own way; the pool neither resets nor checks connections.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from fastapi import FastAPI, Response
from pydantic import BaseModel

#: Where its routes stand in the gateway's table.
SERVICE = "bench"
PREFIX = "/api/bench/v1"

_INSERT = """
INSERT INTO customer (id, version, number, name, lifecycle, kind, phone, email, country, industry, locked, owner_id, custom,
                      created_at, updated_at, created_by)
VALUES ($1, 1, $2 || nextval('customer_number')::text, $3, 'prospect', 'company', $4, $5, $6, $7, false, $8, '{}'::jsonb, $9, $9, $8)
RETURNING number
"""
_JOURNAL = """
INSERT INTO journal (event_id, topic, type, subject, version, time, occurred_at, write_id, actor_id, traceparent, data)
VALUES ($1, $2, $3, $4, 1, $5, $5, $6, $7, $8, $9::jsonb)
"""
_OUTBOX = "INSERT INTO outbox (event_id, topic, subject) VALUES ($1, $2, $3)"


class NewCustomer(BaseModel):
    """What both sides are sent."""

    name: str
    phone: str
    email: str
    country: str
    industry: str


async def _nothing(_: object) -> None:
    return None


def _argument(value: Any) -> Any:
    return dt.datetime.fromisoformat(value["at"]) if isinstance(value, dict) else value


def _json(content: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(content, default=str), status_code=status, media_type="application/json")


def application(specification: dict[str, Any]) -> FastAPI:
    """The routes. specification: `dsn`, `statements` (name → sql and args), `write` (owner, topic, type, data, number)."""
    from crm_kernel import new_id

    statements = {
        name: (found["sql"], [_argument(value) for value in found["args"]])
        for name, found in specification.get("statements", {}).items()
    }
    write = specification.get("write") or {}

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.pool = await asyncpg.create_pool(
            specification["dsn"],
            min_size=1,
            max_size=12,
            reset=_nothing,
            server_settings={"jit": "off", "timezone": "UTC"},
        )
        yield
        await app.state.pool.close()

    app = FastAPI(lifespan=lifespan, openapi_url=None)

    @app.get(f"{PREFIX}/trivial")
    async def trivial() -> Response:
        return _json({"ok": True})

    @app.get(f"{PREFIX}/rows/{{name}}")
    async def rows(name: str) -> Response:
        sql, arguments = statements[name]
        return _json({"items": [dict(row) for row in await app.state.pool.fetch(sql, *arguments)]})

    @app.post(f"{PREFIX}/customers", status_code=201)
    async def create(body: NewCustomer) -> Response:
        customer, event, now = new_id(), new_id(), dt.datetime.now(dt.UTC)
        owner, topic = uuid.UUID(write["owner"]), write["topic"]
        fields = (body.name, body.phone, body.email, body.country, body.industry)
        async with app.state.pool.acquire() as connection, connection.transaction():
            number = await connection.fetchval(_INSERT, customer, "BENCH-REF-", *fields, owner, now)
            await connection.execute(
                _JOURNAL, event, topic, write["type"], customer, now, new_id(), owner, None, write["data"]
            )
            await connection.execute(_OUTBOX, event, topic, customer)
        shown = {"id": customer, "version": 1, "number": number, **body.model_dump(), "owner_id": owner}
        return _json({**shown, "created_at": now, "updated_at": now}, 201)

    return app


def main() -> None:
    """The process: serve until SIGTERM."""
    import uvicorn

    specification = json.loads(Path(sys.argv[1]).read_text())
    uvicorn.run(
        application(specification),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        server_header=False,
    )


if __name__ == "__main__":
    main()
