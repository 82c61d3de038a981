"""What a service's routes ask for as a job, its worker knows: a job of an unknown kind would wait for ever."""

import pytest

from crm_web.routes import installed
from crm_web.service import load_service

SERVICES = [name for name in installed() if load_service(name).jobs is not None]


def test_services_with_records_have_jobs() -> None:
    assert SERVICES == ["customers", "sales", "billing", "support"]


@pytest.mark.requirement("PL-40")
@pytest.mark.parametrize("name", SERVICES)
def test_each_route_that_makes_a_job_has_its_kind(name: str) -> None:
    service = load_service(name)
    assert service.jobs is not None
    # What the product does by itself is asked for by no route.
    kinds = [kind.name for kind in service.jobs.kinds if kind.authority == "asker"]
    prefix = f"/api/{name}/v1"
    makers = sorted(
        route.path.removeprefix(prefix).split("/")[2]
        for route in service.routes
        # What operators ask for is carried out by the consumers: it has a state of its own.
        if 202 in (route.status_code, *route.responses)
        and not route.path.startswith((f"{prefix}/jobs", f"{prefix}/operations"))
    )
    assert makers == sorted(kind.rpartition(".")[2].replace("batch", "batch-jobs") for kind in kinds)
    paths = {route.path.removeprefix(prefix) for route in service.routes}
    assert {"/jobs", "/jobs/{id}", "/jobs/{id}/rows", "/jobs/{id}/cancel", "/jobs/{id}/progress"} <= paths


@pytest.mark.parametrize("name", SERVICES)
def test_the_gateway_gives_a_jobs_progress_the_time_of_a_stream(name: str) -> None:
    (route,) = [one for one in load_service(name).routes if one.path.endswith("/progress")]
    assert route.declared.stream
    assert route.declared.limits.rate == "stream"
