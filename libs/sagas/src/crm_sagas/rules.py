"""What is decided about sagas, without queries or clocks: state × input → the next state, and what is to be told. And the refusals.

A saga has steps, each another service's part. Steps of one stage are asked together, a stage when those before it are done. What is told
back may come twice, late, in any order or not at all: a step is asked again under a higher attempt number, and only the outcome of the
newest attempt counts. The asked side does an attempt once, however often it hears of it.
"""

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from crm_kernel import Conflict

SagaState = Literal["running", "succeeded", "failed", "cancelled"]
StepState = Literal["waiting", "asked", "done", "failed", "cancelled"]
#: What the other side says of a step.
Fact = Literal["progressed", "done", "failed"]
#: What the starting service tells.
Tell = Literal["asked", "cancelled", "finished"]

#: How long nothing need be heard after the first ask; doubled with each further one, up to the longest.
FIRST_PATIENCE: Final = dt.timedelta(minutes=2)
LONGEST_PATIENCE: Final = dt.timedelta(hours=1)
#: Asks in a row that nothing was heard after: then the step has failed. It is some four hours until then.
TRIES: Final = 8

#: The problem of a step that nothing was heard of.
NO_ANSWER: Final[Mapping[str, str]] = {
    "code": "saga.no_answer",
    "title": "The service did not answer",
    "detail": f"It was asked {TRIES} times; it may be away, or its worker may stand still",
}
#: The problem of a step whose service failed and said nothing else.
UNEXPLAINED: Final[Mapping[str, str]] = {
    "code": "saga.step_failed",
    "title": "The service could not do its part",
    "detail": "It did not say why; its log may",
}


class SagaOver(Conflict):
    """409: it has ended, and for good."""

    code = "saga.over"
    title = "This has ended already"


class NothingToResume(Conflict):
    """409: no step has failed."""

    code = "saga.nothing_to_resume"
    title = "Nothing of it has failed"


@dataclass(frozen=True)
class SagaStep:
    """One service's part.

    attempt: the number of the newest ask, never used again. tries: asks in a row that nothing was heard after. due_at: when it is asked
    again, while it is `asked`. heard: the version of the newest news of it. outcome: what that said, the asked side's own JSON. problem:
    why it failed: code, title, detail.
    """

    name: str
    stage: int = 0
    state: StepState = "waiting"
    attempt: int = 0
    tries: int = 0
    asked_at: dt.datetime | None = None
    due_at: dt.datetime | None = None
    heard: int = 0
    outcome: Mapping[str, Any] = field(default_factory=dict)
    problem: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Saga:
    """A change over several services. about: the record that it is about. data: the kind's own JSON."""

    id: uuid.UUID
    version: int
    kind: str
    state: SagaState
    about: uuid.UUID
    data: Mapping[str, Any]
    asked_by: uuid.UUID | None
    asked_at: dt.datetime
    ended_at: dt.datetime | None
    steps: tuple[SagaStep, ...]

    def step(self, name: str) -> SagaStep | None:
        """One service's part; None when it has none."""
        return next((step for step in self.steps if step.name == name), None)


@dataclass(frozen=True)
class News:
    """What was told of a step. attempt: which ask it is about. version: rises with everything that the asked side tells of this saga."""

    step: str
    attempt: int
    version: int
    fact: Fact
    outcome: Mapping[str, Any] = field(default_factory=dict)
    problem: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Decided:
    """The saga afterwards. tell: what is told of it; None when nothing but what was heard has changed."""

    saga: Saga
    tell: Tell | None = None


def steps_of(stages: Sequence[Sequence[str]]) -> tuple[SagaStep, ...]:
    """The steps of a new saga, from the names of each stage. ValueError when a name stands twice, or there is none."""
    steps = tuple(SagaStep(name, number) for number, names in enumerate(stages) for name in names)
    if not steps or len({step.name for step in steps}) != len(steps):
        raise ValueError("a saga has steps, each of another name")
    return steps


def begun(saga: Saga, now: dt.datetime) -> Decided:
    """A new saga: its first stage is asked."""
    return _settled(saga, saga, now)


