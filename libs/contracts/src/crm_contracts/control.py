"""Topics that carry no facts of their own: heartbeat, consumer reports, dead letters, resyncs. Not journalled, not numbered."""

from crm_contracts.registry import Topic, registry

ALL = ("identity", "customers", "sales", "billing", "support", "analytics")

HEARTBEAT = registry.topic(
    Topic(
        name="crm.platform.heartbeat",
        producer="identity",
        consumers=ALL,
        description="Identity's heartbeat, every 5 s: who hears none for 30 s trusts only fresh tokens.",
        partitions=1,
        retention_days=1,
        numbered=False,
    )
)
REPORTS = registry.topic(
    Topic(
        name="crm.platform.reports",
        producer="every service",
        consumers=ALL,
        description="What each consumer group has applied, per topic and partition: the relays send again what is missing.",
        partitions=1,
        retention_days=1,
        numbered=False,
    )
)
DEAD_LETTERS = registry.topic(
    Topic(
        name="crm.platform.dead-letters",
        producer="every service",
        consumers=(),
        description="Events that a consumer could not apply, with the reason; for operators and alerts.",
        partitions=1,
        retention_days=14,
        numbered=False,
    )
)
RESYNC_REQUESTS = registry.topic(
    Topic(
        name="crm.platform.resync-requests",
        producer="every service",
        consumers=ALL,
        description="What consumer groups ask the owning service to tell them again: the state of records, or their facts.",
        partitions=1,
        retention_days=1,
        numbered=False,
    )
)
#: Carries data of all topics: no subscriber's right covers it.
RESYNC_ANSWERS = registry.topic(
    Topic(
        name="crm.platform.resync-answers",
        producer="every service",
        consumers=ALL,
        description="Events told again to the one group that asked, page by page; without publication numbers: no news to anybody else.",
        partitions=1,
        retention_days=1,
        numbered=False,
    )
)
