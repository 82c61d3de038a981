"""The process that all services of a local stack are forked from.

It imports the libraries once; each service then starts in a moment and shares their memory. It starts nothing by
itself: requests come on its standard input, answers go to its standard output, one JSON object a line.

Request: `{"id", "entry": "module:function", "arguments": […], "parts": […] or null, "keywords": {…}, "environment": {…},
"log": file, "result": file or null}`. Answers: `{"ready": true}` once, `{"id", "pid"}`, `{"exited": pid, "status": …}`
(an exit code, or minus the signal's number, as in `subprocess`).

It ends, with all its children, when its standard input closes or its parent dies.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
from typing import Any

from crm_stack.process import die_with_parent

_GRACE = 15.0
"""Seconds that services get to end by themselves when the nursery ends."""


class _Nursery:
    def __init__(self, requests: int, answers: int) -> None:
        self._requests = requests
        self._answers = answers
        self._children: set[int] = set()
        self._wake, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        self._ending = False
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._private = (requests, answers, self._wake, wakes)

    def _end(self, *_: object) -> None:
        self._ending = True

    def serve(self) -> dict[str, Any] | None:
        """Answer requests until told to end (then None). In a forked child it returns that child's request."""
        self._answer({"ready": True})
        pending = b""
        while not self._ending:
            readable, _, _ = select.select([self._requests, self._wake], [], [])
            if self._wake in readable:
                self._drain()
                self._reap()
            if self._requests in readable:
                received = os.read(self._requests, 65536)
                if not received:
                    break
                *lines, pending = (pending + received).split(b"\n")
                for line in lines:
                    request: dict[str, Any] = json.loads(line)
                    if self._fork(request):
                        return request
        self._end_children()
        return None

    def _fork(self, request: dict[str, Any]) -> bool:
        """Whether we are the child."""
        parent = os.getpid()
        pid = os.fork()
        if pid:
            self._children.add(pid)
            self._answer({"id": request["id"], "pid": pid})
            return False
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        die_with_parent(signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)
        for descriptor in self._private:
            os.close(descriptor)
        os.setsid()
        return True

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake, 512):
                pass

    def _reap(self) -> None:
        while self._children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._children.discard(pid)
            self._answer({"exited": pid, "status": os.waitstatus_to_exitcode(status)})

    def _answer(self, answer: dict[str, Any]) -> None:
        # The supervisor may be gone; then our input closes next.
        with contextlib.suppress(BrokenPipeError):
            os.write(self._answers, json.dumps(answer).encode() + b"\n")

    def _end_children(self) -> None:
        for number, seconds in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, 5.0)):
            for pid in self._children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            deadline = time.monotonic() + seconds
            while self._children and time.monotonic() < deadline:
                select.select([self._wake], [], [], 0.1)
                self._drain()
                self._reap()


def _run(request: dict[str, Any]) -> None:
    """Be the child that was asked for: its environment, its log, its function."""
    os.environ.clear()
    os.environ.update(request["environment"])
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    module, _, function = request["entry"].partition(":")
    entry = getattr(importlib.import_module(module), function)
    arguments = list(request["arguments"])
    if request["parts"] is not None:
        arguments.append(frozenset(request["parts"]))
    answer = entry(*arguments, **request["keywords"])
    if request["result"] is not None:
        with open(request["result"], "w", encoding="utf-8") as target:
            json.dump(answer, target)


def main(modules: list[str], import_path: list[str]) -> None:
    """Import `modules` (one that cannot be imported is told and left to the services that need it), then serve."""
    sys.path[:0] = import_path
    requests, answers = os.dup(0), os.dup(1)
    silence = os.open(os.devnull, os.O_RDONLY)
    os.dup2(silence, 0)
    os.close(silence)
    os.dup2(2, 1)
    for module in modules:
        try:
            importlib.import_module(module)
        except ImportError as missing:
            sys.stderr.write(f"nursery: {module} is not preloaded: {missing}\n")
    gc.collect()
    gc.freeze()  # The collector leaves these objects alone from now on, so their pages stay shared.
    request = _Nursery(requests, answers).serve()
    if request is not None:
        _run(request)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), json.loads(sys.argv[2]))
