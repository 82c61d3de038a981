"""Putting an answer on the wire."""

import asyncio

from crm_web.answers import Answer, Stream
from crm_web.incoming import Receive, Send

_NO_STORE = (b"cache-control", b"no-store")
_NO_SNIFF = (b"x-content-type-options", b"nosniff")


async def send_answer(answer: Answer, send: Send) -> None:
    """Send status, headers and body."""
    body = answer.body
    headers = [_NO_SNIFF]
    if answer.status != 204:
        headers.append((b"content-length", str(len(body)).encode()))
    if answer.media_type is not None:
        headers.append((b"content-type", answer.media_type.encode("latin-1")))
    if "cache-control" not in answer.headers:
        headers.append(_NO_STORE)
    headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_stream(stream: Stream, receive: Receive, send: Send, seconds: float | None) -> None:
    """Send chunks as they come: until there are no more, the client leaves, or `seconds` are over (the token's life).

    Raises what the stream raises: the connection is then broken off, so that nobody takes half of an answer for all of it.
    """
    headers = [_NO_SNIFF, (b"content-type", stream.media_type.encode("latin-1"))]
    if "cache-control" not in stream.headers:
        headers.append(_NO_STORE)
    headers += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in stream.headers.items()]
    await send({"type": "http.response.start", "status": stream.status, "headers": headers})
    sending = asyncio.ensure_future(_chunks(stream, send))
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({sending, leaving}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        client_left = leaving.done()
    finally:
        # Both are over when this returns, so whatever the stream holds (a session) is given back.
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
    if not sending.cancelled():
        sending.result()
    if not client_left:
        await send({"type": "http.response.body", "body": b""})


async def _chunks(stream: Stream, send: Send) -> None:
    async for chunk in stream.chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
