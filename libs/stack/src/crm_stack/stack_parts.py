"""Which parts a stack consists of, from its options: the one place that knows them all."""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crm_stack import broker, gateway, postgres
from crm_stack.layout import workspace
from crm_stack.nursery_part import NurseryPart, ServicePart, forked
from crm_stack.options import StackOptions
from crm_stack.parts import CommandPart, Part, PartDidNotStart
from crm_stack.port_plan import GATEWAY
from crm_stack.ports import LOOPBACK
from crm_stack.postgres_files import environment as postgres_environment
from crm_stack.probes import KAFKA, POSTGRES, Probe, http
from crm_stack.service_settings import inherited, service_environment

GATEWAY_ADMIN = "gateway-admin"
POSTGRES_NAME = "postgres"
BROKER = "broker"
_GATEWAY_STEPS = ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0))


@dataclass(frozen=True)
class Program:
    """One process of a service: its name among the parts, its service, and what it runs of it."""

    name: str
    service: str
    parts: tuple[str, ...]


def programs(options: StackOptions) -> list[Program]:
    """The services' processes: one each, or two when app and worker are split."""
    if not options.split:
        return [Program(service, service, ("app", "worker")) for service in options.services]
    split = []
    for service in options.services:
        split += [Program(service, service, ("app",)), Program(f"{service}-worker", service, ("worker",))]
    return split


def port_names(options: StackOptions) -> list[str]:
    """Everything that needs a port."""
    names = [POSTGRES_NAME]
    names += [GATEWAY, GATEWAY_ADMIN] if options.gateway else []
    names += [] if options.external_kafka else [BROKER]
    return names + [program.name for program in programs(options)]


class StackParts:
    """All parts, in the order in which they are ended last to first."""

    def __init__(
        self, options: StackOptions, ports: Mapping[str, int], databases_ready: Callable[[], Awaitable[None]]
    ) -> None:
        """Args: `databases_ready` returns when the services' databases stand."""
        layout = options.layout
        self.address = f"http://{LOOPBACK}:{ports[GATEWAY]}" if options.gateway else ""
        self.kafka = options.external_kafka or f"{LOOPBACK}:{ports[BROKER]}"
        self.postgres = postgres.PostgresServer(
            layout.postgres,
            ports[POSTGRES_NAME],
            password=layout.secret("postgres-superuser").read_text(),
            log=layout.log(POSTGRES_NAME),
            volatile=options.volatile,
        )
        self.nursery = NurseryPart(layout.log("nursery"), inherited(), options.import_path)
        self.parts: list[Part] = [_postgres_part(self.postgres)]
        if not options.external_kafka:
            self.parts.append(_broker_part(options, ports[BROKER]))
        self.parts.append(self.nursery)
        for program in programs(options):
            port = ports[program.name]
            environment = service_environment(
                options,
                program.service,
                port,
                address=self.address,
                kafka=self.kafka,
                idempotent=options.external_kafka is not None,
            )
            request = forked(options.entry, [program.service], program.parts, environment, layout.log(program.name))
            self.parts.append(
                ServicePart(
                    program.name,
                    port,
                    nursery=self.nursery,
                    request=request,
                    needs=databases_ready,
                    ready=_asking(http("/readyz"), port),
                    alive=_asking(http("/livez"), port),
                )
            )
        if options.gateway:
            self.parts.append(_gateway_part(options, ports, self.address))


def _asking(probe: Probe, port: int) -> Callable[[], Awaitable[bool]]:
    async def ask() -> bool:
        return await probe.ask_soon(port)

    return ask


def _postgres_part(server: postgres.PostgresServer) -> CommandPart:
    return CommandPart(
        POSTGRES_NAME,
        server.port,
        command=server.command,
        ready=_asking(POSTGRES, server.port),
        log=server.log,
        steps=postgres.STOP_STEPS,
        prepare=server.prepare,
        environment=postgres_environment(),
        death_signal=signal.SIGINT,  # A clean shutdown even when the supervisor is killed.
    )


def _broker_part(options: StackOptions, port: int) -> CommandPart:
    log = options.layout.log(BROKER)
    embedded = broker.EmbeddedBroker(options.layout.folder, port, log=log)
    return CommandPart(
        BROKER,
        port,
        command=embedded.command,
        ready=_asking(KAFKA, port),
        log=log,
        steps=broker.STOP_STEPS,
        environment=broker.environment(),
        death_signal=signal.SIGKILL,
        limit_mb=options.broker_cap_mb,
    )


def gateway_settings(options: StackOptions, address: str) -> gateway.GatewaySettings:
    """The gateway's settings: its defaults, but for the rates that the options name."""
    buckets = dict(gateway.BUCKETS)
    for kind in buckets:
        if kind in options.rates:
            burst, per_second = options.rates[kind]
            buckets[kind] = gateway.Bucket(burst=burst, per_second=per_second)
    return gateway.GatewaySettings(tokens=gateway.TokenRules(issuer=address), buckets=buckets)


def _gateway_part(options: StackOptions, ports: Mapping[str, int], address: str) -> CommandPart:
    layout = options.layout
    table = Path(options.routes) if options.routes else workspace() / "deploy" / "gateway" / "routes.json"

    def prepare() -> None:
        try:
            gateway.write_config(
                layout.gateway,
                listen=(LOOPBACK, ports[GATEWAY]),
                admin=(LOOPBACK, ports[GATEWAY_ADMIN]),
                routes=gateway.load_routes(table, (*options.services, *options.beside)),
                services={
                    **{service: (LOOPBACK, ports[service]) for service in options.services},
                    **{service: (LOOPBACK, port) for service, port in options.beside.items()},
                },
                issuer=address,
                settings=gateway_settings(options, address),
            )
        except (gateway.RouteTableInvalid, gateway.GatewaySettingsInvalid, OSError, ValueError) as refused:
            raise PartDidNotStart(f"the gateway's configuration: {refused}") from refused

    return CommandPart(
        GATEWAY,
        ports[GATEWAY],
        command=lambda: gateway.envoy_command(layout.gateway),
        ready=_asking(http("/ready"), ports[GATEWAY_ADMIN]),
        log=layout.log(GATEWAY),
        steps=_GATEWAY_STEPS,
        prepare=prepare,
        environment=inherited(),
        death_signal=signal.SIGKILL,
    )
