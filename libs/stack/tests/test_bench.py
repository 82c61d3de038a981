"""What measurements are made of: results that say what was not measured, turns, and events that fit their contracts."""

import importlib
import inspect
import json
import subprocess
from collections import Counter
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from crm_contracts import registry
from crm_stack.bench import growth, proofs, revoke
from crm_stack.bench.load import WrongAnswer
from crm_stack.bench.result import Result, Unfit
from crm_stack.bench.sold import ACTIVITY, CUSTOMER, EVENTS_PER_CASE, OPPORTUNITY, Told, told
from crm_stack.bench.turns import Counted, in_turns
from crm_stack.cli import bench, build
from crm_stack.cli.bench import ASIDE, BENCHMARKS
from crm_stack.cli.failure import USAGE, Failure


def test_every_measurement_can_be_run_by_the_command() -> None:
    for module in BENCHMARKS.values():
        run = importlib.import_module(module).run
        assert list(inspect.signature(run).parameters) == ["size", "seconds", "repeats"]


def test_a_result_without_times_tells_none() -> None:
    line = json.loads(Result("x", "events/s", 10.0, 20.0, [0.5, 0.4, 0.6], [], 7, "g", met=True).line())
    assert (line["ratio"], line["spread"], line["p50"], line["p99"], line["n"]) == (0.5, [0.4, 0.6], None, None, 0)
    timed = json.loads(Result("x", "ms", 2.0, None, [], [1.0, 2.0, 3.0], 0, "g", met=None).line())
    assert (timed["ratio"], timed["p50"], timed["p99"], timed["n"]) == (None, 2.0, 3.0, 3)


def test_turns_alternate_and_the_first_only_warms_up() -> None:
    order: list[str] = []

    def subject() -> Counted:
        order.append("subject")
        return Counted(100, 2.0)

    def reference() -> Counted:
        order.append("reference")
        return Counted(100, 1.0)

    turns = in_turns(2, subject, reference)
    assert order == ["subject", "reference", "reference", "subject", "subject", "reference"]
    assert (turns.rate, turns.reference_rate, turns.ratios) == (50.0, 100.0, [0.5, 0.5])


def test_the_events_of_cases_fit_their_contracts_and_are_numbered_without_gaps() -> None:
    made = Told()
    batches = list(told(7, 3, made))
    assert max(len(envelopes) for _, envelopes in batches) == 3
    everything = [(topic, envelope) for topic, envelopes in batches for envelope in envelopes]
    assert len(everything) == made.events == 7 * EVENTS_PER_CASE
    assert made.value_minor == sum(range(1, 8)) * 100
    assert Counter(topic for topic, _ in everything) == {CUSTOMER: 7, OPPORTUNITY: 21, ACTIVITY: 7}
    customers = {envelope.subject for topic, envelope in everything if topic == CUSTOMER}
    for topic in (CUSTOMER, OPPORTUNITY, ACTIVITY):
        mine = [envelope for found, envelope in everything if found == topic]
        assert [envelope.sequence for envelope in mine] == list(range(1, len(mine) + 1))
        for envelope in mine:
            event = registry.events[envelope.type].model_validate_json(envelope.data)
            assert topic == CUSTOMER or event.state.customer_id in customers
            assert event.credit is not None
            assert event.credit.user_id == event.state.owner_id


def test_growth_compares_with_more_than_the_small_size_only() -> None:
    for size in (1_000, growth.SMALL):
        with pytest.raises(Unfit, match="10,000"):
            next(growth.run(size, 0.2, 5))
        said = CliRunner().invoke(build(["bench"]), ["bench", "growth", "--size", str(size)])
        assert isinstance(said.exception, Failure)
        assert said.exception.code == USAGE


