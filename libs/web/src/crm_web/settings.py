"""What a service is told by its environment: variables `CRM_*`, or `CRM_*_FILE` with the path of a file that holds the value.

Files are for secrets: they stay out of process lists and container descriptions.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from crm_database import PoolSettings
from crm_kernel import CompanyCalendar, UnknownTimeZone

_PREFIX = "CRM_"
_FILE = "_FILE"


class SettingsInvalid(Exception):
    """A setting is missing or wrong; the text is one line that names it."""


class Settings(BaseModel):
    """The settings of one service process. `Settings.load()` reads the environment; tests give values as arguments.

    service: its name (`customers`). database_url: `postgresql://…`. kafka_bootstrap: `host:port`, empty where no bus is used.
    kafka_idempotence: off only for the embedded broker, which has no idempotent producer. public_url: the gateway's address as
    clients know it, also the tokens' issuer. signing_key: ≥ 32 bytes as hex, shared by all processes of all services; signs
    cursors and consistency tokens. services: all services of this deployment, with commas (`identity,customers`), empty: all that
    the event registry names; nobody waits for the reports of others. time_zone: the company's (PL-10). access_log_sample: share of
    ordinary requests that get a log line (failures and slow ones always do; the gateway logs every request). Times in seconds.

    A service with settings of its own derives from this class.
    """

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    service: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    database_url: SecretStr
    kafka_bootstrap: str = ""
    kafka_idempotence: bool = True
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 0
    public_url: Annotated[str, Field(pattern=r"^https?://[^/\s]+$")]
    signing_key: SecretStr
    services: Annotated[str, Field(pattern=r"^([a-z][a-z0-9_]*(,[a-z][a-z0-9_]*)*)?$")] = ""
    time_zone: str = "UTC"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    access_log_sample: Annotated[float, Field(ge=0, le=1)] = 0.0
    slow_request_seconds: Annotated[float, Field(gt=0)] = 1.0
    pool_max: Annotated[int, Field(ge=1)] = 12
    lock_timeout_seconds: Annotated[float, Field(gt=0)] = 5.0
    command_timeout_seconds: Annotated[float, Field(gt=0)] = 15.0
    drain_seconds: Annotated[float, Field(gt=0)] = 10.0

    @field_validator("signing_key")
    @classmethod
    def _is_a_key(cls, value: SecretStr) -> SecretStr:
        try:
            length = len(bytes.fromhex(value.get_secret_value()))
        except ValueError:
            raise ValueError("it must be hexadecimal") from None
        if length < 32:
            raise ValueError("it must have at least 32 bytes (64 hexadecimal digits)")
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_a_time_zone(cls, value: str) -> str:
        try:
            CompanyCalendar(value)
        except UnknownTimeZone:
            raise ValueError("it must be an IANA time zone such as Asia/Seoul") from None
        return value

    @property
    def dsn(self) -> str:
        """The database's connection URL, password included."""
        return self.database_url.get_secret_value()

    @property
    def key(self) -> bytes:
        """The signing key's bytes."""
        return bytes.fromhex(self.signing_key.get_secret_value())

    @property
    def pool(self) -> PoolSettings:
        """Sizes and limits for `Database.open`."""
        return PoolSettings(
            # None at the start: the database may come later than the service (PL-46).
            min_size=0,
            max_size=self.pool_max,
            command_timeout=self.command_timeout_seconds,
            lock_timeout=self.lock_timeout_seconds,
        )

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Read the environment (the process's own when None); `given` wins over it. Raises SettingsInvalid."""
        values: dict[str, Any] = _from_environment(os.environ if environ is None else environ)
        try:
            return cls.model_validate({**values, **given})
        except ValidationError as refused:
            first = refused.errors(include_url=False, include_input=False)[0]
            name = _PREFIX + str(first["loc"][0]).upper()
            if first["type"] == "missing":
                raise SettingsInvalid(f"{name} is not set (nor {name}{_FILE}, a file that holds it)") from None
            raise SettingsInvalid(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None


def _from_environment(environ: Mapping[str, str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in environ.items():
        if not name.startswith(_PREFIX):
            continue
        if not name.endswith(_FILE):
            values[name.removeprefix(_PREFIX).lower()] = value
            continue
        plain = name.removesuffix(_FILE)
        if plain in environ:
            raise SettingsInvalid(f"{plain} and {name} are both set: which one counts?")
        try:
            content = Path(value).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise SettingsInvalid(f"{name}: {value} can't be read ({reason})") from None
        values[plain.removeprefix(_PREFIX).lower()] = content.strip()
    return values
