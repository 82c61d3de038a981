"""The scope matrix: every operation of every service, and how it is shown not to leak (docs: README.md).

One row per operation, written out: a route that is added to a service and not to this table fails `test_matrix`.

| kind | what is compared with the oracle |
|---|---|
| list, search | exact ids; pages; counts; filters and texts that name what is invisible; deleted ones; another's cursor |
| see | one record and what hangs on it: 200 for what is visible, 404 for everything else |
| act | one record to be changed: 404 when invisible, 403 when out of the action's scope, else 412 (it is sent a stale version) |
| batch, advance-rows, outcome-rows | the same three, per row |
| batch-job | the same as a job, which runs with the directory's rights |
| change-many | by ids and by filter, without a difference: the same three, per record |
| transfer-many | by filter and ids, at once and as a job: what is seen and may be transferred changes hands, to nobody out of reach |
| create | for whom, and below which customer |
| take | a ticket: 404 when invisible, 409 when somebody has it, else as `act` |
| claim, release-row, pool, pool-history, assign | the public pool: its members, and nobody else |
| timeline | a customer that is seen: exactly the entries of the records that are seen; 404 for other customers |
| report | figures over the visible records |
| money-report | the same of contracts or payments, by user and by customer; and only names of customers that are seen |
| feed | the events of exactly the records that are seen, deleted ones too; of one type only for who may read that alone |
| log, operate | only for those who reach everything |
| users, user, user-act | identity: the users that the scope reaches, and oneself |
| hand-overs, hand-over, hand-over-act | the hand-overs of leavers whom the scope reaches |
| none | no record with an owner is in it; `reason` says why |
"""

from dataclasses import dataclass

CUSTOMER, CONTACT, OPPORTUNITY, USER = "customers.customer", "customers.contact", "sales.opportunity", "identity.user"
TICKET, CONTRACT, PAYMENT, ACTIVITY = "support.ticket", "billing.contract", "billing.payment", "sales.activity"

#: The field that checks look records up by, where it isn't `name`.
NAMED_BY = {TICKET: "subject", ACTIVITY: "subject", PAYMENT: "reference"}


@dataclass(frozen=True)
class Row:
    """One operation. record: the record type whose scope counts. action: of `act`, the class of scope that the change needs.

    by_ownership: memberships don't count for it. deleted: what deleted records are for it. body: what `act` sends.
    """

    method: str
    path: str
    kind: str
    record: str | None = None
    action: str = "write"
    by_ownership: bool = False
    deleted: str = "missing"
    body: object = None
    reason: str = ""

    @property
    def service(self) -> str:
        """The service that the path belongs to; identity's documents and tokens, and the feed, stand outside their prefix."""
        parts = self.path.split("/")
        if parts[2] == "events" and len(parts) > 4:
            return "analytics"
        return parts[2] if parts[1] == "api" and len(parts) > 4 else "identity"


def _standard(service: str, plural: str, record: str) -> list[Row]:
    """The operations that every record type with owners has."""
    base = f"/api/{service}/v1/{plural}"
    one = f"{base}/{{id}}"
    return [
        Row("GET", base, "list", record),
        Row("POST", f"{base}/search", "search", record),
        Row("POST", base, "create", record, "transfer"),
        Row("POST", f"{base}/batch", "batch", record),
        Row("POST", f"{base}/batch-jobs", "batch-job", record),
        Row("POST", f"{base}/change", "change-many", record),
        Row("POST", f"{base}/transfer", "transfer-many", record, "transfer"),
        Row("GET", one, "see", record),
        Row("GET", f"{one}/history", "see", record, deleted="shown"),
        Row("GET", f"{one}/owners", "see", record, deleted="shown"),
        Row("GET", f"{one}/members", "see", record),
        Row("PATCH", one, "act", record, body={NAMED_BY.get(record, "name"): "Other"}),
        Row("DELETE", one, "act", record, "delete"),
        Row("POST", f"{one}/restore", "act", record, "delete", deleted="shown"),
        Row("POST", f"{one}/transfer", "act", record, "transfer", body={"to_user_id": "<target>"}),
        Row("PUT", f"{one}/members/{{user_id}}", "act", record, by_ownership=True, body={"right": "read"}),
        Row("DELETE", f"{one}/members/{{user_id}}", "act", record, by_ownership=True),
        Row("POST", f"{one}/history/{{version}}/revert", "act", record, body={}),
    ]


_NOBODYS = "no owner: the same for everybody who has the permission"


