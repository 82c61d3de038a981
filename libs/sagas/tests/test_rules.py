"""Sagas as values: every input in every state, and random histories with news that is lost, doubled, late and out of order."""

import datetime as dt
import uuid
from dataclasses import dataclass, field, replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_sagas import rules
from crm_sagas.rules import (
    FIRST_PATIENCE,
    LONGEST_PATIENCE,
    NO_ANSWER,
    TRIES,
    Decided,
    News,
    NothingToResume,
    Saga,
    SagaOver,
)

NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
PROBLEM = {"code": "x.broken", "title": "Broken", "detail": "Broken"}


def new(*stages: tuple[str, ...]) -> Saga:
    return Saga(
        id=uuid.UUID(int=1),
        version=1,
        kind="test.change",
        state="running",
        about=uuid.UUID(int=2),
        data={"to": "a"},
        asked_by=None,
        asked_at=NOW,
        ended_at=None,
        steps=rules.steps_of(stages),
    )


def begun(*stages: tuple[str, ...]) -> Saga:
    decided = rules.begun(new(*stages), NOW)
    assert decided.tell == "asked"
    return decided.saga


def states(saga: Saga) -> dict[str, str]:
    return {step.name: step.state for step in saga.steps}


def done(saga: Saga, name: str, attempt: int = 1, version: int = 9) -> Decided:
    return rules.told(saga, News(name, attempt, version, "done", {"moved": 3}), NOW)


def failed(saga: Saga, name: str, attempt: int = 1, version: int = 9) -> Decided:
    return rules.told(saga, News(name, attempt, version, "failed", {"moved": 1}, PROBLEM), NOW)


def test_all_steps_of_the_first_stage_are_asked_and_later_stages_wait() -> None:
    saga = begun(("a", "b"), ("c",))
    assert states(saga) == {"a": "asked", "b": "asked", "c": "waiting"}
    assert [(step.attempt, step.due_at) for step in saga.steps[:2]] == [(1, NOW + FIRST_PATIENCE)] * 2
    assert saga.steps[2].attempt == 0


def test_a_stage_is_asked_when_all_before_it_are_done_and_the_last_ends_the_saga() -> None:
    saga = begun(("a", "b"), ("c",))
    one = done(saga, "a")
    assert (one.tell, states(one.saga)) == (None, {"a": "done", "b": "asked", "c": "waiting"})
    both = done(one.saga, "b")
    assert (both.tell, states(both.saga)) == ("asked", {"a": "done", "b": "done", "c": "asked"})
    last = done(both.saga, "c")
    assert (last.tell, last.saga.state, last.saga.ended_at) == ("finished", "succeeded", NOW)
    assert last.saga.steps[0].outcome == {"moved": 3}


def test_a_failed_step_fails_the_saga_when_nobody_is_at_it_any_more_and_keeps_later_stages_waiting() -> None:
    saga = begun(("a", "b"), ("c",))
    one = failed(saga, "a")
    assert (one.tell, one.saga.state) == (None, "running")
    both = done(one.saga, "b")
    assert (both.tell, both.saga.state, states(both.saga)) == (
        "finished",
        "failed",
        {"a": "failed", "b": "done", "c": "waiting"},
    )
    assert both.saga.steps[0].problem == PROBLEM
    again = rules.resumed(both.saga, NOW)
    assert (again.tell, again.saga.state, again.saga.ended_at) == ("asked", "running", None)
    assert states(again.saga) == {"a": "asked", "b": "done", "c": "waiting"}
    assert (again.saga.steps[0].attempt, again.saga.steps[0].problem) == (2, None)


def test_news_of_an_earlier_attempt_counts_but_decides_nothing() -> None:
    saga = rules.resumed(failed(begun(("a",)), "a", version=1).saga, NOW).saga
    late = failed(saga, "a", attempt=1, version=2)
    assert (late.tell, states(late.saga), late.saga.steps[0].outcome) == (None, {"a": "asked"}, {"moved": 1})
    assert states(done(late.saga, "a", attempt=1, version=3).saga) == {"a": "asked"}
    assert states(done(late.saga, "a", attempt=2, version=3).saga) == {"a": "done"}


