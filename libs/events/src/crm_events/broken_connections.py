"""A connection that the loop has closed already counts as broken, and its request as not sent.

uvloop says so by a RuntimeError, of which aiokafka (0.14) knows nothing: it goes through all of the client, and ends what it meets there, a
background task of the client or a part of our worker, although the broker was away for a moment only
(https://github.com/aio-libs/aiokafka/issues/1038). So it is translated where it arises. `crm_events` does that when it is imported.
"""

from typing import Any

from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import KafkaConnectionError

_send = AIOKafkaConnection.send


def send(self: AIOKafkaConnection, request: Any, expect_response: bool = True) -> Any:
    """`AIOKafkaConnection.send`; raises KafkaConnectionError also where the loop has closed the connection."""
    writer = self._writer
    try:
        return _send(self, request, expect_response)
    except RuntimeError as error:
        if writer is None or not writer.transport.is_closing():
            raise
        self.close(reason=CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(f"the connection to {self.host}:{self.port} is closed") from error


AIOKafkaConnection.send = send