@pytest.mark.parametrize(
    ("size", "longer", "met"),
    [
        (1_000_000, [1.1, 1.2, 1.5], True),
        (1_000_000, [1.6, 1.7, 2.0], False),
        # Turns that disagree tell nothing, whatever their median.
        (1_000_000, [1.1, 1.2, 1.6], None),
        (1_000_000, [1.4, 1.7, 2.0], None),
        # Nor does a size that has hardly grown.
        (999_999, [1.1, 1.2, 1.3], None),
        (20_000, [1.6, 1.7, 1.8], None),
    ],
)
def test_growth_is_judged_when_it_is_growth_and_turns_agree(size: int, longer: list[float], met: bool | None) -> None:
    assert growth.verdict(longer, size) is met


def test_all_says_what_it_leaves_out(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(bench, "_measure", lambda name, *_, **__: ran.append(name))
    said = CliRunner().invoke(build(["bench"]), ["bench", "all"])
    assert said.exit_code == 0, said.output
    assert ran == [name for name in BENCHMARKS if name not in ASIDE]
    assert all(f"{name} is left out" in said.output for name in ASIDE)
    assert CliRunner().invoke(build(["bench"]), ["bench", "growth", "--size", "20000"]).exit_code == 0
    assert ran[-1] == "growth", "by itself it runs"


def test_only_a_stale_token_is_a_revoked_one() -> None:
    def answered(status: int, code: str | None) -> httpx.Response:
        return httpx.Response(status, json={"code": code}) if code else httpx.Response(status, text="upstream")

    assert revoke.accepted("sales", answered(200, "x"))
    assert revoke.accepted("sales", answered(403, "permission.missing"))
    assert not revoke.accepted("sales", answered(401, "token.stale"))
    for status, code in ((401, "token.expired"), (401, "token.invalid"), (401, None), (503, "directory.behind")):
        with pytest.raises(WrongAnswer, match=f"sales: {status}"):
            revoke.accepted("sales", answered(status, code))


def test_gates_are_attacked_by_the_tests_at_the_size_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[list[str], dict[str, str]]] = []

    def run(arguments: list[str], *, cwd: Path, env: dict[str, str], check: bool) -> subprocess.CompletedProcess[bytes]:
        ran.append((arguments, env))
        Path(env["CRM_GATE_RESULTS"]).write_text('{"gate": "G2"}\n')
        assert all((cwd / file).exists() for file in proofs.GATES.values())
        return subprocess.CompletedProcess(arguments, len(ran) - 1)

    monkeypatch.setattr(proofs.subprocess, "run", run)
    monkeypatch.delenv("CRM_TEST_FULL", raising=False)
    said = CliRunner().invoke(build(["bench"]), ["bench", "faults", "--gate", "G2", "--full", "--only", "kafka"])
    assert (said.exit_code, said.output) == (0, '{"gate": "G2"}\n')
    ((arguments, given),) = ran
    assert arguments[1:] == ["-m", "pytest", "-q", "-x", proofs.GATES["G2"], "-k", "kafka"]
    assert given["CRM_TEST_FULL"] == "1"

    failed = CliRunner().invoke(build(["bench"]), ["bench", "faults"])
    assert isinstance(failed.exception, Failure), "what did not hold is no success"
    assert ran[-1][0][-3:] == list(proofs.GATES.values())
    assert "CRM_TEST_FULL" not in ran[-1][1]
    for given_gates in ([], ["G2"]):
        options = [option for gate in given_gates for option in ("--gate", gate)]
        CliRunner().invoke(build(["bench"]), ["bench", "faults", "--network", *options])
        assert ran[-1][0][5:] == [*(proofs.GATES[gate] for gate in given_gates), *proofs.NETWORK]
        assert all((Path(__file__).parents[3] / file).exists() for file in proofs.NETWORK)
    unknown = CliRunner().invoke(build(["bench"]), ["bench", "faults", "--gate", "G9"])
    assert isinstance(unknown.exception, Failure)
    assert (unknown.exception.code, len(ran)) == (USAGE, 4)
