"""All metrics of this library, in one list. The gauges are read from each worker when they are exported; those of the outbox and the
dead letters from the database, every few seconds, whether it leads or not and whether the broker is there or not: every worker of a
service says the same of them."""

from crm_database.measuring import Measures

MEASURES = Measures("crm_events")

# -- the relay --------------------------------------------------------------------------------------------------------

relay_sent = MEASURES.counter(
    "crm.relay.sent", unit="{event}", labels=["topic"], meaning="events acknowledged by the broker"
)
relay_put_back = MEASURES.counter(
    "crm.relay.put_back",
    unit="{event}",
    labels=["topic"],
    meaning="numbers put back into the outbox because a group lacked them",
)
relay_tombstones = MEASURES.counter(
    "crm.relay.tombstones", unit="{event}", labels=["topic"], meaning="events that could never be sent"
)
relay_streams_started = MEASURES.counter(
    "crm.relay.streams_started",
    unit="{stream}",
    labels=["topic"],
    meaning="numberings begun because a database was restored",
)
relay_backlog = MEASURES.observed(
    "crm.relay.backlog",
    unit="{event}",
    meaning="events recorded and not acknowledged, those put back included; beyond 100,000 without a number not counted",
)
relay_oldest = MEASURES.observed(
    "crm.relay.oldest_unsent",
    unit="s",
    meaning="age of the oldest event that the broker never acknowledged; 0 when there is none",
)
relay_leader = MEASURES.observed("crm.relay.leader", unit="", meaning="1 while this process leads")

# -- the consumers ----------------------------------------------------------------------------------------------------

consumer_applied = MEASURES.counter(
    "crm.consumer.applied", unit="{event}", labels=["group", "topic"], meaning="events applied"
)
consumer_doubles = MEASURES.counter(
    "crm.consumer.doubles",
    unit="{record}",
    labels=["group"],
    meaning="records ignored because they were applied before",
)
consumer_skipped = MEASURES.counter(
    "crm.consumer.skipped",
    unit="{record}",
    labels=["group"],
    meaning="records not applied because something is missing before them",
)
consumer_parked = MEASURES.counter(
    "crm.consumer.parked", unit="{event}", labels=["group"], meaning="events parked behind a dead letter"
)
consumer_dead_letters = MEASURES.counter(
    "crm.consumer.dead_letters", unit="{event}", labels=["group"], meaning="events that could not be applied"
)
consumer_backoffs = MEASURES.counter(
    "crm.consumer.backoffs", unit="{failure}", labels=["group"], meaning="transient failures"
)
consumer_stopped = MEASURES.observed(
    "crm.consumer.stopped", unit="", labels=["group"], meaning="1 while a group is stopped by too many failures"
)
consumer_lag = MEASURES.observed(
    "crm.consumer.lag",
    unit="{record}",
    labels=["group", "topic", "partition"],
    meaning="records between a group's position and the end of the log",
)
consumer_event_age = MEASURES.histogram(
    "crm.consumer.event_age",
    unit="s",
    labels=["group"],
    meaning="from recording an event to its effect being committed",
)
dead_letters_waiting = MEASURES.observed(
    "crm.dead_letters.waiting", unit="{event}", labels=["group"], meaning="dead letters that nobody settled yet"
)
parked_keys = MEASURES.observed(
    "crm.dead_letters.parked_keys",
    unit="{key}",
    labels=["group"],
    meaning="records whose later events wait behind a dead letter",
)
parked_events = MEASURES.observed(
    "crm.dead_letters.parked_events", unit="{event}", labels=["group"], meaning="how many events wait behind them"
)
heartbeat_age = MEASURES.observed(
    "crm.heartbeat.age",
    unit="s",
    meaning="since identity's heartbeat was last heard; after 30 s the service takes fresh tokens only",
)

# -- told again (resync) ----------------------------------------------------------------------------------------------

resync_told = MEASURES.counter(
    "crm.resync.told", unit="{event}", labels=["topic"], meaning="events told again to a group that asked"
)
resync_applied = MEASURES.counter(
    "crm.resync.applied", unit="{event}", labels=["group", "topic"], meaning="events taken from such an answer"
)
resync_refused = MEASURES.counter(
    "crm.resync.refused",
    unit="{event}",
    labels=["group"],
    meaning="events of such an answer that could not be applied",
)
resync_gaps = MEASURES.counter(
    "crm.resync.gaps",
    unit="{record}",
    labels=["group", "topic"],
    meaning="records of which an event showed that something before it is lacking",
)

# -- archived months --------------------------------------------------------------------------------------------------

archive_failures = MEASURES.counter(
    "crm.archive.failures",
    unit="{failure}",
    labels=["cause"],
    meaning="times the archive was `unreachable` or what it answered `damaged`, reading or writing",
)
archive_months = MEASURES.observed(
    "crm.archive.months", unit="{month}", meaning="months of the service's journal whose data lies in the archive"
)
archive_overdue = MEASURES.observed(
    "crm.archive.overdue",
    unit="{month}",
    meaning="months older than CRM_JOURNAL_KEEP_MONTHS that are not archived; 0 where all stay",
)
