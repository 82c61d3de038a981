"""Which program asks for tokens (RFC 6749, 2): our own, all of them public clients without a secret."""

import base64
import binascii
import urllib.parse

from crm_identity.session.rules import InvalidClient

#: The password grant is for these only. `first-party` is meant where nothing is said.
FIRST_PARTY = frozenset({"first-party", "console", "crm"})


def client_of(authorization: str | None, client_id: str | None, secret: str | None) -> str:
    """The client of a request, by its Basic credentials or its form. Raises InvalidClient."""
    if authorization is not None and authorization[:6].lower() == "basic ":
        name, password = _basic(authorization[6:])
        if client_id is not None and client_id != name:
            raise _refused()
        client_id, secret = name, password
    client = client_id or "first-party"
    # A public client has no secret; one that sends one believes to be somebody else.
    if client not in FIRST_PARTY or secret:
        raise _refused()
    return client


def _basic(credentials: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise _refused() from None
    name, _, password = text.partition(":")
    return urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(password)


def _refused() -> InvalidClient:
    return InvalidClient(headers={"WWW-Authenticate": 'Basic realm="oauth"'})
