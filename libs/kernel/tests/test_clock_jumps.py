"""Ids while the machine's clock jumps."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from crm_testing.faulty_system import FaultySystem, NoCompiler

_PROGRAM = """
import sys, time
from crm_kernel import new_id
for line in sys.stdin:
    made = [new_id() for _ in range(1000)]
    assert made == sorted(made)
    print(made[0], made[-1], time.time(), flush=True)
"""


def test_ids_of_a_process_ascend_although_its_clock_is_set_back(tmp_path: Path) -> None:
    try:
        faulty = FaultySystem.build(tmp_path)
    except NoCompiler as missing:
        pytest.skip(f"no clock can be made to jump: {missing}")
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **faulty.environment},
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        made = []
        for off in (0, 3600, 0, -3600, 7200, 0):
            faulty.clock_is_off(off)
            program.stdin.write("\n")
            program.stdin.flush()
            first, last, clock = program.stdout.readline().split()
            assert abs(float(clock) - time.time() - off) < 600, "the clock of that process jumped"
            made += [first, last]
        program.stdin.close()
        assert program.wait(60) == 0
    assert made == sorted(made)
    assert len(set(made)) == len(made)
