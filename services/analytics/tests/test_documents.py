"""What the API says of itself."""

from crm_analytics.app import SERVICE
from crm_analytics.permissions import PERMISSIONS
from crm_web import Settings, create_app


def _operations() -> dict[str, dict[str, object]]:
    """Method and path of the service's own operations; those that operators have everywhere left out."""
    settings = Settings.load(
        {},
        service="analytics",
        database_url="postgresql://crm:x@localhost:5432/analytics",
        public_url="https://x",
        signing_key="5a" * 32,
    )
    document = create_app(SERVICE, settings).openapi()
    return {
        f"{method.upper()} {path}": operation
        for path, found in document["paths"].items()
        if "/operations/" not in path
        for method, operation in found.items()
    }


def test_every_operation_says_its_permission_which_the_catalogue_names() -> None:
    catalogue = {entry.code for entry in PERMISSIONS}
    declared = {called: operation["x-permission"] for called, operation in _operations().items()}
    assert declared == {
        "GET /api/analytics/v1/reports/opportunity-outcomes": "analytics.report:read",
        "GET /api/analytics/v1/reports/funnel": "analytics.report:read",
        "GET /api/analytics/v1/reports/contract-values": "analytics.report:read",
        "GET /api/analytics/v1/reports/payments-received": "analytics.report:read",
        "GET /api/analytics/v1/reports/sales-brief": "analytics.report:read",
        "GET /api/analytics/v1/events": "analytics.event:read",
        "GET /api/events/v1/feed": "analytics.feed:read",
        "GET /api/events/v1/feed/stream": "analytics.feed:read",
        "GET /api/analytics/v1/webhooks": "analytics.webhook:read",
        "POST /api/analytics/v1/webhooks": "analytics.webhook:create",
        "GET /api/analytics/v1/webhooks/{id}": "analytics.webhook:read",
        "PATCH /api/analytics/v1/webhooks/{id}": "analytics.webhook:update",
        "DELETE /api/analytics/v1/webhooks/{id}": "analytics.webhook:delete",
        "POST /api/analytics/v1/webhooks/{id}/rotate-secret": "analytics.webhook:update",
        "POST /api/analytics/v1/webhooks/{id}/test": "analytics.webhook:update",
        "POST /api/analytics/v1/webhooks/{id}/replay": "analytics.webhook:update",
        "GET /api/analytics/v1/webhooks/{id}/deliveries": "analytics.webhook:read",
        "GET /api/analytics/v1/webhooks/{id}/deliveries/{event_id}": "analytics.webhook:read",
    }
    assert catalogue == set(declared.values())


def test_parameters_are_named_as_the_world_knows_them() -> None:
    for called, operation in _operations().items():
        names = [parameter["name"] for parameter in operation.get("parameters", [])]  # type: ignore[attr-defined]
        assert "first" not in names
        assert ("from" in names) == ("/reports/" in called)


def test_reports_by_a_key_say_that_they_may_have_too_many_rows() -> None:
    for name in ("opportunity-outcomes", "contract-values", "payments-received"):
        operation = _operations()[f"GET /api/analytics/v1/reports/{name}"]
        assert "report.too_many_rows" in str(operation["responses"]), name
