"""What is said of a record that was set back: pure functions.

A version is never given twice. Others know the record as its lost facts told it, at versions that the restored service would give
again: replicas would take the new fact for the old one. So the lost facts keep their versions, and the restored state is told as the
next one.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_contracts import Event, Registry
from crm_contracts.versions import fact_of
from crm_events.record import changes_between

#: Facts that say only what a record is now: with one of them a state can be told anew. Others claim that something happened.
_PLAIN_FACTS = ("changed", "deleted", "restored")

Models = Mapping[str, type[Event[Any]]]


@dataclass(frozen=True)
class Told:
    """An event's data in the newest version. type: in that version."""

    type: str
    data: Mapping[str, Any]

    @property
    def is_deleted(self) -> bool:
        """Whether the record is gone afterwards."""
        return bool(self.data["state"].get("deleted", False))


def plain_facts(known: Registry, topic: str) -> Models:
    """Which of `changed`, `deleted` and `restored` a topic has, in the version that this release records: fact → model."""
    models = [model for model in known.events.values() if model.topic == topic and model.emitted]
    named = {fact_of(model.type).rsplit(".", 1)[-1]: model for model in models}
    return {fact: named[fact] for fact in _PLAIN_FACTS if fact in named}


def set_back(models: Models, own: Told, lost: Told | None, version: int, now: dt.datetime) -> Event[Any] | None:
    """The event that tells others that a record is again what `own`, its newest fact in the restored journal, says.

    lost: the newest fact that the journal lacks; None: nobody has it any more. version: the one after all that anybody knows. None when
    the topic has no fact for it: then the lost ones stand. Raises pydantic.ValidationError when the state doesn't fit the contract.
    """
    was_deleted = own.is_deleted if lost is None else lost.is_deleted
    fact = "changed" if own.is_deleted == was_deleted else "deleted" if own.is_deleted else "restored"
    model = models.get(fact)
    return None if model is None else _event(model, own, lost, own.data["state"], version, now)


def withdrawn(models: Models, lost: Told, version: int, now: dt.datetime) -> Event[Any] | None:
    """The event that tells others that a record that the restored service doesn't know is gone. None when it was told as gone, or the
    topic has no fact for it."""
    model = models.get("deleted")
    if model is None or lost.is_deleted:
        return None
    return _event(model, lost, lost, {**lost.data["state"], "deleted": True}, version, now)


def _event(
    model: type[Event[Any]], told: Told, lost: Told | None, state: Mapping[str, Any], version: int, now: dt.datetime
) -> Event[Any]:
    changes = {} if lost is None else changes_between(lost.data["state"], state)
    return model.model_validate(
        {
            "version": version,
            "occurred_at": now,
            "actor": {"kind": "system"},
            "origin": {"channel": "system"},
            "changes": {name: {"old": old, "new": new} for name, (old, new) in changes.items()},
            "state": state,
            "access": told.data.get("access"),
            "credit": told.data.get("credit"),
        }
    )
