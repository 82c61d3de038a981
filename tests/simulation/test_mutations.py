"""The simulation bites: without any one of the rules it finds a history that fails."""

import dataclasses

import pytest

from crm_events.consumer import rules as consumer
from crm_events.relay import rules as relay

from .broker import Record, Slot
from .consumers import Group
from .history import first_failure
from .producer import Pending, Relay
from .world import World

SEEDS = range(3_000)


def fails(world: type[World] = World, *, producer_restores: bool = False) -> str:
    """The shrunk history that fails; the test fails when none does."""
    failure = first_failure(SEEDS, world, producer_restores=producer_restores)
    assert failure is not None, f"{len(SEEDS)} histories held without the rule"
    print(failure)
    return str(failure)


def test_without_the_number_check_facts_are_reversed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 5: whatever arrives is applied; the inbox keeps doubles out, but not reversals."""

    def judge(watermark: consumer.Watermark, stream: str, number: int) -> consumer.Outcome:
        return consumer.Outcome.APPLY if number > 0 else consumer.Outcome.FOREIGN

    monkeypatch.setattr(consumer, "judge", judge)
    fails()


def test_applying_across_gaps_loses_facts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 5: a number after a gap is applied."""

    def judge(watermark: consumer.Watermark, stream: str, number: int) -> consumer.Outcome:
        applied = watermark.number if stream == watermark.stream else 0
        return consumer.Outcome.APPLY if number > applied else consumer.Outcome.DOUBLE

    monkeypatch.setattr(consumer, "judge", judge)
    fails()


def test_raising_the_watermark_in_another_transaction_than_the_effect_doubles_it() -> None:
    """Rule 5: effect first, watermark (and inbox) in a transaction of their own, that a crash prevents."""

    class Torn(Group):
        crashes = 0

        def transaction(self, slot: Slot, records: list[Record]) -> consumer.Settlement:
            Torn.crashes += 1
            before, inbox = self.watermark(slot), set(self.tables.inbox)
            settlement = super().transaction(slot, records)
            if Torn.crashes % 5 == 0:
                self.tables.watermarks[slot], self.tables.inbox = before, inbox
            return settlement

    class TornWorld(World):
        group_class = Torn

    fails(TornWorld)


def test_without_resending_what_a_wipe_took_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 8: no report is ever acted upon."""
    monkeypatch.setattr(relay, "is_missing", lambda partition, report: False)
    fails()


def test_putting_back_the_missing_number_only_breaks_the_order_of_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 8: everything up to the highest acknowledged goes back, not just what was missed."""
    real = relay.next_action

    def next_action(partition: relay.Partition, now: float) -> relay.Send | relay.PutBack | None:
        action = real(partition, now)
        return relay.PutBack(action.first, action.first) if isinstance(action, relay.PutBack) else action

    monkeypatch.setattr(relay, "next_action", next_action)
    fails()


def test_trusting_a_record_that_the_group_has_read_past_loses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 8: that the record lies in the log is not enough."""
    monkeypatch.setattr(relay, "will_come", lambda report, found_at: found_at is not None)
    fails()


def test_a_quiet_wipe_is_missed_when_only_skips_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 7: standing at the end is reported too, or nobody notices that nothing comes any more."""

    def is_lacking(reader: consumer.Reader, watermark: consumer.Watermark) -> bool:
        return reader.skipped_to is not None and watermark.is_behind(reader.skipped_to)

    monkeypatch.setattr(consumer, "is_lacking", is_lacking)
    fails()


def test_a_group_that_reports_only_after_skips_and_on_start_waits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 7: every 5 s even when idle."""
    monkeypatch.setattr(consumer, "REPORT_SECONDS", float("inf"))
    fails()


def test_staying_at_a_position_that_the_log_no_longer_has_loses_what_regrows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 6: out of range means earliest."""
    monkeypatch.setattr(consumer, "out_of_range", lambda position, start, end: False)
    fails()


