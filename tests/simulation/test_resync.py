"""Resyncs hold in random histories, and each of their guards is needed."""

import dataclasses

import pytest

from crm_events.resync import rules

from .producer import Broken
from .resync import Fact, Replica, histories

SEEDS = range(600)


@pytest.mark.requirement("PL-48")
def test_whatever_fails_what_was_lost_is_told_again_once_and_in_order() -> None:
    histories(SEEDS)


def test_without_the_chain_pages_are_taken_twice_or_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any page of the present attempt is taken."""
    real = rules.judge

    def judge(asked: rules.Asked, page: rules.Page) -> rules.Verdict:
        return real(asked, dataclasses.replace(page, after=asked.cursor, before=asked.applied))

    monkeypatch.setattr(rules, "judge", judge)
    with pytest.raises(Broken):
        histories(SEEDS)


def test_without_versions_a_state_told_late_overwrites_what_came_live() -> None:
    class Forgetful(Replica):
        def keep(self, fact: Fact) -> None:
            self.held[fact.subject] = fact.version

    with pytest.raises(Broken, match="holds"):
        histories(SEEDS, Forgetful)


def test_an_end_that_is_believed_wherever_one_stands_loses_what_was_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = rules.judge

    def judge(asked: rules.Asked, page: rules.Page) -> rules.Verdict:
        return rules.Verdict.FINISH if page.total is not None else real(asked, page)

    monkeypatch.setattr(rules, "judge", judge)
    with pytest.raises(Broken):
        histories(SEEDS)


def test_a_cursor_kept_in_another_transaction_than_the_effect_tells_twice() -> None:
    class Torn(Replica):
        pages = 0

        def take(self, sent: object) -> None:
            before = self.asked
            super().take(sent)  # type: ignore[arg-type]
            Torn.pages += 1
            if Torn.pages % 7 == 0:
                self.asked = dataclasses.replace(before, attempt=self.asked.attempt)

    with pytest.raises(Broken):
        histories(SEEDS, Torn)


def test_nobody_asks_again_after_silence_and_it_never_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "is_silent", lambda heard, now, patience: heard is None)
    with pytest.raises(Broken, match="not complete"):
        histories(SEEDS)
