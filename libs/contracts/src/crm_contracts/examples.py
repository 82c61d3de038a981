"""What the examples of all contracts share."""

from typing import Any

ROOT = "01900000-0000-7000-8000-000000000001"
USER = "01900000-0000-7000-8000-000000000002"
ROLE = "01900000-0000-7000-8000-000000000003"
DEPARTMENT = "01900000-0000-7000-8000-000000000005"
CUSTOMER = "01900000-0000-7000-8000-000000000006"
CONTACT = "01900000-0000-7000-8000-000000000007"
PRODUCT = "01900000-0000-7000-8000-000000000008"
PIPELINE = "01900000-0000-7000-8000-000000000009"
STAGE_FIRST = "01900000-0000-7000-8000-00000000000a"
STAGE_SECOND = "01900000-0000-7000-8000-00000000000b"
POOL = "01900000-0000-7000-8000-00000000000c"


def sample(
    state: dict[str, Any], *, version: int = 1, changes: dict[str, Any] | None = None, **rest: Any
) -> dict[str, Any]:
    """An example's data around a state."""
    return {
        "version": version,
        "occurred_at": "2026-03-01T09:00:00Z",
        "actor": {"kind": "user", "id": USER},
        "origin": {"channel": "api", "address": "192.0.2.10"},
        "changes": changes or {},
        "state": state,
        **rest,
    }


def owned(state: dict[str, Any], *, owner: str | None = USER, **rest: Any) -> dict[str, Any]:
    """An example of a record with an owner: with access and credit."""
    credit = {"user_id": USER, "department_id": DEPARTMENT, "department_path": [ROOT, DEPARTMENT]} if owner else None
    return sample(state, access={"owner_id": owner, "members": []}, credit=credit, **rest)
