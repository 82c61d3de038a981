"""Somebody whose client tries again while parts of the product are dead, as any client does."""

import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from .person import Person

#: Seconds that one request is tried again for.
PATIENCE = 90.0
_AWAY = (502, 503, 504)
_PAUSE = 0.05


class PatientPerson(Person):
    """Sends what got no answer, or a 502, 503 or 504, again; writes under the same Idempotency-Key. `again`: how often."""

    again = 0

    def send(self, method: str, path: str, *, key: str | None = None, token: str | None = None, **options: Any) -> Any:
        """As a Person does; a token that a service takes for stale, because it was deaf to the bus for a while, is renewed."""
        if method != "GET" and key is None:
            key = uuid.uuid4().hex

        def ask() -> httpx.Response:
            return super(PatientPerson, self).send(method, path, key=key, token=token, **options)

        until = time.monotonic() + PATIENCE
        while True:
            answer = self._answered(ask)
            stale = token is None and answer.status_code == 401 and time.monotonic() < until
            # The first try may still be running where nobody waits for its answer any more.
            running = answer.status_code == 409 and answer.json().get("code") == "idempotency.running"
            if stale:
                self.refresh()
            if not stale and not (running and time.monotonic() < until):
                return answer
            self._pause()

    def token(self, **form: str) -> httpx.Response:
        return self._answered(lambda: super(PatientPerson, self).token(**form))

    def _answered(self, ask: Callable[[], httpx.Response]) -> httpx.Response:
        """The first answer of somebody who is there; the last failure when PATIENCE is over."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                answer = ask()
            except httpx.TransportError:
                if time.monotonic() > until:
                    raise
            else:
                if answer.status_code not in _AWAY or time.monotonic() > until:
                    return answer
            self._pause()

    def _pause(self) -> None:
        self.again += 1
        time.sleep(_PAUSE)  # Between tries, as any client; nothing is assumed to have happened meanwhile.