def test_news_that_is_older_than_what_was_heard_changes_nothing() -> None:
    saga = rules.told(begun(("a",)), News("a", 1, 5, "progressed", {"moved": 5}), NOW).saga
    for fact in ("progressed", "done", "failed"):
        for version in (4, 5):
            assert rules.told(saga, News("a", 1, version, fact, {"moved": 0}), NOW) == Decided(saga)  # type: ignore[arg-type]


def test_news_of_an_attempt_that_was_never_made_or_of_no_step_changes_nothing() -> None:
    saga = begun(("a",), ("b",))
    assert done(saga, "a", attempt=2) == Decided(saga)
    assert done(saga, "b") == Decided(saga)
    assert done(saga, "nobody") == Decided(saga)


def test_what_is_done_stays_done() -> None:
    saga = done(begun(("a", "b")), "a").saga
    assert failed(saga, "a", version=99) == Decided(saga)
    assert states(rules.cancelled(saga, NOW).saga) == {"a": "done", "b": "cancelled"}


def test_progress_gives_time_anew() -> None:
    saga = begun(("a",))
    later = NOW + FIRST_PATIENCE - dt.timedelta(seconds=1)
    heard = rules.told(saga, News("a", 1, 1, "progressed", {"moved": 1}), later)
    assert (heard.tell, heard.saga.steps[0].due_at) == (None, later + FIRST_PATIENCE)
    assert rules.overdue(heard.saga, NOW + FIRST_PATIENCE) == Decided(heard.saga)


def test_a_silent_step_is_asked_again_ever_more_rarely_and_given_up_in_the_end() -> None:
    saga = begun(("a", "b"))
    saga = done(saga, "b").saga
    waits, now = [], NOW
    while saga.state == "running":
        due = saga.steps[0].due_at
        assert due is not None
        waits.append(due - now)
        assert rules.overdue(saga, due - dt.timedelta(microseconds=1)) == Decided(saga)
        now = due
        decided = rules.overdue(saga, now)
        saga = decided.saga
    assert waits == [min(FIRST_PATIENCE * 2**n, LONGEST_PATIENCE) for n in range(TRIES)]
    assert (decided.tell, saga.state, saga.steps[0].problem) == ("finished", "failed", dict(NO_ANSWER))
    assert saga.steps[0].attempt == TRIES


def test_who_was_given_up_for_silence_may_still_answer() -> None:
    saga = begun(("a",))
    while saga.state == "running":
        saga = rules.overdue(saga, saga.steps[0].due_at or NOW).saga
    alive = rules.told(saga, News("a", TRIES, 1, "progressed"), NOW)
    assert (alive.tell, alive.saga.state, states(alive.saga)) == ("asked", "running", {"a": "asked"})
    assert alive.saga.steps[0].attempt == TRIES, "it is at it: the same attempt goes on"
    assert done(saga, "a", attempt=TRIES).saga.state == "succeeded"


def test_cancelling_asks_nobody_any_more_and_keeps_what_was_done_nevertheless() -> None:
    saga = begun(("a", "b"), ("c",))
    decided = rules.cancelled(failed(saga, "b").saga, NOW)
    assert (decided.tell, decided.saga.state, states(decided.saga)) == (
        "cancelled",
        "cancelled",
        {"a": "cancelled", "b": "failed", "c": "cancelled"},
    )
    assert rules.cancelled(decided.saga, NOW) == Decided(decided.saga)
    assert rules.overdue(decided.saga, NOW + dt.timedelta(days=9)) == Decided(decided.saga)
    counted = rules.told(decided.saga, News("a", 1, 1, "progressed", {"moved": 7}), NOW)
    assert (counted.tell, states(counted.saga)["a"], counted.saga.steps[0].outcome) == (None, "cancelled", {"moved": 7})
    after = done(counted.saga, "a")
    assert (after.tell, after.saga.state, states(after.saga)["a"], states(after.saga)["c"]) == (
        None,
        "cancelled",
        "done",
        "cancelled",
    )
    with pytest.raises(SagaOver):
        rules.resumed(decided.saga, NOW)


