"""The unit of work that a handler gets: one request's session, caller, directory and time."""

import datetime as dt
import re
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from crm_authz import ActionClass, Directory, Principal, Scope
from crm_database import Database, ReadSession, WriteSession
from crm_kernel import CompanyCalendar, FieldError, Forbidden, Malformed, Stale
from crm_web.incoming import Incoming

if TYPE_CHECKING:
    from crm_web.runtime import Runtime

S = TypeVar("S", bound=ReadSession | None)

_ENTITY_TAG = re.compile(r'\s*(W/)?"([\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')
_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_NO_VERSION = -1


class Unit(Generic[S]):
    """What a request works with.

    session: the open session. now: taken once, UTC. calendar: the company's. incoming: the request itself. database: for
    streams, whose bytes are made after the session is closed. language: Accept-Language as sent.
    """

    def __init__(
        self,
        runtime: "Runtime",
        incoming: Incoming,
        operation_id: str,
        now: dt.datetime,
        principal: Principal | None,
        directory: Directory | None,
        session: S,
    ) -> None:
        self.runtime = runtime
        self.incoming = incoming
        self.operation_id = operation_id
        self.session = session
        self.now = now
        self._principal = principal
        self._directory = directory

    @property
    def caller(self) -> Principal:
        """Who calls. RuntimeError on a public route: nobody is known there."""
        if self._principal is None:
            raise RuntimeError(f"{self.operation_id} is public: it has no caller")
        return self._principal

    @property
    def directory(self) -> Directory:
        """The organisation as this request sees it. RuntimeError on a public route."""
        if self._directory is None:
            raise RuntimeError(f"{self.operation_id} is public: it has no directory")
        return self._directory

    @property
    def calendar(self) -> CompanyCalendar:
        """The company's calendar: which day an instant is on."""
        company = None if self._directory is None else self._directory.company
        return self.runtime.calendar if company is None else CompanyCalendar(company.time_zone)

    @property
    def database(self) -> Database:
        """The service's database, for a stream's own session."""
        return self.runtime.database

    @property
    def address(self) -> str | None:
        """The caller's network address as the gateway saw it."""
        return self.incoming.address

    @property
    def trace_id(self) -> str:
        """32 hex digits that name this request in logs and problem documents."""
        return self.incoming.trace_id

    @property
    def language(self) -> str:
        """Accept-Language as sent."""
        return self.incoming.language

    def scope(self, record: str, action: ActionClass) -> Scope:
        """What the caller reaches: `unit.scope("customers.customer", "write")`."""
        return Scope.of(self.caller, self.directory, record, action, now=self.now)

    def require(self, permission: str) -> None:
        """Raise Forbidden (403 permission.missing, with the code) unless the caller has the permission."""
        if not self.caller.allows(permission):
            raise missing(permission)

    @property
    def if_match(self) -> int | None:
        """The version that If-Match asks for; None when the request makes no condition (no header, or `*`).

        -1, which no record has, when no version could match: weak or foreign tags. Of several versions the highest, because a
        version only ever rises: the caller that knows the highest knows that the lower ones are gone.
        Raises Malformed for a header that is no list of entity tags.
        """
        header = self.incoming.header(b"if-match")
        if header is None or header.strip() == "*":
            return None
        found = [_NO_VERSION]
        position = 0
        while position < len(header):
            tag = _ENTITY_TAG.match(header, position)
            if tag is None:
                raise Malformed(errors=[FieldError("header:If-Match", "header.malformed", "Not a list of entity tags")])
            position = tag.end()
            # If-Match compares strongly (RFC 9110, 13.1.1): a weak tag never matches.
            if tag[1] is None and _VERSION.fullmatch(tag[2]):
                found.append(int(tag[2]))
        return max(found)

    def require_match(self, version: int) -> None:
        """Raise Stale (412, with the present version) unless If-Match admits this version. Call it after locking the row."""
        asked = self.if_match
        if asked is not None and asked != version:
            raise Stale(extra={"version": version}, headers={"ETag": f'"{version}"'})

    def sign_cursor(self, position: Sequence[Any], *, query: Any) -> str:
        """A cursor for `position` (JSON values), good only for this caller, this operation and this query (filter, sort)."""
        return self.runtime.cursors.sign(position, (self._subject(), self.operation_id, query))

    def open_cursor(self, cursor: str, *, query: Any) -> list[Any]:
        """The position of a cursor. Raises CursorInvalid for another's, another query's, or a forged one."""
        return self.runtime.cursors.open(cursor, (self._subject(), self.operation_id, query))

    def _subject(self) -> uuid.UUID | None:
        return None if self._principal is None else self._principal.user_id


class ReadUnit(Unit[ReadSession]):
    """A request that reads; its session can't write."""


class WriteUnit(Unit[WriteSession]):
    """A request that changes; its session is one transaction, committed before the answer is sent."""


class SessionlessUnit(Unit[None]):
    """A request whose handler opens sessions of its own (`unit.database`) and may commit before it refuses.

    For what must hold no connection while it works or waits: checking a password.
    """


def missing(permission: str) -> Forbidden:
    """403 with the code of the permission that is missing (ID-16)."""
    return Forbidden(f"The permission {permission} is needed", extra={"permission": permission})
