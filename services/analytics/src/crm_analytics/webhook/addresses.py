"""Where webhooks may lead: which URLs, and which network addresses. Pure.

Whoever makes a webhook makes this service send requests. It must not be a way to what only the inside reaches: databases, the bus, other
services, the cloud's metadata. Names are checked when they are resolved for a request, and the request goes to the very address that was
checked (crm_analytics.webhook.sending).
"""

import ipaddress
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import httpx

from crm_analytics.webhook.rules import AddressRefused
from crm_kernel import FieldError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_URL: Final = 2048
#: Ports below 1024 that serve HTTP; the others serve mail, shells, files.
_PORTS: Final = frozenset({80, 443})
_FIRST_FREE_PORT: Final = 1024
#: Holds an IPv4 address in its last bits (NAT64): that address is the one that is reached.
_HOLDS_IPV4: Final = ipaddress.IPv6Network("64:ff9b::/96")
#: Written out, though Python knows most of them: what it calls global differs between its versions.
_INSIDE: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT; a cloud's metadata, too
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's host, at a public address
        "169.254.0.0/16",  # link-local; clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
        "::/128",
        "::1/128",
        "::/96",  # IPv4-compatible
        "64:ff9b:1::/48",  # NAT64 of a network's own
        "100::/64",
        "2001::/23",  # Teredo and others that hold an address of somebody else's choice
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)


def check_url(url: str, *, allow_http: bool, allowed: Sequence[Network], pointer: str) -> httpx.URL:
    """The URL, when requests may go to such a one. Raises AddressRefused, at the pointer.

    A name may still resolve to an address that is refused: that shows when something is sent.
    """
    reason, parsed = _fault(url, allow_http, allowed)
    if parsed is None or reason:
        raise AddressRefused(reason, errors=[FieldError(pointer, AddressRefused.code, reason)])
    return parsed


def _fault(url: str, allow_http: bool, allowed: Sequence[Network]) -> tuple[str, httpx.URL | None]:
    if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return f"An address has at most {MAX_URL} printable ASCII characters, no spaces and no backslashes", None
    try:
        parsed, plain = httpx.URL(url), urlsplit(url)
        port, host = port_of(parsed), host_of(parsed)
        # What two readers understand differently is meant for one of them.
        agreed = (plain.scheme, plain.hostname, port if plain.port is None else plain.port) == (
            parsed.scheme,
            host,
            port,
        )
    except (httpx.InvalidURL, ValueError):
        return "That is no URL", None
    if parsed.scheme not in ("https", "http") or not host or not agreed:
        return "An address is like https://receiver.example/path", None
    if parsed.scheme == "http" and not allow_http:
        return "Only https is allowed here", None
    if parsed.userinfo or "@" in plain.netloc:
        return "An address holds no user name and no password", None
    if parsed.fragment or "#" in url:
        return "An address has no fragment", None
    if port not in _PORTS and port < _FIRST_FREE_PORT:
        return f"Port {port} is not for webhooks", None
    try:
        literal = ipaddress.ip_address(host)
    except ValueError:
        return "", parsed
    return ("" if may_reach(literal, allowed) else f"{literal} is not to be reached by webhooks"), parsed


def host_of(url: httpx.URL) -> str:
    """The host as it is looked up and as TLS is told it: in ASCII, an IPv6 address without brackets."""
    return url.raw_host.decode("ascii").strip("[]")


def port_of(url: httpx.URL) -> int:
    """The port, also where it is left out."""
    return (443 if url.scheme == "https" else 80) if url.port is None else url.port


def may_reach(address: Address, allowed: Sequence[Network]) -> bool:
    """Whether requests may go to a network address: a public one, or one in a network that the deployment allows."""
    reached = _reached(address)
    if any(reached in network for network in allowed if network.version == reached.version):
        return True
    if any(reached in network for network in _INSIDE if network.version == reached.version):
        return False
    return reached.is_global and not reached.is_multicast


def _reached(address: Address) -> Address:
    """The address that is reached in the end."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _HOLDS_IPV4:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address
