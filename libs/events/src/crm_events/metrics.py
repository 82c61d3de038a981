"""All metrics of this library, in one list. OpenTelemetry's API: without an SDK nothing is kept and nothing is sent.

| name | kind | what |
|---|---|---|
| crm.relay.sent | counter | events acknowledged by the broker, by topic |
| crm.relay.put_back | counter | numbers put back into the outbox because a group lacked them, by topic |
| crm.relay.tombstones | counter | events that could never be sent (each is an alert) |
| crm.relay.streams_started | counter | numberings begun because a database was restored (each is an alert) |
| crm.relay.backlog | gauge | events recorded and not acknowledged |
| crm.relay.leader | gauge | 1 while this process leads |
| crm.consumer.applied | counter | events applied, by group and topic |
| crm.consumer.doubles | counter | records ignored because they were applied before, by group |
| crm.consumer.skipped | counter | records not applied because something is missing before them, by group |
| crm.consumer.parked | counter | events parked behind a dead letter, by group |
| crm.consumer.dead_letters | counter | events that could not be applied (each is an alert), by group |
| crm.consumer.backoffs | counter | transient failures, by group |
| crm.consumer.stopped | gauge | 1 while a group is stopped by too many failures (alert) |
| crm.consumer.lag | gauge | records between a group's position and the end of the log, by group, topic and partition |
| crm.consumer.event_age | histogram, s | from recording an event to its effect being committed, by group |
| crm.resync.told | counter | events told again to a group that asked, by topic |
| crm.resync.applied | counter | events taken from such an answer, by group and topic |
| crm.resync.refused | counter | events of such an answer that could not be applied (alert), by group |
| crm.resync.gaps | counter | records of which an event showed that something before it is lacking (alert), by group and topic |
"""

from opentelemetry import metrics

_meter = metrics.get_meter("crm_events")

relay_sent = _meter.create_counter("crm.relay.sent", unit="{event}")
relay_put_back = _meter.create_counter("crm.relay.put_back", unit="{event}")
relay_tombstones = _meter.create_counter("crm.relay.tombstones", unit="{event}")
relay_streams_started = _meter.create_counter("crm.relay.streams_started", unit="{stream}")
relay_backlog = _meter.create_gauge("crm.relay.backlog", unit="{event}")
relay_leader = _meter.create_gauge("crm.relay.leader")
consumer_applied = _meter.create_counter("crm.consumer.applied", unit="{event}")
consumer_doubles = _meter.create_counter("crm.consumer.doubles", unit="{record}")
consumer_skipped = _meter.create_counter("crm.consumer.skipped", unit="{record}")
consumer_parked = _meter.create_counter("crm.consumer.parked", unit="{event}")
consumer_dead_letters = _meter.create_counter("crm.consumer.dead_letters", unit="{event}")
consumer_backoffs = _meter.create_counter("crm.consumer.backoffs", unit="{failure}")
consumer_stopped = _meter.create_gauge("crm.consumer.stopped")
consumer_lag = _meter.create_gauge("crm.consumer.lag", unit="{record}")
consumer_event_age = _meter.create_histogram("crm.consumer.event_age", unit="s")
resync_told = _meter.create_counter("crm.resync.told", unit="{event}")
resync_applied = _meter.create_counter("crm.resync.applied", unit="{event}")
resync_refused = _meter.create_counter("crm.resync.refused", unit="{event}")
resync_gaps = _meter.create_counter("crm.resync.gaps", unit="{record}")
