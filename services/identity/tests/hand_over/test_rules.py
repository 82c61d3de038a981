"""Who gets what a leaver had, and who is asked (ID-6)."""

import uuid
from dataclasses import dataclass

import pytest

from crm_identity.hand_over.rules import SERVICES, SuccessorNotActive, asked_services, successor_of

pytestmark = pytest.mark.requirement("ID-6")

LEAVER, CHIEF, BOSS, ADMIN, OTHER = (uuid.UUID(int=n) for n in range(1, 6))


@dataclass(frozen=True)
class One:
    superior_id: uuid.UUID | None = None
    status: str = "active"
    super_admin: bool = False


PEOPLE = {LEAVER: One(CHIEF), CHIEF: One(BOSS), BOSS: One(), ADMIN: One(super_admin=True), OTHER: One()}


def test_who_is_named_gets_it_when_active_and_not_the_leaver() -> None:
    assert successor_of(PEOPLE, LEAVER, OTHER, ADMIN) == OTHER
    for named in (LEAVER, uuid.UUID(int=99)):
        with pytest.raises(SuccessorNotActive):
            successor_of(PEOPLE, LEAVER, named, ADMIN)
    for status in ("pending_activation", "inactive", "dismissed"):
        with pytest.raises(SuccessorNotActive):
            successor_of({**PEOPLE, OTHER: One(status=status)}, LEAVER, OTHER, ADMIN)


def test_else_the_nearest_active_superior_else_who_dismisses() -> None:
    assert successor_of(PEOPLE, LEAVER, None, ADMIN) == CHIEF
    assert successor_of({**PEOPLE, CHIEF: One(BOSS, "dismissed")}, LEAVER, None, ADMIN) == BOSS
    gone = {**PEOPLE, CHIEF: One(BOSS, "inactive"), BOSS: One(status="dismissed")}
    assert successor_of(gone, LEAVER, None, OTHER) == OTHER
    assert successor_of({**PEOPLE, LEAVER: One()}, LEAVER, None, OTHER) == OTHER


def test_who_dismisses_themself_leaves_it_to_a_super_administrator() -> None:
    assert successor_of({**PEOPLE, LEAVER: One(super_admin=True)}, LEAVER, None, LEAVER) == ADMIN
    with pytest.raises(SuccessorNotActive):
        successor_of({LEAVER: One(super_admin=True)}, LEAVER, None, LEAVER)


def test_a_circle_of_superiors_ends() -> None:
    circle = {LEAVER: One(CHIEF), CHIEF: One(BOSS, "inactive"), BOSS: One(CHIEF, "inactive"), ADMIN: One()}
    assert successor_of(circle, LEAVER, None, ADMIN) == ADMIN


def test_services_that_are_not_deployed_are_not_asked() -> None:
    assert asked_services(()) == SERVICES
    assert asked_services(("identity", "sales", "analytics")) == ("sales",)
    assert asked_services(("identity",)) == ()
