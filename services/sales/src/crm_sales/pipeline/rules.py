"""Pipelines and their stages (SA-1): what makes one valid, and which way an opportunity may go in it. Pure."""

import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_kernel.errors import Conflict, FieldError, Invalid


class StageUnknown(Invalid):
    """422: the pipeline has no such stage."""

    code = "pipeline.stage_unknown"
    title = "The pipeline has no such stage"


class StageRetired(Conflict):
    """409: nothing enters a retired stage any more; what is in it stays."""

    code = "pipeline.stage_retired"
    title = "The stage is retired"


class JumpNotAllowed(Conflict):
    """409: the pipeline doesn't allow this step."""

    code = "pipeline.jump_not_allowed"
    title = "The pipeline does not allow this step"


class FieldsMissing(Invalid):
    """422: the stage requires fields that are empty."""

    code = "pipeline.fields_missing"
    title = "The stage requires fields that are empty"


class PipelineInvalid(Invalid):
    """422: stages that don't make a pipeline."""

    code = "pipeline.invalid"
    title = "The stages don't make a pipeline"


class StageInUse(Conflict):
    """409: opportunities are in the stage; retire it instead of removing it."""

    code = "pipeline.stage_in_use"
    title = "Opportunities are in this stage"


class PipelineUnknown(Invalid):
    """422: there is no such pipeline."""

    code = "pipeline.unknown"
    title = "There is no such pipeline"


class NameTaken(Conflict):
    """409: another pipeline has the name."""

    code = "pipeline.name_taken"
    title = "Another pipeline has this name"


class DefaultNeeded(Conflict):
    """409: one pipeline is the default; make another one the default instead."""

    code = "pipeline.default_needed"
    title = "One pipeline must be the default"


@dataclass(frozen=True)
class Stage:
    """A stage. probability: percent. allowed: stages one may go to from here; None: any. required: fields that must be set in it.
    dwell_days: how long one expects to be in it. position: from 1, in order."""

    id: uuid.UUID
    name: str
    probability: int
    position: int
    allowed: tuple[uuid.UUID, ...] | None = None
    required: tuple[str, ...] = ()
    dwell_days: int | None = None
    retired: bool = False


@dataclass(frozen=True)
class Pipeline:
    """A pipeline with its stages in order."""

    id: uuid.UUID
    name: str
    stages: tuple[Stage, ...]
    is_default: bool = False

    def stage(self, stage_id: uuid.UUID) -> Stage:
        """The stage with this id. Raises StageUnknown."""
        for stage in self.stages:
            if stage.id == stage_id:
                return stage
        raise StageUnknown(errors=[FieldError("/stage_id", StageUnknown.code, StageUnknown.title)])

    @property
    def first(self) -> Stage:
        """Where an opportunity begins: the first stage that is not retired."""
        return next(stage for stage in self.stages if not stage.retired)


@dataclass(frozen=True)
class StageGiven:
    """A stage as somebody describes it. id: of the present stage that it is; None: a new one. allowed: stages by id, or by name as
    in the same list; None: any."""

    id: uuid.UUID | None
    name: str
    probability: int
    allowed: tuple[str, ...] | None = None
    required: tuple[str, ...] = ()
    dwell_days: int | None = None
    retired: bool = False


def arrange(
    given: Sequence[StageGiven], present: Collection[uuid.UUID], fresh: Sequence[uuid.UUID]
) -> tuple[Stage, ...]:
    """The stages in the order given, with ids: their own, or for new ones those of `fresh`, one per stage given.

    present: the pipeline's stages now. Raises PipelineInvalid for ids that are not there or stand twice, and for unknown names.
    """
    errors: list[FieldError] = []
    ids: list[uuid.UUID] = []
    for index, (stage, new) in enumerate(zip(given, fresh, strict=True)):
        known = stage.id is None or (stage.id in present and stage.id not in ids)
        if not known:
            detail = "The pipeline has no such stage, or it stands twice"
            errors.append(FieldError(f"/stages/{index}/id", StageUnknown.code, detail))
        ids.append(stage.id if stage.id is not None and known else new)
    by_word = {str(stage_id): stage_id for stage_id in ids}
    by_word |= {stage.name.casefold(): stage_id for stage, stage_id in zip(given, ids, strict=True)}
    stages = []
    for index, (stage, stage_id) in enumerate(zip(given, ids, strict=True)):
        allowed: list[uuid.UUID] | None = None if stage.allowed is None else []
        for place, word in enumerate(stage.allowed or ()):
            target = by_word.get(word.strip().casefold())
            if target is None:
                detail = "Names a stage that is not here"
                errors.append(FieldError(f"/stages/{index}/allowed/{place}", StageUnknown.code, detail))
            elif allowed is not None and target not in allowed:
                allowed.append(target)
        stages.append(
            Stage(
                id=stage_id,
                name=stage.name,
                probability=stage.probability,
                position=index + 1,
                allowed=None if allowed is None else tuple(allowed),
                required=tuple(dict.fromkeys(stage.required)),
                dwell_days=stage.dwell_days,
                retired=stage.retired,
            )
        )
    if errors:
        raise PipelineInvalid(errors=errors)
    return tuple(stages)


