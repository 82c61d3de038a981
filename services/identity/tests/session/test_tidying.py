import datetime as dt

from services.identity.tests.conftest import Identity

from crm_identity.session.tidying import tidy


async def test_only_what_is_long_over_is_removed(identity: Identity) -> None:
    over, running = await identity.login(), await identity.login()
    await identity.token("nobody@example.com", "wrong")
    assert (await over.call("POST", "/oauth/logout")).status_code == 204
    await tidy(identity.database, identity.clock.now() + dt.timedelta(hours=23))
    assert await identity.value("SELECT count(*) FROM refresh_token") == 2
    await tidy(identity.database, identity.clock.now() + dt.timedelta(hours=25))
    assert await identity.value("SELECT count(*) FROM refresh_token") == 1
    assert await identity.value("SELECT count(*) FROM login_guard") == 0
    assert await identity.value("SELECT count(*) FROM login_session") == 2
    assert (await running.refresh()).status_code == 200
