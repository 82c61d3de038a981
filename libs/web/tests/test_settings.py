"""Settings: from variables or files, and one clear line when one is wrong."""

import ssl
from pathlib import Path

import pytest

from crm_web import Settings, SettingsInvalid

GOOD = {
    "CRM_SERVICE": "notes",
    "CRM_DATABASE_URL": "postgresql://u:secret@localhost/db",
    "CRM_PUBLIC_URL": "https://crm.example",
    "CRM_SIGNING_KEY": "ab" * 32,
}
SASL: dict[str, str | None] = {
    "CRM_KAFKA_BOOTSTRAP": "kafka.example:9094",
    "CRM_KAFKA_SECURITY": "sasl_ssl",
    "CRM_KAFKA_USERNAME": "sales",
    "CRM_KAFKA_PASSWORD": "secret",
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
        ({"CRM_KAFKA_SECURITY": "tls"}, "CRM_KAFKA_SECURITY: "),
        ({"CRM_KAFKA_PASSWORD": "secret"}, "CRM_KAFKA_PASSWORD: it would not be used: CRM_KAFKA_SECURITY is plaintext"),
        (
            SASL | {"CRM_KAFKA_USERNAME": None},
            "CRM_KAFKA_USERNAME: it must be set, because CRM_KAFKA_SECURITY is sasl_ssl",
        ),
        (
            SASL | {"CRM_KAFKA_PASSWORD": None},
            "CRM_KAFKA_PASSWORD: it must be set, because CRM_KAFKA_SECURITY is sasl_ssl",
        ),
        (SASL | {"CRM_KAFKA_SECURITY": "ssl", "CRM_KAFKA_PASSWORD": None}, "CRM_KAFKA_USERNAME: it would not be used"),
        (
            SASL | {"CRM_KAFKA_SECURITY": "sasl_plaintext", "CRM_KAFKA_MECHANISM": "PLAIN"},
            "CRM_KAFKA_MECHANISM: PLAIN sends the password as it is: CRM_KAFKA_SECURITY must be sasl_ssl",
        ),
        (SASL | {"CRM_KAFKA_CA": "secret"}, "CRM_KAFKA_CA: it must be a certificate in PEM"),
        (SASL | {"CRM_KAFKA_CA": "x", "CRM_KAFKA_SECURITY": "sasl_plaintext"}, "CRM_KAFKA_CA: it would not be used"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(changed: dict[str, str | None], said: str) -> None:
    environ = {name: value for name, value in {**GOOD, **changed}.items() if value is not None}
    with pytest.raises(SettingsInvalid) as refused:
        Settings.load(environ)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_log_in_at_the_bus_is_read_and_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret-of-the-bus\n")
    given = {name: value for name, value in (GOOD | SASL).items() if value is not None and name != "CRM_KAFKA_PASSWORD"}
    login = Settings.load({**given, "CRM_KAFKA_PASSWORD_FILE": str(file)}).kafka_login
    arguments = login.client("kafka.example:9094")
    assert arguments.pop("ssl_context").verify_mode == ssl.CERT_REQUIRED
    assert arguments == {
        "bootstrap_servers": "kafka.example:9094",
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "sales",
        "sasl_plain_password": "secret-of-the-bus",
    }
    assert "secret-of-the-bus" not in repr(login)


def test_without_a_word_the_bus_is_asked_for_nothing() -> None:
    assert Settings.load(GOOD).kafka_login.client("kafka:9092") == {
        "bootstrap_servers": "kafka:9092",
        "security_protocol": "PLAINTEXT",
    }


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_password_may_go_as_it_is_where_it_does_not_leave_the_machine(host: str) -> None:
    given = SASL | {"CRM_KAFKA_SECURITY": "sasl_plaintext", "CRM_KAFKA_MECHANISM": "PLAIN"}
    environ = {name: value for name, value in (GOOD | given).items() if value is not None}
    assert Settings.load(environ | {"CRM_KAFKA_BOOTSTRAP": f"{host}:9095"}).kafka_login.mechanism == "PLAIN"
    with pytest.raises(SettingsInvalid):
        Settings.load(environ | {"CRM_KAFKA_BOOTSTRAP": f"{host}:9095,kafka.example:9095"})
