"""Consumers take every example of every event that they subscribe to, as their worker would: watermark, inbox, reaction."""

from dataclasses import replace

import orjson
import pytest

from crm_contracts import registry
from crm_contracts.envelope import Envelope
from crm_contracts.versions import fact_of
from crm_kernel import new_id
from crm_testing.servers import MakeDatabase, SharedPostgres
from crm_testing.service import NOW, Running, migrated, running
from crm_web.release import RELEASED, last_release, read
from crm_web.routes import installed
from crm_web.service import load_service
from crm_web.working import all_reactions

_NEWEST_RELEASE = last_release(RELEASED)
RELEASED_EVENTS = {} if _NEWEST_RELEASE is None else read(_NEWEST_RELEASE)["events.json"]["types"]
CONSUMERS = [name for name in installed() if all_reactions(load_service(name))]


def wanted(service: str) -> list[str]:
    """The registered event types that some reaction of the service wants."""
    reactions = all_reactions(load_service(service))
    return sorted(
        name
        for name, model in registry.events.items()
        if any(model.topic in reaction.topics and reaction.wants(registry.newest(name)) for reaction in reactions)
    )


def travelling(name: str, data: bytes) -> Envelope:
    """An event as it lies on the bus."""
    model = registry.events[name]
    source = f"/crm/{registry.topics[model.topic].producer}"
    return Envelope(new_id(), name, source, new_id(), NOW, data, write_id=new_id(), topic=model.topic, partition=0)


async def taken(service: Running, envelopes: list[Envelope]) -> int:
    """Give events to the service; answers how many entries the inboxes of its groups have of them."""
    await service.hear(*envelopes)
    found = await service.rows("SELECT count(*) FROM inbox WHERE event_id = ANY($1)", [one.id for one in envelopes])
    return int(found[0][0])


def expected(service: str, names: list[str]) -> int:
    """How many (group, event) there are."""
    return sum(
        registry.events[name].topic in reaction.topics and reaction.wants(registry.newest(name))
        for name in names
        for reaction in all_reactions(load_service(service))
    )


@pytest.fixture
def dsn_of(make_database: MakeDatabase, postgres_server: SharedPostgres, service: str) -> str:
    return make_database(migrated(service, postgres_server))


#: What a service needs besides, to be started.
SETTINGS = {"identity": {"key_secret": "k" * 32}}


def test_every_service_consumes() -> None:
    """Identity too, what it has asked for; its replica of the directory it writes itself (crm_web.working)."""
    assert set(CONSUMERS) == set(installed())
    assert all("crm.identity" not in topic for one in all_reactions(load_service("identity")) for topic in one.topics)


@pytest.mark.requirement("PL-13")
@pytest.mark.parametrize("service", CONSUMERS)
async def test_every_example_is_taken(service: str, dsn_of: str) -> None:
    """As it stands in the contract and stood in the newest release, with every member filled in, and with members that may be added."""
    names = wanted(service)
    assert len(names) > 10
    async with running(load_service(service), dsn_of, **SETTINGS.get(service, {})) as found:
        for form in ("as it stands", "as released", "whole", "of later"):
            envelopes = [travelling(name, _data(name, form)) for name in names]
            assert await taken(found, envelopes) == expected(service, names), form
            assert await found.dead_letters() == [], form


def _data(name: str, form: str) -> bytes:
    example = registry.examples[name]
    if form == "as released":
        return orjson.dumps(RELEASED_EVENTS[name]["example"] if name in RELEASED_EVENTS else example)
    if form == "whole":
        return registry.events[name].model_validate(example).model_dump_json().encode()
    if form == "of later":
        return orjson.dumps({**example, "later": 1, "state": {**example["state"], "later": {"deep": True}}})
    return orjson.dumps(example)


@pytest.mark.requirement("PL-13")
@pytest.mark.parametrize("service", CONSUMERS)
async def test_facts_of_later_are_passed_over(service: str, dsn_of: str) -> None:
    """A producer may be deployed first: what it announces anew is no reason to stop. Later versions of known facts are waited for
    (libs/events/tests/test_versions.py)."""
    names = wanted(service)
    async with running(load_service(service), dsn_of, **SETTINGS.get(service, {})) as found:
        later = [
            replace(travelling(name, _data(name, "as it stands")), type=f"{fact_of(name)}-later.v1") for name in names
        ]
        await taken(found, later)
        assert await found.dead_letters() == []
