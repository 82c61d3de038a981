"""What a replica needs in its service's database, as DDL for migrations. A released version is never edited: a change is a new one."""

from collections.abc import Mapping


def replica_ddl_1(name: str, columns: Mapping[str, str], *, scoped: bool = True) -> tuple[str, ...]:
    """The table of a replica, as `Replica` declares it; indexes are the migration's own.

    name: of the table. columns: name → type as SQL writes it, in the declaration's order: `{"name": "TEXT NOT NULL", "value_currency":
    "TEXT", "value_minor": "BIGINT", "lines": "JSONB NOT NULL"}`. They are written out, so that a migration stays what it was when
    the declaration changes. scoped: with owners.
    """
    lines = ["id UUID NOT NULL", "version INTEGER NOT NULL"]
    lines += [f"{column} {kind}" for column, kind in columns.items()]
    lines += ["owner_id UUID"] if scoped else []
    lines += ["deleted BOOLEAN NOT NULL", f"CONSTRAINT pk_{name} PRIMARY KEY (id)"]
    return (f"CREATE TABLE {name} (\n  " + ",\n  ".join(lines) + "\n)",)
