"""The decisions of relay and consumer, one by one; `tests/simulation` shows that they hold together."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_events.consumer import failures
from crm_events.consumer import rules as consumer
from crm_events.relay import rules as relay
from crm_events.relay.rules import Report

FRESH = relay.Partition(stream="s2", head=10, acknowledged=8, next=9, groups=frozenset({"a", "b"}), opens_at=105.0)
OPEN = dataclasses.replace(FRESH, heard=frozenset({"a", "b"}))


def report(
    group: str = "a", stream: str = "s2", watermark: int = 8, position: int | None = 20, lacking: bool = True
) -> Report:
    return Report(group, stream, watermark, position, lacking)


@given(st.lists(st.integers(0, 12)), st.integers(0, 5))
def test_whatever_arrives_only_the_next_number_is_applied(numbers: list[int], start: int) -> None:
    settlement = consumer.settle(consumer.Watermark("s", start), [("s", n) for n in numbers])
    applied = [n for n, o in zip(numbers, settlement.outcomes, strict=True) if o is consumer.Outcome.APPLY]
    assert applied == list(range(start + 1, start + 1 + len(applied)))
    assert settlement.watermark.number == start + len(applied)


@pytest.mark.parametrize(
    ("stream", "number", "outcome"),
    [
        ("s2", 6, consumer.Outcome.APPLY),
        ("s2", 5, consumer.Outcome.DOUBLE),
        ("s2", 7, consumer.Outcome.SKIP),
        ("s1", 6, consumer.Outcome.DOUBLE),
        ("s3", 1, consumer.Outcome.APPLY),
        ("s3", 6, consumer.Outcome.SKIP),
        ("s2", 0, consumer.Outcome.FOREIGN),
    ],
)
def test_what_becomes_of_a_record_behind_watermark_5(stream: str, number: int, outcome: consumer.Outcome) -> None:
    assert consumer.judge(consumer.Watermark("s2", 5), stream, number) is outcome


def test_a_leader_sends_nothing_before_every_group_was_heard_or_five_seconds_have_passed() -> None:
    one, _ = relay.hear(FRESH, report("a", lacking=False))
    assert relay.next_action(one, 104.9) is None
    both, _ = relay.hear(one, report("b", lacking=False))
    assert relay.next_action(both, 100.0) == relay.Send(9, 10)
    assert relay.next_action(one, 105.0) == relay.Send(9, 10)


def test_a_report_without_a_real_position_does_not_count() -> None:
    heard, actions = relay.hear(FRESH, report(position=None))
    assert (heard, actions) == (FRESH, ())


def test_what_two_groups_lack_is_put_back_from_the_smaller_watermark() -> None:
    state, looks = relay.hear(OPEN, report("a", watermark=6))
    assert looks == (relay.Look("a", 7),)
    assert relay.next_action(state, 0) is None  # Not before it was looked.
    state, _ = relay.hear(state, report("b", watermark=3))
    # What one lacks is gone for the other too: nobody waits for the second look, and nothing comes of it afterwards.
    state = relay.looked(state, "a", 7, None)
    assert relay.next_action(state, 0) == relay.PutBack(4, 8)
    assert relay.looked(state, "b", 4, None) == state
    state = relay.was_put_back(state, 4)
    assert relay.next_action(state, 0) == relay.Send(4, 10)


@pytest.mark.parametrize("found_at", [None, 30])
def test_however_long_looks_take_a_partition_does_not_stand_still(found_at: int | None) -> None:
    """Each group reports again before the look for the next is over, so that somebody is looked at all the time."""
    groups = ["a", "b", "c"]
    state, owed = dataclasses.replace(OPEN, groups=frozenset(groups)), []
    done: list[relay.Send | relay.PutBack | None] = []
    for _ in range(4):
        for group in groups:
            state, looks = relay.hear(state, report(group, watermark=3, position=20))
            owed += looks
            if len(owed) > 1:
                look = owed.pop(0)
                assert isinstance(look, relay.Look)
                state = relay.looked(state, look.group, look.number, found_at)
            assert state.looking or state.lacking
            done.append(relay.next_action(state, 0))
    assert (relay.PutBack(4, 8) if found_at is None else relay.Send(9, 10)) in done


def test_a_look_for_an_earlier_report_says_nothing_of_a_later_one() -> None:
    state, _ = relay.hear(OPEN, report("a", watermark=6))
    assert relay.looked(state, "a", 5, None) == state
    assert relay.looked(state, "b", 7, None) == state


def test_a_group_that_catches_up_holds_sending_up_again_when_it_misses_something_later() -> None:
    state, _ = relay.hear(OPEN, report("a", watermark=3, position=20))
    state = relay.looked(state, "a", 4, 30)
    assert relay.next_action(state, 0) == relay.Send(9, 10)
    state, (again,) = relay.hear(state, report("a", watermark=4, position=20))
    assert again == relay.Look("a", 5)
    assert relay.next_action(state, 0) == relay.Send(9, 10)
    state = relay.looked(state, "a", 5, 31)
    state, _ = relay.hear(state, report("a", watermark=5, lacking=False))
    state, _ = relay.hear(state, report("a", watermark=6))
    assert relay.next_action(state, 0) is None


@pytest.mark.parametrize(
    ("found_at", "position", "put_back"), [(30, 20, False), (20, 20, False), (19, 20, True), (None, 20, True)]
)
def test_a_record_that_lies_ahead_of_the_group_is_not_sent_again(
    found_at: int | None, position: int, put_back: bool
) -> None:
    state, _ = relay.hear(OPEN, report(watermark=3, position=position))
    state = relay.looked(state, "a", 4, found_at)
    assert isinstance(relay.next_action(state, 0), relay.PutBack) is put_back


def test_what_still_waits_in_the_outbox_is_not_missing() -> None:
    assert relay.hear(OPEN, report(watermark=8))[1] == ()
    assert relay.hear(OPEN, report(watermark=3, lacking=False))[1] == ()


def test_nothing_else_is_done_while_a_batch_is_in_flight() -> None:
    state = relay.sending(OPEN, 9, 10)
    state, _ = relay.hear(state, report(watermark=3))
    state = relay.looked(state, "a", 4, None)
    assert relay.next_action(state, 0) is None
    state = relay.stored(state)
    assert (state.next, state.acknowledged) == (11, 10)
    assert relay.next_action(state, 0) == relay.PutBack(4, 10)


def test_a_group_beyond_the_head_or_in_an_unknown_numbering_starts_a_new_one() -> None:
    for said in (report(watermark=11), report(stream="s3", watermark=1)):
        state, (action,) = relay.hear(OPEN, said)
        assert isinstance(action, relay.StartStream)
        assert relay.next_action(state, 1000) is None
        assert relay.hear(state, said)[1] == ()  # Said once.


def test_a_new_numbering_reaches_back_to_the_group_that_has_applied_least() -> None:
    assert relay.renumber_from(10, "s2", {"a": ("s2", 9), "b": ("s2", 4)}) == 5
    assert relay.renumber_from(10, "s2", {"a": ("s2", 9), "b": ("s1", 4)}) == 1
    assert relay.renumber_from(10, "s2", {"a": ("s2", 9), "b": None}) == 1
    assert relay.renumber_from(10, "s2", {"a": ("s2", 30)}) == 11


def test_reports_are_due_on_start_after_a_skip_and_every_few_seconds() -> None:
    unplaced = consumer.Reader()
    assert not consumer.report_due(unplaced, 0.0)
    reader = consumer.placed(unplaced, 0, 0)
    assert consumer.report_due(reader, 0.0)
    reader, said = consumer.report(reader, "a", consumer.Watermark("s", 3), 10.0)
    assert said == Report("a", "s", 3, 0, True)
    assert not consumer.report_due(reader, 13.9)
    assert consumer.report_due(reader, 14.0)
    skipping = consumer.settled(reader, consumer.settle(consumer.Watermark("s", 3), [("s", 5)]), 1)
    assert not consumer.report_due(skipping, 10.9)
    assert consumer.report_due(skipping, 11.0)
    assert consumer.is_lacking(consumer.placed(skipping, 1, 9), consumer.Watermark("s", 4))
    assert not consumer.is_lacking(consumer.placed(skipping, 1, 9), consumer.Watermark("s", 5))


@pytest.mark.parametrize(
    ("declared", "heads", "watermarks", "found"),
    [
        (3, {}, [], 3),
        (6, {0: 4, 1: 0, 2: 1}, [{0: 4, 2: 1}], 6),
        (6, {0: 4, 1: 0, 2: 1}, [{0: 4, 2: 1}, {0: 4}], 3),
        (6, {0: 4}, [{}], 1),
        (6, {0: 0}, [{}], 6),
        (2, {0: 4, 1: 1, 2: 9}, [{}], 2),
    ],
)
def test_keys_move_to_new_partitions_only_when_every_group_has_applied_what_was_numbered(
    declared: int, heads: dict[int, int], watermarks: list[dict[int, int]], found: int
) -> None:
    assert relay.partitions_in_force(declared, heads, watermarks) == found


def test_transient_pauses_double_up_to_five_seconds() -> None:
    assert [failures.transient_pause(n) for n in (1, 2, 3, 8, 99)] == [0.05, 0.1, 0.2, 5.0, 5.0]
