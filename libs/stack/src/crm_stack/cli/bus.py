"""`crm bus`: what a bus that asks who one is needs before the services come."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from crm_stack.cli.deployment import Kafka, administrator
from crm_stack.cli.failure import USAGE, Failure


def register(app: typer.Typer) -> None:
    """Add the commands."""
    bus = typer.Typer(help="The brokers of a deployment elsewhere: topics, and who may do what.", no_args_is_help=True)
    app.add_typer(bus, name="bus")

    @bus.callback()
    def commands() -> None:
        pass

    @bus.command()
    def prepare(
        passwords: Annotated[
            Path,
            typer.Option(
                "--passwords",
                metavar="FOLDER",
                envvar="CRM_KAFKA_PASSWORDS",
                help="Files NAME-kafka-password, as deploy/docker/make-secrets makes them.",
            ),
        ],
        kafka: Kafka = None,
        wait: Annotated[
            float, typer.Option("--wait", min=0, metavar="SECONDS", help="How long the brokers may be away.")
        ] = 120.0,
    ) -> None:
        """Make all topics, a user for each service and the operator, and give each what it needs and no more.

        Done again, it changes what is not as it should be: passwords, rights, topics of a new version. Log in as the administrator:
        CRM_KAFKA_SECURITY, CRM_KAFKA_USERNAME, CRM_KAFKA_PASSWORD_FILE.

        Example: ./crm bus prepare --kafka kafka.example:9094 --passwords deploy/docker/secrets
        """
        from crm_stack.bus.prepare import PasswordsInvalid, passwords_in
        from crm_stack.bus.prepare import prepare as make
        from crm_stack.bus.users import BrokerRefused

        bootstrap, login = administrator(kafka)
        try:
            users = passwords_in(passwords)
        except PasswordsInvalid as refused:
            raise Failure(f"{refused}.", "deploy/docker/make-secrets makes them.", USAGE) from refused
        try:
            made = asyncio.run(make(bootstrap, login, users, wait))
        except BrokerRefused as refused:
            raise Failure(f"{refused}.", "Compare address, user and password; the administrator may.") from refused
        typer.echo(f"{len(users)} users have their rights; {len(made)} topics made.")
