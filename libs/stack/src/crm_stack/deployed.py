"""Whether a deployment elsewhere works, as far as it can be reached from here; for `crm doctor --url`.

From outside only the gateway is seen: that it answers, that identity answers behind it, which version and operations it has, and,
with somebody's token, that every service answers. Who reaches further (a port forwarded, a shell inside) names the services' own
addresses, the bus, or the files with the databases' addresses, and sees readiness, topics, versions of the databases, and what
waits in the events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from crm_events import Login
from crm_stack.health import Finding

if TYPE_CHECKING:
    from crm_database import Database
    from crm_stack.gateway.routes import Route

_LIMIT_SECONDS = 10.0
#: Answers of the gateway that mean: the service behind it isn't there.
_ABSENT = frozenset({502, 503, 504})
#: So many events not applied yet are ordinary work.
_MANY_BEHIND = 1000
#: Seconds; as the alert OutboxOld.
_LONG_UNSENT = 60.0


@dataclass(frozen=True)
class Deployment:
    """What is known of it. url: the gateway's public one. token: an access token of somebody. services: addresses of processes past
    the gateway (`identity-worker` → http://10.0.0.7:8000), of apps and workers. kafka: `host:port`.
    login: how to log in at the bus. databases: service → URL.
    """

    url: str
    token: str | None = None
    services: Mapping[str, str] = field(default_factory=dict)
    kafka: str | None = None
    login: Login = field(default_factory=Login)
    databases: Mapping[str, str] = field(default_factory=dict)


def databases_in(folder: Path) -> dict[str, str]:
    """The databases' URLs of a folder as deploy/docker/make-secrets makes it: files `<service>-database-url`."""
    ending = "-database-url"
    return {
        file.name.removesuffix(ending): file.read_text(encoding="utf-8").strip()
        for file in sorted(folder.glob(f"*{ending}"))
    }


async def examine(deployment: Deployment, routes: Iterable[Route], version: str) -> list[Finding]:
    """Look at everything that is named. routes, version: of the code that asks, to compare with."""
    table = list(routes)
    found: list[Finding] = []
    async with httpx.AsyncClient(timeout=_LIMIT_SECONDS) as http:
        found += [finding async for finding in _gateway(http, deployment, table, version)]
        for name, address in sorted(deployment.services.items()):
            found.append(await _ready(http, name, address))
    if deployment.kafka is not None:
        services_known = {route.service for route in table}
        found += [finding async for finding in _bus(deployment.kafka, deployment.login, services_known)]
    if deployment.databases:
        found += [finding async for finding in _databases(deployment.databases)]
    return found


async def _gateway(
    http: httpx.AsyncClient, deployment: Deployment, table: list[Route], version: str
) -> AsyncIterator[Finding]:
    url = deployment.url.rstrip("/")
    try:
        answer = await http.get(f"{url}/healthz")
    except httpx.HTTPError as error:
        yield Finding(
            "gateway",
            "problem",
            f"{url} does not answer ({type(error).__name__})",
            "Does the gateway run, and is its port published? Proxies and names in between count too.",
        )
        return
    if answer.status_code != 200:
        yield Finding(
            "gateway", "problem", f"{url}/healthz answers {answer.status_code}", "Is this the gateway's address?"
        )
        return
    yield Finding("gateway", "ok", f"{url} answers")
    yield await _keys(http, url)
    yield await _issuer(http, url)
    yield await _version(http, url, table, version)
    if deployment.token is not None:
        for finding in await asyncio.gather(*_asked(http, url, deployment.token, table)):
            yield finding


async def _keys(http: httpx.AsyncClient, url: str) -> Finding:
    """The keys with which tokens are verified: without them nobody gets in."""
    answer = await _get(http, f"{url}/oauth/jwks.json")
    keys = (_json(answer) or {}).get("keys")
    if not keys:
        return Finding(
            "identity", "problem", f"publishes no keys ({_said(answer)})", "Look at identity's log and its /readyz."
        )
    return Finding("identity", "ok", f"answers, {len(keys)} signing key{'s' if len(keys) != 1 else ''}")


async def _issuer(http: httpx.AsyncClient, url: str) -> Finding:
    """Tokens name the public URL; a gateway that was told another refuses every one of them."""
    answer = await _get(http, f"{url}/.well-known/openid-configuration")
    issuer = (_json(answer) or {}).get("issuer")
    if issuer == url:
        return Finding("public url", "ok", str(issuer))
    if issuer is None:
        return Finding("public url", "problem", f"not told ({_said(answer)})", "Look at identity's log.")
    return Finding(
        "public url",
        "warning",
        f"tokens are issued for {issuer}, you came by {url}",
        "The same place by another name is fine; if clients use this one, set CRM_PUBLIC_URL everywhere.",
    )


async def _version(http: httpx.AsyncClient, url: str, table: list[Route], version: str) -> Finding:
    """What the deployment says of itself against the code here."""
    answer = await _get(http, f"{url}/api/openapi.json")
    document = _json(answer) or {}
    if "paths" not in document:
        return Finding(
            "version", "warning", f"the API's document is not there ({_said(answer)})", "Is CRM_DOCUMENTS_DIR set?"
        )
    there = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    here = {(route.method, route.path) for route in table}
    deployed = document.get("info", {}).get("version")
    # Pages for people are in the table and not in the document.
    lacking = sorted(path for method, path in here - there if path.startswith("/api/") and path.count("/") > 2)
    if deployed == version and not lacking:
        return Finding("version", "ok", f"{deployed}, {len(there)} operations")
    seen = f"{deployed} there, {version} here" + (
        f"; {len(lacking)} operations of ours are not there" if lacking else ""
    )
    return Finding(
        "version", "warning", seen, f"First: {lacking[0]}" if lacking else "Deploy, or ask with that version."
    )


def _asked(http: httpx.AsyncClient, url: str, token: str, table: list[Route]) -> list[Any]:
    """One harmless question to each service: whatever it answers, it is there."""
    chosen: dict[str, Route] = {}
    for route in table:
        plain = route.method == "GET" and "{" not in route.path and not route.stream and route.access != "public"
        if plain:
            chosen.setdefault(route.service, route)
    return [_one_asked(http, url, token, route) for route in chosen.values()]


async def _one_asked(http: httpx.AsyncClient, url: str, token: str, route: Route) -> Finding:
    answer = await _get(http, url + route.path, {"authorization": f"Bearer {token}"})
    name = route.service
    if isinstance(answer, httpx.HTTPError) or answer.status_code in _ABSENT:
        return Finding(name, "problem", f"does not answer ({_said(answer)})", f"Look at the log and /readyz of {name}.")
    if answer.status_code == 401:
        return Finding(name, "problem", f"refuses the token ({_said(answer)})", "Log in again; compare CRM_PUBLIC_URL.")
    if answer.status_code >= 500:
        return Finding(name, "problem", f"fails ({_said(answer)})", f"Look at the log of {name}.")
    return Finding(name, "ok", f"answers ({answer.status_code} to GET {route.path})")


async def _ready(http: httpx.AsyncClient, name: str, address: str) -> Finding:
    """One process's own word."""
    answer = await _get(http, f"{address.rstrip('/')}/readyz")
    told = _json(answer)
    if told is None or "status" not in told:
        return Finding(f"{name} ready", "problem", f"{address} does not answer ({_said(answer)})", "Does it run?")
    if told.get("problems"):
        return Finding(f"{name} ready", "problem", "; ".join(told["problems"]), f"Look at the log of {name}.")
    if told.get("warnings"):
        return Finding(f"{name} ready", "warning", "; ".join(told["warnings"]), "It serves; see to it soon.")
    if isinstance(answer, httpx.Response) and answer.status_code == 200:
        return Finding(f"{name} ready", "ok", str(told["status"]))
    return Finding(f"{name} ready", "problem", str(told["status"]), "Wait, or look at its log.")


async def _bus(bootstrap: str, login: Login, services: Collection[str]) -> AsyncIterator[Finding]:
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    from crm_contracts import registry

    # Metadata of a broker that advertises another address leads a client astray: that shows as a failure here too.
    admin = AIOKafkaAdminClient(**login.client(bootstrap), request_timeout_ms=int(_LIMIT_SECONDS * 1000))
    try:
        try:
            await admin.start()
            there = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
            brokers = len((await admin.describe_cluster())["brokers"])
        finally:
            await admin.close()
    except (KafkaError, OSError) as error:
        yield Finding(
            "kafka",
            "problem",
            f"{bootstrap} does not answer ({type(error).__name__})",
            "Does it run and advertise this? Are CRM_KAFKA_SECURITY and the user right?",
        )
        return
    yield Finding("kafka", "ok", f"{bootstrap}, {brokers} broker{'s' if brokers != 1 else ''}")
    # The control topics are everybody's.
    declared = {
        topic.name: topic.partitions
        for topic in registry.topics.values()
        if topic.producer in services or not topic.numbered
    }
    lacking = sorted(declared.keys() - there.keys())
    small = sorted(name for name, partitions in declared.items() if 0 < there.get(name, 0) < partitions)
    if lacking or small:
        seen = "; ".join(
            [f"not there: {', '.join(lacking)}"] * bool(lacking)
            + [f"too few partitions: {', '.join(small)}"] * bool(small)
        )
        yield Finding("topics", "problem", seen, "The services' workers make them: look at their logs.")
    else:
        yield Finding("topics", "ok", f"all {len(declared)}")


async def _databases(urls: Mapping[str, str]) -> AsyncIterator[Finding]:
    import asyncpg

    from crm_database import Database, PoolSettings

    async with AsyncExitStack() as stack:
        opened: dict[str, Database] = {}
        for service, url in sorted(urls.items()):
            settings = PoolSettings(min_size=1, max_size=2)
            try:
                async with asyncio.timeout(_LIMIT_SECONDS):
                    database = await Database.open(url, name=f"doctor-{service}", settings=settings)
            except (OSError, asyncpg.PostgresError, TimeoutError) as error:
                seen = f"can't be reached ({type(error).__name__})"
                yield Finding(f"{service} data", "problem", seen, "Compare the address, the role and the password.")
                continue
            stack.push_async_callback(database.close)
            finding = await _migrated(service, database)
            yield finding
            # Events can only be read from tables that are there.
            if finding.level != "problem":
                opened[service] = database
        if opened:
            async for finding in _events(opened):
                yield finding


async def _migrated(service: str, database: Database) -> Finding:
    from crm_web.health import migrations

    head, known = migrations(service)
    async with database.read() as session:
        # Raw SQL: Alembic's own table, which no metadata of ours declares.
        made = await session.connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL")
        rows = await session.connection.fetch("SELECT version_num FROM alembic_version") if made else []
    present = {str(row["version_num"]) for row in rows}
    seen = f"at {', '.join(sorted(present)) or 'nothing'}"
    if head in present:
        return Finding(f"{service} data", "ok", seen)
    if present and not present & known:
        return Finding(f"{service} data", "warning", f"{seen}, newer than this code", "Ask with that version.")
    return Finding(f"{service} data", "problem", f"{seen}, {head} is needed", f"Run crm_web.prepare for {service}.")


async def _events(databases: Mapping[str, Database]) -> AsyncIterator[Finding]:
    from crm_events.figures import figures
    from crm_events.letter_box import letters
    from crm_events.watching import lag

    for service, database in databases.items():
        async with database.read() as session:
            told = await figures(session)
        if told.backlog > _MANY_BEHIND or told.oldest > _LONG_UNSENT:
            seen = f"{told.backlog:,} events of {service} are not on the bus, the oldest for {told.oldest:.0f} s"
            yield Finding("events", "warning", seen, f"Does the worker of {service} run, and does the bus answer?")
        dead = await letters(database)
        if dead:
            seen = f"{len(dead)} dead letters at {service}, the first at {dead[0].group}"
            yield Finding("events", "problem", seen, "docs/runbooks/events.md tells what to do with them.")
    rows = await lag(databases)
    behind: dict[str, int] = {}
    for row in rows:
        behind[row.group] = behind.get(row.group, 0) + (row.behind or 0)
    late = {group: number for group, number in behind.items() if number > _MANY_BEHIND}
    if late:
        seen = ", ".join(f"{group} is {number:,} behind" for group, number in sorted(late.items()))
        yield Finding("events", "warning", seen, "Watch whether it falls; more workers, or docs/runbooks/events.md.")
    else:
        yield Finding("events", "ok", f"{len(behind)} groups, {sum(behind.values()):,} events behind together")


_Answer = httpx.Response | httpx.HTTPError


async def _get(http: httpx.AsyncClient, url: str, headers: Mapping[str, str] | None = None) -> _Answer:
    try:
        return await http.get(url, headers=headers)
    except httpx.HTTPError as error:
        return error


def _json(answer: _Answer) -> dict[str, Any] | None:
    if isinstance(answer, httpx.HTTPError):
        return None
    try:
        content = answer.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) else None


def _said(answer: _Answer) -> str:
    """An answer in a few words: its status and its problem's code."""
    if isinstance(answer, httpx.HTTPError):
        return type(answer).__name__
    code = (_json(answer) or {}).get("code")
    return f"{answer.status_code} {code}" if code else str(answer.status_code)
