"""What identity is told by its environment beyond what every service is told."""

import hmac
from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr

from crm_web import Settings


class IdentitySettings(Settings):
    """Beside those of every service: keys, documents, and how long a log-in lasts."""

    service: Annotated[str, Field(description="Always `identity`.")] = "identity"
    key_secret: Annotated[
        Annotated[SecretStr, Field(min_length=32)] | None,
        Field(
            description="At least 32 characters: encrypts the private signing keys in the database, so that a copy of it signs no tokens. "
            "Derived from `CRM_SIGNING_KEY` when left out."
        ),
    ] = None
    documents_dir: Annotated[
        Path | None,
        Field(description="Folder with `openapi.json`, `asyncapi.json` and `permissions.json` of all services."),
    ] = None
    session_idle_days: Annotated[float, Field(gt=0, description="A log-in ends so many days after its last use.")] = 7
    session_absolute_days: Annotated[
        float, Field(gt=0, description="A log-in ends after so many days at the latest.")
    ] = 30

    @property
    def private_key_secret(self) -> str:
        """What private signing keys are encrypted with."""
        if self.key_secret is not None:
            return self.key_secret.get_secret_value()
        # A value of its own purpose: what is signed elsewhere with the same key never shows it.
        return hmac.digest(self.key, b"crm identity private keys v1", "sha256").hex()
