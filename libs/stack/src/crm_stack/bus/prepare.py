"""The job before the services where the brokers ask who one is: topics, a user for each service and the operator, what each may."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from crm_contracts import registry, rights
from crm_contracts.control import ALL
from crm_contracts.rights import Right
from crm_events import Login, topics
from crm_stack.bus.users import BrokerRefused, users_of

OPERATOR = "operator"
_ENDING = "-kafka-password"
_PAUSE_SECONDS = 1.0


class PasswordsInvalid(Exception):
    """The folder doesn't have what it should; the text says what."""


def passwords_in(folder: Path) -> dict[str, str]:
    """User → password, of a folder as deploy/docker/make-secrets makes it: files `<service>-kafka-password`.

    Raises PasswordsInvalid when there are none, one is empty, or of nobody that exists.
    """
    found = {
        file.name.removesuffix(_ENDING): file.read_text(encoding="utf-8").strip()
        for file in sorted(folder.glob(f"*{_ENDING}"))
    }
    if not found:
        raise PasswordsInvalid(f"{folder} has no file like sales{_ENDING}")
    if unknown := sorted(found.keys() - {*ALL, OPERATOR}):
        raise PasswordsInvalid(f"there is no service {', '.join(unknown)}")
    if empty := sorted(user for user, password in found.items() if not password):
        raise PasswordsInvalid(f"empty: {', '.join(user + _ENDING for user in empty)}")
    return found


def rights_of(user: str) -> frozenset[Right]:
    """What a user of ours may: a service, or the operator."""
    return rights.of_operator() if user == OPERATOR else rights.of_service(user)


async def prepare(bootstrap: str, login: Login, passwords: Mapping[str, str], wait_seconds: float = 120.0) -> list[str]:
    """Make topics, users and rights, or make them what they should be; answers the topics that were made. Done twice, it changes nothing.

    login: the administrator's. Raises BrokerRefused when the brokers can't be reached within that time, or don't do it.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        try:
            async with users_of(bootstrap, login) as users:
                for user, password in passwords.items():
                    # The rights first: who logs in for the first time has them.
                    await users.set_rights(user, rights_of(user))
                    await users.set_password(user, password)
            return await topics.ensure(bootstrap, registry.topics.values(), login)
        except (BrokerRefused, topics.KafkaError, topics.TopicRefused, OSError) as error:
            if time.monotonic() >= deadline:
                raise BrokerRefused(str(error)) from error
            await asyncio.sleep(_PAUSE_SECONDS)