def _none(reason: str, *operations: str) -> list[Row]:
    return [Row(*operation.split(" "), "none", reason=reason) for operation in operations]  # type: ignore[arg-type]


def _jobs(service: str) -> list[Row]:
    base = f"/api/{service}/v1/jobs"
    return _none(
        "a job is its asker's, whatever the scope: libs/jobs/tests/test_rights.py; what it does goes by `batch-job`, `transfer-many`",
        f"GET {base}",
        f"GET {base}/{{id}}",
        f"GET {base}/{{id}}/rows",
        f"GET {base}/{{id}}/progress",
        f"POST {base}/{{id}}/cancel",
    )


def _operations(service: str) -> list[Row]:
    """What operators have in every service. What they repair is sent for an event that nobody has: 404 for who may."""
    base, record = f"/api/{service}/v1/operations", f"{service}.operations"
    letter = f"{base}/dead-letters/{{event_id}}"
    return [
        Row("GET", f"{base}/dead-letters", "operate", record, "read"),
        Row("GET", letter, "operate", record, "read"),
        Row("POST", f"{letter}/retry", "operate", record, body={}),
        Row("POST", f"{letter}/discard", "operate", record, body={"reason": "x"}),
        Row("GET", f"{base}/consumers", "operate", record, "read"),
        Row("GET", f"{base}/resyncs", "operate", record, "read"),
        Row("POST", f"{base}/resyncs", "operate", record, body={"groups": ["nobody's"]}),
    ]


_C, _S, _A, _I = "/api/customers/v1", "/api/sales/v1", "/api/analytics/v1", "/api/identity/v1"
_T, _B = "/api/support/v1", "/api/billing/v1"

