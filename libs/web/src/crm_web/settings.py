"""What a service is told by its environment: variables `CRM_*`, or `CRM_*_FILE` with the path of a file that holds the value.

Files are for secrets: they stay out of process lists and container descriptions.
"""

import difflib
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from crm_database import PoolSettings
from crm_events.login import Login, Mechanism, Security
from crm_kernel import CompanyCalendar, UnknownTimeZone

_PREFIX = "CRM_"
_FILE = "_FILE"
_THIS_MACHINE = frozenset({"127.0.0.1", "localhost"})


def _is_a_database(value: SecretStr) -> SecretStr:
    try:
        parts = urlsplit(value.get_secret_value())
        named = parts.hostname and parts.username and len(parts.path) > 1 and parts.port != 0
    except ValueError:  # Its words would show the value.
        named = False
    if not named or parts.scheme not in ("postgresql", "postgres"):
        raise ValueError("it must be like postgresql://user:password@host:5432/name")
    return value


#: The URL of a database, password included.
DatabaseUrl = Annotated[SecretStr, AfterValidator(_is_a_database)]


class SettingsInvalid(Exception):
    """Settings are missing or wrong; `problems` has one line for each, which names it. The text is those lines."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class FromEnvironment(BaseModel):
    """Settings of some process of ours: each field `http_port` is the variable `CRM_HTTP_PORT`, or the file `CRM_HTTP_PORT_FILE`."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    @classmethod
    def load(cls, environ: Mapping[str, str] | None = None, **given: Any) -> Self:
        """Read the environment (the process's own when None); `given` wins over it. Raises SettingsInvalid."""
        values, problems = from_environment(os.environ if environ is None else environ)
        try:
            loaded = cls.model_validate({**values, **given})
        except ValidationError as refused:
            unread = {problem.partition(":")[0].removesuffix(_FILE) for problem in problems}
            for error in refused.errors(include_url=False, include_input=False):
                name = _PREFIX + str(error["loc"][0]).upper()
                # A secret whose file can't be read was already named.
                if name not in unread:
                    problems.append(cls._in_words(name, error["type"], error["msg"]))
            raise SettingsInvalid(*problems) from None
        if problems:
            raise SettingsInvalid(*problems)
        return loaded

    @classmethod
    def _in_words(cls, name: str, kind: str, said: str) -> str:
        field = cls.model_fields[name.removeprefix(_PREFIX).lower()]
        meaning = f" ({(field.description or '').rstrip('.')})" if field.description else ""
        if kind == "missing":
            return f"{name} is not set (nor {name}{_FILE}, a file that holds it){meaning}"
        return f"{name}: {said.removeprefix('Value error, ')}{meaning}"


class KafkaSettings(FromEnvironment):
    """Where the bus is, and how one logs in there: of services and of operators' tools."""

    kafka_bootstrap: Annotated[
        str,
        Field(
            pattern=r"^([^\s:,]+:[0-9]+(,[^\s:,]+:[0-9]+)*)?$",
            description="The bus: `host:port`, several with commas. A worker needs it.",
        ),
    ] = ""
    kafka_security: Annotated[
        Security,
        Field(
            description="How the brokers are spoken to: `plaintext`, `ssl` (TLS), `sasl_plaintext` (with a log-in), `sasl_ssl` (both)."
        ),
    ] = "plaintext"
    kafka_mechanism: Annotated[
        Mechanism,
        Field(
            description="How one logs in at the brokers: `SCRAM-SHA-512`, `SCRAM-SHA-256` or `PLAIN` (with TLS, or on this machine)."
        ),
    ] = "SCRAM-SHA-512"
    kafka_username: Annotated[
        str, Field(validate_default=True, description="Whom to log in as; `sasl_plaintext` and `sasl_ssl` need it.")
    ] = ""
    kafka_password: Annotated[SecretStr | None, Field(validate_default=True, description="That user's password.")] = (
        None
    )
    kafka_ca: Annotated[
        str,
        Field(
            description="Certificates, in PEM, of whom the brokers' may be; give it as a file. Empty: those that the system trusts."
        ),
    ] = ""

    # What a field is compared with was declared before it; where that one was refused itself, it is not there.

    @field_validator("kafka_mechanism")
    @classmethod
    def _keeps_the_password(cls, value: Mechanism, info: ValidationInfo) -> Mechanism:
        brokers = str(info.data.get("kafka_bootstrap", "")).split(",")
        nearby = {broker.rpartition(":")[0] for broker in brokers} <= _THIS_MACHINE
        if value == "PLAIN" and info.data.get("kafka_security") == "sasl_plaintext" and not nearby:
            raise ValueError("PLAIN sends the password as it is: CRM_KAFKA_SECURITY must be sasl_ssl")
        return value

    @field_validator("kafka_username", "kafka_password")
    @classmethod
    def _fits_the_log_in(cls, value: Any, info: ValidationInfo) -> Any:
        security = info.data.get("kafka_security")
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if security in ("sasl_plaintext", "sasl_ssl") and not text:
            raise ValueError(f"it must be set, because CRM_KAFKA_SECURITY is {security}")
        if security in ("plaintext", "ssl") and text:
            raise ValueError(f"it would not be used: CRM_KAFKA_SECURITY is {security}, which logs nobody in")
        return value

    @field_validator("kafka_ca")
    @classmethod
    def _is_a_certificate(cls, value: str, info: ValidationInfo) -> str:
        security = info.data.get("kafka_security")
        if value and security in ("plaintext", "sasl_plaintext"):
            raise ValueError(f"it would not be used: CRM_KAFKA_SECURITY is {security}, which is without TLS")
        try:
            ssl.create_default_context(cadata=value or None)
        except ssl.SSLError:
            raise ValueError("it must be a certificate in PEM") from None
        return value

    @property
    def kafka_login(self) -> Login:
        """How a client of the bus is protected and who it is."""
        password = self.kafka_password
        return Login(
            security=self.kafka_security,
            username=self.kafka_username,
            password="" if password is None else password.get_secret_value(),
            mechanism=self.kafka_mechanism,
            ca=self.kafka_ca,
        )


