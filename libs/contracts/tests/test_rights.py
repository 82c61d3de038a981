"""Who may do what on the bus: computed from the registry, and nothing besides."""

import pytest

from crm_contracts import registry, rights
from crm_contracts.control import ALL
from crm_contracts.rights import Right, RightRefused


def _topics(found: frozenset[Right], operation: str) -> set[str]:
    return {right.name for right in found if right.resource == "topic" and right.operation == operation}


@pytest.mark.parametrize("service", ALL)
def test_a_service_writes_its_own_topics_and_those_between_the_services(service: str) -> None:
    between = {
        "crm.platform.reports",
        "crm.platform.resync-requests",
        "crm.platform.resync-answers",
        "crm.platform.dead-letters",
    }
    if service == "identity":
        between.add("crm.platform.heartbeat")
    written = _topics(rights.of_service(service), "write")
    assert written - between == {name for name in written if name.startswith(f"crm.{service}.")}
    assert written >= between
    assert {name for name, topic in registry.topics.items() if topic.producer == service} <= written


@pytest.mark.parametrize("service", ALL)
def test_a_service_reads_what_names_it_as_consumer_and_its_own(service: str) -> None:
    read = _topics(rights.of_service(service), "read")
    for name, topic in registry.topics.items():
        # Reports and requests name everybody; a relay looks at what it sent itself.
        assert (name in read) == (service in topic.consumers or topic.producer == service), name


def test_no_right_of_a_service_covers_more_than_one_topic_or_anothers_groups() -> None:
    for service in ALL:
        prefixes = {right for right in rights.of_service(service) if right.is_prefix}
        assert prefixes == {Right("group", f"crm.{service}.", "read", is_prefix=True)}
        assert _topics(rights.of_service(service), "create") == {topic.name for topic in registry.produced_by(service)}


def test_the_operator_reads_every_fact_the_dead_letters_and_the_reports_and_writes_nothing() -> None:
    found = rights.of_operator()
    assert _topics(found, "describe") == set(registry.topics)
    assert set(registry.topics) - _topics(found, "read") == {
        "crm.platform.heartbeat",
        "crm.platform.resync-requests",
        "crm.platform.resync-answers",
    }
    assert {right.operation for right in found} == {"read", "describe"}


def test_a_subscriber_reads_what_it_was_given_in_groups_of_its_own() -> None:
    assert rights.of_subscriber("erp", ["crm.sales.opportunity"]) == {
        Right("topic", "crm.sales.opportunity", "read"),
        Right("topic", "crm.sales.opportunity", "describe"),
        Right("group", "erp.", "read", is_prefix=True),
    }


def test_a_star_is_all_topics_of_a_service_that_there_are_now_by_name() -> None:
    assert rights.subscribed(["crm.customers.*", "crm.sales.opportunity", "crm.customers.pool"]) == [
        "crm.customers.contact",
        "crm.customers.customer",
        "crm.customers.hand-over",
        "crm.customers.operation",
        "crm.customers.pool",
        "crm.sales.opportunity",
    ]
    everything = rights.subscribed(["crm.*"])
    assert not [name for name in everything if name.startswith("crm.platform.")]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("crm.platform.resync-answers", "between the services alone"),
        ("crm.platform.*", "there is no topic"),
        ("crm.sales.opportunities", "there is no topic"),
        ("*", "there is no topic"),
        ("crm.sales.opp*", "there is no topic"),
    ],
)
def test_what_nobody_outside_may_read_is_refused(pattern: str, said: str) -> None:
    with pytest.raises(RightRefused, match=said):
        rights.subscribed(["crm.sales.product", pattern])


def test_a_subscriber_of_nothing_is_refused() -> None:
    with pytest.raises(RightRefused, match="at least one"):
        rights.subscribed([])


@pytest.mark.parametrize("name", ["", "crm", "ERP", "erp.eu", "1st", "erp*", "a" * 41, "erp\n"])
def test_a_name_whose_groups_could_be_anothers_is_refused(name: str) -> None:
    with pytest.raises(RightRefused):
        rights.of_subscriber(name, ["crm.sales.opportunity"])