def told(saga: Saga, news: News, now: dt.datetime) -> Decided:
    """After news of a step: doubled, late, of an earlier attempt, or after the end of the saga.

    What a cancelled or failed step has done nevertheless is kept: what is done is done.
    """
    step = saga.step(news.step)
    if step is None or step.state in ("waiting", "done") or news.version <= step.heard or news.attempt > step.attempt:
        return Decided(saga)
    heard = replace(step, heard=news.version, outcome=news.outcome)
    if news.attempt == step.attempt:
        heard = _with_news(heard, news, now, over=saga.state == "cancelled")
    return _settled(saga, _with(saga, heard), now)


def _with_news(step: SagaStep, news: News, now: dt.datetime, *, over: bool) -> SagaStep:
    if news.fact == "done":
        return replace(step, state="done", due_at=None, problem=None)
    if news.fact == "failed":
        return replace(step, state="failed", due_at=None, problem=news.problem or dict(UNEXPLAINED))
    if over:
        return step
    # Somebody is there and at it. So too when it had been given up for its silence.
    return replace(step, state="asked", tries=1, due_at=now + patience(1), problem=None)


def overdue(saga: Saga, now: dt.datetime) -> Decided:
    """After the deadlines of some steps: they are asked again, and given up after TRIES asks in a row."""
    if saga.state != "running":
        return Decided(saga)
    steps: list[SagaStep] = []
    again = False
    for step in saga.steps:
        if step.state != "asked" or step.due_at is None or step.due_at > now:
            steps.append(step)
        elif step.tries >= TRIES:
            steps.append(replace(step, state="failed", due_at=None, problem=dict(NO_ANSWER)))
        else:
            steps.append(_asked(step, now, step.tries + 1))
            again = True
    return _settled(saga, replace(saga, steps=tuple(steps)), now, again=again)


def resumed(saga: Saga, now: dt.datetime, data: Mapping[str, Any] | None = None) -> Decided:
    """What has failed is asked again. data: what the saga goes on with instead; then everything that isn't done is asked again.

    Raises SagaOver, NothingToResume.
    """
    if saga.state in ("succeeded", "cancelled"):
        raise SagaOver
    changed = data is not None and data != saga.data
    again = [step.name for step in saga.steps if step.state == "failed" or (changed and step.state == "asked")]
    if not again:
        raise NothingToResume
    steps = tuple(_asked(step, now, 1) if step.name in again else step for step in saga.steps)
    after = replace(saga, steps=steps, data=saga.data if data is None else data)
    return _settled(saga, after, now, again=True)


def cancelled(saga: Saga, now: dt.datetime) -> Decided:
    """Nothing more is to be done. One that is cancelled already stays so. Raises SagaOver for one that has succeeded."""
    if saga.state == "cancelled":
        return Decided(saga)
    if saga.state == "succeeded":
        raise SagaOver
    steps = tuple(
        replace(step, state="cancelled", due_at=None) if step.state in ("asked", "waiting") else step
        for step in saga.steps
    )
    return Decided(replace(saga, state="cancelled", ended_at=now, steps=steps), "cancelled")


def patience(tries: int) -> dt.timedelta:
    """How long after the n-th ask in a row (1 is the first) nothing need be heard."""
    doubled: dt.timedelta = FIRST_PATIENCE * (1 << min(tries - 1, 20))
    return min(LONGEST_PATIENCE, doubled)


def _settled(before: Saga, after: Saga, now: dt.datetime, *, again: bool = False) -> Decided:
    """Ask the stage that has come to its turn, and say how the saga stands."""
    if before.state == "cancelled":
        return Decided(after)
    steps = after.steps
    undone = [step.stage for step in steps if step.state != "done"]
    due = [step.name for step in steps if step.state == "waiting" and step.stage == min(undone)]
    if due:
        steps = tuple(_asked(step, now, 1) if step.name in due else step for step in steps)
    asked = any(step.state == "asked" for step in steps)
    state: SagaState = "running" if asked else "failed" if undone else "succeeded"
    ended_at = None if asked else before.ended_at or now
    after = replace(after, steps=steps, state=state, ended_at=ended_at)
    if asked and (due or again or before.state != "running"):
        return Decided(after, "asked")
    return Decided(after, "finished" if state != before.state else None)


def _asked(step: SagaStep, now: dt.datetime, tries: int) -> SagaStep:
    return replace(
        step,
        state="asked",
        attempt=step.attempt + 1,
        tries=tries,
        asked_at=now,
        due_at=now + patience(tries),
        problem=None,
    )


def _with(saga: Saga, changed: SagaStep) -> Saga:
    return replace(saga, steps=tuple(changed if step.name == changed.name else step for step in saga.steps))
