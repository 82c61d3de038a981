"""Settings: from variables or files, and one clear line when one is wrong."""

from pathlib import Path

import pytest

from crm_web import Settings, SettingsInvalid

GOOD = {
    "CRM_SERVICE": "notes",
    "CRM_DATABASE_URL": "postgresql://u:secret@localhost/db",
    "CRM_PUBLIC_URL": "https://crm.example",
    "CRM_SIGNING_KEY": "ab" * 32,
}


def test_settings_are_read_from_variables() -> None:
    loaded = Settings.load({**GOOD, "CRM_HTTP_PORT": "8080", "CRM_KAFKA_IDEMPOTENCE": "false", "PATH": "/bin"})
    assert (loaded.service, loaded.http_port, loaded.kafka_idempotence) == ("notes", 8080, False)
    assert (loaded.dsn, loaded.key) == ("postgresql://u:secret@localhost/db", b"\xab" * 32)
    assert (loaded.pool.min_size, loaded.pool.max_size) == (0, 12)


def test_secrets_are_not_shown() -> None:
    loaded = Settings.load(GOOD)
    assert "secret" not in repr(loaded)
    assert "abab" not in repr(loaded)


def test_any_setting_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("cd" * 32 + "\n")
    given = {name: value for name, value in GOOD.items() if name != "CRM_SIGNING_KEY"}
    assert Settings.load({**given, "CRM_SIGNING_KEY_FILE": str(file)}).key == b"\xcd" * 32


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"CRM_DATABASE_URL": None}, "CRM_DATABASE_URL is not set (nor CRM_DATABASE_URL_FILE, a file that holds it)"),
        ({"CRM_HTTP_PORT": "x"}, "CRM_HTTP_PORT: "),
        ({"CRM_HTTP_PORT": "70000"}, "CRM_HTTP_PORT: "),
        ({"CRM_SIGNING_KEY": "zz"}, "CRM_SIGNING_KEY: it must be hexadecimal"),
        ({"CRM_SIGNING_KEY": "ab" * 31}, "CRM_SIGNING_KEY: it must have at least 32 bytes"),
        ({"CRM_PUBLIC_URL": "crm.example"}, "CRM_PUBLIC_URL: "),
        ({"CRM_LOG_LEVEL": "loud"}, "CRM_LOG_LEVEL: "),
        ({"CRM_TIME_ZONE": "Mars/Olympus"}, "CRM_TIME_ZONE: it must be an IANA time zone"),
        ({"CRM_SIGNING_KEY_FILE": "/nowhere"}, "CRM_SIGNING_KEY and CRM_SIGNING_KEY_FILE are both set"),
        ({"CRM_SIGNING_KEY": None, "CRM_SIGNING_KEY_FILE": "/nowhere"}, "CRM_SIGNING_KEY_FILE: /nowhere can't be read"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changed: dict[str, str | None], said: str) -> None:
    environ = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    with pytest.raises(SettingsInvalid) as refused:
        Settings.load(environ)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
