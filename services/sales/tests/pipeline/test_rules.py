"""The pipeline's decisions (SA-1), checked against what they promise for all inputs."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_sales.pipeline.rules import (
    FieldsMissing,
    JumpNotAllowed,
    Pipeline,
    PipelineInvalid,
    PipelineUnknown,
    Stage,
    StageGiven,
    StageInUse,
    StageRetired,
    StageUnknown,
    arrange,
    beginning,
    check_required,
    check_stages,
    check_step,
    check_unused,
    removed,
)

IDS = [uuid.UUID(int=n) for n in range(1, 9)]


def pipeline(*stages: Stage, default: bool = True, key: int = 100) -> Pipeline:
    return Pipeline(uuid.UUID(int=key), "Sales", stages, default)


def stage(n: int, **more: object) -> Stage:
    return Stage(IDS[n], f"Stage {n}", n * 10, n + 1, **more)  # type: ignore[arg-type]


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    count = draw(st.integers(1, 6))
    stages = []
    for n in range(count):
        allowed = draw(st.none() | st.lists(st.sampled_from(IDS[:count]), unique=True).map(tuple))
        stages.append(stage(n, allowed=allowed, retired=draw(st.booleans())))
    return pipeline(*stages)


@pytest.mark.requirement("SA-1", "SA-3")
@given(pipelines(), st.data())
def test_a_step_is_refused_exactly_when_the_pipeline_forbids_it(one: Pipeline, data: st.DataObject) -> None:
    here, there = (data.draw(st.sampled_from(one.stages)) for _ in range(2))
    forbidden = there.retired or (here.allowed is not None and there.id not in here.allowed)
    try:
        regression = check_step(one, here.id, there.id)
    except (StageRetired, JumpNotAllowed):
        assert forbidden
    else:
        assert not forbidden
        assert regression == (there.position < here.position)


def test_a_step_to_a_stage_of_elsewhere_is_refused() -> None:
    with pytest.raises(StageUnknown):
        check_step(pipeline(stage(0)), IDS[0], IDS[5])


@pytest.mark.requirement("SA-1")
@given(
    st.lists(
        st.tuples(
            st.sampled_from([None, *IDS[:4]]),
            st.sampled_from("ABCDEF"),
            st.none() | st.lists(st.sampled_from("abcdefx"), max_size=3),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_arranged_stages_keep_their_ids_and_order(rows: list[tuple[uuid.UUID | None, str, list[str] | None]]) -> None:
    stages = [
        StageGiven(id=key, name=name, probability=10, allowed=None if allowed is None else tuple(allowed))
        for key, name, allowed in rows
    ]
    present = IDS[:3]
    named = [key for key, _, _ in rows if key is not None]
    wrong_id = any(key not in present for key in named) or len(set(named)) != len(named)
    names = {name.casefold() for _, name, _ in rows}
    wrong_word = any(word not in names for _, _, allowed in rows for word in allowed or ())
    try:
        made = arrange(stages, present, [uuid.uuid4() for _ in rows])
    except PipelineInvalid:
        assert wrong_id or wrong_word
        return
    assert not wrong_id
    assert not wrong_word
    assert [one.position for one in made] == list(range(1, len(rows) + 1))
    assert [one.name for one in made] == [name for _, name, _ in rows]
    assert all(one.id == key for one, (key, _, _) in zip(made, rows, strict=True) if key is not None)
    assert len({one.id for one in made}) == len(made)
    ids = {one.id for one in made}
    assert all(ids.issuperset(one.allowed or ()) for one in made)


def test_stages_can_be_named_by_id_as_a_reader_gets_them() -> None:
    (first, second) = arrange(
        [StageGiven(IDS[0], "A", 10, (str(IDS[1]), "b")), StageGiven(IDS[1], "B", 20)], IDS[:2], IDS[4:6]
    )
    assert first.allowed == (second.id,)


@pytest.mark.parametrize(
    ("stages", "pointer", "code"),
    [
        ([stage(0, retired=True)], "/stages", "pipeline.no_stage"),
        ([stage(0), Stage(IDS[1], "STAGE 0", 1, 2)], "/stages/1/name", "pipeline.name_twice"),
        ([stage(0, allowed=(IDS[3],))], "/stages/0/allowed", "pipeline.stage_unknown"),
        ([stage(0, required=("name_of_nothing",))], "/stages/0/required_fields", "pipeline.field_unknown"),
    ],
)
def test_stages_that_make_no_pipeline(stages: list[Stage], pointer: str, code: str) -> None:
    with pytest.raises(PipelineInvalid) as refused:
        check_stages(stages, ("deadline",))
    assert [(error.pointer, error.code) for error in refused.value.errors] == [(pointer, code)]


@pytest.mark.requirement("SA-1")
def test_a_stage_in_use_is_not_removed() -> None:
    before = [stage(0), stage(1)]
    gone = removed(before, [stage(1)])
    assert gone == [IDS[0]]
    check_unused(before, [])
    with pytest.raises(StageInUse, match="Stage 0"):
        check_unused(before, gone)


def test_where_an_opportunity_begins() -> None:
    default = pipeline(stage(0, retired=True), stage(1), stage(2))
    other = pipeline(stage(3), stage(4, retired=True), default=False, key=101)
    known = {default.id: default, other.id: other}
    assert beginning(known, None, None) == (default, default.stages[1])
    assert beginning(known, other.id, None) == (other, other.stages[0])
    assert beginning(known, None, IDS[3]) == (other, other.stages[0])
    assert beginning(known, default.id, IDS[2]) == (default, default.stages[2])
    with pytest.raises(StageUnknown):
        beginning(known, default.id, IDS[3])
    with pytest.raises(StageUnknown):
        beginning(known, None, IDS[7])
    with pytest.raises(PipelineUnknown):
        beginning(known, uuid.UUID(int=999), None)
    with pytest.raises(StageRetired):
        beginning(known, None, IDS[4])


@pytest.mark.requirement("SA-1")
@given(st.dictionaries(st.sampled_from("abc"), st.sampled_from([None, "", (), [], "x", 0, ("y",)])))
def test_exactly_the_empty_fields_are_missing(values: dict[str, object]) -> None:
    one = stage(0, required=("a", "b"))
    empty = [f"/{name}" for name in one.required if values.get(name) in (None, "", (), [])]
    if not empty:
        check_required(one, values)
        return
    with pytest.raises(FieldsMissing) as refused:
        check_required(one, values)
    assert [error.pointer for error in refused.value.errors] == empty
