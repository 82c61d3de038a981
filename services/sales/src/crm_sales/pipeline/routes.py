"""Pipelines over HTTP."""

import uuid
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from crm_kernel import NotFound, Stale
from crm_records import Id, OptionalId
from crm_sales.pipeline import actions, store
from crm_sales.pipeline.rules import DefaultNeeded, NameTaken, PipelineInvalid, StageGiven, StageInUse
from crm_sales.pipeline.store import Stored
from crm_web import Json, ReadUnit, Router, WriteUnit

router = Router("sales", tag="pipelines")

_STRICT = ConfigDict(extra="forbid")
Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
]
Word = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class StageBody(BaseModel):
    """A stage. id: of the stage that it is; left out: a new one. probability: percent. allowed: the stages that one may go to from
    here, by id, or by name as in this list; null: any. required_fields: fields that an opportunity in it must have. dwell_days: how
    long one expects to be in it. retired: nothing enters it any more."""

    model_config = _STRICT

    id: OptionalId = None
    name: Name
    probability: int = Field(ge=0, le=100, strict=True)
    allowed: Annotated[list[Word], Field(max_length=50)] | None = None
    required_fields: list[Word] = Field(default_factory=list, max_length=20)
    dwell_days: Annotated[int, Field(ge=1, le=3650, strict=True)] | None = None
    retired: bool = Field(default=False, strict=True)

    def given(self) -> StageGiven:
        """As the rules take it."""
        return StageGiven(
            id=self.id,
            name=self.name,
            probability=self.probability,
            allowed=None if self.allowed is None else tuple(self.allowed),
            required=tuple(self.required_fields),
            dwell_days=self.dwell_days,
            retired=self.retired,
        )


Stages = Annotated[list[StageBody], Field(min_length=1, max_length=50)]


class PipelineCreate(BaseModel):
    """A new pipeline with its stages in order."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "name": "Partners",
                    "stages": [
                        {"name": "Prospecting", "probability": 10},
                        {"name": "Engaging", "probability": 40, "required_fields": ["deadline"], "dwell_days": 30},
                    ],
                }
            ]
        },
    )

    name: Name
    is_default: bool = Field(default=False, strict=True)
    stages: Stages


class PipelinePatch(BaseModel):
    """What is to change; members left out stay. is_default: opportunities begin in it unless they say otherwise."""

    model_config = _STRICT

    name: Name | None = None
    is_default: bool | None = Field(default=None, strict=True)


class StagesBody(BaseModel):
    """All stages in order: those with an id stay (renamed, moved, retired), those without are new, those left out are removed."""

    model_config = _STRICT

    stages: Stages


class StageView(BaseModel):
    """A stage. position: from 1."""

    id: uuid.UUID
    name: str
    probability: int
    position: int
    allowed: list[uuid.UUID] | None
    required_fields: list[str]
    dwell_days: int | None
    retired: bool


class PipelineView(BaseModel):
    """A pipeline with its stages in order."""

    id: uuid.UUID
    version: int
    name: str
    is_default: bool
    stages: list[StageView]


class PipelineList(BaseModel):
    """All pipelines, by name."""

    items: list[PipelineView]


@router.get("/pipelines", permission="sales.pipeline:read", summary="List the pipelines")
async def list_pipelines(unit: ReadUnit) -> PipelineList:
    return PipelineList(items=[_view(one) for one in (await store.read_all(unit.session)).values()])


@router.get(
    "/pipelines/{id}",
    permission="sales.pipeline:read",
    summary="Read one pipeline",
    errors=[NotFound],
    response=PipelineView,
)
async def read_pipeline(id: Id, unit: ReadUnit) -> Json:
    return await _answer(unit, id)


@router.post(
    "/pipelines",
    permission="sales.pipeline:configure",
    summary="Set up a pipeline",
    status=201,
    errors=[NameTaken, PipelineInvalid],
    response=PipelineView,
)
async def create_pipeline(body: PipelineCreate, unit: WriteUnit) -> Json:
    given = [stage.given() for stage in body.stages]
    made = await actions.create_pipeline(unit, body.name, given, is_default=body.is_default)
    return await _answer(unit, made, status=201)


@router.patch(
    "/pipelines/{id}",
    permission="sales.pipeline:configure",
    summary="Rename a pipeline, or make it the default one",
    errors=[NotFound, NameTaken, DefaultNeeded, Stale],
    response=PipelineView,
)
async def change_pipeline(id: Id, body: PipelinePatch, unit: WriteUnit) -> Json:
    await actions.change_pipeline(unit, id, name=body.name, is_default=body.is_default)
    return await _answer(unit, id)


@router.put(
    "/pipelines/{id}/stages",
    permission="sales.pipeline:configure",
    summary="Set a pipeline's stages: add, rename, reorder, retire, remove",
    errors=[NotFound, PipelineInvalid, StageInUse, Stale],
    response=PipelineView,
)
async def set_pipeline_stages(id: Id, body: StagesBody, unit: WriteUnit) -> Json:
    await actions.set_stages(unit, id, [stage.given() for stage in body.stages])
    return await _answer(unit, id)


async def _answer(unit: ReadUnit | WriteUnit, pipeline_id: uuid.UUID, status: int = 200) -> Json:
    found = (await store.read_all(unit.session)).get(pipeline_id)
    if found is None:
        raise NotFound
    location: dict[str, Any] = {"location": f"{router.prefix}/pipelines/{pipeline_id}"} if status == 201 else {}
    return Json(_view(found), status=status, etag=found.version, **location)


def _view(stored: Stored) -> PipelineView:
    return PipelineView(id=stored.pipeline.id, version=stored.version, **actions.state_of(stored.pipeline))
