"""What the archive holds (schema.ARCHIVE_1 creates the tables). Only this library reads and writes them."""

import sqlalchemy as sa

from crm_database import instant, platform

#: Months that are, or become, archived. state: `writing`, then `archived`; `restoring`, then `restored`: its rows are whole again, and
#: only an operator archives it once more. run: names the files of this time; another time writes others.
journal_archive = sa.Table(
    "journal_archive",
    platform,
    sa.Column("month", sa.Date, primary_key=True),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("run", sa.Uuid, nullable=False),
    instant("begun_at", nullable=False),
    instant("finished_at"),
    sa.CheckConstraint("state IN ('writing', 'archived', 'restoring', 'restored')", name="state"),
)

#: Where the events lie: crm_events.archive.frames.Frame.
journal_frame = sa.Table(
    "journal_frame",
    platform,
    sa.Column("first", sa.Uuid, primary_key=True),
    sa.Column("last", sa.Uuid, nullable=False),
    sa.Column("month", sa.Date, nullable=False),
    sa.Column("file", sa.Text, nullable=False),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("length", sa.Integer, nullable=False),
    sa.Column("events", sa.Integer, nullable=False),
    sa.Column("sha256", sa.Text, nullable=False),
    sa.Index("ix_journal_frame_month_first", "month", "first"),
)
