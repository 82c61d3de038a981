import asyncio
import threading
from pathlib import Path

import pytest
from services.identity.tests.conftest import ADMIN, PASSWORD, Identity

import crm_identity
from crm_authz import SHIPPED_ROLES
from crm_database.migrate import upgrade
from crm_identity.bootstrap import bootstrap
from crm_kernel import Invalid
from crm_testing.servers import MakeDatabase, SharedPostgres


@pytest.fixture(scope="session")
def migrated(postgres_server: SharedPostgres) -> str:
    return postgres_server.template("identity-empty", lambda dsn: upgrade("identity", dsn))


@pytest.mark.requirement("ID-1")
def test_the_first_start_makes_one_company_however_many_start_at_once(
    migrated: str, make_database: MakeDatabase, postgres_server: SharedPostgres
) -> None:
    dsn = make_database(migrated)
    created = []

    def start() -> None:
        created.append(bootstrap(dsn, email=ADMIN, password=PASSWORD, company="One").created)

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False, False, True]
    assert not bootstrap(dsn, email="other@example.com", password=PASSWORD, company="Two").created
    database = dsn.rpartition("/")[2]
    counts = postgres_server.execute(
        "SELECT (SELECT count(*) FROM company), (SELECT count(*) FROM app_user), (SELECT count(*) FROM department), "
        "(SELECT count(*) FROM role)",
        database=database,
    )
    assert counts.strip().split("|") == ["1", "1", "1", str(len(SHIPPED_ROLES))]


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"email": "nobody"}, "/email"),
        ({"password": "only eight"}, "/password"),
        ({"time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"currency": "XXX1"}, "/currency"),
        ({"locale": "tlh"}, "/locale"),
    ],
)
def test_what_is_not_acceptable_is_said_and_nothing_is_made(
    migrated: str, make_database: MakeDatabase, given: dict[str, str], pointer: str
) -> None:
    dsn = make_database(migrated)
    with pytest.raises(Invalid) as refused:
        bootstrap(dsn, **{"email": ADMIN, "password": PASSWORD, **given})
    assert [error.pointer for error in refused.value.errors] == [pointer]
    assert bootstrap(dsn, email=ADMIN, password=PASSWORD).created


@pytest.mark.requirement("ID-1", "ID-10")
async def test_the_first_administrator_logs_in_and_may_everything(identity: Identity) -> None:
    admin = await identity.login()
    me = (await admin.get("/me")).json()
    assert me["user"]["super_admin"]
    assert [role["shipped"] for role in me["roles"]] == ["super_administrator"]
    assert me["permissions"]["customers"] == {"*": ["*"]}
    assert me["scopes"]["sales"] == {"*": {"*": ["all"]}}
    shipped = {role["shipped"] for role in (await admin.get("/roles")).json()["items"]}
    assert shipped == {role.key for role in SHIPPED_ROLES}
    company = (await admin.get("/company")).json()
    assert (company["name"], company["time_zone"], company["currency"]) == ("Example Ltd", "Asia/Seoul", "KRW")


async def test_nothing_that_is_told_has_a_secret(identity: Identity) -> None:
    await identity.login()
    told = str(await identity.events())
    stored = await identity.value("SELECT password_hash FROM credential")
    private = await identity.value("SELECT private_pem FROM signing_key")
    assert stored.startswith("$argon2id$")
    assert stored not in told
    assert private.startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert "PRIVATE" not in told
    assert "'d'" not in told


async def test_parallel_first_log_ins_make_one_key(identity: Identity) -> None:
    answers = await asyncio.gather(
        *(identity.client.get("/oauth/jwks.json") for _ in range(4)), *(identity.token(ADMIN) for _ in range(4))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert await identity.value("SELECT count(*) FROM signing_key") == 1


def test_the_package_has_what_it_reads() -> None:
    folder = Path(str(crm_identity.__file__)).parent
    assert (folder / "credential" / "common_passwords.txt").is_file()
