"""What resyncs are asked for and answered from here."""

from alembic import op

from crm_events.schema import RESYNC_1

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    for statement in RESYNC_1:
        op.execute(statement)