def test_what_has_succeeded_is_neither_cancelled_nor_resumed() -> None:
    saga = done(begun(("a",)), "a").saga
    with pytest.raises(SagaOver):
        rules.cancelled(saga, NOW)
    with pytest.raises(SagaOver):
        rules.resumed(saga, NOW, {"to": "b"})


def test_resuming_needs_something_that_failed_or_something_else_to_go_on_with() -> None:
    saga = done(begun(("a", "b")), "a").saga
    for data in (None, dict(saga.data)):
        with pytest.raises(NothingToResume):
            rules.resumed(saga, NOW, data)
    other = rules.resumed(saga, NOW, {"to": "b"})
    assert (other.tell, other.saga.data, [step.attempt for step in other.saga.steps]) == ("asked", {"to": "b"}, [1, 2])


def test_a_failure_without_a_reason_has_one_nevertheless() -> None:
    saga = rules.told(begun(("a",)), News("a", 1, 1, "failed"), NOW).saga
    assert saga.steps[0].problem is not None
    assert saga.steps[0].problem["code"] == "saga.step_failed"


def test_steps_have_names_of_their_own() -> None:
    for stages in ([], [()], [("a",), ("a",)]):
        with pytest.raises(ValueError, match="steps"):
            rules.steps_of(stages)


# -- random histories --------------------------------------------------------------------------------------------------


@dataclass
class Asked:
    """The other side: does each attempt once, however often it hears of it; tells of it in versions."""

    name: str
    newest: int = 0
    version: int = 0
    stopped: bool = False
    effects: list[int] = field(default_factory=list)
    finished: bool = False

    def hear(self, attempt: int) -> News | None:
        if attempt <= self.newest or self.stopped:
            return None
        self.newest = attempt
        return self._say("progressed")

    def work(self, random: Random) -> News | None:
        if not self.newest or self.stopped:
            return None
        if random.random() < 0.3:
            return self._say("failed")
        if not self.finished:
            self.effects.append(self.newest)
            self.finished = True
        return self._say("done")

    def _say(self, fact: str) -> News:
        self.version += 1
        problem = PROBLEM if fact == "failed" else None
        return News(self.name, self.newest, self.version, fact, {"moved": len(self.effects)}, problem)  # type: ignore[arg-type]


