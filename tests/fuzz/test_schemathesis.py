"""Whatever is sent to an operation: an answer of the documented form, never a 5xx (G8, PL-3).

Half of the requests fit the document, with ids of records that exist put in, half don't. Made by Schemathesis from the merged OpenAPI.
`CRM_TEST_FULL=1` sends 1,000 requests to each operation, otherwise a few.

Not among Schemathesis' checks here: "what fits the schema is accepted", because a schema can't say that a record exists or a state
admits a step; and use after free, which needs its own state machine: the journeys cover deletion.
"""

import os
import random
import time
from collections.abc import Iterator
from typing import Any

import httpx
import hypothesis
import pytest
import requests
from hypothesis import HealthCheck, Phase
from journeys.company import Company
from journeys.person import PROBLEM, Person
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import CheckFunction, not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.core.transport import Response
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .known import Known

FULL = os.environ.get("CRM_TEST_FULL") == "1"
#: Requests to each operation that fit its document, and as many that don't.
EXAMPLES = 500 if FULL else 4
CHECKS: list[CheckFunction] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: They end the session that the requests are made with, so that all after them would be 401.
ENDING_OWN_SESSION = {
    ("post", "/oauth/logout"): "ends the caller's session",
}
#: A wrong row is told in the answer, which is 200 (PL-9).
ROW_BY_ROW = ("/batch", "/batch-jobs", "/outcomes", "/advance")
#: OAuth's own answers have OAuth's form (RFC 6749, 5.2).
OAUTH = ("/oauth/token", "/oauth/revoke")


class Sender:
    """Sends cases as the super administrator, and says what was wrong with the answers."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.session = requests.Session()
        self.wrong: dict[str, str] = {}
        self.statuses: dict[int, int] = {}

    def send(self, case: Case, checks: list[CheckFunction]) -> None:
        """One request. What is wrong with its answer is kept, once per operation and kind."""
        answer = self._answer(case)
        self.statuses[answer.status_code] = self.statuses.get(answer.status_code, 0) + 1
        place = f"{case.method} {case.operation.path}"
        try:
            # Too large is a refusal too, whatever else is wrong with it.
            too_large = answer.status_code in (413, 431)
            due = [check for check in checks if check is not negative_data_rejection or not too_large]
            case.validate_response(answer, checks=due)
            self._form(case, answer)
        except FailureGroup as group:
            for failure in group.exceptions:
                self._note(place, failure, case, answer)
        except (Failure, AssertionError) as failure:
            self._note(place, failure, case, answer)

    def _answer(self, case: Case) -> Response:
        """Waits while the caller's rate is used up: that is the gateway's refusal, not the operation's."""
        until = time.monotonic() + 60
        while True:
            headers = {"Authorization": f"Bearer {self._token()}"}
            answer = case.call(base_url=self.person.address, session=self.session, headers=headers, timeout=60)
            if answer.status_code != 429 or b"rate" not in answer.content:
                return answer
            if time.monotonic() > until:
                pytest.fail(f"still too many requests after a minute: {case.operation.label}")

    def _token(self) -> str:
        """As the person renews it."""
        if time.monotonic() > self.person._expires_at:
            self.person.refresh()
        return self.person.access_token

    def _form(self, case: Case, answer: Response) -> None:
        if answer.status_code < 400 or case.operation.path in OAUTH:
            return
        assert answer.headers["content-type"] == [PROBLEM], answer.headers["content-type"]
        body = answer.json()
        assert body["status"] == answer.status_code
        assert body["type"] == f"urn:pelagic:problem:{body['code']}"
        # What the gateway could not even read has no trace.
        assert body["trace_id"] is None if answer.status_code == 431 else len(body["trace_id"]) == 32
        if body["code"] == "route.unknown":
            return  # The gateway's: with such a value the path is no operation's.
        documented = case.operation.definition.raw["responses"][str(answer.status_code)]["content"][PROBLEM]["examples"]
        assert body["code"] in documented, f"{body['code']} is not documented"
        for error in body.get("errors", []):
            assert error["pointer"].startswith(("/", "query:", "path:", "header:")) or error["pointer"] == "", error
            assert error["code"], error

    def _note(self, place: str, failure: BaseException, case: Case, answer: Response) -> None:
        told = str(failure).strip().splitlines()
        body = answer.content[:300].decode("utf-8", "replace")
        self.wrong.setdefault(
            f"{place}: {type(failure).__name__}: {told[0] if told else ''}",
            f"{answer.status_code} {body}\n    {case.as_curl_command()[:900]}\n    {' '.join(told)[:500]}",
        )


@pytest.fixture(scope="module")
def sender(fuzzed: tuple[Company, Known]) -> Iterator[Sender]:
    found = Sender(fuzzed[0].administrator)
    yield found
    found.session.close()


def of_part(operations: BaseSchema, part: str) -> list[APIOperation]:
    """The operations of a service, or those outside of all services; those that take something away come last."""
    found = []
    for result in operations.get_all_operations():
        operation = result.ok()
        prefix = operation.path.split("/")[2] if operation.path.startswith("/api/") else "oauth"
        if (part if "." not in prefix else "oauth") == part and (prefix if "." not in prefix else "oauth") == part:
            found.append(operation)
    taking = ("dismiss", "deactivate", "reinstate", "password", "sessions", "signing-keys")
    return sorted(found, key=lambda o: (o.method == "delete", o.path.endswith(taking)))


def examples(operation: APIOperation, mode: GenerationMode, send: Any) -> None:
    """Give made-up requests to `send`."""

    @hypothesis.settings(
        max_examples=EXAMPLES,
        derandomize=not FULL,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Case) -> None:
        send(case)

    run()


@pytest.mark.requirement("PL-3")
@pytest.mark.parametrize("part", ["oauth", "identity", "customers", "sales", "billing", "support", "analytics"])
def test_whatever_is_sent_the_answer_is_as_documented(
    operations: BaseSchema, fuzzed: tuple[Company, Known], sender: Sender, part: str
) -> None:
    known = fuzzed[1]
    chance = random.Random(part)
    sender.wrong.clear()
    sender.statuses.clear()
    tried = 0

    def fitting(case: Case) -> None:
        if chance.random() < 0.8 and isinstance(case.path_parameters, dict):
            case.path_parameters.update(known.in_path(case.operation.path, chance))
        case.body = known.in_body(case.body, chance)
        sender.send(case, CHECKS)

    def unfitting(case: Case) -> None:
        rows_alone = case.operation.path.endswith(ROW_BY_ROW)
        sender.send(case, CHECKS if rows_alone else [*CHECKS, negative_data_rejection])

    for operation in of_part(operations, part):
        if (operation.method, operation.path) in ENDING_OWN_SESSION:
            continue
        tried += 1
        examples(operation, GenerationMode.POSITIVE, fitting)
        if can_be_wrong(operation):
            examples(operation, GenerationMode.NEGATIVE, unfitting)
    print(part, tried, "operations", sender.statuses)
    assert tried > 0
    assert any(status < 300 for status in sender.statuses), sender.statuses
    assert not sender.wrong, "\n\n".join(f"{what}\n  {answer}" for what, answer in sender.wrong.items())
    assert httpx.get(f"{sender.person.address}/api/openapi.json").status_code == 200


def can_be_wrong(operation: APIOperation) -> bool:
    """Whether there is anything in a request to the operation that could not fit."""
    return bool(operation.body or operation.query or operation.path_parameters)
