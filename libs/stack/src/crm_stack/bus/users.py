"""Users of the brokers and what they may, over Kafka's own administration: passwords (SCRAM) and rights (ACLs).

One connection to one broker: Kafka 4 hands what changes something on to its controller. docs/decisions/0026 says why no client
library does this.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal

from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError, for_code

from crm_contracts import rights
from crm_contracts.rights import Right
from crm_stack.bus.messages import (
    ALLOW,
    ANY,
    Acl,
    AlterUsers,
    CreateAcls,
    DeleteAcls,
    DescribeAcls,
    DescribeUsers,
    Operation,
    Pattern,
    Resource,
)

if TYPE_CHECKING:
    from crm_events import Login

_LIMIT_SECONDS = 10.0
_PAUSE_SECONDS = 0.05
#: As Kafka's own tools derive a key from a password.
_ITERATIONS = 8192
_EVERYWHERE = "*"
_RESOURCES: Mapping[int, Literal["topic", "group"]] = {Resource.TOPIC: "topic", Resource.GROUP: "group"}
_OPERATIONS: Mapping[int, rights.Operation] = {
    Operation.READ: "read",
    Operation.WRITE: "write",
    Operation.CREATE: "create",
    Operation.ALTER: "alter",
    Operation.DESCRIBE: "describe",
    Operation.ALTER_CONFIGS: "alter_configs",
}


class BrokerRefused(Exception):
    """The brokers did not do it; the text says what was asked, and what they said."""


class NoSuchUser(Exception):
    """The brokers know no user of that name."""


def new_password() -> str:
    """A password that nobody guesses: 192 bits, of letters, digits, - and _."""
    return secrets.token_urlsafe(24)


class Users:
    """The users of one Kafka. Everything may be done twice: what is so already stays as it is. Raises BrokerRefused.

    Rights and users are as they were made when a method is through: the broker that was asked acts by them.
    """

    def __init__(self, connection: AIOKafkaConnection) -> None:
        """See `users_of`."""
        self._connection = connection

    async def names(self) -> set[str]:
        """All users that have a password."""
        what = "list the users"
        answer = await self._ask(what, DescribeUsers())
        _check(what, answer.error_code, answer.error_message)
        return {user for user, _, _, credentials, _ in answer.results if credentials}

    async def set_password(self, user: str, password: str) -> None:
        """Make the user, or give them another password; the old one logs nobody in any more.

        The brokers are told what is derived from it, as they keep it, and never the password.
        """
        salt = secrets.token_bytes(32)
        salted = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
        await self._alter(user, AlterUsers(given=[(user, _ITERATIONS, salt, salted)]))

        async def is_there() -> bool:
            return user in await self.names()

        await _until(f"{user} is known", is_there)

    async def remove(self, user: str) -> None:
        """Take the rights, which counts for the next request of open connections, and the password. Raises NoSuchUser."""
        there = await self._acls(user)
        await self._revoke(user, there)
        if user not in await self.names():
            if not there:
                raise NoSuchUser(user)
            return
        await self._alter(user, AlterUsers(removed=[user]))

        async def is_gone() -> bool:
            return user not in await self.names()

        await _until(f"{user} is unknown", is_gone)

    async def rights(self, user: str) -> set[Right]:
        """What the user may, of what we give; see `set_rights`."""
        return {right for acl in await self._acls(user) if (right := _right(acl)) is not None}

    async def set_rights(self, user: str, given: Iterable[Right]) -> None:
        """Give the user exactly these: what is lacking is added first, then whatever else they have is taken."""
        wanted = {_acl(user, right) for right in given}
        there = await self._acls(user)
        if lacking := sorted(wanted - there, key=repr):
            what = f"give {user} a right"
            for code, message in (await self._ask(what, CreateAcls(lacking))).creation_responses:
                _check(what, code, message)
        await self._revoke(user, there - wanted)

        async def is_so() -> bool:
            return await self._acls(user) == wanted

        await _until(f"{user} has the rights", is_so)

    async def _acls(self, user: str) -> set[Acl]:
        what = f"list the rights of {user}"
        answer = await self._ask(what, DescribeAcls((ANY, None, ANY, _principal(user), None, ANY, ANY)))
        _check(what, answer.error_code, answer.error_message)
        return {(kind, name, pattern, *acl) for kind, name, pattern, acls in answer.resources for acl in acls}

    async def _revoke(self, user: str, acls: set[Acl]) -> None:
        if not acls:
            return
        what = f"take a right of {user}"
        for code, message, taken in (await self._ask(what, DeleteAcls(sorted(acls, key=repr)))).filter_responses:
            _check(what, code, message)
            for one in taken:
                _check(what, one[0], one[1])

        async def is_gone() -> bool:
            return not acls & await self._acls(user)

        await _until(f"{user} has no other right", is_gone)

    async def _alter(self, user: str, request: AlterUsers) -> None:
        what = f"set the password of {user}"
        for _, code, message, _ in (await self._ask(what, request)).results:
            _check(what, code, message)

    async def _ask(self, what: str, request: Any) -> Any:
        try:
            return await self._connection.send(request)
        # NotImplementedError: brokers that don't speak the version in which we ask.
        except (KafkaError, OSError, TimeoutError, NotImplementedError) as error:
            raise BrokerRefused(f"could not {what}: {_words(error)}") from error


@asynccontextmanager
async def users_of(bootstrap: str, login: Login) -> AsyncIterator[Users]:
    """The users of the brokers at that address, as somebody who may administrate them. Raises BrokerRefused when they can't be reached."""
    connection = await _connected(bootstrap, login)
    try:
        yield Users(connection)
    finally:
        await connection.close()


