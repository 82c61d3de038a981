"""What analytics is told by its environment beyond what every service is told."""

import ipaddress
from typing import Annotated

from pydantic import Field, field_validator

from crm_web import Settings

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AnalyticsSettings(Settings):
    """Beside those of every service: where webhooks may lead."""

    service: Annotated[str, Field(description="Always `analytics`.")] = "analytics"
    webhook_allowed_networks: Annotated[
        str,
        Field(
            description="Networks inside that webhooks may lead to, as CIDR with commas: `10.20.0.0/16,fd00:20::/32`. "
            "Empty: public addresses alone."
        ),
    ] = ""
    webhook_allow_http: Annotated[
        bool, Field(description="Whether webhooks may lead to `http://` addresses, which anybody on the way can read.")
    ] = False

    @field_validator("webhook_allowed_networks")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        try:
            _networks(value)
        except ValueError as error:
            raise ValueError(f"it must be networks such as 10.20.0.0/16, with commas ({error})") from None
        return value

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        """The networks inside that webhooks may lead to."""
        return _networks(self.webhook_allowed_networks)


def _networks(value: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(part.strip()) for part in value.split(",") if part.strip())