class Settings(KafkaSettings):
    """The settings of one service process. `Settings.load()` reads the environment; tests give values as arguments.

    What each is for stands at it, for people too: the tables in the services' READMEs are made of it (crm_web.settings_list).
    A service with settings of its own derives from this class.
    """

    service: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", description="The service's name, such as `customers`.")]
    database_url: Annotated[
        DatabaseUrl, Field(description="Its database: `postgresql://user:password@host:5432/name`.")
    ]
    kafka_idempotence: Annotated[
        bool, Field(description="Off only for the embedded broker, which has no idempotent producer.")
    ] = True
    http_host: Annotated[str, Field(description="The address that it listens on; in a container `0.0.0.0`.")] = (
        "127.0.0.1"
    )
    http_port: Annotated[int, Field(ge=0, le=65535, description="The port that it listens on; 0 takes any.")] = 0
    public_url: Annotated[
        str,
        Field(
            pattern=r"^https?://[^/\s]+$",
            description="The gateway's address as clients know it, without a path; also the tokens' issuer.",
        ),
    ]
    signing_key: Annotated[
        SecretStr,
        Field(
            description="At least 32 bytes in hexadecimal, the same for all services: signs cursors and consistency tokens."
        ),
    ]
    services: Annotated[
        str,
        Field(
            pattern=r"^([a-z][a-z0-9_]*(,[a-z][a-z0-9_]*)*)?$",
            description="All services of this deployment, with commas; nobody waits for the reports of others. Empty: all there are.",
        ),
    ] = ""
    archive_url: Annotated[
        str,
        Field(
            pattern=r"^((file|s3|s3a|gs|az|abfs|abfss)://.+)?$",
            description="Where old months of the journal lie: `s3://bucket/folder`, `gs://…`, `az://…` or `file:///folder`, of which "
            "all processes of all services see the same. The clouds' own variables (`AWS_…`) say who we are there.",
        ),
    ] = ""
    journal_keep_months: Annotated[
        int,
        Field(
            ge=0,
            le=1200,
            description="How many months of the journal, besides the present one, stay whole in the database; the worker archives older "
            "ones. 0: all stay.",
        ),
    ] = 0
    time_zone: Annotated[str, Field(description="The company's (IANA) until identity's company record is known.")] = (
        "UTC"
    )
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="`debug`, `info`, `warning` or `error`.")
    ] = "info"
    access_log_sample: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of ordinary requests that get a log line, 0 to 1; failed and slow ones always do.",
        ),
    ] = 0.0
    slow_request_seconds: Annotated[float, Field(gt=0, description="From so many seconds on a request is slow.")] = 1.0
    pool_max: Annotated[int, Field(ge=1, description="The most database connections of one process.")] = 12
    lock_timeout_seconds: Annotated[
        float, Field(gt=0, description="The most seconds that a statement waits for a lock.")
    ] = 5.0
    command_timeout_seconds: Annotated[float, Field(gt=0, description="The most seconds that a statement takes.")] = (
        15.0
    )
    drain_seconds: Annotated[
        float, Field(gt=0, description="After SIGTERM: seconds for requests and batches under way.")
    ] = 10.0

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

    @field_validator("journal_keep_months")
    @classmethod
    def _has_an_archive(cls, value: int, info: ValidationInfo) -> int:
        # A wrong address has a line of its own, and is not here then.
        if value and info.data.get("archive_url") == "":
            raise ValueError("CRM_ARCHIVE_URL must say where older months go")
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


def misspelt(settings: type[FromEnvironment], environ: Mapping[str, str]) -> list[str]:
    """One line for each variable of the environment that is no setting but nearly one: it would be passed over in silence."""
    known = [_PREFIX + name.upper() for name in settings.model_fields]
    lines = []
    for name in sorted(environ):
        plain = name.removesuffix(_FILE)
        if name.startswith(_PREFIX) and plain not in known:
            near = difflib.get_close_matches(plain, known, n=1, cutoff=0.85)
            lines += [f"{name} is not a setting: was {near[0]} meant?"] if near else []
    return lines


def from_environment(environ: Mapping[str, str], prefix: str = _PREFIX) -> tuple[dict[str, Any], list[str]]:
    """The values (`http_port` → "8000") of variables `CRM_*` and of the files that `CRM_*_FILE` name, and what is wrong there."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, value in environ.items():
        if not name.startswith(prefix):
            continue
        if not name.endswith(_FILE):
            values[name.removeprefix(prefix).lower()] = value
            continue
        plain = name.removesuffix(_FILE)
        if plain in environ:
            problems.append(f"{plain} and {name} are both set: which one counts?")
            continue
        try:
            content = Path(value).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            problems.append(f"{name}: {value} can't be read ({reason})")
            continue
        values[plain.removeprefix(prefix).lower()] = content.strip()
    return values, problems
