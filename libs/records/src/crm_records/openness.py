"""Which records are still to be worked on: what a record type says of itself (`RecordType.open`), as a condition over its table.

Who leaves hands these on (ID-6); what is closed keeps its owner, so that no figure of the past changes.
"""

import datetime as dt
from collections.abc import Callable

import sqlalchemy as sa

#: (table, the present instant) → the condition.
Open = Callable[[sa.Table, sa.ColumnElement[dt.datetime]], sa.ColumnElement[bool]]


def always_open(table: sa.Table, now: sa.ColumnElement[dt.datetime]) -> sa.ColumnElement[bool]:  # noqa: ARG001
    """There is no such thing as a closed record of this type: somebody always looks after it."""
    return sa.true()


def open_while(field: str, *values: str) -> Open:
    """Open while a field has one of these values; they are code, never input."""

    def condition(table: sa.Table, now: sa.ColumnElement[dt.datetime]) -> sa.ColumnElement[bool]:  # noqa: ARG001
        return table.c[field].in_([sa.literal_column(f"'{value}'", sa.Text) for value in values])

    return condition


def open_before(field: str) -> Open:
    """Open until the instant in a field; empty: never."""

    def condition(table: sa.Table, now: sa.ColumnElement[dt.datetime]) -> sa.ColumnElement[bool]:
        return table.c[field] > now

    return condition
