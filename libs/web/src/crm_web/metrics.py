"""All metrics of this library, in one list: those of requests."""

from typing import Final

from crm_database.measuring import Measures

MEASURES = Measures("crm_web")

#: Bounds of how many statements a request runs: a list has 2 or 3, a write 5 to 8, beyond 20 something loops.
_STATEMENTS: Final = (0, 1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 50, 100)

request_duration = MEASURES.histogram(
    "http.server.request.duration",
    unit="s",
    labels=["http.request.method", "http.route", "http.response.status_code"],
    meaning="from a request's first byte to the answer's last; status 0: the client left, or the answer broke off",
)
active_requests = MEASURES.up_down_counter(
    "http.server.active_requests", unit="{request}", labels=["http.request.method"], meaning="requests being worked on"
)
request_statements = MEASURES.histogram(
    "crm.request.statements",
    unit="{statement}",
    labels=["http.request.method", "http.route"],
    bounds=_STATEMENTS,
    meaning="statements that a request sent to the database, BEGIN and COMMIT included",
)
request_database_time = MEASURES.histogram(
    "crm.request.database_time",
    unit="s",
    labels=["http.request.method", "http.route"],
    meaning="what a request waited for the answers of its statements, together",
)
