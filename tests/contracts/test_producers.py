"""What is registered is what services announce, and the other way round: read from their source."""

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

import crm_approvals
import crm_contracts
import crm_records
import crm_sagas
import crm_web
from crm_contracts import Event, billing, customers, registry, sales, support
from crm_contracts.approvals import ApprovalEvents
from crm_contracts.hand_overs import HandOverEvents
from crm_contracts.operations import OperationEvents
from crm_contracts.records import STANDARD_FACTS, StandardEvents
from crm_web.routes import installed

#: Where the standard facts of each record type are declared: they are announced by crm_records, for whom a service gives them to.
STANDARD = {
    f"{record}.{fact}.v1": name
    for module in (billing, customers, sales, support)
    for name, events in vars(module).items()
    if isinstance(events, StandardEvents)
    for record in [events.topic.name]
    for fact in STANDARD_FACTS
}
#: Where the events of each service's approvals are declared: they are announced by crm_approvals, for whom a service gives them to.
APPROVALS = {
    model.type: name
    for module in vars(crm_contracts).values()
    if isinstance(module, ModuleType)
    for name, events in vars(module).items()
    if isinstance(events, ApprovalEvents)
    for model in (events.submitted, events.approved, events.rejected, events.withdrawn)
}
#: Where the event of each service's operator acts is declared: it is announced by crm_web, for whom a service gives it to.
OPERATIONS = {
    events.performed.type: name
    for module in vars(crm_contracts).values()
    if isinstance(module, ModuleType)
    for name, events in vars(module).items()
    if isinstance(events, OperationEvents)
}

#: Where the events of each service's part in hand-overs are declared: they are announced by crm_records, for whom a service gives them to.
HAND_OVERS = {
    model.type: name
    for module in vars(crm_contracts).values()
    if isinstance(module, ModuleType)
    for name, events in vars(module).items()
    if isinstance(events, HandOverEvents)
    for model in (events.progressed, events.done, events.failed)
}


def sources(package: ModuleType) -> Iterator[ast.Module]:
    for path in Path(str(package.__path__[0])).rglob("*.py"):
        yield ast.parse(path.read_text(encoding="utf-8"))


@cache
def used_names(package_name: str) -> frozenset[str]:
    """All names that a package's code uses, imports aside."""
    found = set()
    for tree in sources(importlib.import_module(package_name)):
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                found.add(node.id)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
    return frozenset(found)


@pytest.mark.requirement("PL-13")
@pytest.mark.parametrize("name", sorted(name for name, model in registry.events.items() if model.emitted))
def test_every_registered_event_is_announced_by_its_producer(name: str) -> None:
    producer = registry.topics[registry.events[name].topic].producer
    code = used_names(f"crm_{producer}")
    if name in STANDARD:
        assert STANDARD[name] in code, f"{producer} has no record type with {STANDARD[name]}"
        assert name.split(".")[-2].replace("-", "_") in used_names("crm_records")
    elif name in APPROVALS:
        assert APPROVALS[name] in code, f"{producer} has nothing approved with {APPROVALS[name]}"
        assert name.split(".")[-2] in used_names("crm_approvals")
    elif name in HAND_OVERS:
        assert HAND_OVERS[name] in code, f"{producer} has no part in hand-overs with {HAND_OVERS[name]}"
        assert name.split(".")[-2] in used_names("crm_records")
    elif name in OPERATIONS:
        assert OPERATIONS[name] in code, f"{producer} has no operations with {OPERATIONS[name]}"
        assert name.split(".")[-2] in used_names("crm_web")
    else:
        assert registry.events[name].__name__ in code, f"nothing in {producer} announces {name}"


def modules() -> Iterator[ModuleType]:
    for package_name in ("crm_records", "crm_sagas", "crm_approvals", *(f"crm_{service}" for service in installed())):
        package = importlib.import_module(package_name)
        for found in pkgutil.walk_packages(package.__path__, f"{package_name}."):
            # The documents' command line runs when it is imported as __main__ only.
            yield importlib.import_module(found.name)


@pytest.mark.requirement("PL-13")
def test_every_event_class_that_a_service_names_is_registered() -> None:
    """Also those that reach a Step through a parameter: they come from some module's names."""
    registered = set(registry.events.values())
    parents = {parent for model in registered for parent in model.__mro__[1:]}
    named = {
        (module.__name__, name, value)
        for module in modules()
        for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Event)
    }
    assert {value for _, _, value in named} & registered, "the services name some"
    unknown = [(module, name) for module, name, value in named if value not in registered and value not in parents]
    assert unknown == []


def test_every_step_names_its_event() -> None:
    """`record()` has one way in: each Step of the code says which event it announces."""
    packages = [
        crm_records,
        crm_sagas,
        crm_approvals,
        crm_web,
        *(importlib.import_module(f"crm_{service}") for service in installed()),
    ]
    steps = [
        node
        for package in packages
        for tree in sources(package)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Step"
    ]
    assert len(steps) > 20
    assert [ast.unparse(step) for step in steps if "event" not in {word.arg for word in step.keywords}] == []
