"""A transfer that is too much for one request, with its worker killed in the middle (PL-22, PL-40)."""

import json
from typing import Any

import pytest

from .company import Company
from .person import Person
from .waiting import A_SECOND, PATIENCE, until

#: So many that a job has several steps left when its worker dies.
MANY = 3000


def worker_of(company: Company) -> str:
    """The part of the stack that does the jobs of customers."""
    names = [part.name for part in company.stack.wait_ready().parts if part.name.split("-")[0] == "customers"]
    return next((name for name in names if name.endswith("worker")), names[0])


def job_of(person: Person, place: str) -> Any | None:
    """The job; None while its service is away."""
    answer = person.call("GET", place)
    assert answer.status in (200, 503), answer
    return answer.body if answer.status == 200 else None


def ended(person: Person, place: str) -> Any:
    """The job when it is over."""

    def over() -> Any | None:
        job = job_of(person, place)
        return job if job is not None and job["finished_at"] is not None else None

    # A lease is 30 s, whatever the machine.
    return until(over, 60.0 + 30.0 * PATIENCE, "the job ends")


def followed(person: Person, place: str) -> list[Any]:
    """What the stream of a job tells, to its end."""
    told = person.send("GET", f"{place}/progress", headers={"accept": "text/event-stream"})
    assert told.status_code == 200
    assert told.headers["content-type"] == "text/event-stream"
    return [json.loads(line.removeprefix("data: ")) for line in told.text.splitlines() if line.startswith("data: ")]


@pytest.mark.requirement("PL-40", "PL-22", "PL-9")
def test_thousands_change_hands_once_although_the_worker_is_killed_in_the_middle(company: Company) -> None:
    office = company.department("Jobs Office")
    manager = company.hire("Jobs Manager", "supervisor", office)
    rep = company.hire("Jobs Rep", "sales_representative", office, manager)
    heir = company.hire("Jobs Heir", "sales_representative", office, manager)
    stranger = company.hire("Jobs Stranger", "supervisor", office)

    rows = [{"name": f"Job customer {n}"} for n in range(MANY)]
    asked = rep.post("customers/customers/batch-jobs", {"mode": "create", "rows": rows})
    assert asked.status == 202
    made = ended(rep, asked.headers["location"])
    assert (made["state"], made["done"], made["failed"]) == ("succeeded", MANY, 0)

    mine = {"field": "owner_id", "op": "eq", "value": rep.id}
    body = {"filter": mine, "to_user_id": heir.id, "reason": "left for the sea"}
    asked = manager.post("customers/customers/transfer", body)
    place = asked.headers["location"]
    assert (asked.status, asked["total"]) == (202, MANY)
    assert stranger.call("GET", place).code == "record.not_found"

    def begun() -> bool:
        job = job_of(manager, place)
        assert job is not None
        assert job["finished_at"] is None, "it was over before anything could be killed"
        return bool(job["done"] > 0)

    until(begun, 30 * A_SECOND, "the job has done a step")
    company.stack.kill(worker_of(company))
    left = until(lambda: job_of(manager, place), 30 * A_SECOND, "the service answers again")
    assert left["state"] == "running", left
    assert 0 < left["done"] < MANY

    assert ended(manager, place)["state"] == "succeeded"
    (last, *_) = reversed(followed(manager, place))
    assert (last["state"], last["done"], last["failed"]) == ("succeeded", MANY, 0)
    told = list(manager.pages(f"{place}/rows"))
    assert [row["index"] for row in told] == list(range(MANY))
    assert {(row["status"], row["done"], row["version"]) for row in told} == {("ok", "transferred", 2)}
    theirs = list(heir.pages("customers/customers"))
    assert {customer["id"] for customer in theirs} == {row["id"] for row in told}
    assert len(theirs) == MANY
    assert {customer["version"] for customer in theirs} == {2}
    assert list(rep.pages("customers/customers")) == []
    first = theirs[0]["id"]
    (entry, _) = heir.get(f"customers/customers/{first}/history")["items"]
    assert (entry["fact"], entry["actor"]["id"], entry["origin"]["channel"]) == ("transferred", manager.id, "job")
