"""All metrics of this service beside the libraries', in one list. The gauges are read from its database by its worker."""

from crm_database.measuring import Measures

MEASURES = Measures("crm_analytics")

webhooks = MEASURES.observed(
    "crm.webhooks",
    unit="{webhook}",
    labels=["status"],
    meaning="webhooks; status: `active`, `paused` by their owners, or `disabled` by the service",
)
webhooks_waiting = MEASURES.observed(
    "crm.webhooks.waiting",
    unit="{delivery}",
    meaning="deliveries of active webhooks that were taken in and not delivered; at most 500 a webhook, the rest waits in the log",
)
webhooks_age = MEASURES.observed(
    "crm.webhooks.age",
    unit="s",
    meaning="how long ago the oldest of those was taken in; 0 when none waits",
)
webhook_attempts = MEASURES.counter(
    "crm.webhooks.attempts",
    unit="{attempt}",
    labels=["outcome"],
    meaning="requests to receivers; outcome: `delivered`, `refused` (an answer other than 2xx) or `failed` (no answer)",
)
webhook_attempt_duration = MEASURES.histogram(
    "crm.webhooks.attempt.duration",
    unit="s",
    labels=["outcome"],
    meaning="one request to a receiver, from resolving its name to the end of its answer",
)
