"""Secrets as they are kept: sealed (AES-256-GCM), so that a copy of the database signs nothing."""

import hmac
import os
import uuid
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: What stands before a sealed secret: made anew each time, as AES-GCM demands; bytes.
_NONCE: Final = 12


class SecretLost(Exception):
    """What a webhook signs with can't be opened any more; a new secret is needed."""


class Seal:
    """Seals and opens the secrets of webhooks. key: the deployment's signing key."""

    def __init__(self, key: bytes) -> None:
        # A key of its own purpose: what is sealed elsewhere with the same secret opens nothing here.
        self._cipher = AESGCM(hmac.digest(key, b"crm analytics webhook secrets v1", "sha256"))

    def close(self, webhook_id: uuid.UUID, secret: bytes) -> bytes:
        """A webhook's secret, sealed; it opens as this webhook's alone."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, secret, webhook_id.bytes)

    def open(self, webhook_id: uuid.UUID, sealed: bytes) -> bytes:
        """The secret. Raises SecretLost when the deployment's key was replaced, or it is another webhook's."""
        if len(sealed) <= _NONCE:
            raise SecretLost(str(webhook_id))
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], webhook_id.bytes)
        except InvalidTag as error:
            raise SecretLost(str(webhook_id)) from error

    def opens(self, webhook_id: uuid.UUID, sealed: bytes) -> bool:
        """Whether the secret can still be had."""
        try:
            self.open(webhook_id, sealed)
        except SecretLost:
            return False
        return True
