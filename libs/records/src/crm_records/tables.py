"""The table of a record type: what every record has, its fields, and the indexes that lists and searches were measured with."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from crm_database import SCOPED, instant
from crm_records.fields import Field
from crm_records.fields.field import STANDARD_NAMES


def record_table(
    metadata: sa.MetaData,
    name: str,
    fields: Sequence[Field],
    *,
    scoped: bool = True,
    extra: Sequence[sa.schema.SchemaItem] = (),
) -> sa.Table:
    """The table `name` for records with these fields.

    scoped: records have owners, and a data scope limits who reaches them; reading it without one fails (crm_database.scoping).
    False: everybody with the permission reaches all (products). extra: further columns, constraints and indexes.

    Also declares the sequence `<name>_number`, from which numbers (PL-2) are drawn.
    """
    _refuse_doubles(name, fields)
    table = sa.Table(
        name,
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("number", sa.Text),
        *(column for field in fields for column in field.columns()),
        sa.Column("owner_id", sa.Uuid),
        sa.Column("external_system", sa.Text),
        sa.Column("external_id", sa.Text),
        sa.Column("custom", JSONB, nullable=False, server_default=sa.text("'{}'::jsonb")),
        instant("created_at", nullable=False),
        instant("updated_at", nullable=False),
        sa.Column("created_by", sa.Uuid),
        instant("deleted_at"),
        *_search_column(fields),
        *extra,
        info=dict(SCOPED) if scoped else {},
    )
    table.info["record_fields"] = tuple(fields)
    _standard_indexes(table, scoped)
    _field_indexes(table, fields)
    sa.Sequence(f"{name}_number", metadata=metadata)
    return table


def _search_column(fields: Sequence[Field]) -> tuple[sa.Column[str], ...]:
    """The column that `q=` looks in: the searchable fields, one per line, folded; none when nothing is searchable.

    Stored folded, so that a candidate is checked without folding it again: 10 times faster, and the row a third as wide, than
    storing its grams (docs/decisions/0007). coalesce and ||, because concat_ws is not immutable.
    """
    texts = [
        f"coalesce({label}, '')" for field in fields if field.searchable for label in field.place.labels(field)[:1]
    ]
    if not texts:
        return ()
    joined = " || chr(10) || ".join(texts)
    return (sa.Column("search_text", sa.Text, sa.Computed(f"crm_fold({joined})", persisted=True)),)


def _standard_indexes(table: sa.Table, scoped: bool) -> None:
    c = table.c
    alive = c.deleted_at.is_(None)
    newest = (c.updated_at.desc(), c.id.desc())
    sa.Index(f"ix_{table.name}_newest", *newest, postgresql_where=alive)
    sa.Index(f"ix_{table.name}_deleted", c.deleted_at, postgresql_where=c.deleted_at.is_not(None))
    if scoped:
        sa.Index(f"ix_{table.name}_owner_newest", c.owner_id, *newest, postgresql_where=alive)
    sa.Index(
        f"uq_{table.name}_external",
        c.external_system,
        c.external_id,
        unique=True,
        postgresql_where=c.external_id.is_not(None),
    )
    sa.Index(f"uq_{table.name}_number", c.number, unique=True, postgresql_where=c.number.is_not(None))


def _field_indexes(table: sa.Table, fields: Sequence[Field]) -> None:
    for field in fields:
        if field.indexed:
            keys = field.sort_keys(table)
            sa.Index(f"ix_{table.name}_{field.name}", *keys, table.c.id, postgresql_where=table.c.deleted_at.is_(None))
    if "search_text" in table.c:
        grams = sa.func.crm_pairs(table.c.search_text, sa.true())
        sa.Index(f"ix_{table.name}_grams", grams, postgresql_using="gin")


def _refuse_doubles(name: str, fields: Sequence[Field]) -> None:
    labels = [label for field in fields for label in field.place.labels(field)]
    doubled = sorted({label for label in labels if labels.count(label) > 1})
    if doubled:
        raise ValueError(f"{name}: {', '.join(doubled)} declared twice")
    taken = sorted(STANDARD_NAMES & {*labels, *(field.name for field in fields)})
    if taken:
        raise ValueError(f"{name}: every record has {', '.join(taken)} already")


def ddl(table: sa.Table) -> tuple[str, ...]:
    """The statements that make the table, its indexes and its number sequence: to be copied into a migration."""
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateIndex, CreateTable

    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]
    statements = [f"CREATE SEQUENCE {table.name}_number", str(CreateTable(table).compile(dialect=dialect)).strip()]
    indexes = sorted(table.indexes, key=lambda index: str(index.name))
    statements += [str(CreateIndex(index).compile(dialect=dialect)).strip() for index in indexes]
    return tuple(statements)
