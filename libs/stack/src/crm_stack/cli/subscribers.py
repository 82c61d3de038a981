"""`crm subscribers`: programs outside that read the events, each with a user of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from crm_stack.cli.deployment import AsJson, Kafka, administrator, show_table
from crm_stack.cli.failure import USAGE, Failure

if TYPE_CHECKING:
    from crm_contracts.rights import Right
    from crm_stack.bus.users import Users

T = TypeVar("T")
_Name = Annotated[str, typer.Argument(help="The subscriber's name: erp, say. Its groups begin with it and a dot.")]
_Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="HOST:PORT",
        envvar="CRM_KAFKA_OUTSIDE",
        help="Where subscribers reach the brokers, to be told to them.",
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    subscribers = typer.Typer(
        help="Programs outside that read the events from the bus of a deployment, each with its topics.",
        no_args_is_help=True,
    )
    app.add_typer(subscribers, name="subscribers")

    @subscribers.command()
    def add(
        name: _Name,
        topics: Annotated[
            list[str],
            typer.Option(
                "--topics", help="What it may read, with commas: crm.sales.opportunity, or crm.customers.* for all."
            ),
        ],
        address: _Address = None,
        kafka: Kafka = None,
        as_json: AsJson = False,
    ) -> None:
        """Make a user that reads these topics and nothing else; its password is shown this once.

        For a subscriber that is there already it sets the topics: those that are not named are taken from it.

        Example: ./crm subscribers add erp --topics crm.sales.opportunity,crm.customers.*
        """
        from crm_contracts import rights
        from crm_stack.bus.users import new_password

        with _refusals():
            chosen = rights.subscribed(part.strip() for given in topics for part in given.split(",") if part.strip())
            wanted = rights.of_subscriber(name, chosen)
        user = rights.SUBSCRIBER_USER + name

        async def work(users: Users) -> str | None:
            password = None if user in await users.names() else new_password()
            # The rights first: who logs in for the first time has them.
            await users.set_rights(user, wanted)
            if password is not None:
                await users.set_password(user, password)
            return password

        password = _asked(kafka, work)
        _show(name, password, address, as_json, chosen)
        if password is None and not as_json:
            typer.echo(f"It keeps its password; another one: ./crm subscribers rotate {name}")

    @subscribers.command()
    def rotate(name: _Name, address: _Address = None, kafka: Kafka = None, as_json: AsJson = False) -> None:
        """Give a subscriber another password, shown this once. The old one logs nobody in any more; connections that are open must show
        the new one within five minutes.

        Example: ./crm subscribers rotate erp
        """
        from crm_contracts import rights
        from crm_stack.bus.users import new_password

        with _refusals():
            rights.of_subscriber(name, ())
        user = rights.SUBSCRIBER_USER + name

        async def work(users: Users) -> str:
            if user not in await users.names():
                raise _unknown(name)
            password = new_password()
            await users.set_password(user, password)
            return password

        _show(name, _asked(kafka, work), address, as_json)

    @subscribers.command()
    def remove(name: _Name, kafka: Kafka = None) -> None:
        """Take a subscriber's rights, which counts for the next request of open connections, and its user.

        Example: ./crm subscribers remove erp
        """
        from crm_contracts import rights
        from crm_stack.bus.users import NoSuchUser

        with _refusals():
            rights.of_subscriber(name, ())

        async def work(users: Users) -> None:
            try:
                await users.remove(rights.SUBSCRIBER_USER + name)
            except NoSuchUser as unknown:
                raise _unknown(name) from unknown

        _asked(kafka, work)
        typer.echo(f"{name} reads nothing any more.")

    @subscribers.command(name="list")
    def list_subscribers(kafka: Kafka = None, as_json: AsJson = False) -> None:
        """List the subscribers and what each reads."""
        from crm_contracts import rights

        async def work(users: Users) -> dict[str, list[str]]:
            return {
                user.removeprefix(rights.SUBSCRIBER_USER): _topics(await users.rights(user))
                for user in sorted(await users.names())
                if user.startswith(rights.SUBSCRIBER_USER)
            }

        found = _asked(kafka, work)
        if as_json:
            import json

            typer.echo(json.dumps([{"name": name, "topics": topics} for name, topics in found.items()], indent=1))
            return
        show_table(("subscriber", "reads"), [(name, ", ".join(topics)) for name, topics in found.items()])


def _topics(rights: set[Right]) -> list[str]:
    return sorted(right.name for right in rights if right.resource == "topic" and right.operation == "read")


def _show(name: str, password: str | None, address: str | None, as_json: bool, topics: list[str] | None = None) -> None:
    """What the subscriber must be told. Of what was not asked for, nothing is said."""
    from crm_contracts.rights import SUBSCRIBER_USER

    told = {
        "user": SUBSCRIBER_USER + name,
        "password": password,
        "groups": f"{name}.…",
        "address": address,
        "protocol": "SASL_SSL, SCRAM-SHA-512",
        "topics": topics,
    }
    known = {key: value for key, value in told.items() if value is not None}
    if as_json:
        import json

        typer.echo(json.dumps(known, ensure_ascii=False, indent=1))
        return
    for key, value in known.items():
        typer.echo(f"{key:<9} {', '.join(value) if isinstance(value, list) else value}")
    typer.echo("The certificate that it trusts: kafka-ca of the secrets, unless the brokers' is one of yours.")


def _asked(kafka: str | None, work: Callable[[Users], Awaitable[T]]) -> T:
    """What the work answers, done as the administrator of these brokers."""
    from crm_stack.bus.users import BrokerRefused, users_of

    bootstrap, login = administrator(kafka)

    async def done() -> T:
        async with users_of(bootstrap, login) as users:
            return await work(users)

    try:
        return asyncio.run(done())
    except BrokerRefused as refused:
        raise Failure(f"{refused}.", "Compare address, user and password; the administrator may.") from refused


@contextmanager
def _refusals() -> Iterator[None]:
    from crm_contracts.rights import RightRefused

    try:
        yield
    except RightRefused as refused:
        raise Failure(f"{refused}.", code=USAGE) from refused


def _unknown(name: str) -> Failure:
    return Failure(f"There is no subscriber {name}.", "./crm subscribers list shows those that there are.")
