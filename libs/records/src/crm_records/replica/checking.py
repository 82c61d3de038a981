"""Whether a replica's declaration fits the contract that it copies: wrong ones fail when they are imported, not at an event."""

import datetime as dt
import types
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, Union, get_args, get_origin

from crm_contracts import Topic, registry
from crm_contracts.records import MoneyState, TransferredEvent
from crm_records.record_type import DeclarationError
from crm_records.replica.columns import Column, Kind

#: Columns that every replica has; no member may be called so. `owner_id` only where records have owners.
_STANDARD: Final = frozenset({"id", "version", "owner_id", "deleted"})
#: What the contract's member is annotated with, per kind; `json` takes everything.
_ANNOTATIONS: Final[Mapping[Kind, Any]] = {
    "text": str,
    "integer": int,
    "boolean": bool,
    "date": dt.date,
    "instant": dt.datetime,
    "id": uuid.UUID,
    "ids": list[uuid.UUID],
    "money": MoneyState,
}


def check(record: str, topic: Topic, columns: Sequence[Column], scoped: bool) -> None:
    """Compare a replica's declaration with all event types of the topic, in the versions that it will be given. Raises DeclarationError."""
    models = [model for model in registry.newest_events() if model.topic == topic.name]
    if not models:
        raise DeclarationError(f"{record}: {topic.name} has no events; import its contract first")
    if scoped != any(issubclass(model, TransferredEvent) for model in models):
        # A replica without owners would show everybody what belongs to some.
        raise DeclarationError(f"{record}: replica and contract don't agree on whether records have owners")
    taken = sorted(_STANDARD & {label for column in columns for label in column.labels})
    if taken:
        raise DeclarationError(f"{record}: every replica has {', '.join(taken)} already")
    for model in models:
        members = getattr(model.model_fields["state"].annotation, "model_fields", {})
        missing = sorted({"deleted", *(column.name for column in columns)} - set(members))
        if missing:
            raise DeclarationError(f"{record}: {model.type} says nothing of {', '.join(missing)}")
        for column in columns:
            annotation, empty = _stripped(members[column.name].annotation)
            if column.required and empty:
                raise DeclarationError(f"{record}: {column.name} is required, but {model.type} may leave it empty")
            if column.kind != "json" and annotation != _ANNOTATIONS[column.kind]:
                raise DeclarationError(f"{record}: {column.name} is no {column.kind} in {model.type}")


def _stripped(annotation: Any) -> tuple[Any, bool]:
    """The annotation without None, and whether None was in it. Choices of texts are texts."""
    empty = False
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [one for one in get_args(annotation) if one is not type(None)]
        empty = len(rest) < len(get_args(annotation))
        annotation = rest[0] if len(rest) == 1 else annotation
    if get_origin(annotation) is Literal and all(isinstance(one, str) for one in get_args(annotation)):
        annotation = str
    return annotation, empty
