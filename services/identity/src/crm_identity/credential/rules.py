"""Which passwords are good enough (NIST SP 800-63B): long enough, not a common one, not one's own name; nothing else is asked."""

import datetime as dt
import hashlib
import secrets
from collections.abc import Iterable
from functools import lru_cache
from importlib import resources

from crm_kernel import Conflict, FieldError, Forbidden, Invalid

SHORTEST = 8
#: Who can do everything needs more.
SHORTEST_FOR_ADMINISTRATORS = 12
#: Longer ones are refused rather than cut: hashing costs time per byte.
LONGEST = 256
ACTIVATION_LIFE = dt.timedelta(days=7)


class UnacceptablePassword(Invalid):
    code = "password.unacceptable"
    title = "The password is not acceptable"

    def __init__(self, code: str, detail: str, pointer: str = "/password") -> None:
        super().__init__(detail, errors=[FieldError(pointer, code, detail)])


class WrongPassword(Forbidden):
    code = "password.wrong"
    title = "The present password is not right"


class ActivationRefused(Conflict):
    """409: unknown, used and expired codes can't be told apart."""

    code = "activation.refused"
    title = "The activation code is not valid (any more)"


def check_password(
    password: str, *, administrator: bool = False, own: Iterable[str] = (), pointer: str = "/password"
) -> None:
    """administrator: holds the role Super administrator. own: the user's name, e-mail and number, which may not be the password.

    Raises UnacceptablePassword. Length counts characters (code points).
    """
    shortest = SHORTEST_FOR_ADMINISTRATORS if administrator else SHORTEST
    if len(password) < shortest:
        raise UnacceptablePassword(
            "password.too_short", f"A password has at least {shortest} characters here.", pointer
        )
    if len(password) > LONGEST:
        raise UnacceptablePassword("password.too_long", f"A password has at most {LONGEST} characters.", pointer)
    folded = password.casefold()
    if folded in _common() or len(set(folded)) == 1:
        raise UnacceptablePassword(
            "password.common", "Too many people use this password; attackers try it first.", pointer
        )
    names = {part for text in own for part in (text.casefold(), text.casefold().partition("@")[0])}
    if folded in names:
        raise UnacceptablePassword("password.personal", "The password is your own name or login.", pointer)


@lru_cache(maxsize=1)
def _common() -> frozenset[str]:
    text = resources.files("crm_identity.credential").joinpath("common_passwords.txt").read_text(encoding="utf-8")
    return frozenset(line.strip().casefold() for line in text.splitlines() if line and not line.startswith("#"))


def new_secret() -> str:
    """A fresh unguessable text (256 bits): refresh tokens, activation codes."""
    return secrets.token_urlsafe(32)


def secret_hash(secret: str) -> bytes:
    """What is stored of such a text. A plain hash is enough: it can't be guessed, unlike a password."""
    return hashlib.sha256(secret.encode()).digest()