def test_several_batches_in_flight_let_a_number_leave_the_outbox_unsent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 3: the next batch goes before the first is acknowledged; when the first is lost, the second's answer hides it."""
    real = relay.next_action

    def next_action(partition: relay.Partition, now: float) -> relay.Send | relay.PutBack | None:
        if partition.in_flight is not None and partition.in_flight[1] < partition.head:
            return relay.Send(partition.in_flight[1] + 1, partition.head)
        return real(partition, now)

    class Several(Relay):
        def acknowledged(self, pending: Pending, base: int) -> None:
            if pending.slot in self.partitions:  # Whatever else is in flight: this one is done.
                last = pending.records[-1].number
                flight = dataclasses.replace(self.partitions[pending.slot], in_flight=(pending.first, last))
                self.partitions[pending.slot] = flight
            super().acknowledged(pending, base)

    class SeveralWorld(World):
        relay_class = Several

    monkeypatch.setattr(relay, "next_action", next_action)
    fails(SeveralWorld)


def test_numbers_that_are_not_committed_before_sending_are_given_twice() -> None:
    """Rule 2: a crash forgets the number, and the next leader gives it to another event."""

    class Uncommitted(Relay):
        def number(self, now: float, limit: int) -> None:
            super().number(now, limit)
            tables = self._tables()
            for stream in tables.streams.values():  # What is committed is only what was acknowledged.
                stream.head = max(stream.next - 1, stream.acknowledged)

        def try_lock(self, now: float) -> None:
            tables = self.database.tables
            if not self.leads and self.database.holder is None:
                for stream in tables.streams.values():
                    for number in sorted(stream.in_outbox):
                        if number > stream.head:
                            stream.in_outbox.discard(number)
                            event = tables.publication.pop((stream.id, number))
                            tables.unnumbered[-1000 - self.database.names * 10_000 + event] = event
            super().try_lock(now)

    class UncommittedWorld(World):
        relay_class = Uncommitted

    fails(UncommittedWorld)


def test_without_parking_later_facts_of_a_record_overtake_its_dead_letter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 10 and the inbox: what follows a dead letter of the same key waits behind it."""
    monkeypatch.setattr(consumer, "parked", lambda keys, blocked: tuple(False for _ in keys))
    fails()


def test_a_dead_letter_that_does_not_raise_the_watermark_stops_the_partition() -> None:
    """Rule 10: dead-lettered events advance the watermark, or everything behind them waits."""

    class Stuck(Group):
        def transaction(self, slot: Slot, records: list[Record]) -> consumer.Settlement:
            for n, record in enumerate(records):
                if record.event in self.poison:
                    return super().transaction(slot, records[:n])
            return super().transaction(slot, records)

        def retry(self, key: str) -> None:
            super().retry(key)

    class StuckWorld(World):
        group_class = Stuck

    fails(StuckWorld)


def test_letting_a_key_go_before_its_parked_facts_are_applied_reverses_them() -> None:
    """Rule 10: they are applied before they leave the park."""

    class Hasty(Group):
        def retry(self, key: str) -> None:
            held = self.tables.waiting.pop(key, [])
            self.poison -= set(held)
            self._apply(key, held[0])
            # The rest is applied with the next retry of this key.
            if len(held) > 1:
                self.later = {**getattr(self, "later", {}), key: held[1:]}

    class HastyWorld(World):
        group_class = Hasty

    fails(HastyWorld)


def test_an_unsendable_event_without_a_tombstone_stops_its_partition() -> None:
    """Rule 4."""

    class Stubborn(Relay):
        def refused(self, pending: Pending) -> bool:
            if any(r.event in self.database.unsendable for r in pending.records):
                self.not_acknowledged(pending)
                return True
            return False

    class StubbornWorld(World):
        relay_class = Stubborn

    fails(StubbornWorld)


def test_going_on_with_the_old_numbering_after_a_restore_loses_facts() -> None:
    """Rule 12: a restored producer that notices neither its restore nor watermarks above its head."""

    class Unsuspecting(Relay):
        def start_stream(self, slot: Slot) -> None:
            partition = self.partitions[slot]
            self.partitions[slot] = dataclasses.replace(partition, broken=False)

    class UnsuspectingWorld(World):
        relay_class = Unsuspecting

    fails(UnsuspectingWorld, producer_restores=True)
