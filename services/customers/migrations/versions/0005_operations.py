"""What operators asked for, so that it is told like every other change (PL-44)."""

from alembic import op

from crm_web.operations import OPERATIONS_1

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    for statement in OPERATIONS_1:
        op.execute(statement)
