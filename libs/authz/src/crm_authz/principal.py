"""Who calls: what a verified access token says, and nothing that the directory knows better."""

import datetime as dt
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from crm_authz import claims as c
from crm_authz.grants import Permissions, ScopeRules
from crm_authz.rules import ActionClass, Rule


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a verified access token.

    Verified means: signed by identity and in time. It may be older than a change of rights: `Directory.admit` says whether it still
    counts. epoch, role_epochs: the user's and those of the roles held, when the token was issued. modules: the modules that may
    be entered. ip_restricted: works only from the company's ranges (ID-7).
    """

    user_id: uuid.UUID
    session_id: uuid.UUID
    client_id: str
    token_id: uuid.UUID
    issued_at: dt.datetime
    expires_at: dt.datetime
    epoch: int
    role_epochs: Mapping[uuid.UUID, int]
    modules: frozenset[str]
    permissions: Permissions
    scopes: ScopeRules
    ip_restricted: bool = False

    def allows(self, code: str) -> bool:
        """Whether the operation `<service>.<record>:<action>` is permitted."""
        return self.permissions.allows(code)

    def rules(self, record_type: str, action: ActionClass) -> tuple[Rule, ...]:
        """The data-scope rules for a record type and action class; () reaches nothing."""
        return self.scopes.of(record_type, action)

    @classmethod
    def read(cls, claims: Mapping[str, Any]) -> Self:
        """The principal of a payload whose times were checked before. Raises MalformedClaim."""
        c.check_place(claims.get("place"))
        return cls(
            user_id=c.read_id(claims, "sub"),
            session_id=c.read_id(claims, "sid"),
            client_id=c.read_text(claims, "client_id"),
            token_id=c.read_id(claims, "jti"),
            issued_at=_instant(claims, "iat"),
            expires_at=_instant(claims, "exp"),
            epoch=c.read_whole(claims, "epoch"),
            role_epochs=c.read_roles(claims.get("roles")),
            modules=c.read_texts(claims, "mod"),
            permissions=c.read_permissions(claims.get("perm")),
            scopes=c.read_scope_rules(claims.get("scp")),
            ip_restricted=c.read_flag(claims, "ip"),
        )


def _instant(claims: Mapping[str, Any], name: str) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(c.read_whole(claims, name), dt.UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise c.MalformedClaim(name) from error
