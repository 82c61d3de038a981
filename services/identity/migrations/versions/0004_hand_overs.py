"""Sagas: changes over several services, the first of them hand-overs (ID-6)."""

from alembic import op

from crm_sagas import SAGAS_1

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    for statement in SAGAS_1:
        op.execute(statement)
