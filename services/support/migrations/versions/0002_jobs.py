"""Jobs: what is too much for one request (PL-40)."""

from alembic import op

from crm_jobs import JOBS_1

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    for statement in JOBS_1:
        op.execute(statement)
