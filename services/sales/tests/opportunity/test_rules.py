"""The opportunity's decisions (SA-3, SA-4), checked for all inputs."""

import datetime as dt
import uuid
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_kernel.money import Money
from crm_records.lines import Line
from crm_sales.opportunity.history import Fact, visits
from crm_sales.opportunity.rules import (
    ClosedBeforeOpened,
    CurrencyMixed,
    Outcome,
    OutcomeNotAllowed,
    ReasonMissing,
    ValueFromLines,
    check_closed_value,
    check_closing,
    check_outcome,
    dwell,
    probability_of,
    value_of,
    weighted,
)

NOW = dt.datetime(2026, 11, 23, 3, 0, tzinfo=dt.UTC)
outcomes = st.sampled_from(get_args(Outcome))
instants = st.integers(-(10**8), 10**8).map(lambda seconds: NOW + dt.timedelta(seconds=seconds))
LINE = Line(uuid.UUID(int=1), uuid.UUID(int=2), Decimal(2), Money(500, "USD"), Money(500, "USD"))


@pytest.mark.requirement("SA-4")
@given(outcomes, outcomes, st.sampled_from([None, "", "  ", "price"]))
def test_an_outcome_is_given_to_what_is_not_closed_and_with_a_reason(
    current: Outcome, target: Outcome, reason: str | None
) -> None:
    closed = current in ("won", "lost")
    allowed = target != current and (target == "open" if closed else True)
    try:
        check_outcome(current, target, reason)
    except OutcomeNotAllowed:
        assert not allowed
    except ReasonMissing:
        assert allowed
        assert target in ("lost", "on_hold")
        assert not (reason or "").strip()
    else:
        assert allowed
        assert target in ("open", "won") or reason == "price"


@pytest.mark.requirement("SA-3")
@given(outcomes, st.integers(0, 100), st.none() | st.integers(0, 100))
def test_the_probability_follows_outcome_then_hand_then_stage(
    outcome: Outcome, stage: int, override: int | None
) -> None:
    found = probability_of(outcome, stage, override)
    if outcome == "won":
        assert found == 100
    elif outcome == "lost":
        assert found == 0
    else:
        assert found == (stage if override is None else override)


@pytest.mark.requirement("SA-3")
@given(st.integers(0, 10**12), st.integers(0, 100))
def test_the_weighted_value_is_within_half_a_unit(minor: int, probability: int) -> None:
    found = weighted(Money(minor, "USD"), probability)
    assert found is not None
    assert abs(found.minor * 100 - minor * probability) <= 50
    assert weighted(None, probability) is None


def test_the_value_comes_from_the_lines_where_there_are_any() -> None:
    assert value_of([], None) is None
    assert value_of([], Money(5, "USD")) == Money(5, "USD")
    assert value_of([LINE], None) == value_of([LINE], Money(1000, "USD")) == Money(1000, "USD")
    with pytest.raises(ValueFromLines):
        value_of([LINE], Money(999, "USD"))
    with pytest.raises(ValueFromLines):
        value_of([LINE], Money(1000, "KRW"))


def test_what_it_was_closed_at_is_in_the_lines_currency() -> None:
    check_closed_value(Money(1, "KRW"), [])
    check_closed_value(Money(1, "USD"), [LINE])
    with pytest.raises(CurrencyMixed):
        check_closed_value(Money(1, "KRW"), [LINE])


def test_nothing_is_closed_before_it_was_opened() -> None:
    day = dt.date(2026, 3, 1)
    check_closing(day, day)
    with pytest.raises(ClosedBeforeOpened):
        check_closing(day, day - dt.timedelta(days=1))


@given(instants, instants)
def test_a_dwell_is_never_negative(entered: dt.datetime, left: dt.datetime) -> None:
    assert dwell(entered, left) == max(0, int((left - entered).total_seconds()))


@pytest.mark.requirement("SA-3")
@given(
    st.lists(st.tuples(st.sampled_from(["stage-changed", "won", "lost", "held", "reopened"]), instants), max_size=8),
    instants,
)
def test_the_stage_history_has_a_visit_per_entry(steps: list[tuple[str, dt.datetime]], created: dt.datetime) -> None:
    facts = [Fact("created", created, NOW, {}, uuid.UUID(int=1))]
    for index, (kind, at) in enumerate(steps, 2):
        moved = kind == "stage-changed"
        facts.append(
            Fact(
                kind,
                at,
                NOW,
                {},
                uuid.UUID(int=index) if moved else facts[-1].stage_id,
                dwell_seconds=index if moved else 0,
            )  # type: ignore[arg-type]
        )
    found = visits(facts, NOW)
    entries = [fact for fact in facts if fact.kind in ("created", "stage-changed")]
    assert [(visit.stage_id, visit.entered_at) for visit in found] == [(f.stage_id, f.occurred_at) for f in entries]
    for visit, following in zip(found, entries[1:], strict=False):
        assert (visit.left_at, visit.dwell_seconds) == (following.occurred_at, following.dwell_seconds)
    after = facts[facts.index(entries[-1]) + 1 :]
    closed = after[-1].occurred_at if after and after[-1].kind in ("won", "lost") else None
    assert found[-1].left_at == closed
    assert found[-1].dwell_seconds == dwell(found[-1].entered_at, closed or NOW)