def removed(before: Sequence[Stage], after: Sequence[Stage]) -> list[uuid.UUID]:
    """The stages that are not there any more."""
    kept = {stage.id for stage in after}
    return [stage.id for stage in before if stage.id not in kept]


def check_unused(before: Sequence[Stage], used: Collection[uuid.UUID]) -> None:
    """Whether stages that opportunities are in would go. used: those among the stages to remove. Raises StageInUse."""
    if used:
        names = ", ".join(stage.name for stage in before if stage.id in used)
        raise StageInUse(f"Opportunities are in {names}; retire it instead of removing it")


def check_stages(stages: Sequence[Stage], known_fields: Collection[str]) -> None:
    """Whether stages make a pipeline. Raises PipelineInvalid with a pointer for each thing that is wrong."""
    errors: list[FieldError] = []
    names = [stage.name.casefold() for stage in stages]
    ids = {stage.id for stage in stages}
    if all(stage.retired for stage in stages):
        errors.append(FieldError("/stages", "pipeline.no_stage", "At least one stage must be in use"))
    for index, stage in enumerate(stages):
        place = f"/stages/{index}"
        if names.index(names[index]) != index:
            errors.append(FieldError(f"{place}/name", "pipeline.name_twice", "Another stage has this name"))
        if stage.allowed is not None and not ids.issuperset(stage.allowed):
            errors.append(FieldError(f"{place}/allowed", StageUnknown.code, "Names a stage that is not here"))
        unknown = [name for name in stage.required if name not in known_fields]
        if unknown:
            detail = f"Opportunities have no field {', '.join(unknown)}"
            errors.append(FieldError(f"{place}/required_fields", "pipeline.field_unknown", detail))
    if errors:
        raise PipelineInvalid(errors=errors)


def beginning(
    pipelines: Mapping[uuid.UUID, Pipeline], pipeline_id: uuid.UUID | None, stage_id: uuid.UUID | None
) -> tuple[Pipeline, Stage]:
    """Where a new opportunity begins: in the stage asked for, else the first of the pipeline asked for, else of the default one.

    Raises PipelineUnknown, StageUnknown, StageRetired.
    """
    pipeline: Pipeline | None
    if pipeline_id is not None:
        pipeline = pipelines.get(pipeline_id)
    elif stage_id is not None:
        pipeline = next((one for one in pipelines.values() if any(s.id == stage_id for s in one.stages)), None)
        if pipeline is None:
            raise StageUnknown(errors=[FieldError("/stage_id", StageUnknown.code, StageUnknown.title)])
    else:
        pipeline = next((one for one in pipelines.values() if one.is_default), None)
    if pipeline is None:
        raise PipelineUnknown(errors=[FieldError("/pipeline_id", PipelineUnknown.code, PipelineUnknown.title)])
    stage = pipeline.first if stage_id is None else pipeline.stage(stage_id)
    if stage.retired:
        raise StageRetired(f"{stage.name} takes no more opportunities")
    return pipeline, stage


def check_step(pipeline: Pipeline, current: uuid.UUID, target: uuid.UUID) -> bool:
    """Whether an opportunity may go from one stage to another; answers whether that is a regression (SA-3).

    Raises StageUnknown, StageRetired, JumpNotAllowed.
    """
    here, there = pipeline.stage(current), pipeline.stage(target)
    if there.retired:
        raise StageRetired(f"{there.name} takes no more opportunities")
    if here.allowed is not None and there.id not in here.allowed:
        raise JumpNotAllowed(f"From {here.name} one may not go to {there.name}")
    return there.position < here.position


def check_required(stage: Stage, values: Mapping[str, Any]) -> None:
    """Whether what the stage requires is set. Raises FieldsMissing with a pointer for each empty field."""
    empty = [name for name in stage.required if is_empty(values.get(name))]
    if empty:
        detail = f"Required in the stage {stage.name}"
        raise FieldsMissing(errors=[FieldError(f"/{name}", "field.required", detail) for name in empty])


def is_empty(value: Any) -> bool:
    """Whether a value counts as not set: nothing, an empty text, an empty list."""
    return value is None or value in ("", (), [])
