"""People come, log in, get other rights, move and leave; what they may follows at once, at every service (ID-24)."""

import re
import uuid
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from .company import PASSWORD, Company
from .person import EVERY_SERVICE, Person
from .waiting import A_SECOND, until

STALE = (401, "token.stale")
ALL_WELL = [(200, None)] * len(EVERY_SERVICE)


def refused_everywhere(person: Person, token: str, code: str = "token.stale") -> None:
    """A token is refused by every service within the promised second, and stays refused."""
    until(
        lambda: person.everywhere(token) == [(401, code)] * len(EVERY_SERVICE),
        A_SECOND,
        "every service refuses the token",
    )
    assert person.everywhere(token) == [(401, code)] * len(EVERY_SERVICE)


def refresh_refused(person: Person) -> None:
    """The refresh token is worth nothing any more; told as RFC 6749 says."""
    answer = person.token(grant_type="refresh_token", refresh_token=person.refresh_token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.requirement("ID-2")
def test_a_department_is_added_moved_and_removed(company: Company) -> None:
    admin = company.administrator
    body = {"name": "Лаборатория 연구소", "parent_id": company.root, "business_area": "other", "position": 3}
    made = admin.post("identity/departments", body)
    assert made.status == 201
    assert admin.get(made.headers["location"]) == made.body
    assert made["path"] == [company.root, made["id"]]
    north, child = company.department("North"), company.department("Child", made["id"])
    moved = admin.done("PATCH", f"identity/departments/{made['id']}", json={"parent_id": north}, match=made.etag)
    assert moved["path"] == [company.root, north, made["id"]]
    assert admin.get(f"identity/departments/{child}")["path"] == [company.root, north, made["id"], child]
    into_itself = admin.call("PATCH", f"identity/departments/{north}", json={"parent_id": child})
    assert into_itself.code == "department.cycle"
    assert admin.call("DELETE", f"identity/departments/{made['id']}").code == "department.not_empty"
    admin.done("DELETE", f"identity/departments/{child}")
    assert admin.call("GET", f"identity/departments/{child}").code == "department.not_found"
    missing_area = admin.call("POST", "identity/departments", json={"name": "x", "parent_id": company.root})
    assert (missing_area.status, missing_area.errors) == (422, [("/business_area", "field.required")])


@pytest.mark.requirement("ID-4", "ID-5", "ID-20")
def test_a_new_user_waits_for_activation_and_then_logs_in(company: Company) -> None:
    admin = company.administrator
    email = f"철수.{uuid.uuid4().hex[:8]}@crm.example"
    mobile = f"+8210{uuid.uuid4().int % 10**8:08}"
    body = {
        "name": "김철수",
        "email": email.replace("철수", "cheolsu"),
        "mobile": mobile,
        "department_id": company.root,
        "role_ids": [company.roles["sales_representative"]],
        "locale": "ko",
        "time_zone": "Asia/Seoul",
    }
    made = admin.post("identity/users", body)
    assert made["status"] == "pending_activation"
    person = company.person(made["email"])
    early = person.token(grant_type="password", username=made["email"], password=PASSWORD)
    assert (early.status_code, early.json()["error"]) == (400, "invalid_grant")
    active = admin.post(f"identity/users/{made['id']}/activate", {"password": PASSWORD})
    assert active["status"] == "active"
    me = person.sign_in().get("identity/me")
    assert (me["user"]["id"], me["user"]["name"], me["user"]["locale"]) == (made["id"], "김철수", "ko")
    company.person(mobile).sign_in()
    wrong = person.token(grant_type="password", username=made["email"], password="not this one at all")
    unknown = person.token(grant_type="password", username="nobody@crm.example", password=PASSWORD)
    assert (wrong.status_code, wrong.json()) == (unknown.status_code, unknown.json())


@pytest.mark.requirement("ID-5")
def test_a_new_user_chooses_a_password_with_the_code_that_the_administrator_passes_on(company: Company) -> None:
    admin = company.administrator
    email = f"code.{uuid.uuid4().hex[:8]}@crm.example"
    body = {"name": "Code", "email": email, "department_id": company.root, "role_ids": [company.roles["general"]]}
    made = admin.post("identity/users", body)
    code = admin.post(f"identity/users/{made['id']}/activation-code")["code"]
    with httpx.Client(base_url=company.stack.address) as anybody:
        path = "/api/identity/v1/activations"
        chosen = {"code": code, "password": "one-that-i-chose-myself"}
        assert anybody.post(path, json={**chosen, "code": "guessed"}).json()["code"] == "activation.refused"
        assert anybody.post(path, json=chosen).status_code < 300
        assert anybody.post(path, json=chosen).json()["code"] == "activation.refused"
    assert company.person(email, "one-that-i-chose-myself").sign_in().get("identity/me")["user"]["status"] == "active"


@pytest.mark.requirement("ID-10", "ID-11", "ID-24")
def test_another_role_makes_the_old_token_stale_everywhere_and_the_refreshed_one_works(company: Company) -> None:
    admin = company.administrator
    person = company.hire("Role Changer", "sales_representative", company.root, also=["support_agent"])
    product = {"code": f"X-{uuid.uuid4().hex[:6]}", "name": "Not theirs"}
    assert person.call("POST", "sales/products", json=product).code == "permission.missing"
    old = person.access_token
    admin.done("PATCH", f"identity/users/{person.id}", json={"role_ids": [company.roles["executive"]]})
    refused_everywhere(person, old)
    person.refresh()
    until(lambda: person.everywhere() == ALL_WELL, 10.0, "the refreshed token works everywhere")
    assert person.call("POST", "customers/customers", json={"name": "x"}).code == "permission.missing"
    everything = admin.get("customers/customers", params={"count": "exact", "limit": 1})["count"]
    assert person.get("customers/customers", params={"count": "exact", "limit": 1})["count"] == everything


@pytest.mark.requirement("ID-10", "ID-11", "ID-24")
def test_an_edited_role_takes_the_right_from_its_holders_at_once(company: Company) -> None:
    admin = company.administrator
    body = {
        "name": f"Bookkeeper {uuid.uuid4().hex[:6]}",
        "permissions": ["customers.customer:read", "customers.customer:create"],
        "scopes": {"customers.customer": {"*": {"scope": "self", "set_id": None}}},
    }
    role = admin.post("identity/roles", body)
    person = company.hire("Holder", "sales_representative", company.root)
    admin.done("PATCH", f"identity/users/{person.id}", json={"role_ids": [role["id"]]})
    person.refresh()
    until(lambda: person.call("GET", "customers/customers?limit=1").status == 200, 10.0, "customers knows the new role")
    made = person.post("customers/customers", {"name": "Before the edit"})
    old = person.access_token
    admin.done(
        "PATCH", f"identity/roles/{role['id']}", json={"permissions": ["customers.customer:read"]}, match=role.etag
    )

    def create_with_the_old_token() -> str | None:
        return person.call("POST", "customers/customers", json={"name": "After the edit"}, token=old).code

    until(lambda: create_with_the_old_token() == "token.stale", A_SECOND, "customers refuses the old token")
    person.refresh()
    until(lambda: person.call("GET", f"customers/customers/{made['id']}").status == 200, 10.0, "the new token works")
    assert person.call("POST", "customers/customers", json={"name": "After the edit"}).code == "permission.missing"


@pytest.mark.requirement("ID-5", "ID-24", "ID-22")
def test_who_is_dismissed_is_refused_everywhere(company: Company) -> None:
    admin = company.administrator
    person = company.hire("Leaver", "sales_representative", company.root, also=["support_agent"])
    assert person.everywhere() == ALL_WELL
    old = person.access_token
    admin.post(f"identity/users/{person.id}/dismiss")
    refused_everywhere(person, old)
    refresh_refused(person)
    again = person.token(grant_type="password", username=person.login, password=PASSWORD)
    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    # A super administrator can take it back; the old log-in stays ended.
    admin.post(f"identity/users/{person.id}/reinstate")
    assert person.everywhere(old) == [STALE] * len(EVERY_SERVICE)


@pytest.mark.requirement("ID-5", "ID-24")
def test_who_is_deactivated_is_refused_until_activated_again(company: Company) -> None:
    admin = company.administrator
    person = company.hire("On Leave", "sales_representative", company.root, also=["support_agent"])
    old = person.access_token
    admin.post(f"identity/users/{person.id}/deactivate")
    refused_everywhere(person, old)
    admin.post(f"identity/users/{person.id}/activate", {})
    person.sign_in()
    until(lambda: person.everywhere() == ALL_WELL, 10.0, "the new log-in works everywhere")


@pytest.mark.requirement("ID-20", "ID-24")
def test_who_logs_out_is_refused_everywhere_and_other_log_ins_go_on(company: Company) -> None:
    person = company.hire("Two Screens", "sales_representative", company.root, also=["support_agent"])
    other = company.person(person.login).sign_in()
    assert [s["current"] for s in person.get("identity/sessions")["items"]].count(True) == 1
    old = person.access_token
    answer = person.send("POST", "/oauth/logout")
    assert (answer.status_code, answer.content) == (204, b"")
    refused_everywhere(person, old)
    refresh_refused(person)
    assert other.everywhere() == ALL_WELL


@pytest.mark.requirement("ID-20", "ID-24")
def test_another_password_ends_the_other_log_ins(company: Company) -> None:
    person = company.hire("Careful", "sales_representative", company.root, also=["support_agent"])
    other = company.person(person.login).sign_in()
    old = other.access_token
    body = {"current_password": PASSWORD, "new_password": "another-long-enough-phrase"}
    person.done("POST", "identity/me/password", json=body)
    refused_everywhere(other, old)
    refresh_refused(other)
    person.refresh()
    until(lambda: person.everywhere() == ALL_WELL, 10.0, "the log-in that changed it goes on")
    company.person(person.login, "another-long-enough-phrase").sign_in()


@pytest.mark.requirement("ID-12", "ID-24", "PL-30")
def test_a_new_superior_sees_the_records_at_once_without_a_new_token(company: Company) -> None:
    """Scopes are rules: who stands where is the directory's, which each service has. The supervisors' tokens stay what they are."""
    office = company.department("Office")
    before, after = (company.hire(name, "supervisor", office) for name in ("Old Lead", "New Lead"))
    person = company.hire("Mover", "sales_representative", office, before)
    made = person.post("customers/customers", {"name": "Moves along"})
    customer = f"customers/customers/{made['id']}"
    deal = person.post("sales/opportunities", {"name": "Moves too"}, after=made.consistency)
    records = (customer, f"sales/opportunities/{deal['id']}", f"sales/opportunities/{deal['id']}/history")
    tokens = before.access_token, after.access_token

    def seen(lead: Person) -> list[int]:
        return [lead.call("GET", record).status for record in records]

    assert (seen(before), seen(after)) == ([200] * 3, [404] * 3)
    company.administrator.done("PATCH", f"identity/users/{person.id}", json={"superior_id": after.id})
    until(lambda: (seen(before), seen(after)) == ([404] * 3, [200] * 3), A_SECOND, "the leads see what they now lead")

    def counted(lead: Person) -> int:
        return int(lead.get("sales/opportunities", params={"count": "exact"})["count"])

    assert (counted(before), counted(after)) == (0, 1)
    assert (before.access_token, after.access_token) == tokens


@pytest.mark.requirement("ID-2", "ID-12", "ID-24", "PL-30")
def test_a_moved_department_changes_what_its_new_head_sees_without_a_new_token(company: Company) -> None:
    """Scope `department_tree`, by a role of the company's own."""
    admin = company.administrator
    role = admin.post(
        "identity/roles",
        {
            "name": f"Area head {uuid.uuid4().hex[:6]}",
            "permissions": [
                *("customers.customer:read", "sales.opportunity:read", "billing.contract:read", "support.ticket:read"),
                "analytics.report:read",
            ],
            "scopes": {
                "customers.*": {"*": {"scope": "department_tree", "set_id": None}},
                "sales.*": {"*": {"scope": "department_tree", "set_id": None}},
                "billing.*": {"*": {"scope": "department_tree", "set_id": None}},
                "support.*": {"*": {"scope": "department_tree", "set_id": None}},
                "analytics.*": {"*": {"scope": "department_tree", "set_id": None}},
            },
        },
    )
    area, elsewhere = company.department("Area"), company.department("Elsewhere")
    team = company.department("Team", elsewhere)
    head = company.hire("Area Head", "general", area)
    admin.done("PATCH", f"identity/users/{head.id}", json={"role_ids": [role["id"]]})
    head.refresh()
    until(lambda: head.everywhere() == ALL_WELL, 10.0, "the new role is known everywhere")
    member = company.hire("Team Member", "sales_representative", team)
    made = member.post("customers/customers", {"name": "In the moved team"})
    path = f"customers/customers/{made['id']}"
    token = head.access_token
    assert head.call("GET", path).status == 404
    admin.done("PATCH", f"identity/departments/{team}", json={"parent_id": area})
    until(lambda: head.call("GET", path, token=token).status == 200, A_SECOND, "the head sees the team's customer")
    admin.done("PATCH", f"identity/departments/{team}", json={"parent_id": elsewhere})
    until(lambda: head.call("GET", path, token=token).status == 404, A_SECOND, "the head sees it no more")


@pytest.mark.requirement("ID-10", "ID-11", "ID-12", "ID-20")
def test_me_says_who_one_is_and_what_one_may(company: Company) -> None:
    office = company.department("My Office")
    lead = company.hire("My Lead", "supervisor", office)
    person = company.hire("Myself", "sales_representative", office, lead)
    me = person.get("identity/me")
    assert me["user"]["id"] == person.id
    assert [role["shipped"] for role in me["roles"]] == ["sales_representative"]
    assert (me["place"]["department_id"], me["place"]["superior_name"]) == (office, "My Lead")
    assert me["scopes"]["sales"] == {"*": {"*": ["self"]}}
    assert "advance" in me["permissions"]["sales"]["opportunity"]
    assert "delete" not in me["permissions"]["customers"]["customer"]
    assert {"customers", "sales", "analytics"} <= set(me["modules"])
    changed = person.done("PATCH", "identity/me", json={"time_zone": "Asia/Seoul"})
    assert changed["user"]["time_zone"] == "Asia/Seoul"


@pytest.mark.requirement("ID-8")
def test_the_directory_shows_colleagues_to_everybody_and_nothing_more_to_a_general_user(company: Company) -> None:
    office = company.department("Directory Office")
    person = company.hire("Ordinary", "general", office)
    colleague = company.hire("Анна Listed", "sales_representative", office)
    company.administrator.post(f"identity/users/{company.hire('Gone', 'general', office).id}/dismiss")
    found = list(person.pages("identity/directory", department_id=office))
    assert {c["id"] for c in found} == {person.id, colleague.id}
    assert set(found[0]) == {"id", "name", "position", "department_id", "department_name"}
    assert [c["id"] for c in person.pages("identity/directory", q="анна listed")][-1:] == [colleague.id]
    refused = [person.call("GET", path) for path in ("customers/customers", "sales/opportunities", "identity/users")]
    assert [answer.status for answer in refused] == [403] * 3
    assert {answer.code for answer in refused} <= {"permission.module", "permission.missing"}


@pytest.mark.requirement("ID-20", "ID-21")
def test_a_standard_client_finds_everything_by_discovery_and_verifies_tokens_with_the_published_keys(
    company: Company,
) -> None:
    """RFC 8414, 7517, 9068, with a library that knows nothing of us."""
    person = company.hire("Standard", "sales_representative", company.root)
    with httpx.Client(base_url=company.stack.address) as client:
        found = client.get("/.well-known/openid-configuration").json()
        assert client.get("/.well-known/oauth-authorization-server").json() == found
        assert found["issuer"] == company.stack.address
        assert {"password", "refresh_token"} <= set(found["grant_types_supported"])
        form = {"grant_type": "password", "username": person.login, "password": PASSWORD}
        answer = client.post(found["token_endpoint"], data=form)
        assert answer.headers["cache-control"] == "no-store"
        tokens = answer.json()
        assert set(tokens) == {"access_token", "token_type", "expires_in", "refresh_token"}
        assert (tokens["token_type"], tokens["expires_in"] <= 300) == ("Bearer", True)
        keys = KeySet.import_key_set(client.get(found["jwks_uri"]).json())
    decoded = jwt.decode(tokens["access_token"], keys, algorithms=["ES256"])
    assert decoded.header["typ"] == "at+jwt"
    claims: dict[str, Any] = decoded.claims
    assert (claims["iss"], claims["aud"], claims["sub"]) == (company.stack.address, "crm-api", person.id)
    assert 0 < claims["exp"] - claims["iat"] <= 300
    assert claims["scp"]["sales"] == {"*": {"*": ["self"]}}
    assert len(tokens["access_token"]) < 4096
    assert not re.search("owner", str(claims)), "rules, not lists of owners"
