"""What a service declares: subjects, router, permissions, events."""

from dataclasses import replace

import pytest

from crm_approvals import approval_permissions, approval_router
from crm_contracts import Registry
from crm_contracts.approvals import approval_events

from .office import APPROVALS, MEMO_SUBJECT


def test_a_subject_has_the_events_of_its_own_service() -> None:
    others = approval_events("billing", registry=Registry())
    with pytest.raises(ValueError, match="of billing"):
        replace(MEMO_SUBJECT, events=others)
    assert (MEMO_SUBJECT.type, MEMO_SUBJECT.permission) == ("office.memo", "office.approval:decide")


def test_a_router_is_of_one_service_and_knows_each_subject_once() -> None:
    with pytest.raises(TypeError, match=r"office\.memo"):
        approval_router("billing", [MEMO_SUBJECT])
    with pytest.raises(ValueError, match="twice"):
        approval_router("office", [MEMO_SUBJECT, MEMO_SUBJECT])


@pytest.mark.requirement("ID-11")
def test_every_operation_has_a_permission_of_the_catalogue() -> None:
    entries = approval_permissions("office")
    assert [entry.code for entry in entries] == ["office.approval:read", "office.approval:decide"]
    assert all(set(entry.names) == {"en", "ko", "zh", "ru"} for entry in entries)
    routes = approval_router("office", [MEMO_SUBJECT]).routes
    assert {(route.method, route.path, route.declared.permission) for route in routes} == {
        ("GET", "/api/office/v1/approvals", "office.approval:read"),
        ("GET", "/api/office/v1/approvals/{id}", "office.approval:read"),
        ("POST", "/api/office/v1/approvals/{id}/approve", "office.approval:decide"),
        ("POST", "/api/office/v1/approvals/{id}/reject", "office.approval:decide"),
        ("POST", "/api/office/v1/approvals/{id}/withdraw", "office.approval:read"),
    }


def test_the_events_are_the_services_own() -> None:
    assert APPROVALS.service == "office"
    assert APPROVALS.approved.type == "crm.office.approval.approved.v1"
