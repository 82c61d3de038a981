"""The mill on a real database: real tokens, a real directory whose roles give the right to grind, and runners like a worker's."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from crm_authz import apply_state
from crm_contracts import identity
from crm_database import WriteContext
from crm_jobs import Runner
from crm_kernel import new_id
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import Answered, Caller, Person, Rights, Running, role_state, running

from .mill import MILL, PERMISSION, SERVICE, TABLES

RIGHTS = Rights((PERMISSION,))


@dataclass
class Works:
    """The running mill. rep: may grind, by token and by directory; role: the id of the role that says so."""

    running: Running
    role: uuid.UUID
    versions: int = 10

    @property
    def person(self) -> Person:
        return self.running.people.rep

    def caller(self, person: Person | None = None) -> Caller:
        return self.running.caller(person or self.person, rights=RIGHTS)

    def runner(self) -> Runner:
        assert self.running.service.jobs is not None
        return Runner(self.running.database, self.running.service.jobs.kinds, self.running.clock)

    async def asks(self, grains: int, *, stones: Sequence[int] = (), by: Caller | None = None) -> str:
        """A new job; its id."""
        answer = await (by or self.caller())("POST", "/grinds", json={"grains": grains, "stones": list(stones)})
        assert answer.status == 202, answer
        assert answer.headers["location"] == f"/api/sales/v1/jobs/{answer['id']}"
        return str(answer["id"])

    async def job(self, job_id: str) -> Answered:
        return await self.caller()("GET", f"/jobs/{job_id}")

    async def row(self, job_id: str) -> asyncpg.Record:
        """The job as it stands in the database."""
        return (await self.running.rows("SELECT * FROM job WHERE id = $1", job_id))[0]

    async def flour(self, job_id: str) -> list[int]:
        """What was ground, in order; a grain that was ground twice stands there twice."""
        found = await self.running.rows("SELECT grain FROM flour WHERE job_id = $1 ORDER BY grain", job_id)
        return [row["grain"] for row in found]

    async def rows(self, job_id: str) -> list[tuple[int, str]]:
        """The job's rows by the API, page by page."""
        found: list[tuple[int, str]] = []
        cursor: dict[str, Any] = {}
        while True:
            page = await self.caller().done("GET", f"/jobs/{job_id}/rows", params={"limit": 4, **cursor})
            found += [(item["index"], item["status"]) for item in page["items"]]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

    async def change(self, sql: str, *arguments: Any) -> None:
        """Behind the product's back."""
        async with self.running.database.write(WriteContext(now=self.running.clock.now())) as session:
            await session.connection.execute(sql, *arguments)

    async def time_passes(self) -> None:
        """Leases run out, and what waits is due."""
        await self.change(
            "UPDATE job SET lease_until = lease_until - interval '1 hour', run_after = run_after - interval '1 hour'"
        )

    async def identity_says(self, *, status: str = "active", permissions: Sequence[str] = (PERMISSION,)) -> None:
        """What the directory knows of the person from now on."""
        self.versions += 1
        async with self.running.database.write(WriteContext(now=self.running.clock.now())) as session:
            role = role_state(permissions, {})
            await apply_state(session, identity.ROLE_TOPIC.name, self.role, self.versions, role)
            user = identity.UserState(
                name="Kim",
                status=status,  # type: ignore[arg-type]
                department_id=self.person.department,
                superior_id=self.person.superior,
                role_ids=[self.role],
                super_admin=False,
                epoch=1,
            )
            await apply_state(session, identity.USER_TOPIC.name, self.person.id, self.versions, user)
        # The directory in memory is looked at every 200 ms.
        keeper = self.runner()._keeper
        await keeper.current(self.running.database, at_most=0)


def _build(dsn: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            for statement in TABLES:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture
def mill_dsn(make_database: MakeDatabase, postgres_server: SharedPostgres) -> str:
    return make_database(postgres_server.template("jobs-mill", _build))


@pytest.fixture
async def works(mill_dsn: str) -> AsyncIterator[Works]:
    MILL.__init__()  # type: ignore[misc]
    async with running(SERVICE, mill_dsn) as found:
        works = Works(found, new_id())
        await works.identity_says()
        yield works
