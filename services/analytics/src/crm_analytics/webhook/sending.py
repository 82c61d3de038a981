"""One request to a receiver: to an address that was checked, within a time limit, of whose answer little is read.

The name is resolved once, every address that it stands for is checked, and the connection goes to one of those very addresses: a name that
says something else the next time (DNS rebinding) is of no use. TLS and `Host` still go by the name. Each request has a connection of its
own, so that nothing of one webhook is ever on another's. Proxies of the environment are not used, redirects not followed.
"""

import asyncio
import datetime as dt
import email.utils
import ipaddress
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Final

import httpx

from crm_analytics.webhook.addresses import Address, Network, host_of, may_reach, port_of
from crm_analytics.webhook.rules import Attempt

#: Seconds for a whole request, from resolving the name to the end of its answer.
TIME_LIMIT: Final = 15.0
#: What is read of an answer, and what is kept of it; bytes.
READ: Final = 64 * 1024
KEPT: Final = 1024
_USER_AGENT: Final = "Pelagic-Webhooks/1"

#: The addresses that a name stands for. OSError when there are none.
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class NotToBeReached(httpx.ConnectError):
    """The name stands for an address that webhooks may not lead to."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """What the system's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedTransport(httpx.AsyncBaseTransport):
    """Sends a request to an address that was checked, whatever the name says a moment later."""

    def __init__(self, allowed: Sequence[Network], resolving: Resolve = resolve) -> None:
        self._allowed = allowed
        self._resolve = resolving
        self._inner = httpx.AsyncHTTPTransport(
            verify=_trust(), trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer. Raises NotToBeReached, or what httpx raises."""
        host, port = host_of(request.url), port_of(request.url)
        try:
            addresses = [ipaddress.ip_address(found) for found in await self._resolve(host, port)]
        except OSError as error:
            raise httpx.ConnectError(f"{host} can't be resolved: {error.strerror or error}", request=request) from error
        if not addresses:
            raise httpx.ConnectError(f"{host} has no address", request=request)
        for address in addresses:
            # One that is refused spoils all: a name that stands for the inside as well is no receiver's.
            if not may_reach(address, self._allowed):
                # Not which one: the inside's addresses are nobody's business.
                raise NotToBeReached(f"{host} leads where webhooks may not reach", request=request)
        return await self._to_first(request, addresses)

    async def _to_first(self, request: httpx.Request, addresses: Sequence[Address]) -> httpx.Response:
        """Through the first address that takes the connection."""
        for place, address in enumerate(addresses):
            try:
                return await self._inner.handle_async_request(_pinned(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):
                # Nothing was sent yet: the next one may do.
                if place == len(addresses) - 1:
                    raise
        raise AssertionError("there is an address")

    async def aclose(self) -> None:
        """Close what is open."""
        await self._inner.aclose()


def _pinned(request: httpx.Request, address: Address) -> httpx.Request:
    """The same request, to the address; `Host` stands in its headers already, and TLS is told the name."""
    extensions = {**request.extensions, "sni_hostname": host_of(request.url)}
    return httpx.Request(
        request.method,
        request.url.copy_with(host=str(address)),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )


@cache
def _trust() -> ssl.SSLContext:
    """The certificates that are trusted; reading them takes 20 ms, so once per process."""
    return httpx.create_ssl_context(trust_env=False)


class Sender:
    """Sends requests. allowed: networks inside that may be reached."""

    def __init__(
        self, allowed: Sequence[Network], *, resolving: Resolve = resolve, time_limit: float = TIME_LIMIT
    ) -> None:
        self._allowed = tuple(allowed)
        self._resolving = resolving
        self._time_limit = time_limit

    async def send(self, url: str, headers: Mapping[str, str], body: bytes, now: dt.datetime) -> Attempt:
        """What came of it; raises nothing of the network's."""
        began = time.perf_counter()

        def attempt(
            status: int | None = None,
            answer: str | None = None,
            error: str | None = None,
            wish: dt.timedelta | None = None,
        ) -> Attempt:
            return Attempt(now, round(time.perf_counter() - began, 3), status, answer, error, wish)

        try:
            async with asyncio.timeout(self._time_limit):
                response, text = await self._exchange(url, headers, body)
        except TimeoutError:
            return attempt(error=f"no answer within {self._time_limit:g} s")
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            # A name may be one that no encoding of names takes, an answer one that is no HTTP.
            return attempt(error=f"{type(error).__name__}: {error}"[:500])
        return attempt(response.status_code, text, wish=retry_after(response.headers.get("retry-after"), now))

    async def _exchange(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[httpx.Response, str]:
        transport = CheckedTransport(self._allowed, self._resolving)
        sent = {"content-type": "application/json", "user-agent": _USER_AGENT, "accept-encoding": "identity", **headers}
        async with (
            httpx.AsyncClient(transport=transport, trust_env=False, follow_redirects=False, timeout=None) as client,  # noqa: S113  (the whole exchange has one)
            client.stream("POST", url, content=body, headers=sent) as response,
        ):
            return response, await _beginning(response)


async def _beginning(response: httpx.Response) -> str:
    """The beginning of the answer's text. What is longer than READ is not read: the connection is closed on it."""
    kept, read = b"", 0
    async for chunk in response.aiter_raw():
        kept = (kept + chunk)[:KEPT]
        read += len(chunk)
        if read >= READ:
            break
    # What PostgreSQL's text can't hold is left out.
    return kept.decode("utf-8", "replace").replace("\0", "")


def retry_after(header: str | None, now: dt.datetime) -> dt.timedelta | None:
    """What a receiver asks to wait: seconds, or an instant; None without, or when it can't be read."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        # Longer ones are cut by the rules; a number beyond all measure would be none.
        return dt.timedelta(seconds=min(int(header.strip()[:9]), 10**8))
    try:
        instant = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    aware = instant if instant.tzinfo is not None else instant.replace(tzinfo=dt.UTC)
    return max(aware - now, dt.timedelta(0))
