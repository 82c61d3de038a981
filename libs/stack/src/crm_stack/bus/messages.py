"""What Kafka's administration of users and rights says on the wire, where aiokafka doesn't say it: on aiokafka's own building blocks.

The layouts are Kafka's (`clients/src/main/resources/common/message`): AlterUserScramCredentials and DescribeUserScramCredentials in
version 0, the requests about rights (ACLs) in version 1, which aiokafka has for one right at a time. aiokafka publishes
no type information. Why so: docs/decisions/0026.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from aiokafka.protocol.admin import CreateAclsRequest_v1, DeleteAclsRequest_v1, DescribeAclsRequest_v1
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactBytes, CompactString, Int8, Int16, Int32, Schema, TaggedFields

#: (kind of resource, its name, whether that is a prefix, user, host, operation, permission), in Kafka's numbers. None: any.
Acl = tuple[int, str | None, int, str, str | None, int, int]

ANY = 1
ALLOW = 3
SCRAM_SHA_512 = 2


class Resource(IntEnum):
    """What a right is about."""

    TOPIC = 2
    GROUP = 3


class Pattern(IntEnum):
    """How a right names it."""

    LITERAL = 3
    PREFIXED = 4


class Operation(IntEnum):
    """What a right allows."""

    READ = 3
    WRITE = 4
    CREATE = 5
    ALTER = 7
    DESCRIBE = 8
    ALTER_CONFIGS = 11


class _Users(Response):  # type: ignore[misc]
    API_KEY = 50
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("error_message", CompactString()),
        (
            "results",
            CompactArray(
                ("user", CompactString()),
                ("error_code", Int16),
                ("error_message", CompactString()),
                ("credentials", CompactArray(("mechanism", Int8), ("iterations", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeUsers(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 50
    API_VERSION = 0
    RESPONSE_TYPE = _Users
    SCHEMA = Schema(
        ("users", CompactArray(("name", CompactString()), ("tags", TaggedFields))),
        ("tags", TaggedFields),
    )


class DescribeUsers(Request[_DescribeUsers]):  # type: ignore[misc]
    """All users that have a password."""

    API_KEY = 50

    def build(self, request_struct_class: type[_DescribeUsers]) -> _DescribeUsers:
        """See aiokafka."""
        # None would mean the same, but asked so by somebody who may not, Kafka 4.3 fails over it and never answers.
        return request_struct_class([], {})


class _Altered(Response):  # type: ignore[misc]
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", CompactString()),
                ("error_code", Int16),
                ("error_message", CompactString()),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _AlterUsers(RequestStruct):  # type: ignore[misc]
    FLEXIBLE_VERSION = True
    API_KEY = 51
    API_VERSION = 0
    RESPONSE_TYPE = _Altered
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", CompactString()), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("name", CompactString()),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )

    def __repr__(self) -> str:
        # aiokafka logs every request, and whoever has the salted password can log in.
        return "AlterUserScramCredentials(…)"


class AlterUsers(Request[_AlterUsers]):  # type: ignore[misc]
    """Take these users' passwords, or give these: (user, iterations, salt, salted password)."""

    API_KEY = 51

    def __init__(self, removed: Sequence[str] = (), given: Sequence[tuple[str, int, bytes, bytes]] = ()) -> None:
        """Describe the request."""
        self._removed: list[tuple[Any, ...]] = [(user, SCRAM_SHA_512, {}) for user in removed]
        self._given: list[tuple[Any, ...]] = [
            (user, SCRAM_SHA_512, iterations, salt, salted, {}) for user, iterations, salt, salted in given
        ]

    def build(self, request_struct_class: type[_AlterUsers]) -> _AlterUsers:
        """See aiokafka."""
        return request_struct_class(self._removed, self._given, {})


class DescribeAcls(Request[DescribeAclsRequest_v1]):  # type: ignore[misc]
    """The rights that match a filter."""

    API_KEY = 29

    def __init__(self, matching: Acl) -> None:
        """Describe the request."""
        self._matching = matching

    def build(self, request_struct_class: type[DescribeAclsRequest_v1]) -> Any:
        """See aiokafka."""
        return request_struct_class(*self._matching)


class CreateAcls(Request[CreateAclsRequest_v1]):  # type: ignore[misc]
    """Give these rights. One that is there already stays."""

    API_KEY = 30

    def __init__(self, acls: Sequence[Acl]) -> None:
        """Describe the request."""
        self._acls = list(acls)

    def build(self, request_struct_class: type[CreateAclsRequest_v1]) -> Any:
        """See aiokafka."""
        return request_struct_class(self._acls)


class DeleteAcls(Request[DeleteAclsRequest_v1]):  # type: ignore[misc]
    """Take the rights that match one of these filters."""

    API_KEY = 31

    def __init__(self, matching: Sequence[Acl]) -> None:
        """Describe the request."""
        self._matching = list(matching)

    def build(self, request_struct_class: type[DeleteAclsRequest_v1]) -> Any:
        """See aiokafka."""
        return request_struct_class(self._matching)


__all__ = [
    "ALLOW",
    "ANY",
    "Acl",
    "AlterUsers",
    "CreateAcls",
    "DeleteAcls",
    "DescribeAcls",
    "DescribeUsers",
    "Operation",
    "Pattern",
    "Resource",
]
