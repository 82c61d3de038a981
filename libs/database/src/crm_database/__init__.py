"""Pool, read and write sessions, compiled statements, the scope net, migrations."""

from crm_database.scoping import SCOPED, ScopeMark, UnscopedStatement
from crm_database.sessions import (
    Database,
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
    "SCOPED",
    "Database",
    "PoolSettings",
    "Query",
    "ReadSession",
    "ScopeMark",
    "UnscopedStatement",
    "WriteContext",
    "WriteSession",
    "insert_rows",
    "instant",
    "platform",
    "query",
    "service_metadata",
    "update_rows",
]
