"""A process that stands still ends itself, so that whoever started it starts it again (PL-46).

Kubernetes and `crm up` ask `/livez` themselves; Docker shows an unhealthy container and leaves it alone. So each process looks at
what its own `/livez` would answer, on every platform the same.
"""

import asyncio
import faulthandler
from collections.abc import Sequence

import structlog

from crm_web.health import Probe

#: How long `/livez` may fail before the process ends; as long as `crm up` waits before it ends one from outside.
LIFELESS_SECONDS = 30.0
#: Looks in that time.
_LOOKS = 10

_log = structlog.get_logger("crm_web")


class StandsStill(RuntimeError):
    """The process made no progress for too long; the text says where."""


async def look_after(probes: Sequence[Probe], stop: asyncio.Event, *, seconds: float, last_seconds: float) -> None:
    """Look until `stop`. Raises StandsStill when at every look of the last `seconds` a probe complained.

    Where the event loop itself doesn't come round for so long, nobody is left to raise anything: then the process ends at once, with
    status 1 and the stack of each thread on standard error. After `stop` the same happens to an end that takes more than
    `last_seconds`; `faulthandler.cancel_dump_traceback_later()` says that it is reached. There is one such clock in a process.
    """
    loop = asyncio.get_running_loop()
    pause = seconds / _LOOKS
    bad_since: float | None = None
    try:
        while not stop.is_set():
            faulthandler.dump_traceback_later(seconds + pause, exit=True)
            complaints = [said for probe in probes if (said := probe()) is not None]
            if not complaints:
                bad_since = None
            elif bad_since is None:
                bad_since = loop.time()
            elif loop.time() - bad_since >= seconds:
                _log.error("stands still: the process ends itself", seconds=seconds, problems=complaints)
                raise StandsStill("; ".join(complaints))
            try:
                async with asyncio.timeout(pause):
                    await stop.wait()
            except TimeoutError:
                continue
    finally:
        faulthandler.dump_traceback_later(last_seconds, exit=True)
