"""New and changed records as rows and events, many at once: the one place that calls `record()` for records."""

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from crm_contracts import Access, Credit, Event
from crm_database import WriteSession
from crm_events.record import Step
from crm_events.record import record as record_steps
from crm_records.drafts import Change, Draft, Record
from crm_records.hooks import Writing
from crm_records.record_type import RecordType
from crm_records.rows import state_of


async def write_drafts(unit: Writing, record: RecordType, drafts: Sequence[Draft]) -> list[Record]:
    """Insert records with their `created` events; answers them as written, in the same order."""
    made = [_made(unit, record, draft) for draft in drafts]
    parts = await _parts(unit, record, [(one.id, draft.parts) for one, draft in zip(made, drafts, strict=True)])
    for one in made:
        one.parts = parts.get(one.id)
    await record_steps(
        unit.session,
        [
            Step(
                table=record.table,
                id=one.id,
                event=record.events.created,
                state=state_of(record, one, one.parts),
                values=_new_row(record, one),
                changes=_first_values(record, one),
                new=True,
                occurred_at=draft.occurred_at,
                access=_access(record, one),
                credit=_credit(unit, one),
            )
            for one, draft in zip(made, drafts, strict=True)
        ],
    )
    return made


async def write_changes(
    unit: Writing, record: RecordType, changes: Sequence[Change], event: type[Event[Any]]
) -> list[Change]:
    """Write what differs, with one event each; answers the changes that were written, with `after` set.

    A change without any difference is none (unless it says `always`): no event, no new version, `after` is the record as it was.
    """
    written: list[tuple[Change, dict[str, tuple[Any, Any]]]] = []
    for change in changes:
        differences = _differences(record, change)
        if not differences and not change.always:
            change.after = change.record
            continue
        change.after = _changed(unit, record, change)
        written.append((change, differences))
    if not written:
        return []
    parts = await _parts(unit, record, [(change.id, change.parts) for change, _ in written])
    for change, _ in written:
        if change.after is not None:
            change.after.parts = parts.get(change.id)
    labels = _labels(record, [change for change, _ in written])
    await record_steps(
        unit.session,
        [_step(unit, record, change, differences, labels, event) for change, differences in written],
    )
    return [change for change, _ in written]


def _step(
    unit: Writing,
    record: RecordType,
    change: Change,
    differences: Mapping[str, tuple[Any, Any]],
    labels: Iterable[str],
    event: type[Event[Any]],
) -> Step:
    after = change.after
    assert after is not None  # noqa: S101  (set by write_changes just before)
    row = _row(record, after)
    return Step(
        table=record.table,
        id=after.id,
        event=event,
        state=state_of(record, after, after.parts),
        # All rows of one call write the same columns, so that they are one statement (PL-9).
        values={label: row[label] for label in labels},
        changes=differences,
        occurred_at=change.occurred_at,
        access=_access(record, after),
        credit=_credit(unit, after) if change.credit == "owner" else change.credit,
        extra=change.extra,
    )


def _made(unit: Writing, record: RecordType, draft: Draft) -> Record:
    return Record(
        id=draft.id,
        version=1,
        values={field.name: draft.values.get(field.name, field.default) for field in record.fields},
        number=draft.number,
        owner_id=draft.owner_id,
        external_ref=draft.external_ref,
        custom={},
        created_at=unit.now,
        updated_at=unit.now,
        created_by=unit.session.context.actor_id,
        deleted_at=None,
    )


def _changed(unit: Writing, record: RecordType, change: Change) -> Record:
    before = change.record
    return replace(
        before,
        version=before.version + 1,
        values={**before.values, **{name: value for name, value in change.values.items() if name in record.by_name}},
        owner_id=change.owner_id if change.owner_changes else before.owner_id,
        external_ref=change.external_ref if change.external_ref_changes else before.external_ref,
        deleted_at=change.deleted_at if change.deletion_changes else before.deleted_at,
        members=before.members if change.members is None else change.members,
        updated_at=unit.now,
    )


def _differences(record: RecordType, change: Change) -> dict[str, tuple[Any, Any]]:
    before = change.record
    found: dict[str, tuple[Any, Any]] = {}
    for name, value in change.values.items():
        field = record.by_name[name]
        old, new = _json(field, before.values[name]), _json(field, value)
        if old != new:
            found[name] = (old, new)
    if change.owner_changes and change.owner_id != before.owner_id:
        found["owner_id"] = (_text(before.owner_id), _text(change.owner_id))
    if change.external_ref_changes and change.external_ref != before.external_ref:
        found["external_ref"] = tuple(  # type: ignore[assignment]
            None if ref is None else ref.json() for ref in (before.external_ref, change.external_ref)
        )
    found.update(change.noted)
    return found


def _first_values(record: RecordType, made: Record) -> dict[str, tuple[Any, Any]]:
    """What a new record began with: the fields that are not empty, and its owner."""
    found: dict[str, tuple[Any, Any]] = {}
    for field in record.fields:
        value = _json(field, made.values[field.name])
        if value not in (None, []):
            found[field.name] = (None, value)
    if made.owner_id is not None:
        found["owner_id"] = (None, str(made.owner_id))
    return found


def _json(field: Any, value: Any) -> Any:
    """A value as the history keeps it: plain JSON."""
    return field.json(value)


def _labels(record: RecordType, changes: Sequence[Change]) -> list[str]:
    """The columns that these changes write together."""
    labels = ["updated_at"]
    touched = {name for change in changes for name in change.values}
    labels += [label for field in record.fields if field.name in touched for label in field.place.labels(field)]
    if any(change.owner_changes for change in changes):
        labels.append("owner_id")
    if any(change.external_ref_changes for change in changes):
        labels += ["external_system", "external_id"]
    if any(change.deletion_changes for change in changes):
        labels.append("deleted_at")
    return labels


def _row(record: RecordType, one: Record) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for field in record.fields:
        row.update(field.stored(one.values[field.name]))
    row["owner_id"] = one.owner_id
    row["external_system"] = one.external_ref.system if one.external_ref else None
    row["external_id"] = one.external_ref.id if one.external_ref else None
    row["updated_at"] = one.updated_at
    row["deleted_at"] = one.deleted_at
    return row


def _new_row(record: RecordType, one: Record) -> dict[str, Any]:
    return {
        **_row(record, one),
        "number": one.number,
        "custom": one.custom,
        "created_at": one.created_at,
        "created_by": one.created_by,
    }


async def _parts(
    unit: Writing, record: RecordType, given: Sequence[tuple[uuid.UUID, Mapping[str, Any]]]
) -> dict[uuid.UUID, dict[str, Any]]:
    """The parts of each record: those that a hook has set, and the rest as stored."""
    if not record.parts:
        return {}
    lacking = [record_id for record_id, parts in given if set(parts) < set(record.parts)]
    stored = await read_parts(unit.session, record, lacking) if lacking else {}
    return {record_id: {**stored.get(record_id, {}), **parts} for record_id, parts in given}


async def read_parts(
    session: WriteSession | Any, record: RecordType, ids: Sequence[uuid.UUID]
) -> Mapping[uuid.UUID, dict[str, Any]]:
    """What the record type's hooks say of the parts of records."""
    return await record.hooks.read_parts(session, ids) if record.parts and ids else {}


def _access(record: RecordType, one: Record) -> Access | None:
    return Access(owner_id=one.owner_id, members=list(one.members)) if record.scoped else None


def _credit(unit: Writing, one: Record) -> Credit | None:
    return None if one.owner_id is None else unit.directory.credit_of(one.owner_id)


def _text(value: uuid.UUID | None) -> str | None:
    return None if value is None else str(value)
