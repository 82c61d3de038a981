"""How a client of the bus is protected and who it is: the one place that knows what aiokafka calls it."""

import ssl
from dataclasses import dataclass, field
from typing import Any, Literal

Security = Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


@dataclass(frozen=True)
class Login:
    """security: whether the connection is encrypted (`ssl`) and whether one logs in (`sasl`), in Kafka's words.

    ca: the certificates, in PEM, of whom the broker's certificate may be; empty: those that the system trusts. The broker's name is
    always compared with its certificate. The default is a broker in a network of its own, which asks nobody who they are.
    """

    security: Security = "plaintext"
    username: str = ""
    password: str = field(default="", repr=False)
    mechanism: Mechanism = "SCRAM-SHA-512"
    ca: str = ""

    @property
    def is_encrypted(self) -> bool:
        """Whether the connection is TLS."""
        return self.security.endswith("ssl")

    @property
    def has_user(self) -> bool:
        """Whether the broker is told who this is."""
        return self.security.startswith("sasl")

    def client(self, bootstrap: str) -> dict[str, Any]:
        """The arguments with which every client of aiokafka (producer, consumer, administration) reaches the brokers.

        Raises ssl.SSLError when `ca` holds no certificate.
        """
        arguments: dict[str, Any] = {"bootstrap_servers": bootstrap, "security_protocol": self.security.upper()}
        if self.is_encrypted:
            arguments["ssl_context"] = ssl.create_default_context(cadata=self.ca or None)
        if self.has_user:
            arguments |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return arguments


__all__ = ["Login", "Mechanism", "Security"]
