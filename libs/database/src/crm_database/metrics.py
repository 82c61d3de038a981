"""All metrics of this library, in one list. What a statement costs is counted per request (crm_web.metrics)."""

from crm_database.measuring import Measures

MEASURES = Measures("crm_database")

pool_connections = MEASURES.observed(
    "db.client.connection.count",
    unit="{connection}",
    labels=["db.client.connection.state"],
    meaning="open connections of this process's pool; state: `idle` or `used`",
)
pool_limit = MEASURES.observed(
    "db.client.connection.max", unit="{connection}", meaning="how many the pool may open (CRM_POOL_MAX)"
)
pool_wait = MEASURES.histogram(
    "db.client.connection.wait_time",
    unit="s",
    meaning="from asking for a connection to having one, opening it included",
)
pool_failures = MEASURES.counter(
    "crm.database.unreachable",
    unit="{failure}",
    meaning="connections that were not to be had: the server is away, or full",
)
