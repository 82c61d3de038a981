"""Tables: naming of constraints, the metadata of the platform's own tables, and the mark of scoped tables."""

from typing import Any

import sqlalchemy as sa

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

#: Tables that every service's database has (journal, outbox, inbox, directory, members, idempotency).
platform = sa.MetaData(naming_convention=NAMING)


def service_metadata() -> sa.MetaData:
    """The metadata of one service's own tables."""
    return sa.MetaData(naming_convention=NAMING)


def instant(name: str, **options: Any) -> sa.Column[Any]:
    """A `timestamptz` column."""
    return sa.Column(name, sa.TIMESTAMP(timezone=True), **options)