class History:
    """A saga and its services over a network that loses, doubles and reorders."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.now = NOW
        self.services = {name: Asked(name) for name in "abc"}
        self.told: list[tuple[str, int] | str] = []
        self.news: list[News] = []
        self.attempts: dict[str, int] = dict.fromkeys("abc", 0)
        self.saga = new(("a", "b"), ("c",))
        self.take(rules.begun(self.saga, self.now))

    def take(self, decided: Decided) -> None:
        before, self.saga = self.saga, decided.saga
        check(before, decided, self.attempts)
        if decided.tell == "asked":
            self.told += [(step.name, step.attempt) for step in self.saga.steps if step.state == "asked"]
        elif decided.tell == "cancelled":
            self.told += list("abc")

    def deliver(self, *, faulty: bool) -> None:
        """One message, in either direction."""
        random = self.random
        queue: list[object] = random.choice([one for one in (self.told, self.news) if one] or [[]])  # type: ignore[list-item]
        if not queue:
            return
        place = random.randrange(len(queue)) if faulty else 0
        message = queue[place] if faulty and random.random() < 0.2 else queue.pop(place)
        if faulty and random.random() < 0.2:
            return
        if isinstance(message, News):
            self.take(rules.told(self.saga, message, self.now))
        elif isinstance(message, tuple):
            self.say(self.services[message[0]].hear(message[1]))
        else:
            self.services[str(message)].stopped = True

    def say(self, news: News | None) -> None:
        if news is not None:
            self.news.append(news)

    def wait(self, by: dt.timedelta) -> None:
        self.now += by
        self.take(rules.overdue(self.saga, self.now))

    def resume(self) -> None:
        try:
            self.take(rules.resumed(self.saga, self.now, self.random.choice((None, {"to": "b"}))))
        except (SagaOver, NothingToResume):
            return


def check(before: Saga, decided: Decided, attempts: dict[str, int]) -> None:
    """What holds of every decision."""
    after = decided.saga
    for old, step in zip(before.steps, after.steps, strict=True):
        assert step.attempt >= old.attempt
        assert (step.due_at is not None) == (step.state == "asked")
        assert (step.problem is not None) == (step.state == "failed")
        assert step.heard >= old.heard
        assert old.state != "done" or step.state == "done"
        assert step.attempt in (attempts[step.name], attempts[step.name] + 1), (
            "no attempt's number is left out or used again"
        )
        attempts[step.name] = step.attempt
    asked = [step for step in after.steps if step.state == "asked"]
    if before.state == "cancelled":
        assert after.state == "cancelled"
        assert decided.tell is None
    if after.state != "cancelled":
        assert (after.state == "running") == bool(asked)
        assert (after.state == "succeeded") == all(step.state == "done" for step in after.steps)
    assert (after.ended_at is None) == (after.state == "running")
    assert not asked or all(step.state == "done" for step in after.steps if step.stage < min(s.stage for s in asked))
    if after.state != before.state or after.data != before.data:
        assert decided.tell is not None, "the saga's own row changes only with an event"
    if any(step.attempt != old.attempt for old, step in zip(before.steps, after.steps, strict=True)):
        assert decided.tell == "asked", "who is asked is told so"


@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 120))
def test_whatever_is_lost_doubled_or_late_each_part_is_done_once_and_the_saga_ends(random: Random, faults: int) -> None:
    history = History(random)
    for _ in range(faults):
        kind = random.random()
        if kind < 0.55:
            history.deliver(faulty=True)
        elif kind < 0.8:
            history.say(history.services[random.choice("abc")].work(random))
        elif kind < 0.93:
            history.wait(dt.timedelta(seconds=random.choice((1, 90, 4000))))
        elif kind < 0.97:
            history.resume()
        elif random.random() < 0.3:
            try:
                history.take(rules.cancelled(history.saga, history.now))
            except SagaOver:
                continue
    cancelled = history.saga.state == "cancelled"
    # From here on the world is kind: everything arrives, and nobody fails.
    history.random = Random(1)
    kind_random = type("Kind", (), {"random": staticmethod(lambda: 1.0)})()
    for _ in range(400):
        if history.saga.state in ("succeeded", "cancelled") and not history.news and not history.told:
            break
        history.deliver(faulty=False)
        if history.told or history.news:
            continue
        # Whoever has heard does the work before the deadline.
        for service in history.services.values():
            step = history.saga.step(service.name)
            if step is not None and step.state == "asked" and service.newest == step.attempt:
                history.say(service.work(kind_random))
        if not history.news:
            history.wait(LONGEST_PATIENCE)
            history.resume()
    assert history.saga.state == ("cancelled" if cancelled else "succeeded"), states(history.saga)
    for service in history.services.values():
        assert len(service.effects) <= 1
        if not cancelled:
            assert len(service.effects) == 1
    for step in history.saga.steps:
        if step.state == "done":
            assert step.outcome == {"moved": 1}


def test_an_order_that_a_network_may_choose_gives_what_the_best_one_gives() -> None:
    """The same news in any order: the newest version decides."""
    news = [
        News("a", 1, 1, "progressed", {"moved": 0}),
        News("a", 1, 2, "progressed", {"moved": 4}),
        News("a", 1, 3, "done", {"moved": 6}),
    ]
    for order in ([0, 1, 2], [2, 1, 0], [1, 2, 0, 2], [2, 2, 0, 1]):
        saga = begun(("a",))
        for place in order:
            saga = rules.told(saga, news[place], NOW).saga
        assert (saga.state, saga.steps[0].outcome) == ("succeeded", {"moved": 6})


def test_patience_doubles_up_to_an_hour() -> None:
    assert [rules.patience(n) for n in (1, 2, 6, 60)] == [
        FIRST_PATIENCE,
        2 * FIRST_PATIENCE,
        LONGEST_PATIENCE,
        LONGEST_PATIENCE,
    ]
    assert replace(begun(("a",)), state="running").steps[0].tries == 1
