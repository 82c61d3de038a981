"""Token to principal to data scope to SQL predicate; the directory replica. What is listed here is public."""

from crm_authz.catalogue import PermissionEntry, action_class, names, standard_entries
from crm_authz.claims import encode_claims, services_of
from crm_authz.directory import Directory
from crm_authz.explain import Explanation, explain
from crm_authz.grants import Grants, Holder, Permissions, ScopeRules, unite
from crm_authz.issuer import Place, RightsTooLarge, SigningKey, TokenIssuer
from crm_authz.keeper import DirectoryKeeper, keeper_of
from crm_authz.keys import VerifyingKey
from crm_authz.organisation import EVERYBODY, Everybody
from crm_authz.people import Changes, Company, Department, DepartmentSet, Role, User
from crm_authz.principal import Principal
from crm_authz.reactions import (
    DIRECTORY_TABLES,
    DIRECTORY_TOPICS,
    apply,
    apply_event,
    apply_state,
    directory_reactions,
    forget_ended_sessions,
    heard,
)
from crm_authz.refusals import DirectoryBehind, TargetOutOfScope, TokenExpired, TokenInvalid, TokenStale
from crm_authz.rules import ACTION_CLASSES, ActionClass, Rule
from crm_authz.schema import AUTHZ_1
from crm_authz.scope import FEW_OWNERS, Branches, Scope, Shape, Width
from crm_authz.shipped import SHIPPED_ROLES, ShippedRole
from crm_authz.tables import record_member
from crm_authz.tokens import TokenVerifier

__all__ = [
    "ACTION_CLASSES",
    "AUTHZ_1",
    "DIRECTORY_TABLES",
    "DIRECTORY_TOPICS",
    "EVERYBODY",
    "FEW_OWNERS",
    "SHIPPED_ROLES",
    "ActionClass",
    "Branches",
    "Changes",
    "Company",
    "Department",
    "DepartmentSet",
    "Directory",
    "DirectoryBehind",
    "DirectoryKeeper",
    "Everybody",
    "Explanation",
    "Grants",
    "Holder",
    "PermissionEntry",
    "Permissions",
    "Place",
    "Principal",
    "RightsTooLarge",
    "Role",
    "Rule",
    "Scope",
    "ScopeRules",
    "Shape",
    "ShippedRole",
    "SigningKey",
    "TargetOutOfScope",
    "TokenExpired",
    "TokenInvalid",
    "TokenIssuer",
    "TokenStale",
    "TokenVerifier",
    "User",
    "VerifyingKey",
    "Width",
    "action_class",
    "apply",
    "apply_event",
    "apply_state",
    "directory_reactions",
    "encode_claims",
    "explain",
    "forget_ended_sessions",
    "heard",
    "keeper_of",
    "names",
    "record_member",
    "services_of",
    "standard_entries",
    "unite",
]
