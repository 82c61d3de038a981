"""Logging in: how many guesses are evaluated, how long a session lives, and when a refresh token means theft (ID-23, ID-25)."""

import datetime as dt
from dataclasses import dataclass
from typing import Literal

from crm_kernel import NotFound, Refusal

EndReason = Literal["logout", "ended", "refresh_reuse", "password_changed", "deactivated", "dismissed", "revoked"]


class SessionNotFound(NotFound):
    code = "session.not_found"
    title = "There is no such session"


class OAuthRefusal(Refusal):
    """Answered as RFC 6749 says: `{"error": …, "error_description": …}`, not as a problem document.

    error: the registered word. code: the same for logs.
    """

    status = 400
    code = "oauth.refused"
    error = "invalid_request"


class BadRequest(OAuthRefusal):
    code = "oauth.invalid_request"
    title = "The request lacks a parameter, or repeats one"


class UnsupportedGrantType(OAuthRefusal):
    code = "oauth.unsupported_grant_type"
    error = "unsupported_grant_type"
    title = "This grant type is not offered; use password or refresh_token"


class InvalidClient(OAuthRefusal):
    status = 401
    code = "oauth.invalid_client"
    error = "invalid_client"
    title = "The client is not known"


class InvalidGrant(OAuthRefusal):
    """Wrong login, wrong password, inactive user, unknown, used or expired refresh token: none is told from another."""

    code = "oauth.invalid_grant"
    error = "invalid_grant"
    title = "The login or the password is wrong"


class TooManyAttempts(OAuthRefusal):
    """429: nothing was checked. RFC 8628 has the word for it."""

    status = 429
    code = "oauth.too_many_attempts"
    error = "slow_down"
    title = "Too many attempts; wait before the next one"


@dataclass(frozen=True)
class GuardLimits:
    """How many failures are free before attempts are refused, and for how long then.

    The first lock lasts `first_lock`, each further failure after it doubles that up to `longest_lock`. Failures are forgotten
    after `memory` without another.
    """

    free: int
    first_lock: dt.timedelta = dt.timedelta(seconds=30)
    longest_lock: dt.timedelta = dt.timedelta(minutes=15)
    memory: dt.timedelta = dt.timedelta(hours=1)


#: One account from one address: whoever guesses there locks out themself, not the account's holder elsewhere.
PAIR_LIMITS = GuardLimits(free=10)
#: One account from many addresses.
ACCOUNT_LIMITS = GuardLimits(free=50)
#: One address and many accounts; a whole office may come from one address.
ADDRESS_LIMITS = GuardLimits(free=100)


@dataclass(frozen=True)
class Guard:
    """What is remembered of one account or address. failures: failed attempts, and those that are being checked right now."""

    failures: int = 0
    last_at: dt.datetime | None = None
    blocked_until: dt.datetime | None = None


def admit(guard: Guard, limits: GuardLimits, now: dt.datetime) -> Guard | dt.timedelta:
    """Whether one more attempt is evaluated: the guard with that attempt counted as failed in advance, or how long to wait.

    Counting in advance is what makes parallel guesses useless: an attempt that is being checked takes a place already.
    """
    if guard.blocked_until is not None and now < guard.blocked_until:
        return guard.blocked_until - now
    failures = 0 if _forgotten(guard, limits, now) else guard.failures
    failures += 1
    if failures < limits.free:
        return Guard(failures, now, None)
    doubled = min(failures - limits.free, 20)
    return Guard(failures, now, now + min(limits.first_lock * 2**doubled, limits.longest_lock))


def _forgotten(guard: Guard, limits: GuardLimits, now: dt.datetime) -> bool:
    return guard.last_at is not None and now - guard.last_at > limits.memory


@dataclass(frozen=True)
class SessionLife:
    """How long a login lasts: since its last use, and at most. grace: how long a used refresh token may come again."""

    idle: dt.timedelta = dt.timedelta(days=7)
    absolute: dt.timedelta = dt.timedelta(days=30)
    grace: dt.timedelta = dt.timedelta(seconds=10)


RefreshVerdict = Literal["rotate", "expired", "reuse"]


def judge_refresh(
    *,
    now: dt.datetime,
    used_at: dt.datetime | None,
    token_expires_at: dt.datetime,
    session_expires_at: dt.datetime,
    ended: bool,
    life: SessionLife,
) -> RefreshVerdict:
    """What a known refresh token is worth. A token used before the grace means that two hold it: the session must end.

    Within the grace it is a repetition (the answer was lost, two tabs): it rotates once more.
    """
    if ended or now >= session_expires_at:
        return "expired"
    if used_at is not None:
        return "rotate" if now - used_at <= life.grace else "reuse"
    return "expired" if now >= token_expires_at else "rotate"
