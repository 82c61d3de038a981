"""What one request may cost; the same limits stand in the gateway's route table."""

from dataclasses import dataclass
from typing import Literal

Rate = Literal["default", "login", "bulk", "stream"]


@dataclass(frozen=True)
class Limits:
    """body_bytes: largest body, larger is 413. timeout_seconds: until the answer is ready, then 504.

    rate: which bucket of the gateway the caller draws from (`login` counts by network address).
    """

    body_bytes: int = 1024 * 1024
    timeout_seconds: float = 15
    rate: Rate = "default"


DEFAULT_LIMITS = Limits()
