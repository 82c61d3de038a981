"""Where archived months of the journal lie."""

from alembic import op

from crm_events.schema import ARCHIVE_1

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for statement in ARCHIVE_1:
        op.execute(statement)
