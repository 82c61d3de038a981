"""Users of the brokers and what they may, over Kafka's own administration: passwords (SCRAM) and rights (ACLs).

aiokafka's administration has neither; docs/decisions/0026 says why this is confluent-kafka.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from crm_contracts.rights import Right

if TYPE_CHECKING:
    from confluent_kafka.admin import AclBinding, AclBindingFilter, AdminClient

    from crm_events import Login

_LIMIT_SECONDS = 10.0
#: As Kafka's own tools derive a key from a password.
_ITERATIONS = 8192


class BrokerRefused(Exception):
    """The brokers did not do it; the text says what was asked, and what they said."""


class NoSuchUser(Exception):
    """The brokers know no user of that name."""


def new_password() -> str:
    """A password that nobody guesses: 192 bits, of letters, digits, - and _."""
    return secrets.token_urlsafe(24)


class Users:
    """The users of one Kafka. Everything may be done twice: what is so already stays as it is. Raises BrokerRefused."""

    def __init__(self, client: AdminClient) -> None:
        """See `users_of`."""
        self._client = client

    def names(self) -> set[str]:
        """All users that have a password."""
        return set(_answer("list the users", self._client.describe_user_scram_credentials(None)))

    def set_password(self, user: str, password: str) -> None:
        """Make the user, or give them another password; the old one logs nobody in any more."""
        from confluent_kafka.admin import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

        kind = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, _ITERATIONS)
        self._alter(UserScramCredentialUpsertion(user, kind, password.encode(), salt=secrets.token_bytes(32)))

    def remove(self, user: str) -> None:
        """Take the rights, which counts at once for connections that are open, and the password. Raises NoSuchUser."""
        from confluent_kafka.admin import ScramMechanism, UserScramCredentialDeletion

        had_rights = bool(self.rights(user))
        self._revoke(self._bindings(user))
        if user in self.names():
            self._alter(UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512))
        elif not had_rights:
            raise NoSuchUser(user)

    def rights(self, user: str) -> set[Right]:
        """What the user may, of what we give; see `set_rights`."""
        return {right for binding in self._bindings(user) if (right := _right(binding)) is not None}

    def set_rights(self, user: str, rights: Iterable[Right]) -> None:
        """Give the user exactly these: what is lacking is added first, then whatever else they have is taken."""
        wanted = {_binding(user, right) for right in rights}
        there = set(self._bindings(user))
        if lacking := sorted(wanted - there):
            for answer in self._client.create_acls(lacking, request_timeout=_LIMIT_SECONDS).values():
                _answer(f"give {user} a right", answer)
        self._revoke(there - wanted)

    def _bindings(self, user: str) -> list[AclBinding]:
        found: list[AclBinding] = _answer(
            f"list the rights of {user}", self._client.describe_acls(_all_of(user), request_timeout=_LIMIT_SECONDS)
        )
        return found

    def _revoke(self, bindings: Iterable[AclBinding]) -> None:
        filters = [_exactly(binding) for binding in bindings]
        if filters:
            for answer in self._client.delete_acls(filters, request_timeout=_LIMIT_SECONDS).values():
                _answer("take a right", answer)

    def _alter(self, alteration: Any) -> None:
        answers = self._client.alter_user_scram_credentials([alteration], request_timeout=_LIMIT_SECONDS)
        _answer(f"set the password of {alteration.user}", answers[alteration.user])


@contextmanager
def users_of(bootstrap: str, login: Login) -> Iterator[Users]:
    """The users of the brokers at that address, as somebody who may administrate them. Raises BrokerRefused when they can't be reached."""
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    heard = _Heard()
    settings: dict[str, Any] = {
        "bootstrap.servers": bootstrap,
        "client.id": "crm-administrator",
        "security.protocol": login.security.upper(),
        "socket.timeout.ms": int(_LIMIT_SECONDS * 1000),
    }
    if login.has_user:
        settings |= {
            "sasl.mechanism": login.mechanism,
            "sasl.username": login.username,
            "sasl.password": login.password,
        }
    if login.ca:
        settings["ssl.ca.pem"] = login.ca
    client = AdminClient(settings, logger=heard.log)
    # A first question, so that a wrong address or password is told as that and not by whatever is asked next.
    try:
        client.list_topics(timeout=_LIMIT_SECONDS)
    except KafkaException as error:
        client.poll(0)
        raise BrokerRefused(f"{bootstrap} can't be reached: {heard.first or _words(error)}") from error
    users = Users(client)
    # Asked for the users by somebody who may not, the library (2.16) frees memory twice, which ends the process.
    # Rights need the same right.
    users.rights(login.username)
    yield users


class _Heard(logging.Handler):
    """Keeps why the library could not connect: its errors tell only that it could not."""

    def __init__(self) -> None:
        super().__init__()
        self.first: str | None = None
        self.log = logging.Logger("crm_administrator")
        self.log.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        # FAIL [client] [thrd:broker]: what happened
        self.first = self.first or record.getMessage().partition("]: ")[2]


def _answer(what: str, answer: Any) -> Any:
    """What the brokers answered, as a future. Raises BrokerRefused."""
    from confluent_kafka import KafkaException

    future: Future[Any] = answer
    try:
        return future.result(timeout=_LIMIT_SECONDS + 5)
    except (KafkaException, TimeoutError) as error:
        raise BrokerRefused(f"could not {what}: {_words(error)}") from error


def _words(error: BaseException) -> str:
    """What Kafka says, without the class and the number around it."""
    told = error.args[0] if error.args else error
    return str(told.str()) if hasattr(told, "str") else str(told) or type(error).__name__


def _principal(user: str) -> str:
    return f"User:{user}"


def _binding(user: str, right: Right) -> AclBinding:
    from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

    return AclBinding(
        ResourceType[right.resource.upper()],
        right.name,
        ResourcePatternType.PREFIXED if right.is_prefix else ResourcePatternType.LITERAL,
        _principal(user),
        "*",
        AclOperation[right.operation.upper()],
        AclPermissionType.ALLOW,
    )


def _right(binding: AclBinding) -> Right | None:
    """The right that a binding gives; None when it is none of those that we give."""
    from confluent_kafka.admin import AclPermissionType, ResourcePatternType

    resource, operation = binding.restype.name.lower(), binding.operation.name.lower()
    if binding.permission_type != AclPermissionType.ALLOW or resource not in ("topic", "group"):
        return None
    return Right(resource, binding.name, operation, binding.resource_pattern_type == ResourcePatternType.PREFIXED)


def _all_of(user: str) -> AclBindingFilter:
    from confluent_kafka.admin import (
        AclBindingFilter,
        AclOperation,
        AclPermissionType,
        ResourcePatternType,
        ResourceType,
    )

    anything = (AclOperation.ANY, AclPermissionType.ANY)
    return AclBindingFilter(ResourceType.ANY, None, ResourcePatternType.ANY, _principal(user), None, *anything)


def _exactly(binding: AclBinding) -> AclBindingFilter:
    from confluent_kafka.admin import AclBindingFilter

    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
