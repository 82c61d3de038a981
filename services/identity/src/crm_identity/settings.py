"""What identity is told by its environment beyond what every service is told."""

import hmac
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from crm_web import Settings


class IdentitySettings(Settings):
    """service: always `identity`.

    key_secret (CRM_KEY_SECRET, or CRM_KEY_SECRET_FILE): ≥ 32 characters; the private signing keys in the database are encrypted
    with it, so that a copy of the database signs no tokens. Left out, it is derived from the services' common signing_key.

    documents_dir (CRM_DOCUMENTS_DIR):
    folder with `openapi.json`, `asyncapi.json` and `permissions.json` of all services. session_idle_days, session_absolute_days:
    a log-in ends so many days after its last use, and at the latest.
    """

    service: str = "identity"
    key_secret: Annotated[SecretStr, Field(min_length=32)] | None = None
    documents_dir: Path | None = None
    session_idle_days: Annotated[float, Field(gt=0)] = 7
    session_absolute_days: Annotated[float, Field(gt=0)] = 30

    @property
    def private_key_secret(self) -> str:
        """What private signing keys are encrypted with."""
        if self.key_secret is not None:
            return self.key_secret.get_secret_value()
        # A value of its own purpose: what is signed elsewhere with the same key never shows it.
        return hmac.digest(self.key, b"crm identity private keys v1", "sha256").hex()
