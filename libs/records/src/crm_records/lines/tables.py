"""The table of a record type's lines."""

import sqlalchemy as sa


def line_table(metadata: sa.MetaData, owner: sa.Table) -> sa.Table:
    """The table `<owner>_line`. owner: the record table; lines are written with their record, under its row lock, and read after it
    was read through a scope."""
    named = f"{owner.name}_id"
    return sa.Table(
        f"{owner.name}_line",
        metadata,
        sa.Column("id", sa.Uuid, primary_key=True),
        sa.Column(named, sa.Uuid, sa.ForeignKey(f"{owner.name}.id"), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("product_id", sa.Uuid, nullable=False),
        sa.Column("quantity", sa.Numeric(20, 6), nullable=False),
        sa.Column("list_price_currency", sa.Text, nullable=False),
        sa.Column("list_price_minor", sa.BigInteger, nullable=False),
        sa.Column("unit_price_currency", sa.Text, nullable=False),
        sa.Column("unit_price_minor", sa.BigInteger, nullable=False),
        sa.Column("discount", sa.Numeric(9, 6), nullable=False),
        sa.Column("tax", sa.Numeric(9, 6), nullable=False),
        sa.Index(f"ix_{owner.name}_line_{named}", named, "position"),
        info={"lines_of": named},
    )


def line_ddl_1(owner: str) -> tuple[str, ...]:
    """What `line_table` declares, as DDL for migrations; frozen: a change is a new version. owner: the record table's name."""
    return (
        f"""
        CREATE TABLE {owner}_line (
          id UUID NOT NULL,
          {owner}_id UUID NOT NULL,
          position INTEGER NOT NULL,
          product_id UUID NOT NULL,
          quantity NUMERIC(20, 6) NOT NULL,
          list_price_currency TEXT NOT NULL,
          list_price_minor BIGINT NOT NULL,
          unit_price_currency TEXT NOT NULL,
          unit_price_minor BIGINT NOT NULL,
          discount NUMERIC(9, 6) NOT NULL,
          tax NUMERIC(9, 6) NOT NULL,
          CONSTRAINT pk_{owner}_line PRIMARY KEY (id),
          CONSTRAINT fk_{owner}_line_{owner}_id FOREIGN KEY({owner}_id) REFERENCES {owner} (id)
        )
        """,
        f"CREATE INDEX ix_{owner}_line_{owner}_id ON {owner}_line ({owner}_id, position)",
    )
