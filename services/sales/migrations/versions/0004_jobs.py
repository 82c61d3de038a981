"""Jobs: what is too much for one request (PL-40)."""

from alembic import op

from crm_jobs import JOBS_1

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for statement in JOBS_1:
        op.execute(statement)