async def _connected(bootstrap: str, login: Login) -> AIOKafkaConnection:
    """A connection to the first of the brokers that takes one."""
    arguments = login.client(bootstrap)
    told: list[str] = []
    for address in arguments.pop("bootstrap_servers").split(","):
        host, _, port = address.rpartition(":")
        try:
            return await create_conn(
                host.strip("[]"),
                int(port),
                client_id="crm-administrator",
                request_timeout_ms=int(_LIMIT_SECONDS * 1000),
                **arguments,
            )
        except (KafkaError, OSError, TimeoutError) as error:
            told.append(_words(error))
    raise BrokerRefused(f"{bootstrap} can't be reached: {told[0]}")


async def _until(what: str, condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait until the broker shows it: it answers once the change is kept, a moment before it acts by it."""
    try:
        async with asyncio.timeout(_LIMIT_SECONDS):
            while True:
                if await condition():
                    return
                await asyncio.sleep(_PAUSE_SECONDS)
    except TimeoutError as late:
        raise BrokerRefused(f"it was not seen within {_LIMIT_SECONDS:.0f} s that {what}") from late


def _check(what: str, code: int, message: str | None) -> None:
    """Raises BrokerRefused for a code that tells of an error."""
    if not code:
        return
    kind = for_code(code)
    # Who may not is answered with a dump of the request, over many lines.
    words = (
        message if message and kind is not ClusterAuthorizationFailedError else kind.message.lower().replace("_", " ")
    )
    raise BrokerRefused(f"could not {what}: {words}")


def _words(error: BaseException) -> str:
    """What Kafka or the system says; some of aiokafka's errors stand for another that says why."""
    if isinstance(error, KafkaError) and error.__cause__ is not None and not isinstance(error.__cause__, EOFError):
        return _words(error.__cause__)
    said = error.args[0] if isinstance(error, KafkaError) and error.args else error
    return str(said) or type(error).__name__


def _principal(user: str) -> str:
    return f"User:{user}"


def _acl(user: str, right: Right) -> Acl:
    return (
        Resource[right.resource.upper()],
        right.name,
        Pattern.PREFIXED if right.is_prefix else Pattern.LITERAL,
        _principal(user),
        _EVERYWHERE,
        Operation[right.operation.upper()],
        ALLOW,
    )


def _right(acl: Acl) -> Right | None:
    """The right that is given so; None when it is none of those that we give."""
    kind, name, pattern, _, host, operation, permission = acl
    if kind not in _RESOURCES or name is None or operation not in _OPERATIONS:
        return None
    if permission != ALLOW or host != _EVERYWHERE:
        return None
    return Right(_RESOURCES[kind], name, _OPERATIONS[operation], pattern == Pattern.PREFIXED)
