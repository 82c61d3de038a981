"""Departments and people by the first administrator; what is sold, the pool and the queues by the company's own."""

from crm_stack.demo.company.dealings import QUEUES
from crm_stack.demo.company.facts import Department
from crm_stack.demo.company.load.staff import Staff, ref

ADMINISTRATOR = "user/administrator"
POOL = "Trade fair leads"


def load_people(staff: Staff, password: str) -> None:
    """Departments, users, and who leads what."""
    _departments(staff, managed=False)
    roles = {
        role["shipped"]: role["id"] for role in staff.operator.get("/api/identity/v1/roles")["items"] if role["shipped"]
    }
    root = next(d["id"] for d in staff.operator.pages("/api/identity/v1/departments") if d["parent_id"] is None)
    rows = []
    for person in staff.plan.people.values():
        place = {"department_ref": ref(person.department)} if person.department else {"department_id": root}
        above = {"superior_ref": ref(person.superior)} if person.superior else {}
        rows.append(
            {
                "external_ref": ref(person.key),
                "name": person.name,
                "email": person.email,
                "position": person.position,
                "locale": person.language,
                "role_ids": [roles[person.role]],
                "status": "active",
                "password": password,
                **place,
                **above,
            }
        )
    staff.progress("people", 0, len(rows))
    answers = staff.operator.rows(
        "/api/identity/v1/users/batch", rows, lambda count: staff.progress("people", count, len(rows))
    )
    staff.written["people"] = sum(answer["done"] == "created" for answer in answers)
    staff.ids |= {key: answer["id"] for key, answer in zip(staff.plan.people, answers, strict=True)}
    _departments(staff, managed=True)


def _departments(staff: Staff, *, managed: bool) -> None:
    rows = [_row(staff, one, managed=managed) for one in staff.plan.departments]
    answers = staff.operator.rows(
        "/api/identity/v1/departments/batch", rows, lambda count: staff.progress("departments", count, len(rows))
    )
    staff.ids |= {one.key: answer["id"] for one, answer in zip(staff.plan.departments, answers, strict=True)}


def _row(staff: Staff, one: Department, *, managed: bool) -> dict[str, object]:
    return {
        "external_ref": ref(one.key),
        "name": one.name,
        "business_area": one.area,
        **({"parent_ref": ref(one.parent)} if one.parent else {}),
        **({"manager_id": staff.ids[one.manager]} if managed else {}),
    }


def load_settings(staff: Staff, currency: str) -> None:
    """Products, a pool for leads of trade fairs, and the queues of the support department."""
    products = [one for one in staff.plan.products if one.key not in staff.known["product"]]
    rows = [
        {
            "external_ref": ref(one.key),
            "code": one.code,
            "name": one.name,
            "category": one.category,
            "list_price": money(one.price, currency),
        }
        for one in products
    ]
    staff.rows("products", "/api/sales/v1/products/batch", {ADMINISTRATOR: rows}, mode="upsert")
    administrator = staff.person(ADMINISTRATOR)
    pools = {pool["name"]: pool["id"] for pool in administrator.get("/api/customers/v1/pools")["items"]}
    if POOL not in pools:
        body = {"name": POOL, "open_to_all": False, "member_department_ids": [staff.ids["department/sales"]]}
        pools[POOL] = administrator.once("POST", "/api/customers/v1/pools", body)["id"]
    staff.ids["pool"] = pools[POOL]
    queues = {queue["key"] for queue in administrator.get("/api/support/v1/queues")["items"]}
    for key, name in QUEUES.items():
        if key not in queues:
            body = {"key": key, "name": name, "member_department_ids": [staff.ids["department/support"]]}
            administrator.once("POST", "/api/support/v1/queues", body)


def money(amount: int, currency: str) -> dict[str, str]:
    """Whole units as the API takes money."""
    return {"amount": str(amount), "currency": currency}