ROWS: tuple[Row, ...] = (
    # customers
    *_standard("customers", "customers", CUSTOMER),
    *_standard("customers", "contacts", CONTACT),
    Row("POST", f"{_C}/customers/{{id}}/lock", "act", CUSTOMER),
    Row("POST", f"{_C}/customers/{{id}}/unlock", "act", CUSTOMER),
    Row("POST", f"{_C}/customers/{{id}}/release", "act", CUSTOMER, "transfer", by_ownership=True, body={"reason": "x"}),
    Row("GET", f"{_C}/customers/{{id}}/pool-history", "see", CUSTOMER),
    Row("GET", f"{_C}/customers/{{id}}/timeline", "timeline", CUSTOMER),
    Row("POST", f"{_C}/customers/{{id}}/claim", "claim", CUSTOMER),
    Row("GET", f"{_C}/pools/{{id}}/customers", "pool", CUSTOMER),
    Row("GET", f"{_C}/pools/{{id}}/history", "pool-history", CUSTOMER),
    Row("POST", f"{_C}/pools/{{id}}/assign", "assign", CUSTOMER),
    *_none(
        f"the settings of pools: {_NOBODYS}",
        f"GET {_C}/pools",
        f"POST {_C}/pools",
        f"GET {_C}/pools/{{id}}",
        f"PATCH {_C}/pools/{{id}}",
    ),
    *_jobs("customers"),
    *_operations("customers"),
    # sales
    *_jobs("sales"),
    *_operations("sales"),
    *_standard("sales", "opportunities", OPPORTUNITY),
    Row("POST", f"{_S}/opportunities/advance", "advance-rows", OPPORTUNITY),
    Row("POST", f"{_S}/opportunities/outcomes", "outcome-rows", OPPORTUNITY),
    Row("POST", f"{_S}/opportunities/{{id}}/advance", "act", OPPORTUNITY, body={"stage_id": "<unknown>"}),
    Row("POST", f"{_S}/opportunities/{{id}}/win", "act", OPPORTUNITY, body={}),
    Row("POST", f"{_S}/opportunities/{{id}}/lose", "act", OPPORTUNITY, body={"reason": "x"}),
    Row("POST", f"{_S}/opportunities/{{id}}/hold", "act", OPPORTUNITY, body={"reason": "x"}),
    Row("POST", f"{_S}/opportunities/{{id}}/reopen", "act", OPPORTUNITY, body={}),
    Row("GET", f"{_S}/opportunities/{{id}}/stages", "see", OPPORTUNITY),
    *_standard("sales", "activities", ACTIVITY),
    *_none(
        f"products: {_NOBODYS}",
        f"GET {_S}/products",
        f"POST {_S}/products/search",
        f"POST {_S}/products",
        f"POST {_S}/products/batch",
        f"POST {_S}/products/batch-jobs",
        f"POST {_S}/products/change",
        f"GET {_S}/products/{{id}}",
        f"PATCH {_S}/products/{{id}}",
        f"DELETE {_S}/products/{{id}}",
        f"POST {_S}/products/{{id}}/restore",
        f"GET {_S}/products/{{id}}/history",
        f"POST {_S}/products/{{id}}/history/{{version}}/revert",
    ),
    *_none(
        f"pipelines and their stages: {_NOBODYS}",
        f"GET {_S}/pipelines",
        f"POST {_S}/pipelines",
        f"GET {_S}/pipelines/{{id}}",
        f"PATCH {_S}/pipelines/{{id}}",
        f"PUT {_S}/pipelines/{{id}}/stages",
    ),
    # billing
    *_jobs("billing"),
    *_operations("billing"),
    *_standard("billing", "contracts", CONTRACT),
    *_standard("billing", "payments", PAYMENT),
    Row("GET", f"{_B}/contracts/{{id}}/instalments", "see", CONTRACT),
    Row("PUT", f"{_B}/contracts/{{id}}/instalments", "act", CONTRACT, body={"instalments": []}),
    Row("GET", f"{_B}/contracts/{{id}}/balance", "see", CONTRACT),
    Row("GET", f"{_B}/contracts/{{id}}/ledger", "see", CONTRACT),
    Row("POST", f"{_B}/contracts/{{id}}/submit", "act", CONTRACT, body={}),
    Row("POST", f"{_B}/contracts/{{id}}/terminate", "act", CONTRACT, body={"reason": "x"}),
    Row("POST", f"{_B}/contracts/{{id}}/void", "act", CONTRACT),
    *_none(
        "only who submitted it takes it back, whoever else may change it: services/billing/tests/contract/test_approval.py",
        f"POST {_B}/contracts/{{id}}/withdraw",
    ),
    *_none(
        "an opportunity that isn't seen is 422 like one that isn't there: services/billing/tests/contract/test_drafts.py",
        f"POST {_B}/contracts/from-opportunity",
    ),
    *_none(
        "seen by who submitted and who approves, never by a scope: libs/approvals/tests/test_decisions.py, test_lists.py",
        f"GET {_B}/approvals",
        f"GET {_B}/approvals/{{id}}",
        f"POST {_B}/approvals/{{id}}/approve",
        f"POST {_B}/approvals/{{id}}/reject",
        f"POST {_B}/approvals/{{id}}/withdraw",
    ),
    # support
    *_jobs("support"),
    *_operations("support"),
    *_standard("support", "tickets", TICKET),
    Row("POST", f"{_T}/tickets/{{id}}/claim", "take", TICKET),
    Row("POST", f"{_T}/tickets/{{id}}/assign", "act", TICKET, "transfer", body={"user_id": None}),
    Row("POST", f"{_T}/tickets/{{id}}/move", "act", TICKET, body={"status": "pending"}),
    Row("POST", f"{_T}/tickets/{{id}}/replies", "act", TICKET, body={"text": "x"}),
    Row("GET", f"{_T}/tickets/{{id}}/replies", "see", TICKET),
    Row("GET", f"{_T}/tickets/{{id}}/requester", "see", TICKET),
    *_none(
        "what waits is nobody's, and its queue's members see it: services/support/tests/ticket/test_assignment.py",
        f"GET {_T}/queues/mine/tickets",
        f"GET {_T}/queues/{{id}}/tickets",
    ),
    *_none(
        f"the settings of queues: {_NOBODYS}",
        f"GET {_T}/queues",
        f"POST {_T}/queues",
        f"GET {_T}/queues/{{id}}",
        f"PATCH {_T}/queues/{{id}}",
    ),
    # analytics
    Row("GET", f"{_A}/reports/sales-brief", "report"),
    Row("GET", f"{_A}/reports/opportunity-outcomes", "report", OPPORTUNITY),
    Row("GET", f"{_A}/reports/funnel", "report", OPPORTUNITY),
    Row("GET", f"{_A}/reports/contract-values", "money-report", CONTRACT),
    Row("GET", f"{_A}/reports/payments-received", "money-report", PAYMENT),
    Row("GET", f"{_A}/events", "log"),
    Row("GET", "/api/events/v1/feed", "feed"),
    *_none(
        "the same looks at the log as the feed's: services/analytics/tests/feed/test_feed.py",
        "GET /api/events/v1/feed/stream",
    ),
    *_none(
        "a webhook is its maker's or, for who reaches everything, everybody's: services/analytics/tests/webhook/test_routes.py; what it "
        "sends is chosen by the feed's condition, and again when it is sent: services/analytics/tests/webhook/test_delivering.py",
        f"GET {_A}/webhooks",
        f"POST {_A}/webhooks",
        f"GET {_A}/webhooks/{{id}}",
        f"PATCH {_A}/webhooks/{{id}}",
        f"DELETE {_A}/webhooks/{{id}}",
        f"POST {_A}/webhooks/{{id}}/test",
        f"POST {_A}/webhooks/{{id}}/rotate-secret",
        f"POST {_A}/webhooks/{{id}}/replay",
        f"GET {_A}/webhooks/{{id}}/deliveries",
        f"GET {_A}/webhooks/{{id}}/deliveries/{{event_id}}",
    ),
    *_operations("analytics"),
    # identity
    *_operations("identity"),
    Row("GET", f"{_I}/users", "users", USER),
    Row("GET", f"{_I}/users/{{id}}", "user", USER),
    Row("GET", f"{_I}/users/{{id}}/sessions", "user", USER),
    Row("PATCH", f"{_I}/users/{{id}}", "user-act", USER, body={"position": "Other"}),
    Row("POST", f"{_I}/users/{{id}}/activate", "user-act", USER, body={}),
    Row("POST", f"{_I}/users/{{id}}/activation-code", "user-act", USER),
    Row("POST", f"{_I}/users/{{id}}/deactivate", "user-act", USER),
    Row("POST", f"{_I}/users/{{id}}/dismiss", "user-act", USER),
    Row("POST", f"{_I}/users/{{id}}/password", "user-act", USER, body={"password": "an ordinary pass phrase"}),
    Row("POST", f"{_I}/users/{{id}}/reinstate", "user-act", USER),
    Row("DELETE", f"{_I}/users/{{id}}/sessions", "user-act", USER),
    Row("DELETE", f"{_I}/users/{{id}}/sessions/{{session_id}}", "user-act", USER),
    Row("GET", f"{_I}/users/{{id}}/hand-overs", "user", USER),
    Row("GET", f"{_I}/hand-overs", "hand-overs", USER),
    Row("GET", f"{_I}/hand-overs/{{id}}", "hand-over", USER),
    Row("POST", f"{_I}/hand-overs/{{id}}/resume", "hand-over-act", USER, body={}),
    Row("POST", f"{_I}/hand-overs/{{id}}/cancel", "hand-over-act", USER),
    *_none(
        "makes users by the organisation's rules (rank, superior); whom it reaches is shown in services/identity/tests/user",
        f"POST {_I}/users",
        f"POST {_I}/users/batch",
    ),
    *_none(
        "explains the scope itself, to those who may administer users; it shows no record",
        f"GET {_I}/access/explain",
    ),
    *_none(
        "the directory of colleagues is open to all who log in (ID-8)",
        f"GET {_I}/directory",
        f"GET {_I}/departments",
        f"GET {_I}/departments/{{id}}",
    ),
    *_none(
        "one's own account",
        f"GET {_I}/me",
        f"PATCH {_I}/me",
        f"POST {_I}/me/password",
        f"GET {_I}/sessions",
        f"DELETE {_I}/sessions/{{id}}",
        "POST /oauth/logout",
    ),
    *_none(
        f"the organisation's structure: {_NOBODYS}",
        f"GET {_I}/company",
        f"PATCH {_I}/company",
        f"POST {_I}/departments",
        f"POST {_I}/departments/batch",
        f"PATCH {_I}/departments/{{id}}",
        f"DELETE {_I}/departments/{{id}}",
        f"GET {_I}/department-sets",
        f"POST {_I}/department-sets",
        f"GET {_I}/department-sets/{{id}}",
        f"PATCH {_I}/department-sets/{{id}}",
        f"DELETE {_I}/department-sets/{{id}}",
        f"GET {_I}/roles",
        f"POST {_I}/roles",
        f"GET {_I}/roles/{{id}}",
        f"PATCH {_I}/roles/{{id}}",
        f"DELETE {_I}/roles/{{id}}",
        f"GET {_I}/permissions",
        f"GET {_I}/signing-keys",
        f"POST {_I}/signing-keys",
    ),
    *_none(
        "public: knows no caller, shows no record",
        "GET /.well-known/oauth-authorization-server",
        "GET /.well-known/openid-configuration",
        "GET /oauth/jwks.json",
        "POST /oauth/token",
        "POST /oauth/revoke",
        f"POST {_I}/activations",
        "GET /api/asyncapi.json",
        "GET /api/docs",
        "GET /api/events",
        "GET /api/openapi.json",
    ),
)
