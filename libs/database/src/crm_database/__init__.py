"""Pool, read and write sessions, compiled statements, the scope net, migrations."""

from crm_database.failures import DATABASE_ERRORS
from crm_database.locks import lock_key
from crm_database.scoping import SCOPED, ScopeMark, UnscopedStatement
from crm_database.sessions import (
    Database,
    DatabaseUnreachable,
    NotCommitted,
    PoolSettings,
    ReadSession,
    WriteContext,
    WriteSession,
    insert_rows,
    update_rows,
)
from crm_database.statements import Query, query
from crm_database.tables import instant, platform, service_metadata

__all__ = [
    "DATABASE_ERRORS",
    "SCOPED",
    "Database",
    "DatabaseUnreachable",
    "NotCommitted",
    "PoolSettings",
    "Query",
    "ReadSession",
    "ScopeMark",
    "UnscopedStatement",
    "WriteContext",
    "WriteSession",
    "insert_rows",
    "instant",
    "lock_key",
    "platform",
    "query",
    "service_metadata",
    "update_rows",
]
