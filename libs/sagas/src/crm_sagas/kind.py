"""What a service declares of one kind of saga."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from crm_contracts import Event
from crm_sagas.rules import Saga, Tell


@dataclass(frozen=True)
class SagaKind:
    """name: unique and stable, `<service>.<what>`. asked, cancelled, finished: the events that tell of it, on one topic of the service.

    state: the saga as those events carry it: with the attempt number of each step, by which the asked side knows what it has dealt with.
    """

    name: str
    asked: type[Event[Any]]
    cancelled: type[Event[Any]]
    finished: type[Event[Any]]
    state: Callable[[Saga], Mapping[str, Any]]

    def event(self, tell: Tell) -> type[Event[Any]]:
        """The event type of what is told."""
        told: dict[Tell, type[Event[Any]]] = {
            "asked": self.asked,
            "cancelled": self.cancelled,
            "finished": self.finished,
        }
        return told[tell]
