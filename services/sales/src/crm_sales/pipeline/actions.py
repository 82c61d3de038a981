"""Setting up pipelines (SA-1). Each change is one event of the pipeline; one request at a time configures."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from crm_contracts import Event
from crm_contracts.sales import PipelineChanged, PipelineCreated
from crm_events import Step, changes_between, record
from crm_kernel import FieldError, NotFound, new_id
from crm_sales.opportunity.rules import REQUIRABLE
from crm_sales.opportunity.store import stages_in_use
from crm_sales.pipeline import store
from crm_sales.pipeline.rules import (
    DefaultNeeded,
    NameTaken,
    Pipeline,
    Stage,
    StageGiven,
    arrange,
    check_stages,
    check_unused,
    removed,
)
from crm_sales.pipeline.store import Stored
from crm_sales.pipeline.tables import pipeline as pipeline_table
from crm_web import WriteUnit


async def create_pipeline(unit: WriteUnit, name: str, given: Sequence[StageGiven], *, is_default: bool) -> uuid.UUID:
    """Set up a further pipeline. Raises NameTaken, PipelineInvalid."""
    every = await store.lock_all(unit.session)
    _require_free_name(every, name, None)
    stages = _stages(given, ())
    if is_default:
        await _give_up_default(unit, every)
    made = Pipeline(new_id(), name, stages, is_default)
    values = {"name": name, "is_default": is_default, "created_at": unit.now}
    await _record(unit, PipelineCreated, made, values=values, new=True)
    await store.replace_stages(unit.session, made.id, stages)
    return made.id


async def change_pipeline(
    unit: WriteUnit, pipeline_id: uuid.UUID, *, name: str | None, is_default: bool | None
) -> None:
    """Rename a pipeline, or make it the default one. Raises NotFound, Stale, NameTaken, DefaultNeeded."""
    every, before = await _locked(unit, pipeline_id)
    after = Pipeline(
        before.id,
        before.name if name is None else name,
        before.stages,
        before.is_default if is_default is None else is_default,
    )
    _require_free_name(every, after.name, pipeline_id)
    if before.is_default and not after.is_default:
        raise DefaultNeeded("Make another pipeline the default one")
    if after == before:
        return
    if after.is_default and not before.is_default:
        await _give_up_default(unit, every)
    await _record(unit, PipelineChanged, after, before=before)


async def set_stages(unit: WriteUnit, pipeline_id: uuid.UUID, given: Sequence[StageGiven]) -> None:
    """Add, rename, reorder, retire and remove stages: the pipeline has the given ones, in their order.

    Raises NotFound, Stale, PipelineInvalid; StageInUse when a stage would go that opportunities are in, deleted ones too: they can
    be restored.
    """
    _, before = await _locked(unit, pipeline_id)
    stages = _stages(given, [stage.id for stage in before.stages])
    gone = removed(before.stages, stages)
    check_unused(before.stages, await stages_in_use(unit.session, gone))
    after = Pipeline(before.id, before.name, stages, before.is_default)
    if after == before:
        return
    await _record(unit, PipelineChanged, after, before=before)
    await store.replace_stages(unit.session, pipeline_id, stages)


async def _locked(unit: WriteUnit, pipeline_id: uuid.UUID) -> tuple[Mapping[uuid.UUID, Stored], Pipeline]:
    every = await store.lock_all(unit.session)
    found = every.get(pipeline_id)
    if found is None:
        raise NotFound
    unit.require_match(found.version)
    return every, found.pipeline


def _stages(given: Sequence[StageGiven], present: Sequence[uuid.UUID]) -> tuple[Stage, ...]:
    stages = arrange(given, present, [new_id() for _ in given])
    check_stages(stages, REQUIRABLE)
    return stages


def _require_free_name(every: Mapping[uuid.UUID, Stored], name: str, own: uuid.UUID | None) -> None:
    folded = name.casefold()
    if any(one.pipeline.name.casefold() == folded for key, one in every.items() if key != own):
        raise NameTaken(errors=[FieldError("/name", NameTaken.code, NameTaken.title)])


async def _give_up_default(unit: WriteUnit, every: Mapping[uuid.UUID, Stored]) -> None:
    """The pipeline that is the default one is so no more: one event of its own."""
    for stored in every.values():
        before = stored.pipeline
        if before.is_default:
            await _record(unit, PipelineChanged, Pipeline(before.id, before.name, before.stages, False), before=before)


async def _record(
    unit: WriteUnit,
    event: type[Event[Any]],
    after: Pipeline,
    *,
    before: Pipeline | None = None,
    values: Mapping[str, Any] | None = None,
    new: bool = False,
) -> None:
    state = state_of(after)
    changes = changes_between({} if before is None else state_of(before), state)
    columns = {"name": after.name, "is_default": after.is_default}
    step = Step(
        table=pipeline_table,
        id=after.id,
        event=event,
        state=state,
        values=values or columns,
        changes=changes,
        new=new,
    )
    await record(unit.session, [step])


def state_of(pipeline: Pipeline) -> dict[str, Any]:
    """A pipeline as its events and the API carry it."""
    return {
        "name": pipeline.name,
        "is_default": pipeline.is_default,
        "stages": [
            {
                "id": stage.id,
                "name": stage.name,
                "probability": stage.probability,
                "position": stage.position,
                "allowed": None if stage.allowed is None else list(stage.allowed),
                "required_fields": list(stage.required),
                "dwell_days": stage.dwell_days,
                "retired": stage.retired,
            }
            for stage in pipeline.stages
        ],
    }
