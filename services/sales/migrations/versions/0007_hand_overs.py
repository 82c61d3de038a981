"""What of leavers' records goes to their successors (ID-6), and the jobs that the product has by itself."""

from alembic import op

from crm_jobs import JOBS_2
from crm_records.hand_over.schema import HAND_OVERS_1

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    for statement in (*JOBS_2, *HAND_OVERS_1):
        op.execute(statement)
